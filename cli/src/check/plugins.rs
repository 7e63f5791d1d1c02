//! Programs that bring libssl in by a plug-in: neither they nor what they need
//! name libssl, so the plug-in must be looked at.

use std::path::{Path, PathBuf};

/// Where one program's plug-in with TLS lies.
struct Known {
    /// How the program's file name begins.
    program: &'static str,
    /// Directories, with `*` for any one name, absolute or relative to the
    /// program's prefix (the parent of its bin or sbin).
    directories: &'static [&'static str],
    /// How the plug-in's file name begins.
    plugin: &'static str,
}

const KNOWN: &[Known] = &[
    Known {
        program: "python",
        directories: &["lib/python*/lib-dynload"],
        plugin: "_ssl.",
    },
    Known {
        program: "apache2",
        directories: &["lib/apache2/modules"],
        plugin: "mod_ssl.so",
    },
    Known {
        program: "httpd",
        directories: &["modules", "lib64/httpd/modules", "lib/httpd/modules"],
        plugin: "mod_ssl.so",
    },
    Known {
        program: "perl",
        directories: &["lib/*/perl5/*/auto/Net/SSLeay", "lib/perl5/auto/Net/SSLeay"],
        plugin: "SSLeay.so",
    },
    Known {
        program: "ruby",
        directories: &["lib/*/ruby/*", "lib/ruby/*/*"],
        plugin: "openssl.so",
    },
    Known {
        program: "imap-login",
        directories: &["/usr/lib/dovecot", "/usr/lib/dovecot/modules"],
        plugin: "libssl_iostream_openssl.so",
    },
    Known {
        program: "pop3-login",
        directories: &["/usr/lib/dovecot", "/usr/lib/dovecot/modules"],
        plugin: "libssl_iostream_openssl.so",
    },
];

/// The plug-ins of `program` that are there, at most a few.
pub fn of(program: &Path) -> Vec<PathBuf> {
    const MOST: usize = 8;
    let real = program
        .canonicalize()
        .unwrap_or_else(|_| program.to_owned());
    let Some(name) = real.file_name().map(|name| name.to_string_lossy()) else {
        return Vec::new();
    };
    let prefix = real
        .parent()
        .and_then(Path::parent)
        .unwrap_or(Path::new("/"));
    let mut found: Vec<PathBuf> = KNOWN
        .iter()
        .filter(|known| name.starts_with(known.program))
        .flat_map(|known| {
            let directories = known.directories.iter();
            let directories = directories.flat_map(|pattern| expand(prefix, pattern));
            directories.flat_map(|directory| beginning_with(&directory, known.plugin))
        })
        .collect();
    // python3.11 loads what lies in python3.11's directory.
    let versioned = |path: &&PathBuf| path.iter().any(|part| *part == *name);
    if found.iter().any(|path| versioned(&path)) {
        found.retain(|path| versioned(&path));
    }
    found.sort();
    found.truncate(MOST);
    found
}

/// The directories that a pattern means.
fn expand(prefix: &Path, pattern: &str) -> Vec<PathBuf> {
    let parts = Path::new(pattern).iter();
    parts.fold(vec![prefix.to_owned()], |directories, part| {
        let part = part.to_string_lossy();
        let Some((before, after)) = part.split_once('*') else {
            return directories.iter().map(|d| d.join(&*part)).collect();
        };
        let entries = directories.iter().flat_map(|d| names_in(d));
        entries
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let rest = name.strip_prefix(before);
                rest.is_some_and(|rest| rest.ends_with(after))
            })
            .collect()
    })
}

fn beginning_with(directory: &Path, start: &str) -> Vec<PathBuf> {
    let begins = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(start)
    };
    names_in(directory).into_iter().filter(begins).collect()
}

fn names_in(directory: &Path) -> Vec<PathBuf> {
    // What cannot be read has no plug-in that this user could load.
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use staplegun_testkit::Directory;

    use super::*;

    #[test]
    fn pythons_plugin_is_that_of_its_own_version_where_there_are_several() {
        let prefix = Directory::new();
        for name in [
            "bin/python3.11",
            "bin/python",
            "lib/python3.11/lib-dynload/_ssl.cpython-311.so",
            "lib/python3.11/lib-dynload/_sqlite3.cpython-311.so",
            "lib/python3.12/lib-dynload/_ssl.cpython-312.so",
            "lib/pypy3.12/lib-dynload/_ssl.pypy.so",
        ] {
            let path = prefix.join(name);
            fs::create_dir_all(path.parent().expect("a directory")).expect("it can be made");
            fs::write(path, "").expect("it can be written");
        }
        let found = |program: &str| of(&prefix.join(program));
        let plugin = |name: &str| prefix.join("lib").join(name);
        let own = plugin("python3.11/lib-dynload/_ssl.cpython-311.so");
        let other = plugin("python3.12/lib-dynload/_ssl.cpython-312.so");
        assert_eq!(found("bin/python"), [own.clone(), other]);
        assert_eq!(found("bin/python3.11"), [own]);
    }
}
