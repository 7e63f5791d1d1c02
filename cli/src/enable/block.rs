//! Lines of ours in a file of somebody else's: a block between two comments, which goes away
//! again without a trace. The first comment has a digest of the lines, so that a block that
//! somebody changed is left alone.

use std::ops::Range;

use super::owned::digest;

/// Where the block is, and whether it is as it was written.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The bytes that were put in, to the last one.
    bytes: Range<usize>,
    /// Whether nobody changed it.
    pub is_whole: bool,
    /// Whether the file was made for it.
    pub is_new_file: bool,
}

fn begin(unit: &str) -> String {
    format!("# Begin: written by `staplegun enable {unit}`, removed by `staplegun disable {unit}`.")
}

fn end(unit: &str) -> String {
    format!("# End: `staplegun enable {unit}`.")
}

const NEW_FILE: &str = " The file, too.";

/// The file with the block at its end, in the place of one that is there already; `file` is
/// none if there is no file. `lines` ends with a line's end.
pub fn with(file: Option<&str>, unit: &str, lines: &str) -> String {
    let there = file.and_then(|file| find(file, unit));
    let is_new = there
        .as_ref()
        .map_or(file.is_none(), |found| found.is_new_file);
    let rest = without(file.unwrap_or_default(), there.as_ref());
    let new = if is_new { NEW_FILE } else { "" };
    let block = format!(
        "{} Digest: {}.{new}\n{lines}{}",
        begin(unit),
        digest(lines),
        end(unit)
    );
    // A last line without an end is given one, and then the block has none: so it is known
    // that the one before it goes, too.
    if rest.is_empty() || rest.ends_with('\n') {
        format!("{rest}{block}\n")
    } else {
        format!("{rest}\n{block}")
    }
}

/// The file without the block.
pub fn without(file: &str, found: Option<&Found>) -> String {
    match found {
        Some(Found { bytes, .. }) => format!("{}{}", &file[..bytes.start], &file[bytes.end..]),
        None => file.to_owned(),
    }
}

/// Looks for the block of that unit.
pub fn find(file: &str, unit: &str) -> Option<Found> {
    let (begin, end) = (begin(unit), end(unit));
    let mut start = file.find(&begin)?;
    let inside = start + file[start..].find('\n')? + 1;
    let first = &file[start..inside];
    let after = inside + file[inside..].find(&end)?;
    let mut stop = after + end.len();
    if file[stop..].starts_with('\n') {
        stop += 1;
    } else {
        start = start.saturating_sub(1);
    }
    let known = format!(" Digest: {}.", digest(&file[inside..after]));
    Some(Found {
        bytes: start..stop,
        is_whole: first[begin.len()..].starts_with(&known),
        is_new_file: first.trim_end().ends_with(NEW_FILE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_leaves_no_byte_behind() {
        for before in ["", "\n", "a\n", "a\nb", "a\n\n"] {
            let with_one = with(Some(before), "x", "A=1\n");
            let both = with(Some(&with_one), "y@z", "B=2\n");
            assert!(
                both.contains("\nA=1\n") && both.contains("\nB=2\n"),
                "{both}"
            );
            // In the other order than they came, too.
            for order in [["x", "y@z"], ["y@z", "x"]] {
                let mut text = both.clone();
                for unit in order {
                    let found = find(&text, unit).expect("it is there");
                    assert!(found.is_whole && !found.is_new_file);
                    text = without(&text, Some(&found));
                }
                assert_eq!(text, before, "{order:?}");
            }
        }
    }

    #[test]
    fn written_twice_it_is_there_once() {
        let once = with(None, "x", "A=1\n");
        assert_eq!(with(Some(&once), "x", "A=1\n"), once);
        let other = with(Some(&once), "x", "A=2\n");
        assert!(!other.contains("A=1") && find(&other, "x").is_some_and(|it| it.is_new_file));
    }

    #[test]
    fn one_that_was_changed_is_told() {
        let text = with(Some("a\n"), "x", "A=1\n").replace("A=1", "A=2");
        assert!(find(&text, "x").is_some_and(|found| !found.is_whole));
        assert_eq!(find(&text, "y"), None);
    }
}
