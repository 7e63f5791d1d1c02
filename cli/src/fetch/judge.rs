//! Whether bytes are a response that counts for a certificate, whoever brought
//! them: a responder, a file, an operator. The judgement is `ocsp`'s, the signature
//! the machine's own libcrypto's.

use staplegun_ocsp::{Judged, Policy, Refusal, UnixTime, Validity, Verdict};

use super::failure::Kind;
use super::subject::Issued;

/// A response whose signature was verified and whose certID is the certificate's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staple {
    /// The OCSPResponse in DER.
    pub der: Vec<u8>,
    /// What it says: good or revoked, nothing else comes so far.
    pub verdict: Verdict,
    /// From thisUpdate to nextUpdate, or what stands in for it, cut at the end of
    /// its signer's certificate.
    pub validity: Validity,
}

impl Staple {
    /// Whether it says good.
    pub fn is_good(&self) -> bool {
        self.verdict == Verdict::Good
    }

    /// Whether it may be stapled at that time.
    pub fn is_fresh(&self, now: UnixTime) -> bool {
        self.validity.check_to_staple(now).is_ok()
    }

    /// What it says, without its bytes.
    pub fn judged(&self) -> Judged {
        Judged {
            verdict: self.verdict,
            validity: self.validity,
        }
    }
}

/// Judges `der` at the time `now`.
///
/// # Errors
///
/// As [`staplegun_ocsp::judge`].
pub fn judge(der: &[u8], issuer: &Issued, now: UnixTime, policy: &Policy) -> Result<Staple, Kind> {
    match staplegun_ocsp::judge(der, &issuer.identity, now, policy, &*issuer.by) {
        Ok(Judged { verdict, validity }) => Ok(Staple {
            der: der.to_vec(),
            verdict,
            validity,
        }),
        Err(Refusal::Signature(unverified)) => Err(Kind::Signer(unverified)),
        Err(Refusal::Response(fault) | Refusal::Early { fault, .. }) => Err(Kind::Response {
            fault,
            content_type: None,
        }),
    }
}
