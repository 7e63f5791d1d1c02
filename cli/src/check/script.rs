//! Scripts: who runs them (execve(2), interpreter scripts).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// What follows `#!` in the first line: the interpreter and its one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// The program that runs the script.
    pub path: PathBuf,
    /// The rest of the line.
    pub argument: Option<Vec<u8>>,
}

impl Interpreter {
    /// The name of the program that `/usr/bin/env NAME` would start.
    pub fn by_env(&self) -> Option<PathBuf> {
        if self.path.file_name()? != "env" {
            return None;
        }
        let argument = self.argument.as_deref()?;
        let argument = argument.strip_prefix(b"-S").unwrap_or(argument);
        let mut words = argument.split(u8::is_ascii_whitespace);
        let word = words.find(|word| !word.is_empty() && !word.contains(&b'='))?;
        (!word.starts_with(b"-")).then(|| path(word))
    }
}

/// Reads the first line of the file; `None` if it is not a script.
pub fn interpreter(script: &Path) -> io::Result<Option<Interpreter>> {
    // The kernel looks no further.
    const LONGEST_LINE: u64 = 256;
    let mut start = Vec::new();
    File::open(script)?
        .take(LONGEST_LINE)
        .read_to_end(&mut start)?;
    Ok(parse(&start))
}

fn parse(start: &[u8]) -> Option<Interpreter> {
    let line = start.strip_prefix(b"#!")?;
    let line = line.split(|&byte| byte == b'\n').next()?.trim_ascii();
    let end = line.iter().position(u8::is_ascii_whitespace);
    let (program, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_ascii();
    (!program.is_empty()).then(|| Interpreter {
        path: path(program),
        argument: (!rest.is_empty()).then(|| rest.to_vec()),
    })
}

fn path(bytes: &[u8]) -> PathBuf {
    std::ffi::OsString::from_vec(bytes.to_vec()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_split_as_the_kernel_does() {
        let found = parse(b"#! /bin/sh  -e x \nexit").expect("a script");
        assert_eq!(found.path, Path::new("/bin/sh"));
        assert_eq!(found.argument.as_deref(), Some(&b"-e x"[..]));
        assert_eq!(parse(b"\x7fELF"), None);
        assert_eq!(parse(b"#!\n"), None);
    }

    #[test]
    fn env_starts_what_it_names() {
        let by_env = |line: &[u8]| parse(line).expect("a script").by_env();
        assert_eq!(by_env(b"#!/usr/bin/env python3\n"), Some("python3".into()));
        let with_options = b"#!/usr/bin/env -S A=1 perl -w\n";
        assert_eq!(by_env(with_options), Some("perl".into()));
        assert_eq!(by_env(b"#!/bin/sh env\n"), None);
    }
}
