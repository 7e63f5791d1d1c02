//! Words for the operator on standard error.

use std::fmt::Display;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

/// Writes a line that begins with the program's name; where the journal reads, with
/// the priority of an error. That nobody can read it is no reason to fail: `eprintln!`
/// would panic on a broken pipe.
pub fn complain(words: impl Display) {
    let words = words.to_string().replace('\n', " ");
    let priority = if is_journal() { "<3>" } else { "" };
    let _ = writeln!(std::io::stderr().lock(), "{priority}staplegun: {words}");
}

/// Whether standard error leads to the journal: not what once did, for who starts a
/// program may have sent its standard error elsewhere (systemd.exec(5), JOURNAL_STREAM).
pub fn is_journal() -> bool {
    let is_it = || -> Option<bool> {
        let stream = std::env::var("JOURNAL_STREAM").ok()?;
        let (device, inode) = stream.split_once(':')?;
        let stderr = std::fs::metadata("/proc/self/fd/2").ok()?;
        Some((device.parse(), inode.parse()) == (Ok(stderr.dev()), Ok(stderr.ino())))
    };
    is_it().unwrap_or(false)
}
