//! Certificates that have expired by the wall clock. It may be wrong, so they are put
//! by: out of use at once, and back as soon as they are valid by the clock again. Their
//! files are given up late, by how long they have been expired as the monotonic clock
//! counts it, which nobody can set; what was counted stays in the notes over restarts.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use staplegun_ocsp::UnixTime;
use staplegun_store::Key;
use staplegun_store::files::Notes;

use super::roster::Watched;

/// After so long they are given up.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// More than so many are not kept: those go first that have been expired longest.
const MOST: usize = 1_000;

/// But none goes earlier than this because they are many: a clock that is wrong for a
/// moment makes all of them expired at once.
const SHORTEST: Duration = Duration::from_secs(3_600);

/// How much more must have been counted before it is noted.
const NOTED_EVERY: u64 = 3_600;

/// Those that are put by.
#[derive(Debug, Default)]
pub struct Shelf {
    entries: BTreeMap<Key, Shelved>,
}

#[derive(Debug)]
struct Shelved {
    watched: Watched,
    /// Since when it lies here.
    since: Instant,
    /// How long it was expired before.
    before: Duration,
}

impl Shelved {
    fn expired_for(&self, at: Instant) -> Duration {
        let here = at.saturating_duration_since(self.since);
        self.before.saturating_add(here)
    }
}

impl Shelf {
    /// Puts one by.
    pub fn put(&mut self, watched: Watched, at: Instant) {
        let shelved = Shelved {
            since: at,
            before: Duration::from_secs(watched.notes.expired_for),
            watched,
        };
        self.entries.insert(shelved.watched.subject.key(), shelved);
    }

    /// Forgets one.
    pub fn remove(&mut self, key: &Key) {
        self.entries.remove(key);
    }

    /// All that lie here.
    pub fn iter(&self) -> impl Iterator<Item = &Watched> {
        self.entries.values().map(|shelved| &shelved.watched)
    }

    /// The notes of one that lies here.
    pub fn notes_mut(&mut self, key: &Key) -> Option<&mut Notes> {
        Some(&mut self.entries.get_mut(key)?.watched.notes)
    }

    /// Takes back those that are valid at the time `now`.
    pub fn take_valid(&mut self, now: UnixTime) -> Vec<Watched> {
        let is_valid = |shelved: &Shelved| shelved.watched.subject.leaf.not_after() >= now;
        let (valid, expired) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|(_, shelved)| is_valid(shelved));
        self.entries = expired;
        let valid: BTreeMap<Key, Shelved> = valid;
        let taken = valid.into_values().map(|shelved| shelved.watched);
        taken
            .map(|mut watched| {
                watched.notes.expired_for = 0;
                watched
            })
            .collect()
    }

    /// Takes out those that are given up now.
    pub fn give_up(&mut self, at: Instant) -> Vec<Watched> {
        let ages = self.entries.iter().map(|(key, shelved)| Age {
            expired_for: shelved.expired_for(at),
            not_after: Reverse(shelved.watched.subject.leaf.not_after()),
            key: *key,
        });
        let over = over(ages.collect());
        let gone = over.iter().filter_map(|age| self.entries.remove(&age.key));
        gone.map(|shelved| shelved.watched).collect()
    }

    /// The notes of those of which enough more was counted, or `all` of them, to be
    /// written.
    pub fn count(&mut self, at: Instant, all: bool) -> Vec<(Key, Notes)> {
        let mut changed = Vec::new();
        for (key, shelved) in &mut self.entries {
            let seconds = shelved.expired_for(at).as_secs();
            let more = seconds.saturating_sub(shelved.watched.notes.expired_for);
            if more >= NOTED_EVERY || (all && more > 0) {
                shelved.watched.notes.expired_for = seconds;
                changed.push((*key, shelved.watched.notes.clone()));
            }
        }
        changed
    }
}

/// How old one is: by what was counted, then by its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Age {
    expired_for: Duration,
    not_after: Reverse<UnixTime>,
    key: Key,
}

/// Those that are given up.
fn over(mut all: Vec<Age>) -> Vec<Age> {
    // The oldest first.
    all.sort_unstable_by_key(|age| Reverse(*age));
    let too_many = all.len().saturating_sub(MOST);
    let over = all.into_iter().enumerate().filter(|(place, age)| {
        age.expired_for >= LONGEST || (*place < too_many && age.expired_for >= SHORTEST)
    });
    over.map(|(_, age)| age).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::{Issuers, Subject};
    use staplegun_testkit::{Identity, Spec};

    fn watched(leaf: &[u8], expired_for: u64) -> Watched {
        let subject = Subject::new(vec![leaf.to_vec()], &Issuers::default()).unwrap();
        let notes = Notes {
            expired_for,
            ..Notes::default()
        };
        Watched::new(subject, notes)
    }

    const HOUR: u64 = 3_600;
    const DAY: u64 = 24 * HOUR;

    #[test]
    fn what_has_been_expired_for_thirty_days_in_all_is_given_up() {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let leaf = |_| ca.issue(&Spec::server()).der();
        let leaves: Vec<Vec<u8>> = (0..3).map(leaf).collect();
        let (mut shelf, start) = (Shelf::default(), Instant::now());
        shelf.put(watched(&leaves[0], 0), start);
        shelf.put(watched(&leaves[1], 29 * DAY), start);
        shelf.put(watched(&leaves[2], 30 * DAY - 1), start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(shelf.give_up(at(0)).len(), 0);
        assert_eq!(shelf.give_up(at(1)).len(), 1);
        assert_eq!(shelf.give_up(at(DAY - 1)).len(), 0);
        assert_eq!(shelf.give_up(at(DAY)).len(), 1);
        assert_eq!(shelf.give_up(at(30 * DAY)).len(), 1);
    }

    #[test]
    fn what_was_counted_is_noted_from_time_to_time_and_forgotten_once_valid_again() {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let (mut shelf, start) = (Shelf::default(), Instant::now());
        shelf.put(watched(&ca.issue(&Spec::server()).der(), 10), start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(shelf.count(at(HOUR - 1), false).is_empty());
        let noted = shelf.count(at(HOUR), false);
        assert_eq!(noted[0].1.expired_for, HOUR + 10);
        assert!(shelf.count(at(HOUR + 1), false).is_empty());
        let noted = shelf.count(at(HOUR + 1), true);
        assert_eq!(noted[0].1.expired_for, HOUR + 11);
        let valid = shelf.take_valid(0);
        assert_eq!(valid[0].notes.expired_for, 0);
        assert!(shelf.take_valid(0).is_empty());
    }

    #[test]
    fn of_more_than_a_thousand_the_oldest_go_but_none_for_a_clock_that_is_wrong_for_a_moment() {
        let all = |more: u64| -> Vec<Age> {
            let one = |number: u64| Age {
                expired_for: Duration::from_secs(number + more),
                not_after: Reverse(0),
                key: [0; 32],
            };
            (0..1_005).map(one).collect()
        };
        assert_eq!(over(all(3)).len(), 0);
        let gone = over(all(HOUR)).into_iter();
        let ages: Vec<u64> = gone.map(|age| age.expired_for.as_secs() - HOUR).collect();
        assert_eq!(ages, [1004, 1003, 1002, 1001, 1000]);
        // Of the same age, those go whose end is longer ago.
        let mut same = vec![all(HOUR)[0]; 1_001];
        same[7].not_after = Reverse(-1);
        assert_eq!(over(same.clone()), [same[7]]);
    }

    #[test]
    fn at_the_end_only_what_was_counted_since_is_noted_and_nothing_of_what_was_removed() {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let (mut shelf, start) = (Shelf::default(), Instant::now());
        let [one, other] = std::array::from_fn(|_| watched(&ca.issue(&Spec::server()).der(), 10));
        let (key, removed) = (one.subject.key(), other.subject.key());
        shelf.put(one, start);
        shelf.put(other, start);
        shelf.remove(&removed);
        assert!(shelf.count(start, true).is_empty(), "nothing is new");
        let noted = shelf.count(start + Duration::from_secs(1), true);
        assert!(noted.iter().map(|(key, _)| key).eq([&key]));
    }
}
