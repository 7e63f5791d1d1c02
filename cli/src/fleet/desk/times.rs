//! What follows from the store coming and going, and from time going on.

use std::sync::atomic::Ordering;

use staplegun_store::Key;

use super::{Desk, Do, Entry};
use crate::fleet::breaker::{At, News};

impl<Q> Desk<Q> {
    /// There is a connection.
    pub fn connected(&mut self, at: At) -> News {
        let news = self.breaker.connected(at);
        self.counters.is_passed_by.store(false, Ordering::Relaxed);
        self.queue_all(at);
        self.begin_all(at);
        news
    }

    /// There is none, or none any more. Whoever has waited for the store as long as it may
    /// take goes on alone, and so does everybody unless it may be back in a moment.
    pub fn lost(&mut self, at: At) -> News {
        let random = self.random();
        let news = self.breaker.failed(at, random);
        self.looks.clear();
        let rules = self.rules;
        let is_looking = |(_, entry): &(&Key, &Entry<Q>)| entry.course.is_looking();
        let looking = self.entries.iter().filter(is_looking);
        let looking: Vec<Key> = looking.map(|(key, _)| *key).collect();
        for key in looking {
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            match entry.course.is_out_of_patience(at) {
                true => {
                    let next = entry.course.alone(&rules);
                    self.follow(&key, next, at);
                }
                false => {
                    let until = entry.course.strand(at);
                    self.hold(&key, false, until, at);
                }
            }
        }
        if self.breaker.is_open() {
            self.go_alone(at);
        }
        news
    }

    /// Everybody asks the responder, and what is being asked already is left to whoever does.
    fn go_alone(&mut self, at: At) {
        let passes_by = !self.rules.only_takes;
        self.counters
            .is_passed_by
            .store(passes_by, Ordering::Relaxed);
        self.queue_all(at);
        self.begin_all(at);
        let asking: Vec<Key> = self.entries.keys().copied().collect();
        asking.iter().for_each(|key| self.end(key, at));
    }

    /// Does what is due by time. Whatever has come from the store until `heard` was read: not
    /// before is it known that it did not answer.
    pub fn tick(&mut self, at: At, heard: At) {
        if self.breaker.waits_no_longer(at) {
            self.go_alone(at);
        }
        if self.breaker.settle(at) {
            self.orders.push_back(Do::Settled);
        }
        if self.breaker.tries(at) {
            self.orders.push_back(Do::Connect);
        }
        let due = self.timers.range(..=(at, Key::from([u8::MAX; 32])));
        let due: Vec<(At, Key)> = due.copied().collect();
        for (timer, key) in due {
            // What came before may have changed it.
            if self.timers.contains(&(timer, key)) {
                self.wake(&key, at, heard);
            }
        }
    }

    /// Its time has come.
    fn wake(&mut self, key: &Key, at: At, heard: At) {
        let rules = self.rules;
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let course = &mut entry.course;
        if course.is_looking() {
            if !course.is_out_of_patience(heard) {
                return;
            }
            match course.is_store_slow(heard) {
                true => {
                    // One connection fails once, however many wait for it.
                    if !self.orders.iter().any(|order| matches!(order, Do::Drop)) {
                        self.orders.push_back(Do::Drop);
                    }
                    self.hold(key, true, None, at);
                }
                false => {
                    let next = course.alone(&rules);
                    self.follow(key, next, at);
                }
            }
        } else if course.waits_until().is_some() {
            if !self.breaker.is_closed() && course.is_out_of_patience(at) {
                let next = course.alone(&rules);
                self.follow(key, next, at);
                return;
            }
            self.counters.woke();
            let lane = entry.lane.clone();
            self.queue(key, at);
            self.begin_some(&lane, at);
        } else {
            // The fetch hangs.
            self.hold(key, false, None, at);
        }
    }
}
