//! Which of two responses for a certificate goes before the other, as a few digits that
//! stand before the response in the store: so what is compared and what is meant are one
//! value, and no time is left behind when a response is evicted.

use staplegun_ocsp::{Judged, UnixTime};

/// The length of the digits before a response.
pub const LENGTH: usize = 37;
/// How many of them are the time.
pub const TIME_LENGTH: usize = 12;
/// The largest time that has so many digits.
const LATEST: UnixTime = 999_999_999_999;

/// What [`staplegun_ocsp::better`] compares of responses that count now: the newer
/// thisUpdate first (of a revocation, the later of it and the time since when), at equal
/// times the revocation, then its thisUpdate and the later end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// The time as of which it is known.
    pub as_of: UnixTime,
    /// It tells a revocation.
    pub is_revoked: bool,
    /// thisUpdate.
    pub from: UnixTime,
    /// When it ends.
    pub until: UnixTime,
}

impl Rank {
    /// Of a response that was judged.
    pub fn of(judged: &Judged) -> Self {
        Self {
            as_of: judged.as_of().clamp(0, LATEST),
            is_revoked: !judged.is_good(),
            from: judged.validity.from.clamp(0, LATEST),
            until: judged.validity.until.clamp(0, LATEST),
        }
    }

    /// As it stands before a response: ranks compare as these texts do.
    pub fn digits(self) -> String {
        let Self {
            as_of,
            is_revoked,
            from,
            until,
        } = self;
        format!("{as_of:012}{}{from:012}{until:012}", u8::from(is_revoked))
    }

    /// Reads it back. None if that is no rank.
    pub fn parse(digits: &[u8]) -> Option<Self> {
        if digits.len() != LENGTH || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let text = std::str::from_utf8(digits).ok()?;
        let (as_of, rest) = text.split_at(TIME_LENGTH);
        let (is_revoked, rest) = rest.split_at(1);
        let (from, until) = rest.split_at(TIME_LENGTH);
        Some(Self {
            as_of: as_of.parse().ok()?,
            is_revoked: match is_revoked {
                "0" => false,
                "1" => true,
                _ => return None,
            },
            from: from.parse().ok()?,
            until: until.parse().ok()?,
        })
    }
}

/// A response with its rank, as it stands in the store.
pub fn value(rank: Rank, der: &[u8]) -> Vec<u8> {
    [rank.digits().as_bytes(), der].concat()
}

/// The rank and the response in a value of the store.
pub fn split(value: &[u8]) -> Option<(Rank, &[u8])> {
    let (digits, der) = value.split_at_checked(LENGTH)?;
    Some((Rank::parse(digits)?, der))
}

/// The last time that may stand before a response at `now`: what is beyond is no fence.
pub fn latest(now: UnixTime) -> String {
    let latest = now.saturating_add(staplegun_ocsp::CLOCK_SKEW);
    format!("{:012}", latest.clamp(0, LATEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use staplegun_ocsp::{Validity, Verdict, better};

    fn judged(since: Option<i64>, from: i64, until: i64) -> Judged {
        Judged {
            verdict: since.map_or(Verdict::Good, |since| Verdict::Revoked {
                since,
                reason: None,
            }),
            validity: Validity { from, until },
        }
    }

    #[test]
    fn ranks_and_their_texts_compare_as_responses_that_count_do() {
        let now = 1_700_000_000;
        let mut all = Vec::new();
        for since in [None, Some(now - 50), Some(now - 5)] {
            for from in [now - 20, now - 10] {
                for until in [now + 10, now + 20] {
                    all.push(judged(since, from, until));
                }
            }
        }
        for one in &all {
            for other in &all {
                let (a, b) = (Rank::of(one), Rank::of(other));
                assert_eq!(b > a, better(one, other, now), "{one:?} {other:?}");
                assert_eq!(b > a, b.digits() > a.digits());
            }
        }
    }

    #[test]
    fn a_value_is_read_back_and_nothing_else_is_taken_for_one() {
        let rank = Rank::of(&judged(Some(7), 1_700_000_000, 1_700_000_100));
        assert_eq!(rank.digits().len(), LENGTH);
        assert_eq!(split(&value(rank, b"der")), Some((rank, &b"der"[..])));
        for bad in [
            "",
            "17",
            "0017000000002001700000100",
            "+01700000000100170000010x",
        ] {
            assert_eq!(Rank::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(split(b"other people's bytes, and many of them"), None);
    }

    #[test]
    fn what_is_beyond_the_tolerance_compares_beyond_the_latest() {
        let now = 1_700_000_000;
        let of = |from| Rank::of(&judged(None, from, from + 100)).digits();
        assert!(of(now + 300)[..TIME_LENGTH] <= *latest(now));
        assert!(of(now + 301)[..TIME_LENGTH] > *latest(now));
    }
}
