//! What may be wrong with the store, in words for an operator.

use std::fmt;

/// Why the store cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One word that does not change.
    pub cause: &'static str,
    /// What failed, and what to do.
    pub why: String,
}

impl Trouble {
    /// One of that kind.
    pub fn new(cause: &'static str, why: impl fmt::Display) -> Self {
        Self {
            cause,
            why: why.to_string(),
        }
    }

    /// What the store says in an error, read for its meaning.
    pub fn of_error(text: &str) -> Self {
        // A script's error may have the one of its command inside.
        let has = |word: &str| text.contains(word);
        let (cause, what_to_do) = if has("WRONGPASS") || has("invalid password") {
            ("password", "look at user and password-file in [fleet]")
        } else if has("NOAUTH") {
            (
                "password",
                "it wants a password: name a file by password-file in [fleet]",
            )
        } else if has("NOPERM") {
            (
                "permission",
                "its user lacks a permission: docs/fleet.md has the whole ACL",
            )
        } else if has("READONLY") {
            (
                "read_only",
                "it is a replica: name the one that is written, or let Sentinel name it",
            )
        } else if has("OOM ") {
            (
                "full",
                "raise its maxmemory, or set maxmemory-policy to volatile-ttl",
            )
        } else if has("MISCONF") {
            (
                "full",
                "it takes no writes since it cannot save: look at its log",
            )
        } else if has("LOADING") || has("MASTERDOWN") || has("BUSY ") {
            ("busy", "it is tried again")
        } else if has("NOPROTO") || has("unknown command") {
            ("too_old", "it must be Redis 6.2 or later, or Valkey")
        } else {
            ("store_error", "look at its log")
        };
        let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
        Self::new(cause, format_args!("it says {text:?}: {what_to_do}"))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Trouble {}

/// As `connect` does, or why it did not, be it a panic.
pub fn caught<T>(connect: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    let panicked = || Trouble::new("internal", "connecting panicked, which is a bug");
    crate::agent::caught(connect).unwrap_or_else(|| Err(panicked()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_trouble_as_others_are() {
        let trouble = caught(|| -> Result<(), Trouble> { panic!("a bug") });
        assert_eq!(trouble.expect_err("it panicked").cause, "internal");
        assert_eq!(caught(|| Ok(1)).ok(), Some(1));
    }
}
