//! What lasts: plain files, which any tool can read.
//!
//! | directory  | file                  | what                                        |
//! |------------|-----------------------|---------------------------------------------|
//! | `certs/`   | `<SHA-256>.pem`       | the leaf and its issuers                    |
//! | `staples/` | `<SHA-256>.der`       | the OCSPResponse, DER (RFC 6960)            |
//! | `state/`   | `<SHA-256>.json`      | the agent's [`Notes`]                       |
//!
//! And what does not last, beside the live map: `live/<SHA-256>.der`, what may be stapled
//! now, for software that reads files ([`live`]).
//!
//! Only the agent writes them. A file is written under another name, brought to
//! the disk, renamed, and the directory brought to the disk: after a crash there is
//! the old file or the new one ([`replace()`]). Symbolic links are not followed:
//! everything is done relative to the directory's descriptor, which is opened for
//! each piece of work, so that a directory that was removed and made again is used
//! as soon as it is there. Of many files each step is taken for all before the next
//! one ([`Files::apply`]), so that the disk is waited for once.

mod batch;
mod directory;
mod given;
mod notes;
mod replace;
mod stamp;

pub use batch::{Applied, Change, Failed, What, Which};
pub use directory::Directory;
pub use given::{open_regular, read_open, read_regular};
pub use notes::Notes;
pub use replace::{
    Lasting, PUBLIC, behind_links, make_directory, make_runtime, replace, replace_at, replace_for,
};
pub use stamp::Stamp;

use crate::Key;
use crate::layout::Layout;
use std::fmt;
use std::path::{Path, PathBuf};

/// The longest file that is read, in bytes.
pub const MAX_FILE: usize = 64 * 1024;

/// The three directories.
#[derive(Debug)]
pub struct Files {
    /// `certs/`: leaf and issuers, PEM.
    pub certificates: Directory,
    /// `staples/`: OCSPResponses, DER.
    pub staples: Directory,
    /// `state/`: see [`Notes`].
    pub state: Directory,
}

impl Files {
    /// The store in the directory `lasting` (see
    /// [`Layout::lasting`](crate::layout::Layout::lasting)), for its only writer, or
    /// for somebody who writes for it. Nothing is done yet: directories are opened
    /// when something is to be done in them, and made where they are missing. Only
    /// those are used that belong to root or the process's user and that nobody else
    /// may write.
    pub fn new(lasting: &Path) -> Self {
        Self::with(lasting, true)
    }

    /// As [`Files::new`], whoever owns the directories: to look into the store of some
    /// agent, or to leave something there for it.
    pub fn of_anybody(lasting: &Path) -> Self {
        Self::with(lasting, false)
    }

    /// The same for one piece of work that reads much: each directory is opened once, so
    /// that one that is made again meanwhile is not seen.
    #[must_use]
    pub fn at_once(self) -> Self {
        Self {
            certificates: self.certificates.held(),
            staples: self.staples.held(),
            state: self.state.held(),
        }
    }

    fn with(lasting: &Path, is_own: bool) -> Self {
        let directory =
            |name, suffix| Directory::new(lasting.join(name), suffix, is_own, Lasting::OnDisk);
        Self {
            certificates: directory("certs", "pem"),
            staples: directory("staples", "der"),
            state: directory("state", "json"),
        }
    }

    /// As [`Files::new`], for the only writer: makes the directories, and removes what
    /// a killed writer left unfinished.
    pub fn open(lasting: &Path) -> Result<Self, FileError> {
        let files = Self::new(lasting);
        files.prepare()?;
        Ok(files)
    }

    /// Makes the directories that are missing, and removes what a killed writer left
    /// unfinished. The caller is the only writer.
    pub fn prepare(&self) -> Result<(), FileError> {
        for directory in [&self.certificates, &self.staples, &self.state] {
            directory.clean()?;
        }
        Ok(())
    }

    /// Whether the last agent ended in its own time and with everything on the disk. If
    /// not, a revocation may have been known that is not told by any file.
    pub fn ended_cleanly(&self) -> bool {
        self.end().is_ok_and(|path| path.exists())
    }

    /// Notes whether everything is on the disk, and the agent at its end.
    pub fn note_end(&self, is_clean: bool) -> Result<(), FileError> {
        let path = self.end()?;
        let done = match is_clean {
            true => replace(&path, b"", PUBLIC, Lasting::OnDisk),
            false => replace::remove(&path),
        };
        done.map_err(|error| FileError::new("write", &path, error))
    }

    /// The file that is there after a clean end. No key has its name.
    fn end(&self) -> Result<PathBuf, FileError> {
        self.state.path_in("ended-cleanly")
    }

    /// The notes for `key`; None if there are none.
    pub fn notes(&self, key: &Key) -> Result<Option<Notes>, FileError> {
        let Some(bytes) = self.state.read(key)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| FileError::new("understand", &self.state.path_of(key), error.into()))
    }
}

/// `live/`: what the live map serves. The time of a file's last change is the end of its
/// validity ([`Directory::show`]).
pub fn live(layout: &Layout) -> Directory {
    Directory::new(layout.live(), "der", true, Lasting::InMemory)
}

/// What failed, on which file.
#[derive(Debug)]
pub struct FileError {
    doing: &'static str,
    path: PathBuf,
    cause: std::io::Error,
}

impl FileError {
    fn new(doing: &'static str, path: &Path, cause: std::io::Error) -> Self {
        let path = path.to_owned();
        Self { doing, path, cause }
    }

    /// Whether what stands there is no file of the store, whoever looks: a link, a
    /// pipe, far too much. Else another look may succeed.
    pub fn is_for_good(&self) -> bool {
        use rustix::io::Errno;
        let errno = Errno::from_io_error(&self.cause);
        errno.is_some_and(|errno| [Errno::LOOP, Errno::INVAL, Errno::FBIG].contains(&errno))
    }

    /// The error of the system.
    pub fn cause(&self) -> &std::io::Error {
        &self.cause
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "cannot {} {}: {}",
            self.doing,
            self.path.display(),
            self.cause
        )?;
        match self.cause.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                out.write_str("; the old file is untouched: make room")
            }
            std::io::ErrorKind::ReadOnlyFilesystem => {
                out.write_str("; responses are served but will not survive a restart")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::count::{alone, killed_at};
    use crate::testing::{Scratch, key, response};

    #[test]
    fn a_writer_killed_at_any_step_leaves_the_old_file_or_the_new() {
        let _alone = alone();
        let (old, new) = (response(1, 1, 1500), response(1, 2, 1600));
        let mut steps = 0;
        loop {
            let scratch = Scratch::new();
            let files = Files::open(scratch.path()).unwrap();
            files.staples.write(&key(1), &old).unwrap();
            steps += 1;
            let killed = killed_at(steps, || files.staples.write(&key(1), &new).unwrap());
            let files = Files::open(scratch.path()).unwrap();
            let read = files.staples.read(&key(1)).unwrap().unwrap();
            assert!(read == old || read == new, "after step {steps}");
            assert_eq!(
                std::fs::read_dir(scratch.path().join("staples"))
                    .unwrap()
                    .count(),
                1
            );
            if !killed {
                assert_eq!(read, new);
                break;
            }
        }
        assert!(steps > 5);
    }
}
