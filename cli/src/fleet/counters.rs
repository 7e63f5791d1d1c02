//! What is counted of the fleet, for the metrics, and whether its store is used: by the thread
//! that talks to it, read by the main one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::course::Answer;

/// Why a value in the store did not count, for the metrics.
pub const CAUSES: [&str; 5] = [
    "damaged",
    "mismatch",
    "not_accepted",
    "not_newer",
    "other_keys",
];

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Responses taken from the store.
    pub taken: AtomicU64,
    /// Fetches with a lease.
    pub leased: AtomicU64,
    /// Fetches without one.
    pub alone: AtomicU64,
    /// Times that another's lease or back-off was met.
    pub waits: AtomicU64,
    /// Times that a wait was over and nothing had come.
    pub expired: AtomicU64,
    /// Values that did not count, by [`CAUSES`].
    pub refused: [AtomicU64; CAUSES.len()],
    /// Whether the store is used now.
    pub is_connected: AtomicBool,
    /// Nobody asks it until there is a connection again: the responder is asked straight away.
    pub is_passed_by: AtomicBool,
    /// How often it was lost.
    pub lost: AtomicU64,
    /// Commands sent to it.
    pub commands: AtomicU64,
}

impl Counters {
    /// The store answered.
    pub fn note(&self, answer: &Answer) {
        if matches!(
            answer,
            Answer::Held(_) | Answer::BackOff(_) | Answer::Same(_)
        ) {
            count(&self.waits);
        }
    }

    /// The responder is asked.
    pub fn asked(&self, is_leased: bool) {
        count(if is_leased { &self.leased } else { &self.alone });
    }

    /// A wait is over.
    pub fn woke(&self) {
        count(&self.expired);
    }

    /// A value did not count.
    pub fn refuse(&self, cause: &str) {
        let at = CAUSES.iter().position(|known| *known == cause);
        count(&self.refused[at.unwrap_or(0)]);
    }
}

/// One more.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
