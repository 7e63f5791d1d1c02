//! Reading and writing whole files, over signals and short counts.

use rustix::fd::BorrowedFd;
use rustix::io::Errno;

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

/// Reads to the end of the file, but at most `limit` bytes.
#[cfg(feature = "agent")]
pub(crate) fn read_up_to(file: BorrowedFd, limit: usize) -> Result<Vec<u8>, Errno> {
    // One byte more than the file should have, to see its end.
    let size = usize::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(usize::MAX);
    let mut bytes = vec![0; size.saturating_add(1).min(limit)];
    let mut length = 0;
    loop {
        if length == bytes.len() {
            if length == limit {
                break;
            }
            // It has grown since.
            bytes.resize(limit, 0);
        }
        match rustix::io::read(file, &mut bytes[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}
