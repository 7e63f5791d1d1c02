//! Paths of files taken out of what is told: on the agent's port any user may ask, and who may
//! not look into a directory need not know what lies there.

use super::read::Status;

/// What stands in place of a path.
const HIDDEN: &str = "(path: ask by the socket)";

/// Takes them out.
pub fn hide(status: &mut Status) {
    status.store = HIDDEN.to_owned();
    status.map = HIDDEN.to_owned();
    if let Some(error) = &mut status.map_error {
        *error = without(error, None);
    }
    for one in &mut status.certificates {
        let path = one.path.take();
        let texts = [&mut one.sentence, &mut one.last_error];
        for text in texts.into_iter().flatten() {
            *text = without(text, path.as_deref());
        }
        // A subject may look like a path; only that of what could not be read is one.
        if one.sha256.is_none() {
            one.subject = HIDDEN.to_owned();
        }
        one.path = path.map(|_| HIDDEN.to_owned());
    }
}

/// A sentence without a path that is known, which may have blanks in it, and others.
fn without(sentence: &str, known: Option<&str>) -> String {
    let sentence = match known {
        Some(path) if !path.is_empty() => sentence.replace(path, HIDDEN),
        _ => sentence.to_owned(),
    };
    let mut told = String::with_capacity(sentence.len());
    let mut rest = sentence.as_str();
    while let Some(begin) = path_in(rest) {
        told.push_str(&rest[..begin]);
        told.push_str(HIDDEN);
        let after = &rest[begin..];
        let is_end = |c: char| c.is_whitespace() || "\"'(),;".contains(c);
        let end = after.find(is_end).unwrap_or(after.len());
        let end = end - usize::from(after[..end].ends_with([':', '.']));
        rest = &after[end..];
    }
    told + rest
}

/// Where an absolute path begins: not within a URL.
fn path_in(text: &str) -> Option<usize> {
    let is_before = |c: char| c.is_whitespace() || "\"'(=".contains(c);
    let mut slashes = text.match_indices('/').map(|(at, _)| at);
    slashes.find(|at| {
        let is_named = text[at + 1..].starts_with(|c: char| !c.is_whitespace());
        is_named && text[..*at].chars().next_back().is_none_or(is_before)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_loses_its_paths_and_keeps_its_urls() {
        for (sentence, known, told) in [
            (
                "append the issuer to /etc/ssl/a.pem",
                None,
                format!("append the issuer to {HIDDEN}"),
            ),
            (
                "cannot read /a/b c.pem: no",
                Some("/a/b c.pem"),
                format!("cannot read {HIDDEN}: no"),
            ),
            ("/a/b: is no file", None, format!("{HIDDEN}: is no file")),
            (
                "(see \"/a/b\", or '/c')",
                None,
                format!("(see \"{HIDDEN}\", or '{HIDDEN}')"),
            ),
            (
                "http://a.test/b fails; 3 / 4",
                None,
                "http://a.test/b fails; 3 / 4".to_owned(),
            ),
            (
                "nothing of that kind",
                Some("/x"),
                "nothing of that kind".to_owned(),
            ),
        ] {
            assert_eq!(without(sentence, known), told);
        }
    }
}
