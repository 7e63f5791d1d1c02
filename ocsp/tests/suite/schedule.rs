//! When to ask again: around half of the validity, never absurd.

use proptest::prelude::*;
use staplegun_ocsp::Validity;
use staplegun_ocsp::schedule::{
    FIRST_RETRY, MAX_REFRESH, MAX_RETRY, MAX_RETRY_AFTER, MIN_REFRESH, refresh, retry,
};
use std::time::Duration;

const DAY: i64 = 86_400;
const FROM: i64 = 1_767_225_600;

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds as u64)
}

/// A validity that begins at [`FROM`].
fn lasting(seconds: i64) -> Validity {
    Validity {
        from: FROM,
        until: FROM + seconds,
    }
}

#[test]
fn a_delegated_responders_end_cuts_the_validity() {
    let week = lasting(7 * DAY);
    assert_eq!(week.cut_at(FROM + 9 * DAY), week);
    assert_eq!(week.cut_at(i64::MAX), week);
    // notAfter is the last second in which the certificate is valid.
    assert_eq!(week.cut_at(FROM + DAY), lasting(DAY + 1));
    // One that had ended before leaves nothing, which is expired, not bad times.
    let nothing = week.cut_at(FROM - DAY);
    assert_eq!(nothing, lasting(0));
    assert_eq!(nothing.check(FROM, 0).unwrap_err().cause(), "expired");
}

#[test]
fn the_bounds_are_those_of_the_documents() {
    assert_eq!((MIN_REFRESH, MAX_REFRESH), (seconds(10), seconds(7 * DAY)));
    assert_eq!((FIRST_RETRY, MAX_RETRY), (seconds(10), seconds(3600)));
    assert_eq!(MAX_RETRY_AFTER, seconds(DAY));
}

#[test]
fn a_week_is_refreshed_around_its_middle() {
    let day = |random| refresh(lasting(7 * DAY), FROM, None, random).as_secs_f64() / DAY as f64;
    assert!((day(0) - 2.8).abs() < 0.01);
    assert!((day(u64::MAX / 2) - 3.5).abs() < 0.01);
    assert!((day(u64::MAX) - 4.2).abs() < 0.01);
}

#[test]
fn a_response_past_its_middle_is_refreshed_within_what_is_left() {
    let delay = refresh(lasting(10 * DAY), FROM + 9 * DAY, None, u64::MAX / 2);
    assert!(delay > seconds(DAY * 2 / 5) && delay < seconds(DAY * 3 / 5));
}

#[test]
fn max_age_delays_but_never_beyond_three_quarters_of_what_is_left() {
    let with = |max_age| refresh(lasting(4 * DAY), FROM, Some(max_age), 0);
    assert_eq!(with(Duration::ZERO), seconds(4 * DAY * 2 / 5));
    assert_eq!(with(seconds(2 * DAY)), seconds(2 * DAY));
    assert_eq!(with(seconds(9 * DAY)), seconds(3 * DAY));
    assert_eq!(with(Duration::MAX), seconds(3 * DAY));
}

#[test]
fn retries_double_up_to_an_hour() {
    let longest = |failures| retry(failures, None, None, MAX_RETRY, u64::MAX).as_secs();
    let shortest = |failures| retry(failures, None, None, MAX_RETRY, 0).as_secs();
    let waits: Vec<_> = [1, 2, 3, 9, 10].into_iter().map(longest).collect();
    assert_eq!(waits, [10, 20, 40, 2560, 3600]);
    assert_eq!((shortest(1), shortest(10)), (5, 1800));
    for failures in [11, 100, u32::MAX] {
        assert_eq!(longest(failures), 3600);
    }
    assert_eq!(longest(0), 10);
}

#[test]
fn retry_after_is_obeyed_within_limits() {
    let wait = |asked, usable_for| retry(1, Some(asked), usable_for, MAX_RETRY, 0);
    let hour = seconds(3600);
    let ages = Some(seconds(30 * DAY));
    assert_eq!(wait(hour, ages), hour);
    assert_eq!(wait(Duration::ZERO, ages), FIRST_RETRY / 2);
    assert_eq!(wait(Duration::MAX, ages), MAX_RETRY_AFTER);
    // A response in use leaves time for another try before it ends.
    assert_eq!(wait(hour, Some(seconds(1200))), seconds(600));
    assert_eq!(wait(hour, Some(seconds(86_400))), hour);
    // Our own backoff is the least.
    let long = retry(50, Some(seconds(1)), Some(seconds(2)), MAX_RETRY, 0);
    assert_eq!(long, MAX_RETRY / 2);
}

#[test]
fn while_nothing_is_in_use_retry_after_is_obeyed_up_to_the_longest_retry() {
    for usable_for in [None, Some(Duration::ZERO)] {
        let waits = |asked| {
            let wait = |random| retry(1, Some(seconds(asked)), usable_for, MAX_RETRY, random);
            (wait(0).as_secs(), wait(u64::MAX).as_secs())
        };
        assert_eq!(waits(600), (600, 660));
        assert_eq!(waits(3_600), (3_600, 3_600));
        // Not all at once at the end, either.
        assert_eq!(waits(DAY), (3_240, 3_600));
    }
}

/// Any moment, the extremes among them more often than chance has it.
fn moment() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        Just(i64::MIN),
        Just(i64::MAX),
        Just(0),
        FROM - 1000..FROM + 1000
    ]
}

proptest! {
    #[test]
    fn no_clock_and_no_response_gives_an_absurd_delay(
        from in moment(), until in moment(), now in moment(), random in any::<u64>(),
        max_age in prop::option::of(any::<Duration>()),
    ) {
        let delay = refresh(Validity { from, until }, now, max_age, random);
        prop_assert!((MIN_REFRESH..=MAX_REFRESH).contains(&delay));
    }

    #[test]
    fn a_fresh_response_is_refreshed_between_40_and_60_percent(
        lifetime in 60..14 * DAY, elapsed in 0..100i64, random in any::<u64>(),
    ) {
        let elapsed = lifetime * 39 / 100 * elapsed / 100;
        let delay = refresh(lasting(lifetime), FROM + elapsed, None, random);
        let at = seconds(elapsed) + delay;
        if delay > MIN_REFRESH && delay < MAX_REFRESH {
            prop_assert!(at >= seconds(lifetime) * 2 / 5 - seconds(1), "{at:?}");
            prop_assert!(at <= seconds(lifetime) * 3 / 5, "{at:?}");
        }
        prop_assert!(at < seconds(lifetime));
    }

    #[test]
    fn a_clock_that_is_behind_delays_no_more_than_a_fresh_response(
        lifetime in 60..14 * DAY, behind in 0..i64::MAX / 2, random in any::<u64>(),
    ) {
        let fresh = refresh(lasting(lifetime), FROM, None, random);
        let now = FROM.saturating_sub(behind);
        prop_assert_eq!(refresh(lasting(lifetime), now, None, random), fresh);
    }

    #[test]
    fn however_often_a_refresh_finds_the_same_response_it_never_spins(
        lifetime in 3600..14 * DAY, randoms in prop::collection::vec(any::<u64>(), 64),
    ) {
        let until = FROM + lifetime;
        let mut now = FROM;
        let mut requests = 0;
        for random in randoms {
            if now >= until {
                break;
            }
            now += refresh(lasting(lifetime), now, None, random).as_secs() as i64 + 1;
            requests += 1;
        }
        prop_assert!(now >= until && requests < 40, "{requests} requests");
    }

    #[test]
    fn retries_stay_within_their_bounds(
        failures in any::<u32>(), random in any::<u64>(),
        retry_after in prop::option::of(any::<Duration>()),
        usable_for in prop::option::of(any::<Duration>()),
    ) {
        let delay = retry(failures, retry_after, usable_for, MAX_RETRY, random);
        let own = retry(failures, None, None, MAX_RETRY, random);
        prop_assert!(own >= FIRST_RETRY / 2 && own <= MAX_RETRY);
        prop_assert!(delay >= own && delay <= MAX_RETRY_AFTER * 11 / 10);
        if usable_for.is_none_or(|left| left.is_zero()) {
            prop_assert!(delay <= MAX_RETRY);
        }
    }
}
