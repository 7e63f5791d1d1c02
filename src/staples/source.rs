//! Files that may hold a response: which there are, and reading one without
//! being caught by what it is.

use std::ffi::OsString;
use std::fmt;
use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::host::memory::{self, try_push, try_vec};

/// Why a file was not read.
#[derive(Debug)]
pub enum Unreadable {
    /// The system's answer.
    Io(io::Error),
    /// It is something else than a file.
    NotAFile(&'static str),
    /// It has so many bytes.
    TooLarge(u64),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "it cannot be read: {error}"),
            Self::NotAFile(kind) => write!(f, "it is a {kind}, not a file"),
            Self::TooLarge(size) => {
                write!(f, "it has {size} bytes, too many for an OCSP response")
            }
        }
    }
}

impl Unreadable {
    /// Whether it says nothing of the file: the process lacks descriptors or memory, and
    /// the next time may have them.
    pub fn is_out_of_resources(&self) -> bool {
        let Self::Io(error) = self else { return false };
        error.kind() == io::ErrorKind::OutOfMemory
            || matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What may be a response, not yet judged.
#[derive(Clone)]
pub struct Candidate {
    /// The file it came from.
    pub path: PathBuf,
    /// All that was in it.
    pub der: Vec<u8>,
}

/// What tells whether a file or directory was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
    is_directory: bool,
}

impl Stamp {
    /// The stamp of what `path` leads to now; None if that is nothing.
    pub fn of(path: &Path) -> Option<Stamp> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            is_directory: metadata.is_dir(),
        })
    }

    /// Whether it is a directory's.
    pub fn is_directory(&self) -> bool {
        self.is_directory
    }

    /// When what it is the stamp of was changed last, in seconds since 1970. A change
    /// that follows at once may leave the stamp as it is: clocks of file systems are coarse.
    pub fn changed(&self) -> i64 {
        self.changed.0
    }
}

/// The bytes of the file at `path`, if there are at most `limit`. Never waits:
/// not for a FIFO's writer, nor for a device.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Unreadable> {
    // Asked first, since opening a device can have effects; asked again of what
    // was opened, since it can have changed.
    only_a_file(&std::fs::metadata(path)?)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let metadata = file.metadata()?;
    only_a_file(&metadata)?;
    if metadata.len() > limit {
        return Err(Unreadable::TooLarge(metadata.len()));
    }
    read_at_most(file, metadata.len(), limit)
}

fn read_at_most(file: impl Read, expected: u64, limit: u64) -> Result<Vec<u8>, Unreadable> {
    let room = usize::try_from(expected.max(1)).unwrap_or(usize::MAX);
    let mut bytes = try_vec(room).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
    let mut limited = file.take(limit.saturating_add(1));
    let mut part = [0; 4096];
    loop {
        let count = match limited.read(&mut part) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if count == 0 {
            return Ok(bytes);
        }
        let read = part.get(..count).unwrap_or_default();
        bytes
            .try_reserve(count)
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        bytes.extend_from_slice(read);
        if bytes.len() as u64 > limit {
            return Err(Unreadable::TooLarge(bytes.len() as u64));
        }
    }
}

fn only_a_file(metadata: &Metadata) -> Result<(), Unreadable> {
    let kind = metadata.file_type();
    Err(Unreadable::NotAFile(if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "directory"
    } else if kind.is_fifo() {
        "FIFO"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }))
}

/// At most `limit` files of a directory, in the order of their names, and whether
/// there are more.
pub fn files_in(directory: &Path, limit: usize) -> io::Result<(Vec<PathBuf>, bool)> {
    let mut entries = std::fs::read_dir(directory)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files = Vec::new();
    for file in entries.by_ref().take(limit) {
        if memory::is_short() || !try_push(&mut files, file) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
    }
    // In place: a stable sort takes memory.
    files.sort_unstable();
    Ok((files, entries.next().is_some()))
}

/// `path` with `suffix` appended: what lies beside a certificate.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_lacks_descriptors_or_memory_is_told_from_a_file_that_cannot_be_read() {
        let is_out = |error: io::Error| Unreadable::from(error).is_out_of_resources();
        for number in [libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
            assert!(is_out(io::Error::from_raw_os_error(number)), "{number}");
        }
        assert!(is_out(io::ErrorKind::OutOfMemory.into()));
        for number in [libc::ENOENT, libc::EACCES, libc::EIO] {
            assert!(!is_out(io::Error::from_raw_os_error(number)), "{number}");
        }
        assert!(!Unreadable::TooLarge(1).is_out_of_resources());
    }

    /// A file whose first read fails.
    struct Failing(Option<io::ErrorKind>, &'static [u8]);

    impl Read for Failing {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.take() {
                Some(kind) => Err(kind.into()),
                None => self.1.read(into),
            }
        }
    }

    #[test]
    fn a_signal_does_not_keep_a_file_from_being_read_and_an_error_does() {
        let read = |kind| read_at_most(Failing(Some(kind), b"response"), 8, 100);
        let interrupted = read(io::ErrorKind::Interrupted);
        assert_eq!(interrupted.expect("it is read again"), b"response");
        read(io::ErrorKind::TimedOut).expect_err("it failed");
    }
}
