//! Which TLS libraries a process has, and where they are from.

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::process::Process;
use crate::check::carried::Carriers;
use crate::check::elf::Image;
use crate::check::libssl::{OTHER_TLS, is_libssl};
use crate::check::program;

/// A TLS library of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Tls {
    /// `OpenSSL`, or another make, as `GnuTLS`.
    pub make: &'static str,
    /// Where it is from.
    pub origin: Origin,
    /// The library's file, or the file that carries it. In JSON what is not UTF-8 is replaced:
    /// anybody may name a file.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
}

/// Where a TLS library is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A shared library of the distribution's.
    System,
    /// A shared library that a Python package brought.
    Wheel,
    /// It is inside the program or a plug-in.
    Static,
    /// A shared library of another place.
    Other,
}

/// How OpenSSL is named.
const OPENSSL: &str = "OpenSSL";

impl Tls {
    /// What of a process speaks TLS: the libraries that it has mapped to be executed, and those
    /// that are inside what it runs.
    pub fn of(process: &Process, carriers: &Carriers) -> Vec<Self> {
        let running = process.seen.maps.iter().filter(|file| file.is_executable);
        let mut found: Vec<Self> = running.filter_map(|file| shared(&file.path)).collect();
        let inside = process.seen.unreached(carriers).into_iter();
        found.extend(inside.map(|path| Self {
            make: OPENSSL,
            origin: Origin::Static,
            path,
        }));
        if found.is_empty() {
            found.extend(carriers.other_tls(&process.executable()).map(|make| Self {
                make,
                origin: Origin::Static,
                path: process.path(),
            }));
        }
        found.sort();
        found
    }

    /// What of a program would speak TLS that does not run; nothing if its file cannot be read.
    /// `shim` is the library as it lies on disk.
    pub fn of_program(program: &Path, shim: &Image, carriers: &Carriers) -> Vec<Self> {
        let examined = program::examine(program, shim).unwrap_or_default();
        let libssl = examined.libssl.into_iter();
        let mut found: Vec<Self> = libssl.filter_map(|libssl| shared(&libssl.path)).collect();
        let inside = match carriers.carries_openssl(&examined.program) {
            true => Some(OPENSSL),
            false => carriers.other_tls(&examined.program),
        };
        found.extend(inside.map(|make| Self {
            make,
            origin: Origin::Static,
            path: examined.program,
        }));
        found
    }

    /// Whether it is an OpenSSL, or of a kind that passes for one.
    pub fn is_openssl(&self) -> bool {
        self.make == OPENSSL
    }

    /// Whether it is an OpenSSL that a preloaded library can stand before.
    pub fn is_shared_openssl(&self) -> bool {
        self.is_openssl() && self.origin != Origin::Static
    }
}

fn lossy<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}

fn shared(path: &Path) -> Option<Tls> {
    let name = path.file_name()?.to_string_lossy();
    let mut others = OTHER_TLS.iter();
    let make = if is_libssl(&name) {
        OPENSSL
    } else {
        others.find(|(start, _)| name.starts_with(start))?.1
    };
    Some(Tls {
        make,
        origin: Origin::of(path),
        path: path.to_owned(),
    })
}

impl Origin {
    /// Where a shared library is from, by its path.
    fn of(path: &Path) -> Self {
        let is_package =
            |part: &std::ffi::OsStr| part == "site-packages" || part == "dist-packages";
        let places = ["/usr/lib", "/lib", "/usr/lib64", "/lib64", "/usr/lib32"];
        if path.iter().any(is_package) {
            Self::Wheel
        } else if places.iter().any(|place| path.starts_with(place)) {
            Self::System
        } else {
            Self::Other
        }
    }
}
