//! The threads that fetch: a few side by side, and only so many at one responder.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::clock;
use super::event::Event;
use super::lanes::{Lanes, Turn};
use crate::fetch::{self, Client, Fetched, Issuers, Question, Responders};

/// The threads, and what they have to do. They end with the process.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    lanes: Mutex<Lanes<Question, Client>>,
    changed: Condvar,
    issuers: Arc<Issuers>,
    responders: Responders,
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
        issuers: &Arc<Issuers>,
        events: &Sender<Event>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            lanes: Mutex::new(Lanes::new(per_responder)),
            changed: Condvar::new(),
            issuers: Arc::clone(issuers),
            responders: Responders::default(),
        });
        for _ in 0..threads {
            let (shared, events) = (Arc::clone(&shared), events.clone());
            std::thread::Builder::new()
                .name("fetch".to_owned())
                .spawn(move || work(&shared, &events))?;
        }
        Ok(Self { shared })
    }

    /// Adds a question; its [`Event::Fetched`] comes when it is done. The limit of
    /// `responder` counts, which is the one that is asked first.
    pub fn add(&self, responder: &str, question: Question) {
        self.shared.lanes().add(host(responder), question);
        self.shared.changed.notify_one();
    }
}

impl Shared {
    /// A thread that panicked has left the lanes as they should be: they are
    /// changed by single calls only.
    fn lanes(&self) -> MutexGuard<'_, Lanes<Question, Client>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back the lane of what is over, and waits for the next.
    fn next(&self, over: Option<(Arc<str>, Option<Client>)>) -> Turn<Question, Client> {
        let mut lanes = self.lanes();
        if let Some((lane, client)) = over {
            lanes.done(&lane, client);
        }
        loop {
            if let Some(turn) = lanes.next() {
                if lanes.is_any_ready() {
                    self.changed.notify_one();
                }
                return turn;
            }
            lanes = self
                .changed
                .wait(lanes)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn work(shared: &Shared, events: &Sender<Event>) {
    let mut over = None;
    loop {
        let Turn {
            lane,
            job: question,
            left,
        } = shared.next(over);
        let (patience, proxies) = (question.manner.patience, &question.manner.proxies);
        let mut client = left
            .filter(|client| *client.patience() == patience && *client.proxies() == **proxies)
            .unwrap_or_else(|| Client::new(patience, Arc::clone(proxies)));
        let key = question.subject.key();
        let fetched = fetch_one(&question, shared, &mut client);
        // What panicked in the middle of an exchange is used for no other.
        over = Some((lane, fetched.is_some().then_some(client)));
        let fetched = fetched.map(Box::new);
        if events.send(Event::Fetched { key, fetched }).is_err() {
            return;
        }
    }
}

/// None if it panicked: that must cost neither the thread nor the others.
fn fetch_one(question: &Question, shared: &Shared, client: &mut Client) -> Option<Fetched> {
    let (issuers, responders) = (&shared.issuers, &shared.responders);
    let fetch = || fetch::fetch(question, issuers, responders, client, clock::now());
    catch_unwind(AssertUnwindSafe(fetch)).ok()
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
