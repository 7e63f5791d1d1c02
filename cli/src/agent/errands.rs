//! What the spool's thread has to do.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::chain::{Chain, Stored};
use super::passed_over::PassedOver;

/// The pause between two looks at what is there.
const PAUSE: Duration = Duration::from_millis(20);

/// What is to be done.
#[derive(Debug, Default)]
pub struct Errands {
    /// There may be something new in the spool, to be looked at then.
    pub look: Option<Instant>,
    /// When it was looked at last.
    looked: Option<Instant>,
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
    /// There may be something new in the spool, at the time `now`: however often that is told,
    /// it is looked at after a pause.
    pub fn want_look(&mut self, now: Instant) {
        let next = self.looked.map_or(now, |looked| looked + PAUSE);
        self.look.get_or_insert(next);
    }

    /// The spool was looked at; there is more unless that `is_complete`.
    pub fn looked(&mut self, is_complete: bool, now: Instant) {
        self.looked = Some(now);
        self.look = (!is_complete).then(|| now + PAUSE);
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spool_is_looked_at_when_something_comes_and_again_after_a_pause() {
        let mut errands = Errands::default();
        let start = Instant::now();
        let later = start + PAUSE / 2;
        errands.want_look(start);
        errands.want_look(later);
        assert_eq!(errands.look, Some(start));
        errands.looked(true, later);
        assert_eq!(errands.look, None);
        errands.want_look(later);
        assert_eq!(errands.look, Some(later + PAUSE));
        errands.looked(false, later);
        assert_eq!(errands.look, Some(later + PAUSE), "there is more");
    }
}
