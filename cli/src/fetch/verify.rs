//! What the machine's own libcrypto decides: who issued a certificate, whether an
//! issuer is trusted, and whether a response is signed by somebody who may.

use std::fmt;

use anyhow::Context;
use openssl::error::ErrorStack;
use openssl::ocsp::{OcspFlag, OcspResponse};
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509StoreContext};

/// Why a response's signature does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// The signature does not match what it signs.
    BadSignature,
    /// The signer's certificate is neither the issuer nor with the response.
    SignerNotFound,
    /// The signer's certificate lacks the extended key usage OCSPSigning.
    NotAuthorised,
    /// The signer's certificate has expired, or is not valid yet.
    SignerExpired,
    /// The signer's certificate does not come from the issuer.
    SignerUntrusted(String),
    /// libcrypto could not read it, or failed.
    Libcrypto(String),
}

impl Unverified {
    /// A stable word in snake_case.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::BadSignature => "bad_signature",
            Self::SignerNotFound => "signer_not_found",
            Self::NotAuthorised => "signer_not_authorised",
            Self::SignerExpired => "signer_expired",
            Self::SignerUntrusted(_) => "signer_untrusted",
            Self::Libcrypto(_) => "libcrypto",
        }
    }

    /// Reads libcrypto's errors. The reason codes are those of ossl's ocsperr.h
    /// and have never changed.
    fn from_errors(errors: &ErrorStack) -> Self {
        const LIBRARY_OCSP: i32 = 39;
        const CERTIFICATE_VERIFY_ERROR: i32 = 101;
        const MISSING_OCSPSIGNING_USAGE: i32 = 103;
        const ROOT_CA_NOT_TRUSTED: i32 = 112;
        const SIGNATURE_FAILURE: i32 = 117;
        const SIGNER_CERTIFICATE_NOT_FOUND: i32 = 118;
        let reasons: Vec<_> = errors
            .errors()
            .iter()
            .filter(|error| error.library_code() == LIBRARY_OCSP)
            .collect();
        let has = |code| reasons.iter().any(|error| error.reason_code() == code);
        let why = || {
            let data = reasons.iter().find_map(|error| error.data());
            let text = data.and_then(|data| data.strip_prefix("Verify error:"));
            text.map_or("its chain does not lead to the issuer", str::trim)
                .to_owned()
        };
        if has(MISSING_OCSPSIGNING_USAGE) {
            Self::NotAuthorised
        } else if has(SIGNATURE_FAILURE) {
            Self::BadSignature
        } else if has(SIGNER_CERTIFICATE_NOT_FOUND) {
            Self::SignerNotFound
        } else if has(CERTIFICATE_VERIFY_ERROR) || has(ROOT_CA_NOT_TRUSTED) {
            let why = why();
            match why.as_str() {
                "certificate has expired" | "certificate is not yet valid" => Self::SignerExpired,
                _ => Self::SignerUntrusted(why),
            }
        } else {
            Self::Libcrypto(errors.to_string())
        }
    }
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadSignature => write!(
                f,
                "the response's signature is wrong: it was damaged, or forged"
            ),
            Self::SignerNotFound => write!(
                f,
                "the response is signed by somebody whose certificate is neither the issuer's nor \
                 with the response"
            ),
            Self::NotAuthorised => write!(
                f,
                "the response's signer was not certified for it: its certificate lacks the \
                 extended key usage OCSPSigning"
            ),
            Self::SignerExpired => write!(
                f,
                "the certificate of the response's signer is not valid now; the CA must renew its \
                 responder's certificate (or check this machine's clock)"
            ),
            Self::SignerUntrusted(why) => write!(
                f,
                "the response's signer is not the issuer's delegate: {why}"
            ),
            Self::Libcrypto(why) => write!(f, "libcrypto cannot verify the response: {why}"),
        }
    }
}

/// Whether `issuer` (DER) signed `leaf` (DER), and is named by it.
pub fn issued(leaf: &[u8], issuer: &[u8]) -> bool {
    let verified = || -> Result<bool, ErrorStack> {
        let leaf = X509::from_der(leaf)?;
        let issuer = X509::from_der(issuer)?;
        let key = issuer.public_key()?;
        leaf.verify(&key)
    };
    // An error means that the key cannot verify: the same as "no".
    verified().unwrap_or(false)
}

/// Whether `response` (DER) was signed by `issuer` (DER), or by a responder that
/// the issuer itself certified for OCSP signing (RFC 6960, 4.2.2.2).
///
/// # Errors
///
/// [`Unverified`]: always, unless it holds.
pub fn signed_for(issuer: &[u8], response: &[u8]) -> Result<(), Unverified> {
    let verified = || -> Result<(), ErrorStack> {
        let issuer = X509::from_der(issuer)?;
        let basic = OcspResponse::from_der(response)?.basic()?;
        let mut anchors = X509StoreBuilder::new()?;
        anchors.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        anchors.add_cert(issuer.clone())?;
        let mut signers = Stack::new()?;
        signers.push(issuer)?;
        basic.verify(&signers, &anchors.build(), OcspFlag::empty())
    };
    verified().map_err(|errors| Unverified::from_errors(&errors))
}

/// The certification authorities that the machine trusts, and those that the
/// configuration adds.
pub struct Trust {
    store: X509Store,
}

impl Trust {
    /// The system's, and `extra` (PEM files, each certificate in them an anchor).
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub fn new(extra: &[std::path::PathBuf]) -> anyhow::Result<Self> {
        let mut builder = X509StoreBuilder::new()?;
        builder.set_default_paths()?;
        builder.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        for path in extra {
            let pem = std::fs::read(path)
                .with_context(|| format!("cannot read the trusted issuers {}", path.display()))?;
            let certificates = X509::stack_from_pem(&pem)
                .with_context(|| format!("{} is not a PEM file of certificates", path.display()))?;
            for certificate in certificates {
                builder.add_cert(certificate)?;
            }
        }
        // What went wrong with a missing system store is of no interest later.
        drop(ErrorStack::get());
        Ok(Self {
            store: builder.build(),
        })
    }

    /// Whether a certificate was issued by an authority that is trusted, or by one
    /// that such an authority certified. The certificate itself is verified, not its
    /// issuer: else anybody's certificate would do for an authority's. `chain` (DER)
    /// has it first; the others may help.
    pub fn covers(&self, chain: &[&[u8]]) -> bool {
        let verified = || -> Result<bool, ErrorStack> {
            let mut certificates = Stack::new()?;
            for der in chain {
                certificates.push(X509::from_der(der)?)?;
            }
            let Some(leaf) = certificates.get(0) else {
                return Ok(false);
            };
            X509StoreContext::new()?.init(&self.store, leaf, &certificates, |context| {
                context.verify_cert()
            })
        };
        verified().unwrap_or(false)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}
