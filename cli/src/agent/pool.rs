//! The threads that fetch: a few side by side, and only so many at one address. Those for
//! users other than root are others, so that nobody's responders keep root's waiting.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use staplegun_store::Key;

use super::addresses::Addresses;
use super::clock;
use super::event::Event;
use super::lanes::{Lanes, Limits, Place, Turn};
use super::worker::caught;
use crate::fetch::{self, Client, Fetched, Issuers, Question, Responders};

/// How many threads there are for each response that may be fetched at once: as many
/// less one may hang.
const SPARE: usize = 4;
/// Which part of the threads there are again for users other than root.
const PART_FOR_USERS: usize = 4;

/// Who is told that a certificate's fetch begins.
pub type Begun = Box<dyn Fn(&Key) + Send + Sync>;

/// How many responses are fetched at once for users other than root, of so many for root.
pub fn for_users(at_once: usize) -> usize {
    at_once.div_ceil(PART_FOR_USERS)
}

/// The threads, and what they have to do. They end with the process.
#[derive(Debug)]
pub struct Pool {
    ours: Arc<Shared>,
    users: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    known: Arc<Known>,
}

#[derive(Debug)]
struct Queue {
    lanes: Lanes<Question, Client>,
    /// A thread wakes by itself when the next one hangs.
    is_watched: bool,
}

impl Queue {
    /// Whether a thread that waits is to be woken: to begin another one, or to be there
    /// when one hangs. Threads that would find nothing to do are left alone.
    fn needs_another(&self, now: Instant) -> bool {
        self.lanes.is_any_ready(now) || (!self.is_watched && self.lanes.wait(now).is_some())
    }
}

/// What all threads know.
#[derive(Default)]
struct Known {
    begun: Option<Begun>,
    issuers: Arc<Issuers>,
    responders: Responders,
    addresses: Addresses,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known")
    }
}

/// What is over: where, what it left, and whether it failed.
type Over = (Place, Option<Client>, bool);

impl Pool {
    /// Starts threads for `at_once` responses at once, which report to `events`, and to
    /// `begun` when they begin.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(
        at_once: usize,
        per_responder: usize,
        issuers: &Arc<Issuers>,
        events: &Sender<Event>,
        begun: Option<Begun>,
    ) -> std::io::Result<Self> {
        let known = Arc::new(Known {
            begun,
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
            users: start(for_users(at_once))?,
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
        let mut queue = shared.queue();
        queue.lanes.add(&lane, question);
        let needs_another = queue.needs_another(Instant::now());
        drop(queue);
        if needs_another {
            shared.changed.notify_one();
        }
    }

    /// Takes all questions back that no thread has begun to ask.
    pub fn take_back(&self) -> Vec<Question> {
        let queues = [&self.ours, &self.users];
        let back = queues.map(|shared| shared.queue().lanes.take_back());
        back.into_iter().flatten().collect()
    }
}

impl Shared {
    fn start(
        limits: Limits,
        known: &Arc<Known>,
        events: &Sender<Event>,
    ) -> std::io::Result<Arc<Self>> {
        let shared = Arc::new(Self {
            queue: Mutex::new(Queue {
                lanes: Lanes::new(limits),
                is_watched: false,
            }),
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
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back the lane of what is over, and waits for the next.
    fn next(&self, over: Option<Over>) -> Turn<Question, Client> {
        let mut queue = self.queue();
        if let Some((place, client, failed)) = over {
            queue.lanes.done(&place, client, failed, Instant::now());
        }
        loop {
            let now = Instant::now();
            if let Some(turn) = queue.lanes.next(now) {
                if queue.needs_another(now) {
                    self.changed.notify_one();
                }
                return turn;
            }
            let wait = queue.lanes.wait(now).filter(|_| !queue.is_watched);
            queue = match wait {
                None => self
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    queue.is_watched = true;
                    let waited = self.changed.wait_timeout(queue, wait);
                    let mut queue = waited.unwrap_or_else(PoisonError::into_inner).0;
                    queue.is_watched = false;
                    queue
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
            shared.queue().lanes.add(&lane, question);
            over = Some((place, None, false));
            continue;
        }
        let (patience, proxies) = (question.manner.patience, &question.manner.proxies);
        let mut client = left
            .filter(|client| *client.patience() == patience && *client.proxies() == **proxies)
            .unwrap_or_else(|| Client::new(patience, Arc::clone(proxies)));
        let key = question.subject.key();
        if let Some(begun) = &shared.known.begun {
            begun(&key);
        }
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

/// None if it panicked.
fn fetch_one(question: &Question, known: &Known, client: &mut Client) -> Option<Fetched> {
    let (issuers, responders) = (&known.issuers, &known.responders);
    caught(|| fetch::fetch(question, issuers, responders, client, clock::now()))
}
