//! Whether a response carries a signature that counts: the issuer's own, or
//! that of a delegated responder which the issuer itself certified for OCSP
//! signing (RFC 6960, 4.2.2.2). Checked by the host's libcrypto.

use std::fmt;

use staplegun_ocsp::{Certificate, MAX_RESPONSE, Response, Signatures, Signer};

use crate::host::ocsp;
use crate::host::x509::{OwnedX509, X509Ref};

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
                 issuer certified for OCSP signing"
            }
            Self::NoIssuer => {
                "the certificate's issuer is not known; append it to the certificate's file or \
                 name it in STAPLEGUN_ISSUERS"
            }
        })
    }
}

/// A certificate that issued others, for whose responses the host's libcrypto
/// verifies signatures.
pub struct Issuer {
    facts: Certificate,
    x509: OwnedX509,
}

impl Issuer {
    /// None if it cannot be read, or for want of memory.
    pub fn new(x509: OwnedX509) -> Option<Issuer> {
        let der = x509.as_ref().to_der(MAX_RESPONSE)?;
        let facts = Certificate::from_der(&der).ok()?;
        Some(Issuer { facts, x509 })
    }
}

impl Signatures for Issuer {
    type Error = Unverified;

    fn issuer(&self) -> &Certificate {
        &self.facts
    }

    fn verify(&self, response: &Response<'_>, signer: &Signer<'_>) -> Result<(), Unverified> {
        signed(self.x509.as_ref(), response, signer)
    }
}

/// Whether `response` is signed by `signer`, which is `issuer` or was certified by it.
pub fn signed(
    issuer: X509Ref<'_>,
    response: &Response<'_>,
    signer: &Signer<'_>,
) -> Result<(), Unverified> {
    let verified = match signer {
        Signer::Issuer => ocsp::verifies(issuer, issuer, response.der()),
        Signer::Delegate { der, .. } => {
            let signer = OwnedX509::from_der(issuer.crypto(), der);
            let signer = signer.as_ref().map(OwnedX509::as_ref);
            signer.map_or(Some(false), |signer| {
                ocsp::verifies(issuer, signer, response.der())
            })
        }
    };
    match verified {
        None => Err(Unverified::NoOcsp),
        Some(false) => Err(Unverified::Signature),
        Some(true) => Ok(()),
    }
}
