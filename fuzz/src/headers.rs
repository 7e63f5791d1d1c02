//! `ocsp`: what the headers of an answer say about when to ask again.
//!
//! Input: four times eight bytes (clock, end of validity, two random numbers), one
//! for failures in a row, then text: Retry-After, Cache-Control and Age, by lines.

use std::time::Duration;

use staplegun_ocsp::{Validity, http, schedule};

use crate::take::Take;

/// Whatever a responder says, the next request is neither at once nor never.
pub fn run(data: &[u8]) {
    let mut input = Take(data);
    let (now, until) = (input.time(), input.time());
    let (from, random) = (input.time(), input.word());
    let failures = u32::from(input.byte()) << (input.byte() % 25);
    let text = String::from_utf8_lossy(input.0);
    let mut lines = text.lines();
    let retry_after = lines.next().and_then(|line| http::retry_after(line, now));
    let control = lines.next().unwrap_or_default();
    let max_age = http::max_age(control, lines.next());
    let aged = http::max_age(control, Some("1"));
    if let (Some(max_age), Some(aged)) = (http::max_age(control, None), aged) {
        assert_eq!(max_age.saturating_sub(Duration::from_secs(1)), aged);
    }

    let wait = schedule::refresh(Validity { from, until }, now, max_age, random);
    assert!(
        (schedule::MIN_REFRESH..=schedule::MAX_REFRESH).contains(&wait),
        "{wait:?}"
    );
    let usable_for = u64::try_from(until.saturating_sub(now))
        .ok()
        .map(Duration::from_secs);
    let longest = schedule::MAX_RETRY_AFTER + schedule::MAX_RETRY_AFTER / 10;
    for usable_for in [None, usable_for] {
        let wait = schedule::retry(
            failures,
            retry_after,
            usable_for,
            schedule::MAX_RETRY,
            random,
        );
        assert!(
            (schedule::FIRST_RETRY / 2..=longest).contains(&wait),
            "{wait:?}"
        );
    }
}
