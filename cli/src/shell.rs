//! Words as a shell takes them, for commands that the operator may copy.

/// The word, in quotes if it needs them.
pub fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_take_apart_is_quoted() {
        assert_eq!(word("postgresql@15-main"), "postgresql@15-main");
        assert_eq!(word("a\\x2db"), r"'a\x2db'");
        assert_eq!(word("a'; rm"), r"'a'\''; rm'");
        assert_eq!(word(""), "''");
    }
}
