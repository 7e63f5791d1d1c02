//! The thread that talks to the store, as the main one sees it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use staplegun_store::Key;

use super::counters::{Counters, count};
use super::course::Rules;
use super::desk::Desk;
use super::greeting::Way;
use super::places::Limits;
use super::settings::{FleetSettings, Mode};
use super::word::{Due, Order, Outcome, Seen, Word};
use super::work::{END, Work, wake};
use crate::agent::{Worker, random};

/// The thread, as the main one sees it. Dropped, it sends what is left to be sent, unless
/// the store is slow.
#[derive(Debug)]
pub struct Fleet {
    orders: Sender<Order>,
    waker: Arc<OwnedFd>,
    thread: Worker,
    /// What it counts.
    pub counters: Arc<Counters>,
}

impl Fleet {
    /// Starts the thread for that way to the store. `tell` tells the main thread, and is
    /// false once there is none.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(
        way: Way,
        settings: &FleetSettings,
        fetch: Duration,
        limits: Limits,
        tell: impl Fn(Word) -> bool + Send + 'static,
    ) -> std::io::Result<Self> {
        let counters = Arc::new(Counters::default());
        let rules = Rules {
            fetch,
            only_takes: settings.mode == Mode::Read,
        };
        let waker = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (sender, orders) = channel();
        let mut work = Work::new(
            way,
            Desk::new(rules, limits, Arc::clone(&counters), random()),
            rules,
            Arc::clone(&counters),
            (orders, Arc::clone(&waker)),
            Box::new(tell),
        );
        Ok(Self {
            orders: sender,
            waker,
            thread: Worker::start("fleet", move || work.run())?,
            counters,
        })
    }

    /// Whether the responder is to be asked without it until [`Word::Connected`]: then it is
    /// not to be told of what comes of that either.
    pub fn is_passed_by(&self) -> bool {
        self.counters.is_passed_by.load(Ordering::Relaxed)
    }

    /// A certificate is due: [`Word::Ask`], [`Word::Took`], [`Word::Postpone`] or
    /// [`Word::Nothing`] follows.
    pub fn due(&self, due: Due) {
        self.order(Order::Due(Box::new(due)));
    }

    /// Looks for what is newer in the store.
    pub fn look(&self, seen: Vec<Seen>) {
        self.order(Order::Look(seen));
    }

    /// Tells what came of asking, or a response that came from elsewhere.
    pub fn result(&self, key: &Key, result: Outcome) {
        self.order(Order::Result(*key, result));
    }

    /// Who tells that a thread has begun to fetch what [`Word::Ask`] wanted.
    pub fn begun(&self) -> impl Fn(&Key) + Send + Sync + 'static {
        let (orders, waker) = (self.orders.clone(), Arc::clone(&self.waker));
        let counters = Arc::clone(&self.counters);
        move |key| {
            if counters.is_passed_by.load(Ordering::Relaxed) {
                // Nobody else counts it: until it begins it may be taken back.
                count(&counters.alone);
            } else if orders.send(Order::Begun(*key)).is_ok() {
                wake(&waker);
            }
        }
    }

    /// Nobody looks after that certificate any more.
    pub fn forget(&self, key: &Key) {
        self.order(Order::Forget(*key));
    }

    fn order(&self, order: Order) {
        // The thread ends with the process only, or after a panic, which is told.
        if self.orders.send(order).is_ok() {
            wake(&self.waker);
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.order(Order::Stop);
        self.thread.ends_within(2 * END);
    }
}
