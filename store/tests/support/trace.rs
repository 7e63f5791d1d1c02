//! What a process asks the kernel for, as strace tells it.
#![allow(dead_code, reason = "each test uses a part")]

use crate::support::child;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The file whose being there the process asks for when its work is done.
const DONE: &str = "work-is-done";

/// Says that the work is done.
pub fn done(store: &Path) {
    assert!(!store.join(DONE).exists());
}

/// What a process asked the kernel for.
#[derive(Debug)]
pub enum Call {
    /// Opened, in which way.
    Open(String, String),
    /// Bytes were written to this file.
    Write(String),
    /// The file or directory was brought to the disk.
    Sync(String),
    /// So was all of the file system.
    SyncAll,
    /// A file got another name.
    Rename(String, String),
    /// A name was removed.
    Remove(String),
    /// A directory was made.
    Make(String),
    /// The work was said to be done.
    Done,
}

/// What one process did, line by line as strace has it, for failures.
pub struct Trace {
    pub text: String,
    pub calls: Vec<Call>,
}

/// What stands in `<...>`, or in quotes, in order.
fn between(line: &str, begin: char, end: char) -> Vec<&str> {
    let parts = line.split(begin).skip(1);
    let step = if begin == end { 2 } else { 1 };
    let all = parts.step_by(step);
    all.filter_map(|part| part.split(end).next()).collect()
}

impl Trace {
    /// `test` again, as [`role`] `role`, under strace with `options`.
    pub fn of(test: &str, role: &Path, options: &[&str]) -> Self {
        let again = child(test, role);
        let out = role.with_extension("trace");
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-s", "256", "-o"]).arg(&out);
        // Some machines have no calls of the names that begin with a question mark.
        let traced = "?open,openat,write,fsync,fdatasync,syncfs,?rename,?renameat,renameat2,\
                      ?unlink,unlinkat,?mkdir,mkdirat,statx,?newfstatat,?stat";
        command.arg("-e").arg(format!("trace={traced}"));
        command.args(options).arg(again.get_program());
        command.args(again.get_args());
        for (name, value) in again.get_envs() {
            command.env(name, value.unwrap());
        }
        let done = command.output().expect("strace");
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(
            done.status.success(),
            "{said}{}",
            fs::read_to_string(&out).unwrap()
        );
        let text = fs::read_to_string(&out).unwrap();
        // What was there before the work is the harness's own.
        let store = role.parent().unwrap().to_str().unwrap();
        let calls = text.lines().filter(|line| line.contains(store));
        let calls = calls.filter_map(Self::call).collect();
        Self { text, calls }
    }

    fn call(line: &str) -> Option<Call> {
        let (_, line) = line.split_once(' ')?;
        let (name, _) = line.trim_start().split_once('(')?;
        let (paths, names) = (between(line, '<', '>'), between(line, '"', '"'));
        let at = |number: usize| {
            let name = names[number];
            match name.starts_with('/') {
                true => name.to_owned(),
                false => format!("{}/{name}", paths[number]),
            }
        };
        if ["statx", "newfstatat", "stat"].contains(&name) {
            return line.contains(DONE).then_some(Call::Done);
        }
        if line.contains(" = -1 ") {
            return None;
        }
        Some(match name {
            "open" | "openat" => Call::Open(at(0), line.to_owned()),
            "write" => Call::Write(paths[0].to_owned()),
            "fsync" | "fdatasync" => Call::Sync(paths[0].to_owned()),
            "syncfs" => Call::SyncAll,
            "renameat" | "renameat2" | "rename" => Call::Rename(at(0), at(1)),
            "unlinkat" | "unlink" => Call::Remove(at(0)),
            "mkdir" | "mkdirat" => Call::Make(at(0)),
            _ => panic!("{line}"),
        })
    }

    /// Panics if a name ever leads to what is not on the disk, or if the work is said to be
    /// done while a loss of power would undo some of it.
    pub fn must_last(&self) {
        // Files with bytes that are not on the disk, and directories with such names.
        let (mut files, mut directories) = (HashSet::new(), BTreeSet::new());
        let mut is_done = false;
        let parent = |path: &str| path.rsplit_once('/').unwrap().0.to_owned();
        for call in &self.calls {
            match call {
                Call::Open(path, how) if how.contains("O_CREAT") => {
                    files.insert(path.clone());
                }
                Call::Open(..) => {}
                Call::Write(path) => {
                    files.insert(path.clone());
                }
                Call::Sync(path) => {
                    files.remove(path);
                    directories.remove(path);
                }
                Call::SyncAll => {
                    files.clear();
                    directories.clear();
                }
                Call::Rename(from, to) => {
                    let text = &self.text;
                    assert!(!files.contains(from), "{to} has half a file:\n{text}");
                    directories.insert(parent(to));
                }
                Call::Remove(path) | Call::Make(path) => {
                    directories.insert(parent(path));
                }
                Call::Done => {
                    is_done = true;
                    let text = &self.text;
                    assert!(directories.is_empty(), "lost: {directories:?}:\n{text}");
                }
            }
        }
        assert!(is_done, "{}", self.text);
    }

    pub fn count(&self, of: impl Fn(&Call) -> bool) -> usize {
        self.calls.iter().filter(|call| of(call)).count()
    }

    pub fn syncs(&self) -> usize {
        self.count(|call| matches!(call, Call::Sync(_)))
    }

    /// Which call of that name it is, among those of its thread, that has `what` in it: from
    /// 1 on, as strace counts.
    pub fn number(&self, name: &str, what: &str) -> usize {
        let name = format!(" {name}(");
        let mut lines = self.text.lines();
        let found = lines.find(|line| line.contains(&name) && line.contains(what));
        let found = found.expect(what);
        let thread = found.split(' ').next().unwrap();
        let calls = self.text.lines().filter(|line| line.contains(&name));
        let mut calls = calls.filter(|line| line.split(' ').next() == Some(thread));
        1 + calls.position(|line| line == found).unwrap()
    }
}
