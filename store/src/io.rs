//! Reading and writing whole files, over signals and short counts, and names for new ones.

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::process::getpid;
use rustix::rand::{GetRandomFlags, getrandom};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes all of `bytes`.
pub(crate) fn write_all(file: BorrowedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Reads to the end of the file, which should have `size` bytes, but at most `limit`.
#[cfg(feature = "agent")]
pub(crate) fn read_up_to(file: BorrowedFd, size: usize, limit: usize) -> Result<Vec<u8>, Errno> {
    let (mut bytes, mut length) = (Vec::new(), 0);
    // One byte more than the file should have, to see its end; all, if it has grown since.
    'all: for room in [size.saturating_add(1), limit] {
        bytes.resize(room.min(limit), 0);
        while length < bytes.len() {
            match rustix::io::read(file, &mut bytes[length..]) {
                Ok(0) => break 'all,
                Ok(count) => length += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
            if length == size {
                // There was room for more.
                break 'all;
            }
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// A number that no other file's name has. It need not be secret: files are made
/// with O_EXCL.
pub(crate) fn random() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut bytes = [0; 8];
    match getrandom(&mut bytes, GetRandomFlags::NONBLOCK) {
        Ok(8) => u64::from_ne_bytes(bytes),
        // Too early after boot, or forbidden.
        _ => {
            let process = getpid().as_raw_nonzero().get() as u64;
            crate::checksum::mix(process << 32 | count)
        }
    }
}

#[cfg(all(test, feature = "agent"))]
mod tests {
    use super::*;
    use rustix::fd::AsFd;
    use std::fs::File;

    #[test]
    fn a_file_is_read_to_its_end_or_the_limit_whatever_size_it_had() {
        let scratch = crate::testing::Scratch::new();
        let path = scratch.path().join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        let read = |size, limit| {
            let file = File::open(&path).unwrap();
            read_up_to(file.as_fd(), size, limit).unwrap()
        };
        // It has grown since somebody looked, or is shorter, or what it was.
        for size in [0, 4, 9, 10, 11, usize::MAX] {
            assert_eq!(read(size, 100), b"0123456789", "{size}");
            assert_eq!(read(size, 7), b"0123456", "{size}");
        }
    }
}
