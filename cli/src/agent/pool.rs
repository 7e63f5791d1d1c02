//! The threads that fetch: a few side by side, and only so many at one address. Those for
//! users other than root are others, so that nobody's responders keep root's waiting.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::addresses::Addresses;
use super::clock;
use super::event::Event;
use super::lanes::{Lanes, Limits, Place, Turn};
use crate::fetch::{self, Client, Fetched, Issuers, Question, Responders};

/// How many threads there are for each response that may be fetched at once: as many
/// less one may hang.
const SPARE: usize = 4;
/// Which part of the threads there are again for users other than root.
const PART_FOR_USERS: usize = 4;

/// The threads, and what they have to do. They end with the process.
#[derive(Debug)]
pub struct Pool {
    ours: Arc<Shared>,
    users: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    lanes: Mutex<Lanes<Question, Client>>,
    changed: Condvar,
    known: Arc<Known>,
}

/// What all threads know.
#[derive(Debug, Default)]
struct Known {
    issuers: Arc<Issuers>,
    responders: Responders,
    addresses: Addresses,
}

/// What is over: where, what it left, and whether it failed.
type Over = (Place, Option<Client>, bool);

impl Pool {
    /// Starts threads for `at_once` responses at once, which report to `events`.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(
        at_once: usize,
        per_responder: usize,
        issuers: &Arc<Issuers>,
        events: &Sender<Event>,
    ) -> std::io::Result<Self> {
        let known = Arc::new(Known {
            issuers: Arc::clone(issuers),
            ..Known::default()
        });
        let start = |at_once| {
            let limits = Limits {
                at_once,
                in_all: at_once * SPARE,
                per_lane: per_responder,
            };
            Shared::start(limits, &known, events)
        };
        Ok(Self {
            ours: start(at_once)?,
            users: start(at_once.div_ceil(PART_FOR_USERS))?,
        })
    }

    /// Adds a question; its [`Event::Fetched`] comes when it is done. The limit of
    /// `responder` counts, which is the one that is asked first.
    pub fn add(&self, responder: &str, question: Question) {
        let shared = if question.is_ours {
            &self.ours
        } else {
            &self.users
        };
        let lane = shared
            .known
            .addresses
            .lane(responder, &question.manner.proxies);
        shared.lanes().add(&lane, question);
        shared.changed.notify_one();
    }
}

impl Shared {
    fn start(
        limits: Limits,
        known: &Arc<Known>,
        events: &Sender<Event>,
    ) -> std::io::Result<Arc<Self>> {
        let shared = Arc::new(Self {
            lanes: Mutex::new(Lanes::new(limits)),
            changed: Condvar::new(),
            known: Arc::clone(known),
        });
        for _ in 0..limits.in_all {
            let (shared, events) = (Arc::clone(&shared), events.clone());
            std::thread::Builder::new()
                .name("fetch".to_owned())
                .spawn(move || work(&shared, &events))?;
        }
        Ok(shared)
    }

    /// A thread that panicked has left the lanes as they should be: they are
    /// changed by single calls only.
    fn lanes(&self) -> MutexGuard<'_, Lanes<Question, Client>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back the lane of what is over, and waits for the next.
    fn next(&self, over: Option<Over>) -> Turn<Question, Client> {
        let mut lanes = self.lanes();
        if let Some((place, client, failed)) = over {
            lanes.done(&place, client, failed, Instant::now());
        }
        loop {
            let now = Instant::now();
            if let Some(turn) = lanes.next(now) {
                // Another one may begin, or is to be looked after while this one hangs.
                if lanes.is_any_ready(now) || lanes.wait(now).is_some() {
                    self.changed.notify_one();
                }
                return turn;
            }
            lanes = match lanes.wait(now) {
                None => self
                    .changed
                    .wait(lanes)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    let waited = self.changed.wait_timeout(lanes, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

fn work(shared: &Shared, events: &Sender<Event>) {
    let mut over = None;
    loop {
        let Turn {
            place,
            job: question,
            left,
        } = shared.next(over);
        if let Some(lane) = shared.known.addresses.look_up(&place.lane) {
            // Whoever else is asked at that address counts, too.
            let mut lanes = shared.lanes();
            lanes.add(&lane, question);
            drop(lanes);
            over = Some((place, None, false));
            continue;
        }
        let (patience, proxies) = (question.manner.patience, &question.manner.proxies);
        let mut client = left
            .filter(|client| *client.patience() == patience && *client.proxies() == **proxies)
            .unwrap_or_else(|| Client::new(patience, Arc::clone(proxies)));
        let key = question.subject.key();
        let fetched = fetch_one(&question, &shared.known, &mut client);
        let failed = fetched.as_ref().is_none_or(|it| it.outcome.is_err());
        // What panicked in the middle of an exchange is used for no other.
        over = Some((place, fetched.is_some().then_some(client), failed));
        let fetched = fetched.map(Box::new);
        if events.send(Event::Fetched { key, fetched }).is_err() {
            return;
        }
    }
}

/// None if it panicked: that must cost neither the thread nor the others.
fn fetch_one(question: &Question, known: &Known, client: &mut Client) -> Option<Fetched> {
    let (issuers, responders) = (&known.issuers, &known.responders);
    let fetch = || fetch::fetch(question, issuers, responders, client, clock::now());
    catch_unwind(AssertUnwindSafe(fetch)).ok()
}
