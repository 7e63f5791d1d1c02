//! One writer at a time.

use super::trust::Place;
use super::{MapError, Trusted};
use rustix::fd::OwnedFd;
use rustix::fs::{self, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;

/// The right to write a map, held by a lock on the file `<map>.lock` beside it
/// and released when dropped. It is a file of its own so that the descriptor of
/// the map can be closed while the lock is kept. A child that was forked has its descriptor until
/// it executes a program: what it does with it changes nothing.
#[derive(Debug)]
pub struct WriterLock {
    file: OwnedFd,
    /// The process that has taken it.
    holder: u32,
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        // Closed alone, it would be held as long as such a child lives.
        if self.holder == std::process::id() {
            let _ = fs::flock(&self.file, FlockOperation::Unlock);
        }
    }
}

impl WriterLock {
    /// Takes the lock for the map at `map`, an absolute path whose directory
    /// exists and is trusted. [`MapError::is_busy`] if another process has it.
    pub fn try_take(map: &Path) -> Result<Self, MapError> {
        Self::lock(map, FlockOperation::NonBlockingLockExclusive)
    }

    /// As [`try_take`](Self::try_take), but waits until the other process ends or
    /// gives the lock up: for a standby.
    pub fn wait(map: &Path) -> Result<Self, MapError> {
        Self::lock(map, FlockOperation::LockExclusive)
    }

    fn lock(map: &Path, operation: FlockOperation) -> Result<Self, MapError> {
        let place = Place::find(map, Trusted::Volumes)?;
        let mut name = place.name.to_owned();
        name.push(".lock");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = |errno| MapError::system("lock", &map.with_file_name(name.clone()), errno);
        let mode = Mode::from_raw_mode(0o600);
        let file = fs::openat(&place.directory, &name, flags, mode).map_err(failed)?;
        loop {
            match fs::flock(&file, operation) {
                Ok(()) => {
                    let holder = std::process::id();
                    return Ok(Self { file, holder });
                }
                Err(Errno::WOULDBLOCK) => return Err(MapError::busy(map)),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
    }
}
