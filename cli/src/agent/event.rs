//! What the agent's main thread is told by the others.

use std::sync::mpsc::SyncSender;

use staplegun_store::Key;

use crate::fetch::Fetched;

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// A fetch is over; None if it panicked.
    Fetched {
        /// Whose.
        key: Key,
        /// What came of it.
        fetched: Option<Box<Fetched>>,
    },
    /// Files changed; the watch tells which.
    Changed,
    /// Somebody wants the metrics.
    Metrics(SyncSender<String>),
    /// Read the configuration again.
    Reload,
    /// End; why.
    Stop(&'static str),
}
