//! What the agent counts, for its metrics.

use std::collections::BTreeMap;

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Fetches that brought a response that counts.
    pub fetched: u64,
    /// Fetches that failed, by cause.
    pub failed: BTreeMap<&'static str, u64>,
    /// Files in the spool that were thrown away.
    pub spool_refused: u64,
    /// Revocations that were met.
    pub revocations: u64,
}

impl Counters {
    /// Counts a failed fetch.
    pub fn fail(&mut self, cause: &'static str) {
        *self.failed.entry(cause).or_insert(0) += 1;
    }
}
