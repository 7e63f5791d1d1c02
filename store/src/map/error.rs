//! What can be wrong with a map, said so that an operator can act on it.

use rustix::io::Errno;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a map cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapError {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    System(&'static str, Errno),
    Untrusted(&'static str),
    Format(&'static str),
    #[cfg(feature = "agent")]
    Busy,
    TooLarge(u64, usize),
    #[cfg(feature = "agent")]
    Full,
    #[cfg(feature = "agent")]
    Response(usize),
}

impl MapError {
    pub(crate) fn system(doing: &'static str, path: &Path, errno: Errno) -> Self {
        Self::new(path, Kind::System(doing, errno))
    }

    pub(crate) fn untrusted(path: &Path, why: &'static str) -> Self {
        Self::new(path, Kind::Untrusted(why))
    }

    pub(crate) fn format(path: &Path, why: &'static str) -> Self {
        Self::new(path, Kind::Format(why))
    }

    pub(crate) fn too_large(path: &Path, size: u64, limit: usize) -> Self {
        Self::new(path, Kind::TooLarge(size, limit))
    }

    #[cfg(feature = "agent")]
    pub(crate) fn busy(path: &Path) -> Self {
        Self::new(path, Kind::Busy)
    }

    #[cfg(feature = "agent")]
    pub(crate) fn full(path: &Path) -> Self {
        Self::new(path, Kind::Full)
    }

    #[cfg(feature = "agent")]
    pub(crate) fn response(path: &Path, length: usize) -> Self {
        Self::new(path, Kind::Response(length))
    }

    fn new(path: &Path, kind: Kind) -> Self {
        Self {
            path: path.to_owned(),
            kind,
        }
    }

    /// The file or directory it is about.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is no map yet: no agent has run.
    pub fn is_absent(&self) -> bool {
        matches!(self.kind, Kind::System(_, Errno::NOENT))
    }

    /// Whether another writer has the map.
    #[cfg(feature = "agent")]
    pub fn is_busy(&self) -> bool {
        self.kind == Kind::Busy
    }

    /// Whether there is no room: the map or the file system is full.
    #[cfg(feature = "agent")]
    pub fn is_full(&self) -> bool {
        matches!(self.kind, Kind::Full | Kind::System(_, Errno::NOSPC))
    }

    /// The error number of the system call that failed, if one did.
    pub fn raw_os_error(&self) -> Option<i32> {
        match self.kind {
            Kind::System(_, errno) => Some(errno.raw_os_error()),
            _ => None,
        }
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.kind {
            Kind::System(doing, errno) => {
                let cause = std::io::Error::from(*errno);
                write!(out, "cannot {doing} {path}: {cause}")
            }
            Kind::Untrusted(why) => write!(
                out,
                "{path} {why}: a live map is used only if root or the process's user owns it \
                 and every directory above it, and nobody else may write them, or if \
                 STAPLEGUN_DIR names its directory and that is mounted read-only"
            ),
            Kind::Format(why) => write!(out, "{path} is not a live map of this version: {why}"),
            Kind::TooLarge(size, limit) => write!(
                out,
                "the live map {path} has {size} bytes and the limit is {limit}: raise the limit \
                 or let the agent make a smaller map"
            ),
            #[cfg(feature = "agent")]
            Kind::Busy => write!(out, "another agent writes the live map {path}"),
            #[cfg(feature = "agent")]
            Kind::Full => write!(
                out,
                "the live map {path} is full: remove certificates, or configure a larger map, \
                 which takes effect when the file is made anew"
            ),
            #[cfg(feature = "agent")]
            Kind::Response(length) => write!(
                out,
                "a response of {length} bytes cannot be put into the live map {path}: it takes \
                 from 1 to {} bytes",
                crate::slots::MAX_RESPONSE
            ),
        }
    }
}

impl std::error::Error for MapError {}
