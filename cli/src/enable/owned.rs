//! Files that are `enable`'s alone: the drop-ins, and Dovecot's. Their first lines say so, with a
//! digest of the rest, so that a file that somebody changed is told from one that may be replaced
//! or removed; what there is to be undone elsewhere stands in them.

use openssl::sha::sha256;

use super::undo::Undo;

const BEGIN: &str = "# Written by `staplegun enable ";
const OTHERWISE: &str = "# What you want otherwise belongs into another file. Digest: ";
/// Before a note of what there is to be undone.
const NOTE: &str = "#| ";

/// What stands in the place of such a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Owned {
    /// Nothing.
    Missing,
    /// What `enable` wrote.
    Whole,
    /// What `enable` wrote, and somebody changed.
    Changed,
    /// A file of somebody else's.
    Foreign,
}

/// The text of a file for the unit: notes, then `body`.
pub fn text(unit: &str, notes: &[Undo], body: &str) -> String {
    let notes: String = notes
        .iter()
        .filter_map(|note| serde_json::to_string(note).ok())
        .map(|note| format!("{NOTE}{note}\n"))
        .collect();
    let rest = format!("{notes}{body}");
    let digest = digest(&rest);
    format!("{BEGIN}{unit}`; `staplegun disable {unit}` removes it.\n{OTHERWISE}{digest}\n{rest}")
}

/// Whose a file is.
pub fn owner(text: Option<&str>) -> Owned {
    let Some(text) = text else {
        return Owned::Missing;
    };
    if !text.starts_with(BEGIN) {
        return Owned::Foreign;
    }
    let mut lines = text.splitn(3, '\n');
    let known = lines.nth(1).and_then(|line| line.strip_prefix(OTHERWISE));
    match known {
        Some(known) if known == digest(lines.next().unwrap_or_default()) => Owned::Whole,
        _ => Owned::Changed,
    }
}

/// The notes in it.
pub fn notes(text: &str) -> Vec<Undo> {
    let notes = text.lines().filter_map(|line| line.strip_prefix(NOTE));
    // Another version may have noted something else.
    notes
        .filter_map(|note| serde_json::from_str(note).ok())
        .collect()
}

/// Enough of a SHA-256 to tell that something was changed.
pub fn digest(text: &str) -> String {
    let digest = sha256(text.as_bytes());
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_told_from_what_was_not() {
        let note = Undo::Block {
            path: "/etc/x".into(),
        };
        let text = text("x", std::slice::from_ref(&note), "[Service]\nA=1\n");
        assert_eq!(owner(Some(&text)), Owned::Whole);
        assert_eq!(notes(&text), [note]);
        assert_eq!(owner(Some(&text.replace("A=1", "A=2"))), Owned::Changed);
        assert_eq!(owner(Some(&format!("{text}\n"))), Owned::Changed);
        assert_eq!(owner(Some("[Service]\n")), Owned::Foreign);
        assert_eq!(owner(None), Owned::Missing);
    }
}
