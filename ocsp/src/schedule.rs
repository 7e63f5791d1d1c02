//! When to ask again. Everything here is a duration from now on, meant for a
//! monotonic timer: a clock that steps can make it a little wrong once, but never
//! negative and never longer than [`MAX_REFRESH`]. Random numbers are passed in.

use crate::time::UnixTime;
use crate::validity::Validity;
use std::time::Duration;

/// The shortest time until a refresh.
pub const MIN_REFRESH: Duration = Duration::from_secs(10);

/// The longest time until a refresh: a response may be valid for a year, but a
/// revocation should be noticed earlier.
pub const MAX_REFRESH: Duration = Duration::from_secs(7 * 24 * 3600);

/// The longest time until the first retry after a failure.
pub const FIRST_RETRY: Duration = Duration::from_secs(10);

/// The longest time between two retries, unless something is in use and Retry-After
/// asks for more.
pub const MAX_RETRY: Duration = Duration::from_secs(3600);

/// The longest Retry-After that is obeyed.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// How long to wait before a response is refreshed, once it is in use.
///
/// A random point between 40 % and 60 % of its validity, so that half is left for
/// trouble and machines do not ask all at once. If that point has passed already,
/// the same part of what is left: a responder that gives out old responses is not
/// asked over and over. `max_age` is how long caches will give out the same
/// response; asking earlier is pointless, yet it delays to three quarters of what
/// is left at most. A delegated responder's response is worth nothing once its
/// certificate has ended: cut the validity there first ([`Validity::cut_at`]).
///
/// `random` is uniform over all of `u64`.
pub fn refresh(
    validity: Validity,
    now: UnixTime,
    max_age: Option<Duration>,
    random: u64,
) -> Duration {
    let Validity { from, until } = validity;
    // What is negative counts as 0: a clock that is behind thisUpdate, or an
    // end before the beginning.
    let lifetime = millis(until.saturating_sub(from));
    let elapsed = millis(now.saturating_sub(from));
    let left = lifetime.saturating_sub(elapsed);
    let planned = middle(lifetime, random)
        .checked_sub(elapsed)
        .unwrap_or_else(|| middle(left, random));
    let cached = max_age.map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    let latest = left.saturating_sub(left.div_euclid(4));
    let delay = planned.max(cached.min(latest));
    Duration::from_millis(delay).clamp(MIN_REFRESH, MAX_REFRESH)
}

/// How long to wait after the last of `failures` failed attempts in a row.
///
/// A random point in the second half of a time that starts at [`FIRST_RETRY`],
/// doubles with each failure and stays at `longest`. `retry_after` is what
/// the responder asked for: it is obeyed up to [`MAX_RETRY_AFTER`], with up to a
/// tenth added, so that not all come back at once; but while a response is in
/// use that is `usable_for` some time yet, for half of that time at most, and while
/// none is, no longer than `longest`, where the tenth comes off.
///
/// `random` is uniform over all of `u64`.
pub fn retry(
    failures: u32,
    retry_after: Option<Duration>,
    usable_for: Option<Duration>,
    longest: Duration,
    random: u64,
) -> Duration {
    let in_millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let doublings = failures.saturating_sub(1).min(16);
    let own = in_millis(FIRST_RETRY.saturating_mul(1u32 << doublings).min(longest));
    let own = Duration::from_millis(between(own.div_euclid(2), own, random));
    let Some(asked) = retry_after else {
        return own;
    };
    let asked = in_millis(asked.min(MAX_RETRY_AFTER));
    let spread = asked.saturating_add(asked.div_euclid(10));
    let usable_for = usable_for.filter(|left| !left.is_zero());
    let obeyed = match usable_for {
        Some(left) => {
            let latest = left.checked_div(2).unwrap_or(left);
            Duration::from_millis(between(asked, spread, random)).min(latest)
        }
        None => {
            let longest = in_millis(longest);
            let earliest = if asked <= longest {
                asked
            } else {
                longest.saturating_sub(longest.div_euclid(10))
            };
            Duration::from_millis(between(earliest, spread.min(longest), random))
        }
    };
    obeyed.max(own)
}

/// A random point between 40 % and 60 % of a time.
fn middle(time: u64, random: u64) -> u64 {
    let tenth = time.div_euclid(10);
    between(tenth.saturating_mul(4), tenth.saturating_mul(6), random)
}

/// A random point from `low` to `high`, both included.
fn between(low: u64, high: u64, random: u64) -> u64 {
    let width = u128::from(high.saturating_sub(low)).saturating_add(1);
    let offset = u128::from(random).saturating_mul(width) >> 64;
    low.saturating_add(u64::try_from(offset).unwrap_or(0))
}

/// Seconds as milliseconds, none if negative.
fn millis(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)
}
