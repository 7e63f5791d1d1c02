//! The certificates that are looked after, and which are let in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use staplegun_ocsp::{UnixTime, Validity};
use staplegun_store::Key;
use staplegun_store::files::{Notes, Stamp};

use super::clock;
use super::counters::Causes;
use super::passed_over::Aside;
use super::sentence::Refusal;
use crate::fetch::{Staple, Subject};
use crate::fleet::Share;

/// One certificate.
#[derive(Debug)]
pub struct Watched {
    /// The certificate; what asking for it does not take was let go.
    pub subject: Arc<Subject>,
    /// The response in use, or the revocation that is known.
    pub known: Option<Staple>,
    /// A good response whose time has not come.
    pub early: Option<Box<Staple>>,
    /// What is remembered of it.
    pub notes: Notes,
    /// When its responder is asked next; None: not at all.
    due: Option<Instant>,
    /// A fetch is under way.
    asking: bool,
    /// Attempts so far.
    pub turn: usize,
    /// Those of them that failed.
    pub failed: Causes,
    /// How many of the last attempts brought an answer and yet nothing that is valid.
    pub stale: u32,
    /// It is asked at its time, though its responder wants to be left alone.
    pub at_once: bool,
    /// Its part in what a fleet shares.
    pub share: Share,
    /// The file in `staples/` as it was seen last.
    pub stamp: Option<Stamp>,
    /// The file there that could not be read: told once.
    pub unread: Option<Box<Stamp>>,
    /// When the response there could count, if it was refused for the time alone: should
    /// the clock be set, it is judged again then.
    pub refused_but_at: Option<Validity>,
}

/// Who named a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The operator: by `staplegun add`.
    List,
    /// An earlier agent: it lies in `certs/`.
    Store,
    /// A program of root or of the agent's own user, by the spool.
    Trusted,
    /// A program of that other user, by the spool.
    User(u32),
}

impl Source {
    /// The other user, if it was one.
    pub fn user(self) -> Option<u32> {
        match self {
            Self::User(uid) => Some(uid),
            Self::List | Self::Store | Self::Trusted => None,
        }
    }
}

/// How many certificates of users other than root are let in. What root named or left
/// is not counted.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// From all of them.
    pub users: usize,
    /// From one of them.
    pub per_user: usize,
}

/// Whether there is room for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Free,
    /// It is looked after already.
    Known,
    /// There is none.
    None(Refusal),
}

/// All of them, and in which order their time comes: no step of the schedule may
/// look at all, for there may be many and each has such steps.
#[derive(Debug, Default)]
pub struct Roster {
    /// Each in a box, so that the places that are free in the tree cost little.
    entries: BTreeMap<Key, Box<Watched>>,
    /// Those that are due at some time and not being asked for.
    timetable: BTreeSet<(Instant, Key)>,
    /// How many fetches are under way.
    asking: usize,
    left_by: HashMap<u32, usize>,
    /// Those that are looked after as intermediates: mostly few of all.
    intermediates: BTreeSet<Key>,
    /// Those that nobody is asked for: none of the others.
    pub passed_over: Aside,
}

impl Roster {
    /// Whether there is room for a certificate that `source` left or named.
    pub fn room(&self, key: &Key, source: Source, quota: &Quota) -> Room {
        if let Some(known) = self.entries.get(key) {
            // It may come with its issuer now, and what root has too is no user's.
            let is_root_s = !matches!(source, Source::User(_));
            let is_news = !known.subject.has_valid_issuer(clock::now())
                || (is_root_s && known.notes.left_by.is_some());
            return if is_news { Room::Free } else { Room::Known };
        }
        if let Source::User(uid) = source {
            if self.left_by.get(&uid).copied().unwrap_or(0) >= quota.per_user {
                return Room::None(Refusal::UserQuota);
            }
            if self.left_by.values().sum::<usize>() >= quota.users {
                return Room::None(Refusal::Full);
            }
        }
        Room::Free
    }

    /// Lets a certificate in that was examined. True if it is new, or comes with a better
    /// issuer; then it is due at `at`.
    pub fn admit(
        &mut self,
        subject: Subject,
        source: Source,
        mut notes: Notes,
        at: Instant,
    ) -> bool {
        let key = subject.key();
        self.passed_over.take(&key);
        if let Some(known) = self.entries.get_mut(&key) {
            // What root names counts to nobody's quota any more.
            let stranger = match source {
                Source::List | Source::Trusted => known.notes.left_by.take(),
                Source::Store | Source::User(_) => None,
            };
            if let Some(count) = stranger.and_then(|uid| self.left_by.get_mut(&uid)) {
                *count = count.saturating_sub(1);
            }
            let is_news = subject.improves(&known.subject);
            if is_news {
                known.subject = Arc::new(subject);
                self.set_due(&key, Some(at));
            }
            return is_news;
        }
        if let Source::User(uid) = source {
            notes.left_by = Some(uid);
        }
        self.take_in(Watched::new(subject, notes), at);
        true
    }

    /// Lets one in that was in before; it is due at `at`.
    pub fn take_in(&mut self, watched: Watched, at: Instant) {
        if let Some(uid) = watched.notes.left_by {
            *self.left_by.entry(uid).or_insert(0) += 1;
        }
        let key = watched.subject.key();
        if watched.notes.intermediate {
            self.intermediates.insert(key);
        }
        self.entries.insert(key, Box::new(watched));
        self.set_due(&key, Some(at));
    }

    /// Takes one out that is looked after, and forgets one that is passed over.
    pub fn remove(&mut self, key: &Key) -> Option<Watched> {
        self.passed_over.take(key);
        self.set_due(key, None);
        self.end(key);
        let gone = self.entries.remove(key)?;
        self.intermediates.remove(key);
        let uid = gone.notes.left_by;
        if let Some(count) = uid.and_then(|uid| self.left_by.get_mut(&uid)) {
            *count = count.saturating_sub(1);
        }
        Some(*gone)
    }

    /// The entry of a certificate.
    pub fn get(&self, key: &Key) -> Option<&Watched> {
        self.entries.get(key).map(Box::as_ref)
    }

    /// One of them.
    pub fn get_mut(&mut self, key: &Key) -> Option<&mut Watched> {
        self.entries.get_mut(key).map(Box::as_mut)
    }

    /// Whether it is one of them.
    pub fn contains(&self, key: &Key) -> bool {
        self.entries.contains_key(key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// All, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Watched)> {
        self.entries.iter().map(|(key, watched)| (key, &**watched))
    }

    /// Those that are looked after as intermediates, in the order of their keys.
    pub fn intermediates(&self) -> impl Iterator<Item = (&Key, &Watched)> {
        let all = self.intermediates.iter();
        all.filter_map(|key| Some((key, self.get(key)?)))
    }

    /// The keys of all from `first` on, in their order.
    pub fn keys_from(&self, first: Key) -> impl Iterator<Item = Key> {
        self.entries.range(first..).map(|(key, _)| *key)
    }

    /// Sets when its responder is asked next; None: not at all.
    pub fn set_due(&mut self, key: &Key, due: Option<Instant>) {
        self.change(key, |watched| watched.due = due);
    }

    /// A fetch begins.
    pub fn begin(&mut self, key: &Key) {
        self.change(key, |watched| watched.asking = true);
    }

    /// A fetch is over.
    pub fn end(&mut self, key: &Key) {
        self.change(key, |watched| watched.asking = false);
    }

    /// All fetches are over, whatever came of them.
    pub fn end_all(&mut self) {
        let all = self.entries.iter().filter(|(_, watched)| watched.asking);
        let all: Vec<Key> = all.map(|(key, _)| *key).collect();
        all.iter().for_each(|key| self.end(key));
    }

    /// The one place where the timetable changes.
    fn change(&mut self, key: &Key, change: impl FnOnce(&mut Watched)) {
        let Some(watched) = self.entries.get_mut(key) else {
            return;
        };
        let was_asking = watched.asking;
        if let Some(due) = watched.waits_until() {
            self.timetable.remove(&(due, *key));
        }
        change(watched);
        if let Some(due) = watched.waits_until() {
            self.timetable.insert((due, *key));
        }
        self.asking = self.asking + usize::from(watched.asking) - usize::from(was_asking);
    }

    /// Those whose time has come, not yet asked for, in the order of their times; at most so
    /// many.
    pub fn due(&self, at: Instant, most: usize) -> Vec<Key> {
        let is_due = |(due, _): &&(Instant, Key)| *due <= at;
        let due = self.timetable.iter().take_while(is_due).take(most);
        due.map(|(_, key)| *key).collect()
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.timetable.first().map(|(due, _)| *due)
    }

    /// Those of root, or of the agent's own user, that lack a valid issuer.
    pub fn without_issuer(&self, now: UnixTime) -> Vec<Key> {
        let lacks = |watched: &Watched| {
            watched.notes.left_by.is_none() && !watched.subject.has_valid_issuer(now)
        };
        let all = self.entries.iter();
        let lacking = all.filter(|(_, watched)| lacks(watched));
        lacking.map(|(key, _)| *key).collect()
    }

    /// Whether a fetch is under way.
    pub fn is_asking(&self) -> bool {
        self.asking > 0
    }
}

impl Watched {
    /// Who is answerable for it.
    pub fn source(&self) -> Source {
        self.notes.left_by.map_or(Source::Trusted, Source::User)
    }

    /// One of which nothing more is known.
    pub fn new(subject: Subject, notes: Notes) -> Self {
        Self {
            known: None,
            notes,
            due: None,
            asking: false,
            turn: 0,
            failed: Causes::default(),
            stale: 0,
            at_once: false,
            share: Share::default(),
            stamp: None,
            early: None,
            unread: None,
            refused_but_at: None,
            subject: Arc::new(subject),
        }
    }

    /// Whether its certificate has expired; not while it is being asked for.
    pub fn has_expired(&self, now: UnixTime) -> bool {
        self.subject.leaf.not_after() < now && !self.asking
    }

    /// Whether it wants a response: the last attempt failed, or there was none, or there is
    /// nothing to be stapled though nothing tells of a revocation.
    pub fn is_wanting(&self, now: UnixTime) -> bool {
        let known = self.known.as_ref();
        let is_well = self.due.is_some()
            && self.notes.failures == 0
            && known.is_some_and(|known| known.settles(now));
        !is_well
    }

    /// When its responder is to be asked, unless that is being done.
    pub fn waits_until(&self) -> Option<Instant> {
        self.due.filter(|_| !self.asking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::Issuers;
    use staplegun_testkit::{Identity, Spec};
    use std::time::Duration;

    #[test]
    fn who_is_due_comes_in_the_order_of_the_times_and_never_while_being_asked_for() {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut roster = Roster::default();
        let keys: Vec<Key> = [30, 10, 20]
            .into_iter()
            .map(|seconds| {
                let der = ca.issue(&Spec::server()).der();
                let subject = Subject::new(vec![der], &Issuers::default()).unwrap();
                let key = subject.key();
                assert!(roster.admit(subject, Source::List, Notes::default(), at(seconds)));
                key
            })
            .collect();
        assert_eq!(roster.next_due(), Some(at(10)));
        assert!(roster.due(at(9), 3).is_empty());
        assert_eq!(roster.due(at(20), 3), [keys[1], keys[2]]);
        assert_eq!(roster.due(at(20), 1), [keys[1]]);
        roster.begin(&keys[1]);
        roster.set_due(&keys[1], Some(at(5)));
        assert!(roster.is_asking());
        assert_eq!(roster.due(at(20), 3), [keys[2]]);
        roster.end(&keys[1]);
        assert!(!roster.is_asking());
        assert_eq!(roster.next_due(), Some(at(5)));
        roster.set_due(&keys[2], None);
        assert_eq!(roster.due(at(60), 3), [keys[1], keys[0]]);
        assert!(keys.iter().all(|key| roster.remove(key).is_some()));
        assert_eq!((roster.next_due(), roster.len()), (None, 0));
    }

    #[test]
    fn what_has_expired_counts_no_more_against_its_users_quota() {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let subject = || {
            let leaf = ca.issue(&Spec::server()).der();
            Subject::new(vec![leaf, ca.der()], &Issuers::default()).expect("a certificate")
        };
        let user = Source::User(65534);
        let quota = Quota {
            users: 10,
            per_user: 1,
        };
        let mut roster = Roster::default();
        let room = |roster: &Roster| roster.room(&subject().key(), user, &quota);
        assert_eq!(room(&roster), Room::Free);
        let one = subject();
        let key = one.key();
        assert!(roster.admit(one, user, Notes::default(), Instant::now()));
        assert_eq!(room(&roster), Room::None(Refusal::UserQuota));
        let gone = roster.remove(&key).expect("it is looked after");
        assert!(gone.has_expired(UnixTime::MAX));
        assert_eq!(room(&roster), Room::Free);
    }

    #[test]
    fn what_users_may_leave_together_bounds_them_and_not_root() {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let subject = || {
            let leaf = ca.issue(&Spec::server()).der();
            Subject::new(vec![leaf, ca.der()], &Issuers::default()).expect("a certificate")
        };
        let quota = Quota {
            users: 2,
            per_user: 2,
        };
        let mut roster = Roster::default();
        for source in [Source::Trusted, Source::List, Source::Trusted] {
            assert!(roster.admit(subject(), source, Notes::default(), Instant::now()));
        }
        for uid in [1001, 1002] {
            let user = Source::User(uid);
            let room = roster.room(&subject().key(), user, &quota);
            assert_eq!(room, Room::Free, "root's do not count");
            assert!(roster.admit(subject(), user, Notes::default(), Instant::now()));
        }
        let of = |source| roster.room(&subject().key(), source, &quota);
        assert_eq!(of(Source::User(1003)), Room::None(Refusal::Full));
        assert_eq!(of(Source::Trusted), Room::Free);
        assert_eq!(of(Source::List), Room::Free);
    }
}
