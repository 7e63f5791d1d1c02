//! Telling whether a file is still the one that was read.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use staplegun_store::layout::Layout;
use staplegun_store::{Key, name};

/// What tells a file from the next one under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last change of its contents, and of who may read
    /// it.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of a file.
    pub fn of(about: &Metadata) -> Self {
        Self {
            device: about.dev(),
            inode: about.ino(),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }
}

/// Which file lies at that path.
pub fn of_file(path: &Path) -> Option<Stamp> {
    let about = std::fs::symlink_metadata(path).ok()?;
    Some(Stamp::of(&about))
}

/// Which file lies in `staples/` under that name.
pub fn of_response(layout: &Layout, key: &Key) -> Option<Stamp> {
    let file = format!("{}.der", name::of_key(key));
    of_file(&layout.lasting().join("staples").join(file))
}
