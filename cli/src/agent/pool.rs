//! The threads that fetch: a few side by side, and only so many at one responder.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::clock;
use super::event::Event;
use crate::fetch::{self, Fetched, Manner, Subject};

/// One response to fetch.
#[derive(Debug)]
pub struct Job {
    /// The certificate.
    pub subject: Subject,
    /// The responder that is asked first: its limit counts.
    pub responder: String,
    /// How to ask.
    pub manner: Arc<Manner>,
    /// How many attempts there were before.
    pub turn: usize,
}

/// The threads, and what they have to do. They end with the process.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    per_responder: usize,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Job>,
    /// Jobs under way, for each responder's host.
    busy: HashMap<String, usize>,
}

impl Pool {
    /// Starts `threads` threads, which report to `events`.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(
        threads: usize,
        per_responder: usize,
        events: &Sender<Event>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            per_responder,
        });
        for _ in 0..threads {
            let (shared, events) = (Arc::clone(&shared), events.clone());
            std::thread::Builder::new()
                .name("fetch".to_owned())
                .spawn(move || work(&shared, &events))?;
        }
        Ok(Self { shared })
    }

    /// Adds a job; its [`Event::Fetched`] comes when it is done.
    pub fn add(&self, job: Job) {
        self.shared.queue().waiting.push_back(job);
        self.shared.changed.notify_one();
    }
}

impl Shared {
    /// A thread that panicked has left the queue as it should be: it is changed
    /// by single calls only.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job whose responder has not too many yet.
    fn next(&self) -> (Job, String) {
        let mut queue = self.queue();
        loop {
            if let Some(found) = queue.take_next(self.per_responder) {
                return found;
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Queue {
    fn take_next(&mut self, per_responder: usize) -> Option<(Job, String)> {
        let at = self.waiting.iter().position(|job| {
            let busy = self.busy.get(host(&job.responder)).copied();
            busy.unwrap_or(0) < per_responder
        })?;
        let job = self.waiting.remove(at)?;
        let host = host(&job.responder).to_owned();
        *self.busy.entry(host.clone()).or_insert(0) += 1;
        Some((job, host))
    }

    fn done(&mut self, host: &str) {
        if let Some(busy) = self.busy.get_mut(host) {
            *busy = busy.saturating_sub(1);
            if *busy == 0 {
                self.busy.remove(host);
            }
        }
    }
}

fn work(shared: &Shared, events: &Sender<Event>) {
    loop {
        let (job, host) = shared.next();
        let key = job.subject.key();
        let fetched = fetch_one(job);
        shared.queue().done(&host);
        shared.changed.notify_all();
        let event = Event::Fetched {
            key,
            fetched: fetched.map(Box::new),
        };
        if events.send(event).is_err() {
            return;
        }
    }
}

/// None if it panicked: that must cost neither the thread nor the others.
fn fetch_one(job: Job) -> Option<Fetched> {
    let Job {
        subject,
        manner,
        turn,
        ..
    } = job;
    catch_unwind(AssertUnwindSafe(|| {
        fetch::fetch(subject, &manner, turn, clock::now())
    }))
    .ok()
}

/// The part of an address that tells one responder from another.
fn host(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    after_scheme
        .split_once(['/', '?', '#'])
        .map_or(after_scheme, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_responder_is_told_by_host_and_port() {
        assert_eq!(host("http://a:80/x/y"), "a:80");
        assert_eq!(host("https://a?q"), "a");
        assert_eq!(host("a"), "a");
    }
}
