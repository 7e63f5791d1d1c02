//! How much of the processor's time each user may make the agent spend: a part of each
//! second, of which some is saved up for programs that load many certificates at once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The part of the time: one of so many.
const ONE_OF: u32 = 10;
/// What may be spent at once.
const SAVED: Duration = Duration::from_millis(500);

/// What users have spent. Who has spent nothing lately takes no room.
#[derive(Debug, Default)]
pub struct Budget {
    debts: HashMap<u32, Debt>,
}

#[derive(Clone, Copy, Debug)]
struct Debt {
    at: Instant,
    then: Duration,
}

impl Debt {
    fn now(self, at: Instant) -> Duration {
        let paid = at.saturating_duration_since(self.at) / ONE_OF;
        self.then.saturating_sub(paid)
    }
}

impl Budget {
    /// Whether anything may be done for that user at the time `at`.
    pub fn covers(&self, uid: u32, at: Instant) -> bool {
        self.wait(uid, at).is_zero()
    }

    /// How long nothing may be done for that user.
    pub fn wait(&self, uid: u32, at: Instant) -> Duration {
        let debt = self
            .debts
            .get(&uid)
            .map_or(Duration::ZERO, |debt| debt.now(at));
        debt.saturating_sub(SAVED) * ONE_OF
    }

    /// So much was spent for that user.
    pub fn charge(&mut self, uid: u32, spent: Duration, at: Instant) {
        self.debts.retain(|_, debt| !debt.now(at).is_zero());
        let debt = self
            .debts
            .get(&uid)
            .map_or(Duration::ZERO, |debt| debt.now(at));
        let then = debt + spent;
        self.debts.insert(uid, Debt { at, then });
    }
}

/// The processor's time that this thread took so far: what others take on a busy machine
/// is not the user's to pay.
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_spent_what_was_saved_up_gets_a_tenth_and_nobody_else_pays() {
        let mut budget = Budget::default();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        budget.charge(1, Duration::from_millis(400), at(0));
        assert!(budget.covers(1, at(0)) && budget.covers(2, at(0)));
        budget.charge(1, Duration::from_millis(200), at(0));
        assert_eq!(budget.wait(1, at(0)), Duration::from_secs(1));
        assert!(!budget.covers(1, at(900)) && budget.covers(1, at(1000)));
        assert!(budget.covers(2, at(0)));
        budget.charge(2, Duration::from_millis(1), at(7_000));
        assert_eq!(budget.debts.len(), 1, "the first owes nothing any more");
    }
}
