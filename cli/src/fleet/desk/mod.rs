//! All certificates' courses together: whose turn it is, when what wakes, and what follows
//! from a store that is gone. Does nothing itself: it says what is to be done, and is told
//! what came of it and what time it is.
//!
//! The lease is taken only for what can be fetched at once, and a store is lost only by its own
//! fault: others wait for a lease no longer than a moment where they staple nothing, and an
//! agent that goes on alone asks for everything that the others have asked for. While it does
//! there are no courses: the main thread passes the store by, so that an agent without one has
//! nothing to do but an agent without a fleet, and takes back what has not begun when there
//! is a connection again.

#[cfg(test)]
mod tests;
mod times;
mod todo;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use staplegun_store::Key;

pub use todo::Do;

use super::ask::Stored;
use super::breaker::{At, Breaker};
use super::counters::Counters;
use super::course::{Answer, Course, Next, Rules, Situation};
use super::places::{Lane, Limits, Places, Side};
use super::rank::Rank;

/// After this time a fetch holds no place any more for which others wait.
const HANGING: Duration = Duration::from_secs(1);

/// All courses.
#[derive(Debug)]
pub struct Desk<Q> {
    rules: Rules,
    entries: BTreeMap<Key, Entry<Q>>,
    places: Places,
    /// Questions to the store that are under way.
    looks: HashMap<Key, u32>,
    /// When something is to be done for which course: at most one time for each.
    timers: BTreeSet<(At, Key)>,
    breaker: Breaker,
    orders: VecDeque<Do<Q>>,
    counters: Arc<Counters>,
    /// Chance: xorshift, for spreading in time only.
    random: u64,
}

#[derive(Debug)]
struct Entry<Q> {
    course: Course,
    lane: Lane,
    known: Option<Rank>,
    question: Option<Q>,
    timer: Option<At>,
    /// It holds a place of its lane.
    holds: bool,
}

impl<Q> Desk<Q> {
    /// No courses yet, and no connection: that is to be made first.
    pub fn new(rules: Rules, limits: Limits, counters: Arc<Counters>, seed: u64) -> Self {
        Self {
            rules,
            entries: BTreeMap::new(),
            places: Places::new(limits),
            looks: HashMap::new(),
            timers: BTreeSet::new(),
            breaker: Breaker::new(),
            orders: VecDeque::from([Do::Connect]),
            counters,
            random: seed | 1,
        }
    }

    /// Forgets all courses, and what was to be done; what is known of the store stays.
    pub fn begin_again(&mut self) {
        self.entries.clear();
        self.places = self.places.anew();
        self.looks.clear();
        self.timers.clear();
        self.orders.clear();
    }

    /// The next thing to be done.
    pub fn order(&mut self) -> Option<Do<Q>> {
        self.orders.pop_front()
    }

    /// Whether there is something to be done.
    pub fn has_orders(&self) -> bool {
        !self.orders.is_empty()
    }

    /// When [`Desk::tick`] is to be called, at the latest.
    pub fn next(&self) -> Option<At> {
        let timer = self.timers.first().map(|(at, _)| *at);
        [timer, self.breaker.next()].into_iter().flatten().min()
    }

    /// Whether the store is used.
    pub fn is_connected(&self) -> bool {
        self.breaker.is_closed()
    }

    /// The question of a certificate that is due.
    pub fn question(&self, key: &Key) -> Option<&Q> {
        self.entries.get(key)?.question.as_ref()
    }

    /// What was known of it when it was due.
    pub fn known(&self, key: &Key) -> Option<Rank> {
        self.entries.get(key)?.known
    }

    /// Whether its course is on the way.
    #[cfg(test)]
    fn has(&self, key: &Key) -> bool {
        self.entries.contains_key(key)
    }

    /// A certificate of that side is due, which that responder is asked for first.
    pub fn due(
        &mut self,
        key: Key,
        (side, responder): (Side, &str),
        situation: Situation,
        known: Option<Rank>,
        question: Q,
        at: At,
    ) {
        self.end(&key, at);
        let lane = self.places.lane(side, responder);
        let entry = Entry {
            course: Course::new(situation),
            lane: lane.clone(),
            known,
            question: Some(question),
            timer: None,
            holds: false,
        };
        self.entries.insert(key, entry);
        self.places.wait(&lane, key, false);
        self.begin_some(&lane, at);
    }

    /// Begins what has room in a lane.
    fn begin_some(&mut self, lane: &Lane, at: At) {
        if self.breaker.is_undecided() {
            return;
        }
        let is_used = self.breaker.is_closed();
        loop {
            let random = self.random();
            let Some(key) = self.places.next(lane, is_used, random) else {
                return;
            };
            let rules = self.rules;
            // It may have been settled, and be due again.
            let Some(entry) = self
                .entries
                .get_mut(&key)
                .filter(|it| it.course.is_queued())
            else {
                continue;
            };
            let next = match is_used {
                true => entry.course.begin(&rules, at),
                false => entry.course.alone(&rules),
            };
            self.follow(&key, next, at);
        }
    }

    fn begin_all(&mut self, at: At) {
        for lane in self.places.lanes() {
            self.begin_some(&lane, at);
        }
    }

    /// Whoever waits for others begins again, when it is its turn.
    fn queue_all(&mut self, at: At) {
        let is_waiting = |(_, entry): &(&Key, &Entry<Q>)| entry.course.waits_until().is_some();
        let waiting = self.entries.iter().filter(is_waiting);
        let waiting: Vec<Key> = waiting.map(|(key, _)| *key).collect();
        waiting.iter().for_each(|key| self.queue(key, at));
    }

    fn queue(&mut self, key: &Key, at: At) {
        self.hold(key, false, None, at);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.course.queue();
            self.places.wait(&entry.lane, *key, true);
        }
    }

    /// The store answered a [`Do::Look`], with the lease or otherwise. Whether that is what the
    /// course waits for: of several that are under way for one certificate, after it was settled
    /// and due again, the last one counts.
    pub fn expects(&mut self, key: &Key, is_lease: bool) -> bool {
        if let Some(under_way) = self.looks.get_mut(key) {
            *under_way -= 1;
            if *under_way > 0 {
                return false;
            }
            self.looks.remove(key);
        }
        match self.entries.get_mut(key) {
            Some(entry) if entry.course.is_looking() => return true,
            // It was settled meanwhile: the lease is of no use.
            None if is_lease => self.orders.push_back(Do::Fail(*key, Duration::ZERO)),
            Some(entry) if is_lease => entry.course.has_lease(),
            _ => {}
        }
        false
    }

    /// What was [expected](Self::expects) says this. True if the course is over by it.
    pub fn answered(&mut self, key: &Key, answer: Answer, at: At) -> bool {
        let random = self.random();
        let rules = self.rules;
        let looking = self.entries.get_mut(key);
        let Some(entry) = looking.filter(|it| it.course.is_looking()) else {
            return false;
        };
        self.counters.note(&answer);
        let next = entry.course.answered(answer, &rules, at, random);
        self.follow(key, next, at)
    }

    /// The store holds nothing useful under this certificate's keys, which others use.
    pub fn passed_over(&mut self, key: &Key, at: At) {
        let rules = self.rules;
        if let Some(entry) = self.entries.get_mut(key)
            && entry.course.is_looking()
        {
            let next = entry.course.alone(&rules);
            self.follow(key, next, at);
        }
    }

    /// What [`Do::Look`] wanted is on its way to the store.
    pub fn sent(&mut self, key: &Key, at: At) {
        if let Some(entry) = self.entries.get_mut(key)
            && entry.course.is_looking()
        {
            let until = entry.course.sent(at);
            self.hold(key, true, Some(until), at);
        }
    }

    /// A thread has begun to fetch what [`Do::Ask`] wanted.
    pub fn begun(&mut self, key: &Key, at: At) {
        if self
            .entries
            .get(key)
            .is_some_and(|it| it.course.is_asking())
        {
            self.hold(key, true, Some(at + HANGING), at);
        }
    }

    /// True if the course is over.
    fn follow(&mut self, key: &Key, next: Next, at: At) -> bool {
        let Some(entry) = self.entries.get_mut(key) else {
            return true;
        };
        match next {
            Next::Look { refused, heeds } => {
                let (key, known) = (*key, entry.known);
                *self.looks.entry(key).or_default() += 1;
                self.orders.push_back(Do::Look {
                    key,
                    known,
                    refused,
                    heeds,
                });
                self.hold(&key, true, None, at);
            }
            Next::Ask => {
                let question = entry.question.take();
                self.orders.extend(question.map(|it| Do::Ask(*key, it)));
                if self.breaker.is_open() {
                    // What comes of it is for nobody there.
                    self.end(key, at);
                    return true;
                }
                self.counters.asked(entry.course.is_leased());
                self.hold(key, true, None, at);
            }
            Next::Wait(until) => self.hold(key, false, Some(until), at),
            Next::Take => {
                self.end(key, at);
                return true;
            }
            Next::Postpone(wait) => {
                self.end(key, at);
                self.orders.push_back(Do::Postpone(*key, wait));
                return true;
            }
            Next::Nothing => {
                self.end(key, at);
                self.orders.push_back(Do::Nothing(*key));
                return true;
            }
        }
        false
    }

    /// The one place where places and timers change.
    fn hold(&mut self, key: &Key, holds: bool, timer: Option<At>, at: At) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if let Some(old) = entry.timer {
            self.timers.remove(&(old, *key));
        }
        entry.timer = timer;
        self.timers.extend(timer.map(|timer| (timer, *key)));
        if entry.holds == holds {
            return;
        }
        entry.holds = holds;
        let lane = entry.lane.clone();
        match holds {
            true => self.places.take(&lane),
            false => self.give_back(&lane, at),
        }
    }

    fn give_back(&mut self, lane: &Lane, at: At) {
        self.places.give_back(lane);
        // Who has waited for it goes before who has just had one.
        while let Some(other) = self.places.next_stopped(lane) {
            self.begin_some(&other, at);
        }
        self.begin_some(lane, at);
    }

    /// The course is over.
    fn end(&mut self, key: &Key, at: At) {
        self.hold(key, false, None, at);
        self.entries.remove(key);
    }

    /// Nobody looks after that certificate any more.
    pub fn forget(&mut self, key: &Key, at: At) {
        self.end(key, at);
    }

    /// A better response for it was noticed and counts. True if its course is over by it,
    /// false if there is none or the responder is being asked already.
    pub fn settle(&mut self, key: &Key, at: At) -> bool {
        match self.entries.get(key) {
            Some(entry) if !entry.course.is_asking() => {
                self.end(key, at);
                true
            }
            _ => false,
        }
    }

    /// There is a response that did not come from the store: from the responder, which
    /// ends the course, or from elsewhere.
    pub fn store(&mut self, key: &Key, mut stored: Stored, at: At) {
        if let Some(entry) = self.entries.get(key) {
            stored.refused = stored.refused.or_else(|| entry.course.refused().cloned());
            if entry.course.is_asking() {
                self.end(key, at);
            }
        }
        if self.breaker.is_closed() && !self.rules.only_takes {
            self.orders.push_back(Do::Store(*key, stored));
        }
    }

    /// The responder said nothing of use: it is not asked again for that long.
    pub fn fail(&mut self, key: &Key, wait: Duration, at: At) {
        let leased = self
            .entries
            .get(key)
            .is_some_and(|it| it.course.is_leased());
        self.end(key, at);
        if leased && self.breaker.is_closed() {
            self.orders.push_back(Do::Fail(*key, wait));
        }
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
