//! When an agent asks the responder itself whatever the fleet has, and until when it believes
//! others that the responder has nothing newer: pure, like `course`.

use std::time::Duration;

use staplegun_ocsp::{UnixTime, Validity};

/// Which part of a response's life must be over until nobody's word is believed any more
/// that the responder has nothing newer, in percent.
const BELIEVED: i64 = 60;
/// When an agent whose turn it is asks the responder itself, in percent of the life: before
/// the others are due, so that its fetch is the fleet's.
const OWN: (u64, u64) = (20, 40);

/// One certificate's part in it.
#[derive(Debug, Default)]
pub struct Share {
    /// Cycles until the responder is asked whatever the fleet has.
    left: Option<u32>,
    /// This is such a cycle.
    pub asks_itself: bool,
}

impl Share {
    /// This machine has asked the responder itself: of so many cycles one is over.
    pub fn asked(&mut self, of: u32) {
        (self.left, self.asks_itself) = (Some(of), false);
    }

    /// A response came from the fleet. The first cycles are a random part of them, so that
    /// not all agents ask in the same one.
    pub fn took(&mut self, of: u32, random: u64) {
        let first = || u32::try_from(random % u64::from(of)).unwrap_or(0) + 1;
        let left = self.left.unwrap_or_else(first).min(of).saturating_sub(1);
        (self.left, self.asks_itself) = (Some(left), left == 0);
    }
}

/// How long it is until nobody's word is believed any more.
pub fn believed(validity: Validity, now: UnixTime) -> Duration {
    let life = validity.until.saturating_sub(validity.from).max(0);
    let end = validity
        .from
        .saturating_add(life.saturating_mul(BELIEVED) / 100);
    Duration::from_secs(u64::try_from(end.saturating_sub(now)).unwrap_or(0))
}

/// How long it is until the responder is asked whatever the fleet has.
pub fn own(validity: Validity, now: UnixTime, random: u64) -> Duration {
    let millis = |time: i64| u64::try_from(time).unwrap_or(0).saturating_mul(1000);
    let life = millis(validity.until.saturating_sub(validity.from));
    let (from, to) = (life / 100 * OWN.0, life / 100 * OWN.1);
    let at = from + random % (to - from).max(1);
    let past = millis(now.saturating_sub(validity.from));
    Duration::from_millis(at.saturating_sub(past))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_of_a_minute_is_believed_for_60_percent_too() {
        let validity = Validity {
            from: 1_000,
            until: 1_060,
        };
        assert_eq!(believed(validity, 1_000), Duration::from_secs(36));
    }

    #[test]
    fn in_one_cycle_of_n_the_responder_is_asked_and_the_first_comes_at_random() {
        let mut share = Share::default();
        share.took(5, 2);
        let mut cycles = 1;
        while !share.asks_itself {
            share.took(5, 0);
            cycles += 1;
        }
        assert_eq!(cycles, 3);
        share.asked(5);
        for cycle in 1..=5 {
            assert!(!share.asks_itself);
            share.took(5, 0);
            assert_eq!(share.asks_itself, cycle == 5);
        }
        let mut always = Share::default();
        always.took(1, 99);
        assert!(always.asks_itself);
    }

    #[test]
    fn its_own_question_comes_before_the_others_and_belief_ends_at_60_percent() {
        let known = Validity {
            from: 1_000,
            until: 2_000,
        };
        for random in [0, 77, u64::MAX] {
            let own = own(known, 1_100, random);
            let (from, to) = (Duration::from_secs(100), Duration::from_secs(300));
            assert!((from..=to).contains(&own), "{own:?}");
        }
        assert_eq!(own(known, 1_900, 0), Duration::ZERO);
        assert_eq!(believed(known, 1_100), Duration::from_secs(500));
        assert_eq!(believed(known, 1_700), Duration::ZERO);
    }
}
