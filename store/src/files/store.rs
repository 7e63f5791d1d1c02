//! The directories of the store, each with its files.

use std::path::{Path, PathBuf};

use super::directory::Directory;
use super::error::FileError;
use super::notes::Notes;
use super::replace::{self, Lasting, PUBLIC, replace};
use crate::Key;
use crate::layout::Layout;

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
