//! A response that counts for a certificate, with its bytes.

use staplegun_ocsp::{Judged, UnixTime, Validity, Verdict};

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
