//! What the agent counts, for its metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How often something failed, by cause: one of the stable words, of which there are some
/// dozens.
pub type Causes = BTreeMap<&'static str, u64>;

/// Counts since the start.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Fetches that brought a response that counts.
    pub fetched: u64,
    /// Fetches that failed.
    pub failed: Causes,
    /// Files in the spool that were thrown away.
    pub spool_refused: SpoolRefused,
    /// Revocations that were met.
    pub revocations: u64,
}

/// Counted by the thread that empties the spool.
#[derive(Clone, Debug, Default)]
pub struct SpoolRefused(Arc<Mutex<Causes>>);

impl SpoolRefused {
    /// One more.
    pub fn count(&self, cause: &'static str) {
        let mut causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut causes, cause);
    }

    /// All of them.
    pub fn get(&self) -> Causes {
        let causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        causes.clone()
    }
}

/// One more.
pub fn count(causes: &mut Causes, cause: &'static str) {
    *causes.entry(cause).or_insert(0) += 1;
}
