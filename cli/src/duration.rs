//! Spans of time as operators write them: `90`, `5s`, `250ms`, `15m`, `12h`, `3d`.

use std::time::Duration;

/// Reads a span; a number without a unit means seconds.
///
/// # Errors
///
/// What was expected, for whoever typed it.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("a number with ms, s, m, h or d is expected, e.g. 5s".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "a number is expected before the unit, e.g. 5s".to_owned())?;
    let total = number.checked_mul(milliseconds);
    total
        .map(Duration::from_millis)
        .ok_or_else(|| "so long a time cannot be waited for".to_owned())
}

/// The seconds of a span, rounded up.
pub fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// A number of seconds as people say it, in the largest unit of which there are
/// at least two.
pub fn in_words(seconds: i64) -> String {
    let units = [(86_400, "days"), (3600, "hours"), (60, "minutes")];
    let fitting = units.iter().find(|(length, _)| seconds >= 2 * length);
    fitting.map_or_else(
        || format!("{seconds} seconds"),
        |(length, name)| format!("{} {name}", seconds / length),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood() {
        for (text, milliseconds) in [
            ("90", 90_000),
            ("5s", 5_000),
            ("250ms", 250),
            ("15m", 900_000),
            ("12h", 43_200_000),
            ("3d", 259_200_000),
        ] {
            assert_eq!(
                parse(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "s",
            "-1s",
            "1.5s",
            "5 s",
            "5w",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(whole_seconds(Duration::from_millis(250)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(5)), 5);
    }

    #[test]
    fn a_time_is_told_in_the_largest_unit_of_which_there_are_two() {
        let told = [119, 120, 7199, 7200, 172_798, 172_800].map(in_words);
        let expected = [
            "119 seconds",
            "2 minutes",
            "119 minutes",
            "2 hours",
            "47 hours",
            "2 days",
        ];
        assert_eq!(told, expected);
    }
}
