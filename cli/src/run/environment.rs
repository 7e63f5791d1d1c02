//! The environment of the program: the one that was given, with the library
//! preloaded and configured. What is there keeps its place and its bytes.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Result, anyhow};

use crate::{node, preload};

/// An environment, in its order.
#[derive(Clone, Debug)]
pub struct Environment(Vec<CString>);

impl Environment {
    /// Begins with these entries.
    pub fn new(entries: Vec<CString>) -> Self {
        Self(entries)
    }

    /// The value of the first entry of that name, which is the one that getenv(3)
    /// finds.
    fn get(&self, name: &str) -> Option<&[u8]> {
        let mut entries = self.0.iter();
        entries.find_map(|entry| value_of(entry, name))
    }

    /// Sets a variable in its place, or adds it at the end.
    ///
    /// # Errors
    ///
    /// If the value holds a NUL byte.
    pub fn set(&mut self, name: &str, value: impl AsRef<OsStr>) -> Result<()> {
        let value = value.as_ref().as_bytes();
        let entry = CString::new([name.as_bytes(), b"=", value].concat())
            .map_err(|_| anyhow!("the value of {name} holds a NUL byte"))?;
        let is_it = |entry: &CString| value_of(entry, name).is_some();
        match self.0.iter().position(is_it) {
            Some(first) => self.0[first] = entry,
            None => self.0.push(entry),
        }
        Ok(())
    }

    /// Removes every entry of that name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|entry| value_of(entry, name).is_none());
    }

    /// Adds `library` to what LD_PRELOAD names already.
    ///
    /// # Errors
    ///
    /// If the path holds a NUL byte.
    pub fn preload(&mut self, library: &Path) -> Result<()> {
        let there = self.get("LD_PRELOAD").unwrap_or_default();
        let list = preload::with_bytes(there, library.as_os_str().as_bytes());
        if list == there {
            return Ok(());
        }
        self.set("LD_PRELOAD", OsStr::from_bytes(&list))
    }

    /// Lets Node.js load the script by which its servers staple, after `program` was seen to
    /// start so; `command` is what will be started.
    ///
    /// # Errors
    ///
    /// If there is none, or Node.js does not start with it: then nothing is changed.
    pub fn load_script(&mut self, program: &Path, command: &[OsString]) -> Result<()> {
        let script = node::script()?;
        let there = self.get(node::OPTIONS).unwrap_or_default();
        let there =
            std::str::from_utf8(there).map_err(|_| anyhow!("{} is not UTF-8", node::OPTIONS))?;
        let options = node::with(there, &script);
        let words = command.iter().skip(1).filter_map(|word| word.to_str());
        node::starts(program, &node::restrictions(words), &options)?;
        self.set(node::OPTIONS, options)
    }

    /// Its entries.
    pub fn entries(&self) -> &[CString] {
        &self.0
    }
}

fn value_of<'e>(entry: &'e CString, name: &str) -> Option<&'e [u8]> {
    let rest = entry.as_bytes().strip_prefix(name.as_bytes())?;
    rest.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(entries: &[&str]) -> Environment {
        let own = |entry: &&str| CString::new(*entry).expect("no NUL");
        Environment::new(entries.iter().map(own).collect())
    }

    fn shown(environment: &Environment) -> Vec<&str> {
        let entries = environment.entries().iter();
        entries
            .map(|entry| entry.to_str().expect("ASCII"))
            .collect()
    }

    #[test]
    fn what_is_there_keeps_its_place() {
        let mut some = environment(&["B=1", "no equals sign", "A=", "C=3"]);
        some.set("A", "2").expect("no NUL");
        some.set("D", "4").expect("no NUL");
        some.remove("C");
        assert_eq!(shown(&some), ["B=1", "no equals sign", "A=2", "D=4"]);
        assert!(some.set("A", "\0").is_err());
    }

    #[test]
    fn what_is_preloaded_already_stays_first() {
        for (before, after) in [
            (None, "/lib/libstaplegun.so"),
            (Some(""), "/lib/libstaplegun.so"),
            (Some("libasan.so"), "libasan.so:/lib/libstaplegun.so"),
            (Some("a.so b.so"), "a.so:b.so:/lib/libstaplegun.so"),
            (
                Some("/old/libstaplegun.so.0:a.so"),
                "a.so:/lib/libstaplegun.so",
            ),
            (
                Some("/lib/libstaplegun.so a.so"),
                "/lib/libstaplegun.so a.so",
            ),
        ] {
            let entries: Vec<String> = before.iter().map(|b| format!("LD_PRELOAD={b}")).collect();
            let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
            let mut some = environment(&entries);
            some.preload(Path::new("/lib/libstaplegun.so"))
                .expect("no NUL");
            some.preload(Path::new("/lib/libstaplegun.so"))
                .expect("no NUL");
            assert_eq!(shown(&some), [format!("LD_PRELOAD={after}")]);
        }
    }
}
