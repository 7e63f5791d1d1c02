//! A configuration with mistakes in it: what makes sense of it counts, the rest is
//! told. A typo must not keep the machine's certificates from being stapled.

use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;

/// Something in the configuration that does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, and its number from 1 on; None if it is about more.
    line: Option<(usize, String)>,
    /// What is wrong with it.
    why: String,
}

impl Mistake {
    /// One that is about more than a line.
    pub fn new(why: String) -> Self {
        Self { line: None, why }
    }

    /// Whether that line may have been meant to set `name`.
    pub fn may_have_set(&self, name: &str) -> bool {
        let first = name.chars().next().map(|first| first.to_ascii_lowercase());
        let line = self.line.as_ref().map_or("", |(_, text)| text.as_str());
        line.chars().next().map(|start| start.to_ascii_lowercase()) == first
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.line {
            Some((number, text)) => write!(f, "line {number} ({text}): {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

/// Reads `text`, and leaves out each line that cannot be understood; of a table that
/// is not known, all of it.
pub fn read<T: DeserializeOwned + Default>(text: &str) -> (T, Vec<Mistake>) {
    let mut lines: Vec<&str> = text.lines().collect();
    let mut mistakes = Vec::new();
    loop {
        let left: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let error = match toml::from_str(&left) {
            Ok(read) => {
                mistakes.sort_by_key(|mistake: &Mistake| mistake.line.clone());
                return (read, mistakes);
            }
            Err(error) => error,
        };
        // At least one line goes each time, so that this ends.
        let at = error.span().map_or(0, |span| line_at(&left, span));
        let is_left = |line: &str| !line.is_empty();
        // What is open at the end was opened before it.
        let before = lines.iter().take(at + 1).rposition(|line| is_left(line));
        let first = || lines.iter().position(|line| is_left(line));
        let Some(at) = before.or_else(first) else {
            return (T::default(), mistakes);
        };
        mistakes.push(Mistake {
            line: Some((at + 1, lines[at].trim().to_owned())),
            why: error.message().replace('\n', " "),
        });
        let is_header = |line: &str| line.trim_start().starts_with('[');
        let end = match is_header(lines[at]) {
            true => lines[at + 1..]
                .iter()
                .position(|line| is_header(line))
                .map_or(lines.len(), |next| at + 1 + next),
            false => at + 1,
        };
        lines[at..end].fill("");
    }
}

/// The line in which a mistake is.
fn line_at(text: &str, span: Range<usize>) -> usize {
    let before = text.as_bytes().get(..span.start).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::settings::Settings;

    fn told(text: &str) -> (Settings, String) {
        let (settings, mistakes) = read::<Settings>(text);
        let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        (settings, all.join("\n"))
    }

    #[test]
    fn what_makes_sense_counts_wherever_the_mistake_is() {
        for (mistake, word) in [
            ("thread = 9", "thread"),
            ("threads = 'many'", "many"),
            ("map-size 7", "map-size 7"),
            ("[[respondr]]\nprefix = 'x'\nurl = 'http://b/'", "respondr"),
            ("[timng]\nfetch = 1", "timng"),
            ("user = 'unfinished", "unfinished"),
        ] {
            for text in [
                format!("max-certificates = 7\n{mistake}\n[timing]\nsweep = 9\n"),
                format!("max-certificates = 7\n[timing]\nsweep = 9\n{mistake}\n"),
            ] {
                let (settings, told) = told(&text);
                assert_eq!(settings.max_certificates, 7, "{text}: {told}");
                assert_eq!(settings.timing.sweep, 9.0, "{text}: {told}");
                let usual = Settings::default().timing.fetch;
                assert_eq!(settings.timing.fetch, usual, "{text}: {told}");
                assert!(told.contains(word), "{text}: {told}");
                assert!(told.starts_with("line "), "{told}");
            }
        }
        // What a bracket leaves open takes along what it swallows, and nothing before it.
        let (settings, open) = told("max-certificates = 7\nmetrics-file = [\nthreads = 9\n");
        assert_eq!(
            (settings.max_certificates, settings.threads),
            (7, 8),
            "{open}"
        );
        let (settings, told) = told("\0\u{1}]] = [[");
        assert_eq!(
            format!("{settings:?}"),
            format!("{:?}", Settings::default())
        );
        assert_eq!(told.lines().count(), 1, "{told}");
    }

    #[test]
    fn a_file_without_a_mistake_tells_none() {
        assert_eq!(told("").1, "");
        assert_eq!(told("threads = 3\n").1, "");
    }

    #[test]
    fn of_a_table_that_is_not_known_no_line_counts_and_what_follows_does() {
        let (settings, told) =
            told("max-certificates = 7\n[timng]\nfetch = 1\nthreads = 9\n[timing]\nsweep = 9\n");
        assert_eq!(settings.max_certificates, 7, "{told}");
        assert_eq!(settings.threads, Settings::default().threads, "{told}");
        assert_eq!(settings.timing.sweep, 9.0, "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.starts_with("line 2 ([timng])"), "{told}");
    }

    #[test]
    fn what_is_open_at_the_end_costs_what_it_swallows_and_nothing_before_it() {
        for open in [
            "metrics-file = [",
            "metrics-file = \"\"\"",
            "user = '''",
            "[http",
        ] {
            for after in ["", "\n\n", "threads = 9\n\n"] {
                let text = format!("\nmax-certificates = 7\n\n{open}\n{after}");
                let (settings, told) = told(&text);
                assert_eq!(settings.max_certificates, 7, "{text}: {told}");
                assert!(told.starts_with(&format!("line 4 ({open})")), "{told}");
            }
        }
    }
}
