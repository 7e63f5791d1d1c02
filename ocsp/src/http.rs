//! The two things that a responder's HTTP headers say about when to ask again.

use crate::time::{UnixTime, digits, from_calendar};
use std::time::Duration;

/// The value of a Retry-After header (RFC 9110, 10.2.3): seconds or a date. A
/// date in the past means at once. `None` if it is neither.
pub fn retry_after(value: &str, now: UnixTime) -> Option<Duration> {
    let value = value.trim();
    match seconds(value) {
        Some(seconds) => Some(seconds),
        None => {
            let wait = date(value)?.saturating_sub(now);
            Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
        }
    }
}

/// For how long caches will still give out the answer at hand: max-age of the
/// Cache-Control header, less the Age header if there is one (RFC 9111, 4.2 and
/// 5.2.2.1). `None` if it does not say or forbids caching.
pub fn max_age(cache_control: &str, age: Option<&str>) -> Option<Duration> {
    let mut max_age = None;
    for directive in cache_control.split(',') {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let name = name.trim();
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return None;
        }
        if name.eq_ignore_ascii_case("max-age") {
            max_age = max_age.or(seconds(value.trim().trim_matches('"')));
        }
    }
    let age = age.and_then(|age| seconds(age.trim())).unwrap_or_default();
    Some(max_age?.saturating_sub(age))
}

/// Decimal digits; what is too large to count is as long as can be.
fn seconds(value: &str) -> Option<Duration> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(value.parse().unwrap_or(u64::MAX)))
}

/// The date format that RFC 9110, 5.6.7 asks senders for:
/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(value: &str) -> Option<UnixTime> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, value) = value.split_once(", ")?;
    let mut parts = value.strip_suffix(" GMT")?.split(' ');
    let day = digits(parts.next()?.as_bytes())?;
    let month = parts.next()?;
    let month = MONTHS.iter().zip(1..).find(|(name, _)| **name == month)?.1;
    let year = digits(parts.next()?.as_bytes())?;
    let mut clock = parts.next()?.split(':').map(|part| digits(part.as_bytes()));
    let clock_value = [clock.next()??, clock.next()??, clock.next()??];
    if parts.next().is_some() || clock.next().is_some() {
        return None;
    }
    from_calendar([year, month, day], clock_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = 784_111_777; // 1994-11-06T08:49:37Z

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |value| retry_after(value, NOW).map(|wait| wait.as_secs());
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait(" 0 "), Some(0));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(wait("99999999999999999999999"), Some(u64::MAX));
    }

    #[test]
    fn a_retry_after_that_is_neither_is_ignored() {
        for value in [
            "",
            "soon",
            "-1",
            "1.5",
            "Sun, 06 Nov 1994 08:50:37",
            "Sun, 31 Feb 1994 08:50:37 GMT",
            "Sun, 06 Nov 1994 08:50:37:00 GMT",
            "Sun, 06 Nov 1994 08:50 GMT",
            "Sun, 06 Nov 1994 08:50:37 x GMT",
            "06 Nov 1994",
        ] {
            assert_eq!(retry_after(value, NOW), None, "{value:?}");
        }
    }

    #[test]
    fn max_age_is_found_among_other_directives_and_reduced_by_age() {
        let left = |control, age| max_age(control, age).map(|left| left.as_secs());
        assert_eq!(left("max-age=600", None), Some(600));
        assert_eq!(
            left("public, Max-Age=\"600\" , no-transform", Some("100")),
            Some(500)
        );
        assert_eq!(left("max-age=600", Some("700")), Some(0));
        assert_eq!(left("max-age=600", Some("unknown")), Some(600));
        assert_eq!(left("max-age=99999999999999999999", None), Some(u64::MAX));
    }

    #[test]
    fn no_max_age_where_caching_is_forbidden_or_not_mentioned() {
        for control in [
            "",
            "public",
            "max-age=60, no-cache",
            "max-age=60, no-store",
            "max-age",
            "max-age=x",
        ] {
            assert_eq!(max_age(control, None), None, "{control:?}");
        }
    }
}
