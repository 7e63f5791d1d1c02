//! Whether a response carries a signature that counts: the issuer's own, or
//! that of a delegated responder which the issuer itself certified for OCSP
//! signing (RFC 6960, 4.2.2.2). Checked by the host's libcrypto.

use std::fmt;

use crate::host::ocsp;
use crate::host::x509::X509Ref;

/// Why a response's signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// The host's libcrypto was built without OCSP.
    NoOcsp,
    /// The signature, or the signer's right to sign, does not hold.
    Signature,
    /// No certificate was found that issued the leaf.
    NoIssuer,
}

impl Unverified {
    /// A stable word for it.
    pub fn cause(self) -> &'static str {
        match self {
            Self::NoOcsp => "no_ocsp",
            Self::Signature => "bad_signature",
            Self::NoIssuer => "no_issuer",
        }
    }
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoOcsp => {
                "the program's libcrypto was built without OCSP, so nothing can be verified"
            }
            Self::Signature => {
                "it is not signed by the certificate's issuer, nor by a responder that the \
                 issuer certified for OCSP signing and that is valid now"
            }
            Self::NoIssuer => {
                "the certificate's issuer is not known; append it to the certificate's file or \
                 name it in STAPLEGUN_ISSUERS"
            }
        })
    }
}

/// Whether `response` (DER) was signed by `issuer` or by its delegate.
pub fn signed_for(issuer: X509Ref<'_>, response: &[u8]) -> Result<(), Unverified> {
    match ocsp::verifies(issuer, response) {
        None => Err(Unverified::NoOcsp),
        Some(false) => Err(Unverified::Signature),
        Some(true) => Ok(()),
    }
}
