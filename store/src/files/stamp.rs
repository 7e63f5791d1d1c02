//! Telling whether a file is still the one that was read or written.

use rustix::fd::AsFd;
use rustix::fs::{self, Stat};
use std::io;
use std::path::Path;

/// What tells a file from the next one under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: i64,
    /// Seconds and nanoseconds of the last change of its contents, and of who may read
    /// it.
    modified: (i64, u64),
    changed: (i64, u64),
}

impl Stamp {
    /// Which file lies at that path, itself if it is a symbolic link.
    ///
    /// # Errors
    ///
    /// Of the system: none lies there, most often.
    pub fn of_path(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&fs::lstat(path)?))
    }

    /// Which file that path leads to, behind symbolic links.
    ///
    /// # Errors
    ///
    /// As [`Stamp::of_path`].
    pub fn of_target(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&fs::stat(path)?))
    }

    /// Which file that is.
    pub(super) fn of_open(file: impl AsFd) -> rustix::io::Result<Self> {
        Ok(Self::of(&fs::fstat(file)?))
    }

    // The types of the fields are not the same on all machines.
    #[allow(clippy::unnecessary_cast)]
    fn of(about: &Stat) -> Self {
        Self {
            device: about.st_dev as u64,
            inode: about.st_ino as u64,
            size: about.st_size as i64,
            modified: (about.st_mtime as i64, about.st_mtime_nsec as u64),
            changed: (about.st_ctime as i64, about.st_ctime_nsec as u64),
        }
    }
}
