//! The side of the host process: leaves a file, or leaves no trace.

use super::file::MAX_FILE;
use crate::{Key, name};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, geteuid, getrlimit};
use std::fmt;
use std::path::Path;

/// Why a certificate was not left in the spool. Nothing is to be done about it but
/// to note it: responses that are in the map already are found all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPublished {
    /// RLIMIT_FSIZE is set: a write beyond it could kill the process.
    FileSizeLimited,
    /// The certificates take more than [`MAX_FILE`] bytes, or there are none.
    Size(usize),
    /// The system refused: what was tried, and the error number.
    System(&'static str, i32),
}

impl fmt::Display for NotPublished {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileSizeLimited => {
                out.write_str("the size of files is limited (RLIMIT_FSIZE), so none is written")
            }
            Self::Size(bytes) => write!(
                out,
                "the certificates take {bytes} bytes; the spool takes from 1 to {MAX_FILE}"
            ),
            Self::System(doing, errno) => {
                let cause = std::io::Error::from_raw_os_error(*errno);
                write!(out, "cannot {doing}: {cause}")
            }
        }
    }
}

impl std::error::Error for NotPublished {}

/// Leaves `certificates` (DER, the leaf first, then its issuers) in the directory
/// `spool` for the agent; `key` is the SHA-256 of the leaf. Returns the file's name, under which
/// it lies there until the agent takes it. Never waits for the disk and keeps no descriptor. Not
/// to be called inside a handshake.
pub fn publish(spool: &Path, key: &Key, certificates: &[&[u8]]) -> Result<String, NotPublished> {
    let failed = |doing| move |errno: Errno| NotPublished::System(doing, errno.raw_os_error());
    let bytes: usize = certificates.iter().map(|der| der.len()).sum();
    if bytes == 0 || bytes > MAX_FILE {
        return Err(NotPublished::Size(bytes));
    }
    if getrlimit(Resource::Fsize).current.is_some() {
        return Err(NotPublished::FileSizeLimited);
    }
    // It cannot be read, only entered.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory =
        fs::open(spool, flags, Mode::empty()).map_err(failed("open the spool directory"))?;
    let whole = format!(
        "{}.{}.{:016x}",
        name::of_key(key),
        geteuid().as_raw(),
        crate::io::random()
    );
    let partial = format!(".{whole}");
    // O_EXCL follows no link.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = fs::openat(&directory, &partial, flags, Mode::from_raw_mode(0o600))
        .map_err(failed("create a file in the spool"))?;
    let done = write(&file, certificates)
        .map_err(failed("write a file in the spool"))
        .and_then(|()| {
            fs::renameat(&directory, &partial, &directory, &whole)
                .map_err(failed("rename a file in the spool"))
        });
    if done.is_err() {
        let _ = fs::unlinkat(&directory, &partial, AtFlags::empty());
    }
    done.map(|()| whole)
}

fn write(file: &OwnedFd, certificates: &[&[u8]]) -> Result<(), Errno> {
    for der in certificates {
        crate::io::write_all(file.as_fd(), der)?;
    }
    // Whatever the umask: the agent is another user.
    fs::fchmod(file, Mode::from_raw_mode(0o644))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_kept_a_certificate_from_being_left() {
        let says = |why: NotPublished, what: &str| {
            let words = why.to_string();
            assert!(words.contains(what), "{words}");
        };
        says(NotPublished::FileSizeLimited, "RLIMIT_FSIZE");
        says(NotPublished::Size(70_000), "70000 bytes");
        says(NotPublished::Size(0), &MAX_FILE.to_string());
        let full = NotPublished::System("write a file in the spool", Errno::NOSPC.raw_os_error());
        says(full, "cannot write a file in the spool: No space left");
    }
}
