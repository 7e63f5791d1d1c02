//! Scripts: who runs them (execve(2), interpreter scripts).

use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use staplegun_store::files::open_regular;

/// What follows `#!` in the first line: the interpreter and its one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// The program that runs the script.
    pub path: PathBuf,
    /// The rest of the line.
    argument: Option<Vec<u8>>,
}

/// What env(1) makes of its one argument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByEnv {
    /// The name of the program that it starts.
    pub program: Option<PathBuf>,
    /// The word by which it keeps LD_PRELOAD from that program, or may.
    pub withholds: Option<String>,
}

impl Interpreter {
    /// What env starts, if that is the interpreter.
    pub fn by_env(&self) -> Option<ByEnv> {
        if self.path.file_name()? != "env" {
            return None;
        }
        let argument = self.argument.as_deref().unwrap_or_default();
        let split = [&b"-S"[..], b"--split-string=", b"-vS"];
        let split = split
            .iter()
            .find_map(|option| argument.strip_prefix(*option));
        let words = split.unwrap_or(argument).split(u8::is_ascii_whitespace);
        let mut words = words.filter(|word| !word.is_empty());
        let mut env = ByEnv::default();
        while let Some(word) = words.next() {
            let text = String::from_utf8_lossy(word).into_owned();
            let unset = match word {
                b"-u" | b"--unset" => words.next(),
                _ => word.strip_prefix(b"-u").or(word.strip_prefix(b"--unset=")),
            };
            match (unset, word) {
                (Some(b"LD_PRELOAD"), _) => env.withholds = Some(text),
                (Some(_), _) | (None, b"-v" | b"--debug") => {}
                (None, b"--") => {
                    env.program = words.next().map(path);
                    break;
                }
                (None, b"-C" | b"--chdir") => {
                    words.next();
                }
                (None, _) if word.starts_with(b"--chdir=") => {}
                // -i clears the environment, and so may what is not known here.
                (None, _) if word.starts_with(b"-") => env.withholds = Some(text),
                (None, _) if word.starts_with(b"LD_PRELOAD=") => env.withholds = Some(text),
                (None, _) if word.contains(&b'=') => {}
                (None, _) => {
                    env.program = Some(path(word));
                    break;
                }
            }
        }
        Some(env)
    }
}

/// Reads the first line of the file; `None` if it is not a script.
pub fn interpreter(script: &Path) -> io::Result<Option<Interpreter>> {
    // The kernel looks no further.
    const LONGEST_LINE: u64 = 256;
    let mut start = Vec::new();
    open_regular(script)?
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
        for (line, program, withholds) in [
            (&b"#!/usr/bin/env python3\n"[..], Some("python3"), None),
            (b"#!/usr/bin/env -S A=1 perl -w\n", Some("perl"), None),
            (b"#!/usr/bin/env -S -uA -C / -- perl\n", Some("perl"), None),
            (
                b"#!/usr/bin/env -S --chdir=/srv -v perl\n",
                Some("perl"),
                None,
            ),
            (b"#!/usr/bin/env -S -i perl\n", Some("perl"), Some("-i")),
            (
                b"#!/usr/bin/env -S -u LD_PRELOAD perl\n",
                Some("perl"),
                Some("-u"),
            ),
            (
                b"#!/usr/bin/env -S LD_PRELOAD=x perl\n",
                Some("perl"),
                Some("LD_PRELOAD=x"),
            ),
            (b"#!/usr/bin/env\n", None, None),
        ] {
            let env = by_env(line).expect("it is env");
            assert_eq!(env.program.as_deref(), program.map(Path::new));
            assert_eq!(env.withholds.as_deref(), withholds);
        }
        assert_eq!(by_env(b"#!/bin/sh env\n"), None);
    }
}
