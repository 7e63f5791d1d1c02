//! What the agent counts, for its metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Counted by the thread that empties the spool.
pub type SpoolRefused = Arc<AtomicU64>;

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Fetches that brought a response that counts.
    pub fetched: u64,
    /// Fetches that failed, by cause.
    pub failed: BTreeMap<&'static str, u64>,
    /// Files in the spool that were thrown away.
    pub spool_refused: SpoolRefused,
    /// Revocations that were met.
    pub revocations: u64,
}

impl Counters {
    /// Counts a failed fetch.
    pub fn fail(&mut self, cause: &'static str) {
        *self.failed.entry(cause).or_insert(0) += 1;
    }
}
