//! What the kernel says is mapped into a process: /proc/PID/maps (proc(5)).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A mapped file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Its path, with ` (deleted)` behind it if it is gone.
    pub path: PathBuf,
    /// Whether a part of it is mapped to be executed.
    pub is_executable: bool,
}

/// The files in /proc/PID/maps, each once.
pub fn files(maps: &[u8]) -> Vec<Mapped> {
    let mut files = BTreeMap::new();
    for line in maps.split(|&byte| byte == b'\n') {
        // The sixth column, which may hold blanks; permissions are the second.
        let Some(start) = line.iter().position(|&byte| byte == b'/') else {
            continue;
        };
        let mut words = line.split(|&byte| byte == b' ');
        let permissions = words.nth(1).unwrap_or_default();
        let path = PathBuf::from(OsString::from_vec(line[start..].to_vec()));
        *files.entry(path).or_insert(false) |= permissions.contains(&b'x');
    }
    let mapped = files.into_iter().map(|(path, is_executable)| Mapped {
        path,
        is_executable,
    });
    mapped.collect()
}

/// What a user knows a file by: for one of a Python package `package/file`, else its
/// name.
pub fn short(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let packages = ["site-packages", "dist-packages"];
    let name = parts.last().cloned().unwrap_or_default();
    let package = parts
        .iter()
        .rposition(|part| packages.contains(&part.as_ref()))
        .and_then(|at| parts.get(at + 1))
        .filter(|package| **package != name);
    match package {
        Some(package) => format!("{package}/{name}"),
        None => name.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_blanks_are_whole_and_what_may_be_executed_is_told() {
        let maps = b"7f00-7f01 r--p 00000000 fe:00 12   /a b/libssl.so.3 (deleted)\n\
            7f01-7f02 r-xp 00000000 fe:00 12   /a b/libssl.so.3 (deleted)\n\
            7f02-7f03 rw-p 0 00:00 0 \n\
            7f03-7f04 r--p 00000000 fe:00 13   /noexec/lib.so\n";
        let expected = [
            ("/a b/libssl.so.3 (deleted)", true),
            ("/noexec/lib.so", false),
        ];
        let expected = expected.map(|(path, is_executable)| Mapped {
            path: path.into(),
            is_executable,
        });
        assert_eq!(files(maps), expected);
    }

    #[test]
    fn a_file_of_a_python_package_is_known_by_its_package() {
        for (path, known) in [
            (
                "/usr/lib/python3/dist-packages/cryptography/hazmat/bindings/_rust.abi3.so",
                "cryptography/_rust.abi3.so",
            ),
            ("/v/lib/python3.11/site-packages/_cffi.so", "_cffi.so"),
            ("/usr/bin/node", "node"),
        ] {
            assert_eq!(short(Path::new(path)), known);
        }
    }
}
