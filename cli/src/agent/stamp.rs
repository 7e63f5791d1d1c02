//! Telling whether a file is still the one that was read.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// What tells a file from the next one under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last change of its contents.
    modified: (i64, i64),
}

impl Stamp {
    /// The stamp of a file.
    pub fn of(about: &Metadata) -> Self {
        Self {
            device: about.dev(),
            inode: about.ino(),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
        }
    }
}
