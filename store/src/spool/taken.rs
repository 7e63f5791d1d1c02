//! What was found in the spool: a file that is taken, or why something is not.

use super::file::MAX_FILE;
use crate::Key;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;
use std::fmt;
use std::io;

/// A file that was in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What its name says the SHA-256 of the leaf is. To be checked.
    pub key: Key,
    /// The user who left it, as the file system has it.
    pub uid: u32,
    /// Certificates in DER, one after the other: see [`Taken::certificates`].
    pub bytes: Vec<u8>,
}

/// Something in the spool that was thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its name, with what is not UTF-8 replaced.
    pub name: String,
    /// Why it was not taken.
    pub why: Why,
    /// Whether it is gone. A directory with something in it cannot be removed; it
    /// stays and does no harm.
    pub removed: bool,
}

/// Why something was thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// A stable word in snake_case, for metrics.
    pub cause: &'static str,
    words: String,
}

impl Why {
    pub(super) fn new(cause: &'static str, words: impl Into<String>) -> Self {
        let words = words.into();
        Self { cause, words }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Taken {
    /// The certificates, leaf first: cut at the lengths that DER gives. None if the
    /// bytes are not a sequence of DER SEQUENCEs.
    pub fn certificates(&self) -> Option<Vec<&[u8]>> {
        let mut certificates = Vec::new();
        let mut rest = self.bytes.as_slice();
        while !rest.is_empty() {
            let (one, after) = rest.split_at_checked(der_length(rest)?)?;
            certificates.push(one);
            rest = after;
        }
        Some(certificates)
    }
}

/// The length of the SEQUENCE at the start of `bytes`, with its header.
fn der_length(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [0x30, length @ 0..=0x7f, ..] => Some(2 + usize::from(*length)),
        [0x30, 0x81, length, ..] => Some(3 + usize::from(*length)),
        [0x30, 0x82, high, low, ..] => Some(4 + usize::from(u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}

/// Of a file that is empty or too long.
pub(super) fn wrong_size() -> Why {
    let words = format!("it does not have from 1 to {MAX_FILE} bytes");
    Why::new("size", words)
}

/// What the system says of a file.
pub(super) fn told(errno: Errno) -> Why {
    Why::new("unreadable", io::Error::from(errno).to_string())
}

/// Whether it is a file of which nobody else has a name.
pub(super) fn check(stat: &Stat) -> Result<(), Why> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Why::new("not_regular", "it is not a regular file"));
    }
    if stat.st_nlink != 1 {
        return Err(Why::new("linked", "it has more than one link"));
    }
    Ok(())
}
