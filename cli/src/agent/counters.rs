//! What the agent counts, for its metrics.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Serialize, Serializer};

/// How often something failed, by cause: one of the stable words, of which there are some
/// dozens, in their order. Of very many certificates each has some, mostly one, for which a tree
/// would take ten times as much.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Causes(Vec<(&'static str, u64)>);

impl Causes {
    /// One more.
    pub fn count(&mut self, cause: &'static str) {
        match self.0.binary_search_by_key(&cause, |(known, _)| known) {
            Ok(at) => self.0[at].1 += 1,
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (cause, 1));
            }
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().copied()
    }
}

impl Serialize for Causes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

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
        causes.count(cause);
    }

    /// All of them.
    pub fn get(&self) -> Causes {
        let causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        causes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_in_their_order_and_by_their_words() {
        let mut causes = Causes::default();
        for cause in ["timeout", "connection", "unknown", "timeout"] {
            causes.count(cause);
        }
        let json = serde_json::to_string(&causes).expect("it has a form in JSON");
        assert_eq!(json, r#"{"connection":1,"timeout":2,"unknown":1}"#);
    }
}
