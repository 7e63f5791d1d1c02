//! A thread that is waited for at the end, but not for ever: disks hang.

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

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
