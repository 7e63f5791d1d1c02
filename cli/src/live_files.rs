//! The setting `live-files` in the agent's configuration, for programs that need it: a line of ours
//! that `disable` finds again, beside what the operator wrote.

use crate::agent::SYSTEM_FILE;

/// The line, which is none of the operator's.
const LINE: &str = "live-files = true # by `staplegun enable`, until `staplegun disable`";
/// After it, if the file was made for it.
const NEW_FILE: &str = "; the file, too";
const KEY: &str = "live-files";

/// What the file says, if it says anything.
pub fn setting(text: &str) -> Option<bool> {
    let mut lines = top(text);
    let value = lines.find_map(value)?;
    Some(value.split('#').next().unwrap_or_default().trim() == "true")
}

/// Whether the system's agent shows files.
pub fn is_on() -> bool {
    let text = std::fs::read_to_string(SYSTEM_FILE).unwrap_or_default();
    setting(&text) == Some(true)
}

/// Whether the line is ours.
pub fn is_ours(text: &str) -> bool {
    top(text).any(is_line)
}

fn is_line(line: &str) -> bool {
    line.strip_prefix(LINE)
        .is_some_and(|rest| rest.is_empty() || rest == NEW_FILE)
}

/// The text with the line: after the one that shows the default, if there is one. None: there is
/// no file.
pub fn with(file: Option<&str>) -> String {
    let new = if file.is_none() { NEW_FILE } else { "" };
    let text = file.unwrap_or_default();
    let is_shown = |line: &str| {
        let shown = line.trim_start().strip_prefix('#').and_then(value);
        shown.is_some()
    };
    let before: usize = match top(text).position(is_shown) {
        Some(at) => text.split_inclusive('\n').take(at + 1).map(str::len).sum(),
        None => 0,
    };
    let (first, rest) = text.split_at(before);
    let end = if first.is_empty() || first.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{first}{end}{LINE}{new}\n{rest}")
}

/// The text without it; none if the file was made for it, and has nothing else.
pub fn without(text: &str) -> Option<String> {
    let is_ours = |line: &&str| is_line(line.trim_end_matches('\n'));
    let ours = text.split_inclusive('\n').find(is_ours).unwrap_or_default();
    let rest = text.replacen(ours, "", 1);
    let was_made = ours.trim_end().ends_with(NEW_FILE);
    (!was_made || !rest.is_empty()).then_some(rest)
}

/// The lines before the first table.
fn top(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| !line.trim_start().starts_with('['))
}

/// The value, if a line sets it.
fn value(line: &str) -> Option<&str> {
    line.trim_start()
        .strip_prefix(KEY)?
        .trim_start()
        .strip_prefix('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_on(text: &str) -> bool {
        let table: toml::Table = text.parse().expect("it can be read");
        table.get(KEY).and_then(toml::Value::as_bool) == Some(true)
    }

    #[test]
    fn the_line_comes_and_goes_without_a_trace() {
        let packaged = include_str!("../../packaging/agent.toml");
        for before in [packaged, "", "threads = 3\n[timing]\nsweep = 1.0\n"] {
            assert_eq!(setting(before), None);
            let after = with(Some(before));
            assert!(is_on(&after), "{after}");
            assert!(setting(&after) == Some(true) && is_ours(&after));
            assert_eq!(without(&after).as_deref(), Some(before));
        }
        let made = with(None);
        assert!(is_on(&made) && is_ours(&made), "{made}");
        assert_eq!(without(&made), None);
        let more = format!("{made}threads = 3\n");
        assert_eq!(without(&more).as_deref(), Some("threads = 3\n"));
        assert!(with(Some(packaged)).contains(&format!("#live-files = false\n{LINE}\n")));
    }

    #[test]
    fn the_operators_line_is_told_from_ours() {
        for (text, wanted) in [
            ("live-files=true\n", Some(true)),
            ("live-files = false # no\n", Some(false)),
            ("#live-files = true\n", None),
            ("[timing]\nlive-files = true\n", None),
        ] {
            assert_eq!(setting(text), wanted, "{text}");
            assert!(!is_ours(text));
        }
    }
}
