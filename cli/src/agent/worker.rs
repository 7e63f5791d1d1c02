//! Threads that are waited for at the end, but not for ever, for disks hang; and what panics in a
//! thread, which goes on.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// What a piece of work comes to; None if it panicked, which the log tells: that must cost neither
/// the thread nor the other pieces.
pub fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// A thread at work.
#[derive(Debug)]
pub struct Worker {
    /// Nothing ever comes; it is closed when the thread ends.
    end: Receiver<Infallible>,
}

impl Worker {
    /// Starts a thread.
    ///
    /// # Errors
    ///
    /// If the system gives none.
    pub fn start(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<Self> {
        let (open, end) = channel();
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(move || {
            work();
            drop(open);
        })?;
        Ok(Self { end })
    }

    /// Waits for its end; false if it has not come within `limit`.
    pub fn ends_within(&self, limit: Duration) -> bool {
        self.end.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected)
    }
}
