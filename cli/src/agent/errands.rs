//! What the spool's thread has to do.

use std::collections::VecDeque;
use std::time::Instant;

use super::chain::{Chain, Stored};
use super::passed_over::PassedOver;

/// What is to be done.
#[derive(Debug, Default)]
pub struct Errands {
    /// There may be something new in the spool, to be looked at then.
    pub look: Option<Instant>,
    /// What was passed over is examined again.
    pub again: VecDeque<PassedOver>,
    /// Chains are followed.
    pub chains: VecDeque<Chain>,
    pub stored: Option<Stored>,
    /// How many orders there were, and how many the main thread knows to be done.
    pub given: u64,
    pub told: u64,
}

impl Errands {
    /// The chain whose turn it is; the inner None: it is one that was followed.
    pub fn next_chain(&mut self) -> Option<Option<Chain>> {
        if let Some(chain) = self.chains.pop_front() {
            return Some(Some(chain));
        }
        let next = self.stored.as_mut().and_then(Stored::next);
        self.stored.take_if(|_| next.is_none());
        next
    }
}
