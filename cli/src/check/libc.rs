//! Which C library a file is for: a library for the one does not load into a program of
//! the other. glibc's loader goes on without it, musl's ends the program.

use std::path::Path;

use serde::Serialize;

use super::elf::Image;

/// A C library with a loader of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Libc {
    /// That of Debian, Fedora, Arch and most others.
    Glibc,
    /// That of Alpine.
    Musl,
}

impl std::fmt::Display for Libc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
        })
    }
}

impl Libc {
    /// The one that starts this program or that this shared object needs; None for what
    /// needs neither. What the file of PT_INTERP is counts more than its name.
    pub fn of(image: &Image) -> Option<Self> {
        match &image.interpreter {
            Some(interpreter) => Image::read(interpreter)
                .ok()
                .and_then(|loader| Self::of_loader(&loader))
                .or_else(|| Self::of_loader_named(interpreter))
                .or_else(|| Self::needed_by(image)),
            None => Self::needed_by(image).or_else(|| Self::of_loader(image)),
        }
    }

    /// musl's loader is its C library, which calls main; glibc's is not, and has what only
    /// libc.so.6 may use.
    fn of_loader(loader: &Image) -> Option<Self> {
        if !loader.needed.is_empty() {
            return None;
        }
        if loader.exports("__libc_start_main") {
            return Some(Self::Musl);
        }
        loader.exports("__tls_get_addr").then_some(Self::Glibc)
    }

    fn of_loader_named(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy();
        let is = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        if is(&["ld-musl", "libc.musl"]) {
            Some(Self::Musl)
        } else if is(&["ld-linux", "ld64.so", "ld.so.1"]) {
            Some(Self::Glibc)
        } else {
            None
        }
    }

    fn needed_by(image: &Image) -> Option<Self> {
        let mut needed = image.needed.iter();
        needed.find_map(|name| match name.as_str() {
            "libc.so.6" => Some(Self::Glibc),
            "libc.so" => Some(Self::Musl),
            name => name.starts_with("libc.musl-").then_some(Self::Musl),
        })
    }
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::Directory;

    use super::*;
    use crate::check::made::LIBRARY;

    /// As which one's a program counts that is started by this.
    fn by(directory: &Directory, interpreter: &Path) -> Option<Libc> {
        let made = LIBRARY.interpreter(interpreter.to_str().expect("UTF-8"));
        let path = directory.write("program", made.bytes());
        Libc::of(&Image::read(&path).expect("a program"))
    }

    #[test]
    fn what_a_loader_is_counts_more_than_its_name() {
        let directory = Directory::new();
        let loader = |name, exports, needed| {
            let made = LIBRARY.exports(exports).needed(needed);
            directory.write(name, made.bytes())
        };
        let glibc = loader("ld-musl-x86_64.so.1", &["__tls_get_addr"], &[]);
        assert_eq!(by(&directory, &glibc), Some(Libc::Glibc));
        let both = &["__tls_get_addr", "__libc_start_main", "dlopen"];
        let musl = loader("ld-linux-x86-64.so.2", both, &[]);
        assert_eq!(by(&directory, &musl), Some(Libc::Musl));
        // What needs others is no loader.
        let other = loader("ld-musl-x86_64.so.1", both, &["libc.so.6"]);
        assert_eq!(by(&directory, &other), Some(Libc::Musl));
        let other = loader("ld.so", both, &["libc.so.6"]);
        assert_eq!(by(&directory, &other), None);
    }

    /// As in what was copied from another machine.
    #[test]
    fn a_loader_that_is_missing_is_known_by_its_name() {
        let directory = Directory::new();
        for (name, libc) in [
            ("ld-musl-x86_64.so.1", Some(Libc::Musl)),
            ("ld-linux-x86-64.so.2", Some(Libc::Glibc)),
            ("ld64.so.2", Some(Libc::Glibc)),
            ("ld.so", None),
        ] {
            assert_eq!(
                by(&directory, &Path::new("/nowhere").join(name)),
                libc,
                "{name}"
            );
        }
    }
}
