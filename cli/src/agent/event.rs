//! What the agent's main thread is told by the others.

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
    /// Something may lie in the spool, in `staples/`, or have changed in the
    /// list of certificates or in what it names.
    Changed,
    /// Read the configuration again.
    Reload,
    /// End; why.
    Stop(&'static str),
}
