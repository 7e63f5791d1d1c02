//! Looking at all certificates a part at a time: there may be so many that whatever else happens
//! would wait for it.

use staplegun_store::Key;

/// How many are looked at between two looks at what else happens, where that takes microseconds
/// for each.
pub const PART: usize = 512;

/// Who is still to be looked at, in the order of the keys. Whoever comes meanwhile and has an
/// earlier one is looked at in the next round.
#[derive(Debug, Default)]
pub struct Round {
    /// The first of them; None: it is over.
    next: Option<Key>,
    /// So it was while everybody was to be looked at once more: another round follows.
    again: Option<Key>,
}

impl Round {
    /// From now on everybody is looked at.
    pub fn begin(&mut self) {
        let first = Some(Key::default());
        match self.next {
            None => self.next = first,
            Some(_) => self.again = first,
        }
    }

    /// Whether nobody is left.
    pub fn is_over(&self) -> bool {
        self.next.is_none()
    }

    /// The next ones, at most so many, where `from` tells all from one on.
    pub fn take<I: Iterator<Item = Key>>(
        &mut self,
        from: impl FnOnce(Key) -> I,
        most: usize,
    ) -> Vec<Key> {
        let Some(next) = self.next else {
            return Vec::new();
        };
        let mut keys = from(next);
        let part = keys.by_ref().take(most).collect();
        self.next = keys.next().or_else(|| self.again.take());
        part
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use staplegun_store::files::Notes;
    use staplegun_testkit::{Identity, Spec};

    use super::*;
    use crate::agent::roster::{Roster, Watched};
    use crate::fetch::Subject;

    fn take_one_in(roster: &mut Roster) -> Key {
        let leaf = Identity::self_signed(&Spec::server()).der();
        let subject = Subject::unexamined(vec![leaf]).expect("a certificate");
        let key = subject.key();
        roster.take_in(Watched::new(subject, Notes::default()), Instant::now());
        key
    }

    #[test]
    fn each_is_looked_at_once_whoever_leaves_and_once_more_if_that_was_wanted_meanwhile() {
        let (mut roster, mut round) = (Roster::default(), Round::default());
        let mut keys: Vec<Key> = (0..7).map(|_| take_one_in(&mut roster)).collect();
        keys.sort_unstable();
        assert!(round.is_over());
        assert!(round.take(|it| roster.keys_from(it), 3).is_empty());
        round.begin();
        assert!(round.take(|it| roster.keys_from(it), 0).is_empty());
        assert_eq!(round.take(|it| roster.keys_from(it), 3), keys[..3]);
        // The next one among them.
        roster.remove(&keys[1]);
        roster.remove(&keys[3]);
        assert_eq!(round.take(|it| roster.keys_from(it), 2), keys[4..6]);
        round.begin();
        assert_eq!(round.take(|it| roster.keys_from(it), 3), keys[6..]);
        let left = [keys[0], keys[2], keys[4], keys[5], keys[6]];
        assert_eq!(round.take(|it| roster.keys_from(it), 9), left);
        assert!(round.is_over());
    }

    #[test]
    fn there_is_an_end_also_where_nobody_is() {
        let (roster, mut round) = (Roster::default(), Round::default());
        round.begin();
        assert!(!round.is_over());
        assert!(round.take(|it| roster.keys_from(it), 3).is_empty());
        assert!(round.is_over());
    }
}
