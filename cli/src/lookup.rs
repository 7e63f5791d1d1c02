//! Finding a program as execvp(3) does: by its name in PATH, or by a path.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

/// Why there is nothing to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// No such file.
    Missing(PathBuf),
    /// There is a file that this user may not execute.
    NotExecutable(PathBuf),
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) if has_slash(name.as_os_str()) => {
                write!(f, "{}: there is no such file", name.display())
            }
            Self::Missing(name) => write!(
                f,
                "{}: there is no such program in PATH; give its path",
                name.display()
            ),
            Self::NotExecutable(path) => write!(
                f,
                "{}: not an executable file for this user; see its mode with: ls -l",
                path.display()
            ),
        }
    }
}

impl std::error::Error for NotFound {}

/// The file that would be started for `name`.
pub fn program(name: &OsStr) -> Result<PathBuf, NotFound> {
    program_in(name, std::env::var_os("PATH").as_deref())
}

fn program_in(name: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, NotFound> {
    // What execvp of glibc and musl take when there is no PATH.
    const WITHOUT_PATH: &[u8] = b"/bin:/usr/bin";
    if has_slash(name) || name.is_empty() {
        return executable(Path::new(name)).map(|()| PathBuf::from(name));
    }
    let mut found = Err(NotFound::Missing(name.into()));
    for directory in path
        .map_or(WITHOUT_PATH, OsStr::as_bytes)
        .split(|&byte| byte == b':')
    {
        // An empty part means the current directory.
        let directory = if directory.is_empty() {
            b"."
        } else {
            directory
        };
        let candidate = Path::new(OsStr::from_bytes(directory)).join(name);
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(NotFound::Missing(_)) => {}
            // Another one may follow, but this is the better reason.
            Err(refused) => found = Err(refused),
        }
    }
    found
}

fn executable(path: &Path) -> Result<(), NotFound> {
    let metadata = path.metadata().map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => NotFound::NotExecutable(path.into()),
        _ => NotFound::Missing(path.into()),
    })?;
    let may_execute = accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok();
    if metadata.is_file() && may_execute {
        Ok(())
    } else {
        Err(NotFound::NotExecutable(path.into()))
    }
}

fn has_slash(name: &OsStr) -> bool {
    name.as_bytes().contains(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_executable_in_path_is_taken() {
        let found = program_in("sh".as_ref(), Some("/nowhere:/bin:/usr/bin".as_ref()));
        assert_eq!(found, Ok(PathBuf::from("/bin/sh")));
        let found = program_in("sh".as_ref(), None);
        assert_eq!(found, Ok(PathBuf::from("/bin/sh")));
    }

    #[test]
    fn a_name_with_a_slash_is_not_looked_up() {
        let found = program_in("./sh".as_ref(), Some("/bin".as_ref()));
        assert_eq!(found, Err(NotFound::Missing("./sh".into())));
    }

    #[test]
    fn what_may_not_be_executed_is_told_from_what_is_not_there() {
        let path = Some("/etc:/nowhere".as_ref());
        let found = program_in("passwd".as_ref(), path);
        assert_eq!(found, Err(NotFound::NotExecutable("/etc/passwd".into())));
        let found = program_in("no-such-program".as_ref(), path);
        assert_eq!(found, Err(NotFound::Missing("no-such-program".into())));
        let found = program_in("/etc".as_ref(), path);
        assert_eq!(found, Err(NotFound::NotExecutable("/etc".into())));
        assert!(matches!(
            program_in("".as_ref(), path),
            Err(NotFound::Missing(_))
        ));
    }
}
