//! Files that somebody else has put where they lie. Each is opened once, and it is the open file that
//! is looked at: what takes its place meanwhile is neither waited for, as a pipe would be, nor read
//! without end.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{self, FileType, Mode, OFlags, Stat};

/// Opens a regular file to be read.
///
/// # Errors
///
/// Of the system, and [`io::ErrorKind::InvalidInput`] if it is something else.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Opening a device can have effects.
    judge(&fs::stat(path)?)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = fs::open(path, flags, Mode::empty())?;
    judge(&fs::fstat(&file)?)?;
    Ok(file.into())
}

/// All that stands in a regular file.
///
/// # Errors
///
/// As of [`open_regular`], and [`io::ErrorKind::FileTooLarge`] if that is more than `limit` bytes.
pub fn read_regular(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    read_open(open_regular(path)?.as_fd(), limit)
}

/// All that stands in an open file.
///
/// # Errors
///
/// As of [`read_regular`].
pub fn read_open(file: BorrowedFd<'_>, limit: usize) -> io::Result<Vec<u8>> {
    let about = fs::fstat(file)?;
    judge(&about)?;
    let too_large = || {
        let words = format!("it has more than {limit} bytes");
        io::Error::new(io::ErrorKind::FileTooLarge, words)
    };
    let size = usize::try_from(about.st_size).map_err(|_| too_large())?;
    if size > limit {
        return Err(too_large());
    }
    // It may have grown since.
    let bytes = crate::io::read_up_to(file, size, limit.saturating_add(1))?;
    if bytes.len() > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

fn judge(about: &Stat) -> io::Result<()> {
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
        let words = "it is not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn only_a_file_is_read_and_only_up_to_the_limit() {
        let scratch = Scratch::new();
        let file = scratch.path().join("file");
        std::fs::write(&file, b"0123456789").unwrap();
        assert_eq!(read_regular(&file, 10).unwrap(), b"0123456789");
        let kind = |path: &Path, limit| read_regular(path, limit).unwrap_err().kind();
        assert_eq!(kind(&file, 9), io::ErrorKind::FileTooLarge);
        let pipe = scratch.path().join("pipe");
        fs::mknodat(fs::CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        for other in [&pipe, scratch.path(), Path::new("/dev/zero")] {
            assert_eq!(kind(other, 9), io::ErrorKind::InvalidInput);
        }
        assert_eq!(
            kind(&scratch.path().join("none"), 9),
            io::ErrorKind::NotFound
        );
    }
}
