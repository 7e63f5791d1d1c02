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

    /// Whether it settles at that time what is stapled: as a good one that may be, or as a
    /// revocation, which stays.
    pub fn settles(&self, now: UnixTime) -> bool {
        !self.is_good() || self.is_fresh(now)
    }

    /// What it says, without its bytes.
    pub fn judged(&self) -> Judged {
        Judged {
            verdict: self.verdict,
            validity: self.validity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_response_settles_what_is_stapled_while_it_is_fresh_and_a_revocation_for_ever() {
        let staple = |verdict| Staple {
            der: Vec::new(),
            verdict,
            validity: Validity {
                from: 1_000,
                until: 2_000,
            },
        };
        let good = staple(Verdict::Good);
        assert!(good.settles(1_500));
        assert!(!good.settles(2_500));
        let revoked = staple(Verdict::Revoked {
            since: 500,
            reason: None,
        });
        assert!(revoked.settles(1_500));
        assert!(revoked.settles(2_500));
    }
}
