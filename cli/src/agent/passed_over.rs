//! The certificates that nobody is asked for. They are kept to be told of, and because
//! another configuration may let them in.

use std::collections::{BTreeMap, HashMap};

use staplegun_ocsp::{UnixTime, Unstapled};
use staplegun_store::Key;
use staplegun_store::files::Notes;

use crate::fetch::Subject;

/// How many of one user other than root are kept, and how many of all such users.
const PER_USER: usize = 32;
const OF_USERS: usize = 512;

/// A certificate that nobody is asked for.
#[derive(Clone, Debug)]
pub struct PassedOver {
    /// The certificate with all that came along.
    pub subject: Subject,
    /// What is remembered of it, the reason among it.
    pub notes: Notes,
}

impl PassedOver {
    /// Whether it was passed over because it had expired.
    fn was_expired(&self) -> bool {
        let not_after = self.subject.leaf.not_after();
        let cause = Unstapled::Expired { not_after }.cause();
        self.notes.passed_over.as_deref() == Some(cause)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Aside {
    kept: BTreeMap<Key, PassedOver>,
    /// How many of them each user other than root left.
    left_by: HashMap<u32, usize>,
    /// By the file that the operator named: each holds one.
    named: HashMap<String, Key>,
}

impl Aside {
    /// Whether one is to be kept, with these notes: if that is news. What strangers leave
    /// is kept up to a limit.
    pub fn may_keep(&self, key: &Key, notes: &Notes) -> bool {
        if let Some(known) = self.kept.get(key) {
            // The word of the operator, and of root, counts more than a stranger's.
            let counts_less = known.notes.left_by.is_none() && notes.left_by.is_some();
            return known.notes != *notes && !counts_less;
        }
        notes.left_by.is_none_or(|uid| {
            let of_user = self.left_by.get(&uid).copied().unwrap_or(0);
            let of_all: usize = self.left_by.values().sum();
            of_user < PER_USER && of_all < OF_USERS
        })
    }

    /// Keeps one.
    pub fn keep(&mut self, subject: Subject, notes: Notes) {
        let key = subject.key();
        self.take(&key);
        if let Some(uid) = notes.left_by {
            *self.left_by.entry(uid).or_insert(0) += 1;
        }
        if let Some(path) = &notes.path {
            self.named.insert(path.clone(), key);
        }
        self.kept.insert(key, PassedOver { subject, notes });
    }

    /// Takes one out.
    pub fn take(&mut self, key: &Key) -> Option<PassedOver> {
        let gone = self.kept.remove(key)?;
        let count = gone.notes.left_by;
        if let Some(count) = count.and_then(|uid| self.left_by.get_mut(&uid)) {
            *count = count.saturating_sub(1);
        }
        if let Some(path) = &gone.notes.path
            && self.named.get(path) == Some(key)
        {
            self.named.remove(path);
        }
        Some(gone)
    }

    /// One of them.
    pub fn get(&self, key: &Key) -> Option<&PassedOver> {
        self.kept.get(key)
    }

    /// The keys of all from `first` on, in their order.
    pub fn keys_from(&self, first: Key) -> impl Iterator<Item = Key> {
        self.kept.range(first..).map(|(key, _)| *key)
    }

    /// A copy of each, to be examined anew: until then they stay what they are.
    pub fn all(&self) -> Vec<PassedOver> {
        self.kept.values().cloned().collect()
    }

    /// Those that were expired and are valid at the time `now`: the clock was wrong.
    pub fn take_no_longer_expired(&mut self, now: UnixTime) -> Vec<PassedOver> {
        self.take_those(|one| one.subject.leaf.not_after() >= now && one.was_expired())
    }

    /// Those that have expired since they were passed over, or that root left expired:
    /// nobody is told of them for ever.
    pub fn take_expired(&mut self, now: UnixTime) -> Vec<PassedOver> {
        self.take_those(|one| {
            let is_strangers = one.notes.left_by.is_some();
            one.subject.leaf.not_after() < now
                && one.notes.path.is_none()
                && !(one.was_expired() && is_strangers)
        })
    }

    /// Takes out the one that the operator named by `path`, where `by` lies now.
    pub fn take_superseded(&mut self, path: &str, by: &Key) -> Option<PassedOver> {
        let known = self.named.get(path).filter(|known| *known != by);
        let known = *known?;
        self.take(&known)
    }

    fn take_those(&mut self, these: impl Fn(&PassedOver) -> bool) -> Vec<PassedOver> {
        let all = self.kept.iter().filter(|(_, one)| these(one));
        let keys: Vec<Key> = all.map(|(key, _)| *key).collect();
        keys.iter().filter_map(|key| self.take(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::Spec;

    use super::*;
    use crate::agent::testing::certificate;

    fn notes(left_by: Option<u32>, path: Option<&str>, cause: &str) -> Notes {
        Notes {
            left_by,
            path: path.map(str::to_owned),
            passed_over: Some(cause.to_owned()),
            ..Notes::default()
        }
    }

    #[test]
    fn what_root_says_of_one_counts_more_than_a_users_word_and_nothing_is_kept_twice() {
        let mut aside = Aside::default();
        let one = certificate(&Spec::server());
        let key = one.key();
        let (root, user) = (
            notes(None, None, "no_responder"),
            notes(Some(1_001), None, "costly"),
        );
        assert!(aside.may_keep(&key, &user));
        aside.keep(one.clone(), user.clone());
        assert!(!aside.may_keep(&key, &user), "it is no news");
        assert!(aside.may_keep(&key, &notes(Some(1_001), None, "full")));
        assert!(aside.may_keep(&key, &root));
        aside.keep(one, root.clone());
        assert!(!aside.may_keep(&key, &user));
        assert!(!aside.may_keep(&key, &root), "it is no news");
        assert!(aside.may_keep(&key, &notes(None, None, "authority")));
    }

    #[test]
    fn of_a_file_that_was_named_the_last_certificate_gives_way_to_the_next_and_no_other_does() {
        let mut aside = Aside::default();
        let [first, second, third] = std::array::from_fn(|_| certificate(&Spec::server()));
        let at = |path| notes(None, Some(path), "no_responder");
        aside.keep(first.clone(), at("/a.pem"));
        aside.keep(second.clone(), at("/a.pem"));
        // The first one is gone from the file: that takes nothing from the second.
        assert!(aside.take(&first.key()).is_some());
        assert!(aside.take_superseded("/a.pem", &second.key()).is_none());
        let gone = aside.take_superseded("/a.pem", &third.key());
        assert_eq!(gone.map(|gone| gone.subject.key()), Some(second.key()));
        // Taken out, it is not looked for there any more.
        aside.keep(first.clone(), at("/a.pem"));
        aside.take(&first.key());
        aside.keep(first, at("/b.pem"));
        assert!(aside.take_superseded("/a.pem", &third.key()).is_none());
    }

    #[test]
    fn what_has_expired_is_told_no_more_unless_it_is_named_or_a_users_that_came_so() {
        let mut aside = Aside::default();
        let mut keep = |left_by, path, cause| {
            let one = certificate(&Spec::server());
            let key = one.key();
            aside.keep(one, notes(left_by, path, cause));
            key
        };
        let expired = "certificate_expired";
        let mut gone = [
            keep(None, None, "no_responder"),
            keep(None, None, expired),
            keep(Some(1_001), None, "costly"),
        ];
        keep(Some(1_001), None, expired);
        keep(None, Some("/a.pem"), "no_responder");
        keep(None, Some("/b.pem"), expired);
        assert!(aside.take_expired(0).is_empty());
        let taken = aside.take_expired(UnixTime::MAX).into_iter();
        let mut taken: Vec<Key> = taken.map(|one| one.subject.key()).collect();
        gone.sort_unstable();
        taken.sort_unstable();
        assert_eq!(taken, gone);
    }
}
