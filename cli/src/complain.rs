//! Words for the operator on standard error.

use std::fmt::Display;
use std::io::Write;

/// Writes a line that begins with the program's name. That nobody can read it is no
/// reason to fail: `eprintln!` would panic on a broken pipe.
pub fn complain(words: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "staplegun: {words}");
}
