//! Whether a file carries an OpenSSL inside: calls within it pass nobody by. And what other
//! TLS a compiler has put into it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use memchr::memmem;

use super::elf::{Image, Kind, open};
use crate::node;

/// The source file whose name stands in each libssl, stripped or not; BoringSSL's and
/// AWS-LC's begin so.
const SOURCE_FILE: &[u8] = b"ssl/ssl_lib.c";
/// A function of each libssl, which stands in the tables of whoever has or calls it.
const FUNCTION: &[u8] = b"SSL_CTX_new";
/// A type of Go's, which every Go program names.
const GO: &[u8] = b"crypto/tls.(*Conn)";
/// Where Rust's panics say that they are from.
const RUSTLS: &[u8] = b"/rustls-0.";

/// What was found out about files, so that each is read once however many processes have it.
#[derive(Debug, Default)]
pub struct Carriers(RefCell<HashMap<(u64, u64), Inside>>);

/// What is inside a file.
#[derive(Clone, Copy, Debug, Default)]
struct Inside {
    openssl: bool,
    other: Option<&'static str>,
    is_node: bool,
}

impl Carriers {
    /// Whether a file carries a libssl inside, whatever it is named; not, if it cannot be read.
    pub fn carries_openssl(&self, path: &Path) -> bool {
        self.inside(path).openssl
    }

    /// The TLS library of another make that a compiler put into a program, if one did.
    pub fn other_tls(&self, program: &Path) -> Option<&'static str> {
        self.inside(program).other
    }

    /// Whether it is Node.js with an OpenSSL of its own.
    pub fn is_node(&self, program: &Path) -> bool {
        let inside = self.inside(program);
        inside.openssl && inside.is_node
    }

    fn inside(&self, path: &Path) -> Inside {
        let Ok(about) = path.metadata() else {
            return Inside::default();
        };
        let mut known = self.0.borrow_mut();
        let inside = known.entry((about.dev(), about.ino()));
        *inside.or_insert_with(|| Inside::of(path).unwrap_or_default())
    }
}

impl Inside {
    fn of(path: &Path) -> Result<Self> {
        let [source, function, go, rustls] = which(path, [SOURCE_FILE, FUNCTION, GO, RUSTLS])?;
        // The tables are read only where they can say something: that takes longer.
        let image = match function || go {
            true => Some(Image::read(path)?),
            false => None,
        };
        let has_function = image.as_ref().is_some_and(|image| {
            let is_program = image.kind != Kind::Shared;
            image.inner_openssl || (is_program && image.exports("SSL_CTX_new"))
        });
        let is_node = image.as_ref().is_some_and(node::is_it);
        let is_go = image.is_some_and(|image| image.is_go);
        let other = match (go && is_go, rustls) {
            (true, _) => Some("Go"),
            (false, true) => Some("rustls"),
            (false, false) => None,
        };
        Ok(Self {
            openssl: source || has_function,
            other,
            is_node,
        })
    }
}

/// Whether a file names a source file of libssl.
///
/// # Errors
///
/// If it cannot be read.
pub fn names_its_source(path: &Path) -> Result<bool> {
    contains(path, SOURCE_FILE)
}

/// Whether these bytes stand anywhere in the file.
///
/// # Errors
///
/// If it cannot be read.
pub fn contains(path: &Path, needle: &[u8]) -> Result<bool> {
    Ok(which(path, [needle])? == [true])
}

/// Which of these bytes stand anywhere in the file.
fn which<const N: usize>(path: &Path, needles: [&[u8]; N]) -> Result<[bool; N]> {
    const BLOCK: usize = 1 << 20;
    // No program is larger; a file of holes may be.
    const LARGEST: u64 = 1 << 31;
    let mut file = open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let finders = needles.map(memmem::Finder::new);
    let longest = needles.iter().map(|needle| needle.len()).max();
    let longest = longest.unwrap_or(0);
    let mut found = [false; N];
    let mut window = Vec::new();
    let mut file = (&mut file).take(LARGEST);
    loop {
        let read = (&mut file)
            .take(BLOCK as u64)
            .read_to_end(&mut window)
            .with_context(|| format!("cannot read {}", path.display()))?;
        for (found, finder) in found.iter_mut().zip(&finders) {
            *found = *found || finder.find(&window).is_some();
        }
        if read == 0 || found == [true; N] {
            return Ok(found);
        }
        // What may be the beginning of a match stays.
        let done = window.len().saturating_sub(longest);
        window.drain(..done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::made::{LIBRARY, Made, PROGRAM};
    use staplegun_testkit::Directory;

    #[test]
    fn a_pipe_in_the_place_of_a_library_holds_nobody_up() {
        let directory = Directory::new();
        let pipe = directory.join("lib.so");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()));
        assert!(contains(&pipe, FUNCTION).is_err());
        assert!(Image::read(&pipe).is_err());
        assert!(!Carriers::default().carries_openssl(&pipe));
    }

    #[test]
    fn what_stands_across_two_blocks_is_found() {
        let directory = Directory::new();
        let before = vec![b'x'; (1 << 20) - 3];
        let path = directory.write("program", [&before, GO, &before].concat());
        assert_eq!(which(&path, [FUNCTION, GO]).expect("a file"), [false, true]);
    }

    /// What is said of such a file.
    fn said<T>(made: Made<'_>, of: impl Fn(&Carriers, &Path) -> T) -> T {
        let directory = Directory::new();
        of(&Carriers::default(), &directory.write("file", made.bytes()))
    }

    #[test]
    fn an_openssl_inside_is_told_from_one_that_is_called_or_stood_in_for() {
        let own = &["SSL_CTX_new"];
        for (made, is_inside) in [
            (PROGRAM.exports(own), true),
            (LIBRARY.text(b"../ssl/ssl_lib.c\0"), true),
            (PROGRAM.imports(own), false),
            // As our own, which hands on to the real one.
            (LIBRARY.exports(own), false),
            (LIBRARY.text(FUNCTION), false),
        ] {
            let found = said(made, Carriers::carries_openssl);
            assert_eq!(found, is_inside, "{made:?}");
        }
    }

    #[test]
    fn node_with_an_openssl_of_its_own_is_told_from_others() {
        const START: &str = "_ZN4node5StartEiPPc";
        let is_node = |made| said(made, Carriers::is_node);
        assert!(is_node(PROGRAM.exports(&[START, "SSL_CTX_new"])));
        // A distribution's, with the system's OpenSSL.
        assert!(!is_node(
            PROGRAM.exports(&[START]).imports(&["SSL_CTX_new"])
        ));
        assert!(!is_node(PROGRAM.exports(&["SSL_CTX_new"])));
    }

    #[test]
    fn the_tls_of_go_and_rust_is_told_in_what_was_made_by_them() {
        let other_tls = |made| said(made, Carriers::other_tls);
        let by_go = PROGRAM.section(".go.buildinfo");
        assert_eq!(other_tls(by_go.text(GO)), Some("Go"));
        let by_rust = PROGRAM.text(b"/cargo/rustls-0.23.5/src/conn.rs");
        assert_eq!(other_tls(by_rust), Some("rustls"));
        // One without TLS, and one that looks for Go's, as this.
        assert_eq!(other_tls(by_go), None);
        assert_eq!(other_tls(PROGRAM.text(GO)), None);
    }
}
