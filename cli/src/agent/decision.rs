//! What to do with what came, and when to ask again: pure, so that each rule can be held by a test.
//!
//! A response that is in use goes only for a better one: which that is, `ocsp`
//! knows. A revocation is acted upon at once.

use std::time::Duration;

use staplegun_ocsp::{UnixTime, better, schedule};

use crate::fetch::Staple;

/// What is to be done with a response whose signature was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Staple it from now on.
    Staple,
    /// Stop stapling: the certificate was revoked.
    Withdraw,
    /// Keep what there is; it is as good or better.
    Keep(Why),
}

/// Why what there is was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is the same.
    Same,
    /// The new one says the same, and is older or ends earlier.
    NotNewer,
    /// The new one is not newer than the revocation that is known.
    OlderThanRevocation,
    /// The new one tells a revocation and is older than the good one in use.
    OlderThanGood,
}

/// Weighs `new` against `known`, what is in use or the revocation that is known.
pub fn decide(known: Option<&Staple>, new: &Staple, now: UnixTime) -> Decision {
    match known {
        Some(known) if known.der == new.der => Decision::Keep(Why::Same),
        Some(known) if !better(&known.judged(), &new.judged(), now) => {
            Decision::Keep(match (known.is_good(), new.is_good()) {
                (false, true) => Why::OlderThanRevocation,
                (true, false) => Why::OlderThanGood,
                _ => Why::NotNewer,
            })
        }
        _ if new.is_good() => Decision::Staple,
        _ => Decision::Withdraw,
    }
}

/// The limits that the configuration sets to the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest time until a refresh.
    pub longest_refresh: Duration,
    /// The longest time until a retry, unless the responder asks for more.
    pub longest_retry: Duration,
}

/// How long to wait after a success. `in_use` is what is stapled, or the
/// revocation that is known; `stale` says how often in a row the responder gave
/// nothing that is valid: a revocation counts when it has expired, too.
pub fn after_success(
    in_use: &Staple,
    stale: u32,
    now: UnixTime,
    max_age: Option<Duration>,
    limits: &Limits,
    random: u64,
) -> Duration {
    if stale > 0 {
        return schedule::retry(stale, None, None, limits.longest_retry, random);
    }
    schedule::refresh(in_use.validity, now, max_age, random).min(limits.longest_refresh)
}

/// How long to wait after `failures` failures in a row.
pub fn after_failure(
    failures: u32,
    retry_after: Option<Duration>,
    in_use: Option<&Staple>,
    now: UnixTime,
    limits: &Limits,
    random: u64,
) -> Duration {
    let usable_for = usable_for(in_use, now);
    schedule::retry(
        failures,
        retry_after,
        usable_for,
        limits.longest_retry,
        random,
    )
}

/// How much is heeded of the time for which a responder wants to be left alone: no more
/// than [`after_failure`] waits for it.
pub fn longest_heeded(in_use: Option<&Staple>, now: UnixTime, limits: &Limits) -> Duration {
    let longest = limits.longest_retry - limits.longest_retry / 10;
    usable_for(in_use, now).map_or(longest, |left| left / 2)
}

fn usable_for(in_use: Option<&Staple>, now: UnixTime) -> Option<Duration> {
    in_use
        .filter(|staple| staple.is_good() && staple.is_fresh(now))
        .and_then(|staple| u64::try_from(staple.validity.until.saturating_sub(now)).ok())
        .map(Duration::from_secs)
}

/// Whether a timer set by the monotonic clock comes too late by the wall clock:
/// the clock was set forward, or the machine slept.
pub fn overslept(in_use: &Staple, now: UnixTime, time_left: Duration) -> bool {
    let left = in_use.validity.until.saturating_sub(now);
    u64::try_from(left).map_or(true, |left| Duration::from_secs(left) < time_left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use staplegun_ocsp::{Validity, Verdict};

    const NOW: UnixTime = 1_000_000;
    const LIMITS: Limits = Limits {
        longest_refresh: Duration::from_secs(604_800),
        longest_retry: Duration::from_secs(3_600),
    };

    fn staple(name: u8, verdict: Verdict, from: i64, until: i64) -> Staple {
        Staple {
            der: vec![name],
            verdict,
            validity: Validity {
                from: NOW + from,
                until: NOW + until,
            },
        }
    }

    fn good(name: u8, from: i64, until: i64) -> Staple {
        staple(name, Verdict::Good, from, until)
    }

    fn revoked(name: u8, from: i64, until: i64) -> Staple {
        let (since, reason) = (NOW - 500, None);
        staple(name, Verdict::Revoked { since, reason }, from, until)
    }

    #[test]
    fn the_first_response_counts_whatever_it_says() {
        assert_eq!(decide(None, &good(1, -10, 10), NOW), Decision::Staple);
        assert_eq!(decide(None, &revoked(1, -10, 10), NOW), Decision::Withdraw);
    }

    #[test]
    fn only_a_better_one_takes_the_place_of_what_is_known_and_it_is_said_why() {
        let known = good(1, -100, 100);
        let decided = |new: &Staple| decide(Some(&known), new, NOW);
        assert_eq!(decided(&known), Decision::Keep(Why::Same));
        assert_eq!(decided(&good(2, -50, 50)), Decision::Staple);
        assert_eq!(decided(&good(2, -150, 200)), Decision::Keep(Why::NotNewer));
        assert_eq!(decided(&revoked(2, -100, 10)), Decision::Withdraw);
        let older = Decision::Keep(Why::OlderThanGood);
        assert_eq!(decided(&revoked(2, -101, 10)), older);
    }

    #[test]
    fn an_old_good_response_does_not_undo_a_revocation() {
        let known = revoked(1, -100, 100);
        let decided = |new: &Staple| decide(Some(&known), new, NOW);
        let older = Decision::Keep(Why::OlderThanRevocation);
        assert_eq!(decided(&good(2, -100, 1_000)), older);
        assert_eq!(decided(&good(2, -99, 1_000)), Decision::Staple);
    }

    #[test]
    fn a_hundred_failures_in_a_row_wait_no_longer_than_the_limit() {
        for failures in [1, 2, 10, 100, u32::MAX] {
            for random in [0, u64::MAX] {
                let delay = after_failure(failures, None, None, NOW, &LIMITS, random);
                assert!(delay >= Duration::from_secs(5), "{failures}: {delay:?}");
                assert!(delay <= LIMITS.longest_retry, "{failures}: {delay:?}");
            }
        }
    }

    #[test]
    fn retry_after_is_obeyed_beyond_the_limit_only_while_something_is_in_use() {
        let day = Some(Duration::from_secs(86_400));
        let waits = |in_use: Option<Staple>| {
            let wait = |random| after_failure(1, day, in_use.as_ref(), NOW, &LIMITS, random);
            let heeded = longest_heeded(in_use.as_ref(), NOW, &LIMITS);
            assert!(day.is_some_and(|day| day.min(heeded) <= wait(0)));
            (wait(0).as_secs(), wait(u64::MAX).as_secs())
        };
        assert_eq!(waits(Some(good(1, -10, 604_800))), (86_400, 95_040));
        assert_eq!(waits(Some(good(1, -10, 7_200))), (3_600, 3_600));
        // Nothing is stapled, be it expired or revoked.
        for in_use in [None, Some(good(1, -10, 0)), Some(revoked(1, -10, 7_200))] {
            assert_eq!(waits(in_use), (3_240, 3_600));
        }
    }

    #[test]
    fn the_limit_to_a_refresh_holds_whatever_the_validity() {
        let limits = Limits {
            longest_refresh: Duration::from_secs(60),
            ..LIMITS
        };
        let year = good(1, -10, 31_536_000);
        let delay = |limits| after_success(&year, 0, NOW, None, limits, 0);
        assert_eq!(delay(&limits), Duration::from_secs(60));
        assert_eq!(delay(&LIMITS), Duration::from_secs(604_800));
    }

    #[test]
    fn a_responder_that_goes_on_giving_an_expired_revocation_is_asked_ever_more_seldom() {
        let known = revoked(1, -100, -10);
        let delay = |stale| after_success(&known, stale, NOW, None, &LIMITS, 0).as_secs();
        assert_eq!((delay(1), delay(2), delay(5)), (5, 10, 80));
        assert_eq!(delay(1_000), 1_800, "half of longest-retry at least");
    }

    #[test]
    fn a_timer_beyond_the_end_by_the_wall_clock_has_overslept() {
        let in_use = good(1, -100, 100);
        assert!(!overslept(&in_use, NOW, Duration::from_secs(50)));
        assert!(!overslept(&in_use, NOW, Duration::from_secs(100)));
        assert!(overslept(&in_use, NOW + 60, Duration::from_secs(50)));
        assert!(overslept(&in_use, NOW + 200, Duration::ZERO));
    }
}
