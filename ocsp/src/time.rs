//! Points in time: ASN.1 and HTTP write them as calendar dates, we count seconds.

use std::fmt;

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds.
pub type UnixTime = i64;

const SECONDS_PER_DAY: i64 = 86_400;

/// The moment of a calendar date in UTC; `None` if there is no such date.
/// Years run from 0 to 9999.
pub(crate) fn from_calendar(date: [u16; 3], clock: [u16; 3]) -> Option<UnixTime> {
    let [year, month, day] = date;
    let [hour, minute, second] = clock;
    if year > 9999 || day == 0 || day > days_in_month(year, month)? {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    // Counting years from March puts the leap day at a year's end.
    let (shifted_year, shifted_month) = match month {
        1 | 2 => (year.checked_sub(1)?, month.checked_add(9)?),
        _ => (year, month.checked_sub(3)?),
    };
    let leap_days = shifted_year
        .div_euclid(4)
        .checked_sub(shifted_year.div_euclid(100))?
        .checked_add(shifted_year.div_euclid(400))?;
    let day_of_year = shifted_month
        .checked_mul(153)?
        .checked_add(2)?
        .div_euclid(5)
        .checked_add(day)?
        .checked_sub(1)?;
    let days = shifted_year
        .checked_mul(365)?
        .checked_add(leap_days)?
        .checked_add(day_of_year)?
        .checked_sub(719_468)?;
    let seconds = i64::from(hour)
        .checked_mul(3600)?
        .checked_add(i64::from(minute).checked_mul(60)?)?
        .checked_add(i64::from(second))?;
    days.checked_mul(SECONDS_PER_DAY)?.checked_add(seconds)
}

fn days_in_month(year: u16, month: u16) -> Option<u16> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Shows a [`UnixTime`] as RFC 3339 does, `2026-11-22T10:00:00Z`; outside the
/// years 0 to 9999 as `@` and the number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc3339(pub UnixTime);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(SECONDS_PER_DAY);
        let seconds = self.0.rem_euclid(SECONDS_PER_DAY);
        match calendar(days) {
            Some((year, month, day)) => write!(
                f,
                "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
                seconds.div_euclid(3600),
                seconds.div_euclid(60).rem_euclid(60),
                seconds.rem_euclid(60),
            ),
            None => write!(f, "@{}", self.0),
        }
    }
}

/// Year, month and day of a number of days since 1970-01-01.
fn calendar(days: i64) -> Option<(i64, i64, i64)> {
    let days = days.checked_add(719_468)?;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = day_of_era
        .checked_sub(day_of_era.div_euclid(1460))?
        .checked_add(day_of_era.div_euclid(36_524))?
        .checked_sub(day_of_era.div_euclid(146_096))?
        .div_euclid(365);
    let before_year = year_of_era
        .checked_mul(365)?
        .checked_add(year_of_era.div_euclid(4))?
        .checked_sub(year_of_era.div_euclid(100))?;
    let day_of_year = day_of_era.checked_sub(before_year)?;
    let shifted_month = day_of_year.checked_mul(5)?.checked_add(2)?.div_euclid(153);
    let before_month = shifted_month
        .checked_mul(153)?
        .checked_add(2)?
        .div_euclid(5);
    let day = day_of_year.checked_sub(before_month)?.checked_add(1)?;
    let (month, carry) = if shifted_month < 10 {
        (shifted_month.checked_add(3)?, 0)
    } else {
        (shifted_month.checked_sub(9)?, 1)
    };
    let year = era
        .checked_mul(400)?
        .checked_add(year_of_era)?
        .checked_add(carry)?;
    (0..=9999).contains(&year).then_some((year, month, day))
}

/// The value of up to four decimal digits and nothing else.
pub(crate) fn digits(text: &[u8]) -> Option<u16> {
    if text.is_empty() || text.len() > 4 {
        return None;
    }
    text.iter().try_fold(0u16, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| byte.wrapping_sub(b'0'))?;
        value.checked_mul(10)?.checked_add(u16::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_one_to_four() {
        assert_eq!(digits(b"0"), Some(0));
        assert_eq!(digits(b"9999"), Some(9999));
        for other in [&b""[..], b"12345", b"00001", b"+1", b"1 "] {
            assert_eq!(digits(other), None);
        }
    }

    #[test]
    fn calendar_dates_become_seconds() {
        assert_eq!(from_calendar([1970, 1, 1], [0, 0, 0]), Some(0));
        assert_eq!(
            from_calendar([2000, 2, 29], [23, 59, 59]),
            Some(951_868_799)
        );
        assert_eq!(
            from_calendar([9999, 12, 31], [23, 59, 59]),
            Some(253_402_300_799)
        );
        assert_eq!(from_calendar([1950, 1, 1], [0, 0, 0]), Some(-631_152_000));
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        assert_eq!(from_calendar([2023, 2, 29], [0, 0, 0]), None);
        assert_eq!(from_calendar([1900, 2, 29], [0, 0, 0]), None);
        assert_eq!(from_calendar([2024, 13, 1], [0, 0, 0]), None);
        assert_eq!(from_calendar([2024, 0, 1], [0, 0, 0]), None);
        assert_eq!(from_calendar([2024, 4, 31], [0, 0, 0]), None);
        assert_eq!(from_calendar([2024, 4, 0], [0, 0, 0]), None);
        assert_eq!(from_calendar([2024, 4, 1], [24, 0, 0]), None);
        assert_eq!(from_calendar([2024, 4, 1], [23, 59, 60]), None);
    }

    #[test]
    fn seconds_are_shown_as_a_date() {
        assert_eq!(Rfc3339(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Rfc3339(951_868_799).to_string(), "2000-02-29T23:59:59Z");
        assert_eq!(Rfc3339(-1).to_string(), "1969-12-31T23:59:59Z");
        assert_eq!(Rfc3339(i64::MAX).to_string(), format!("@{}", i64::MAX));
        assert_eq!(Rfc3339(i64::MIN).to_string(), format!("@{}", i64::MIN));
    }
}
