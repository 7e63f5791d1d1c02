//! The thread that talks to the store, as the main one sees it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use staplegun_store::Key;

use super::ask::Stored;
use super::counters::{Counters, count};
use super::course::Rules;
use super::desk::Desk;
use super::greeting::Way;
use super::places::Limits;
use super::recovery;
use super::settings::{FleetSettings, Mode};
use super::word::{Due, Order, Seen, Word};
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
        let work = Work::new(
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
            thread: Worker::start("fleet", move || recovery::run(work))?,
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
    pub fn result(&self, key: &Key, result: Result<Stored, Duration>) {
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
        // The thread ends with the process only.
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc::Receiver;

    use staplegun_ocsp::Policy;
    use staplegun_testkit::{Identity, Spec, wait};

    use super::*;
    use crate::fetch::{Issuers, Manner, Patience, Proxies, Question, Subject, Trust};
    use crate::fleet::address::Address;

    fn due() -> Due {
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let certificates = vec![ca.issue(&Spec::server()).der(), ca.der()];
        let subject = Subject::new(certificates, &Issuers::default()).expect("a certificate");
        let manner = Manner {
            patience: Patience::DEFAULT,
            policy: Policy::STAPLING,
            proxies: Arc::new(Proxies::default()),
            overrides: Vec::new(),
            trust: Arc::new(Trust::default()),
        };
        Due {
            responder: "http://127.0.0.1/".to_owned(),
            question: Question {
                subject: Arc::new(subject),
                manner: Arc::new(manner),
                turn: 0,
                is_ours: true,
                heed: Duration::ZERO,
            },
            known: None,
            is_stapled: false,
            asks_itself: false,
            same_for: Duration::ZERO,
        }
    }

    /// A fleet whose store answers nothing, and whose thread panics at its first word.
    fn that_panics(mode: Mode) -> (Fleet, Receiver<Word>, TcpListener) {
        let settings = FleetSettings {
            mode,
            ..FleetSettings::default()
        };
        let store = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        store.set_nonblocking(true).expect("it is ours");
        let url = format!("redis://{}", store.local_addr().expect("it is bound"));
        let address = Address::parse(&url).expect("an address");
        let way = Way::new(address, &settings).expect("no files are needed");
        let limits = Limits {
            per_lane: 2,
            ours: 2,
            users: 2,
        };
        let (words, heard) = channel();
        let is_first = AtomicBool::new(true);
        let tell = move |word| {
            assert!(!is_first.swap(false, Ordering::Relaxed), "a bug");
            words.send(word).is_ok()
        };
        let fetch = Duration::from_secs(10);
        let fleet = Fleet::start(way, &settings, fetch, limits, tell);
        (fleet.expect("there are threads"), heard, store)
    }

    /// Waits for a connection, and ends it.
    fn ends_one(store: &TcpListener) {
        wait::until("there is a connection", || store.accept().ok());
    }

    #[test]
    fn after_a_panic_the_machine_fetches_for_itself_and_the_store_is_tried_again() {
        let (fleet, heard, store) = that_panics(Mode::Share);
        fleet.due(due());
        ends_one(&store);
        let word = heard.recv_timeout(wait::limit()).expect("it is told");
        assert!(matches!(word, Word::Forgot), "{word:?}");
        assert!(fleet.is_passed_by());
        assert!(!fleet.counters.is_connected.load(Ordering::Relaxed));
        // Nobody knows yet whether the store can be used now: it goes on as without one.
        fleet.due(due());
        let word = heard.recv_timeout(wait::limit()).expect("it goes on");
        assert!(matches!(word, Word::Ask { .. }), "{word:?}");
        ends_one(&store);
    }

    #[test]
    fn one_that_only_takes_asks_no_responder_after_a_panic_either() {
        let (fleet, heard, store) = that_panics(Mode::Read);
        fleet.due(due());
        ends_one(&store);
        let word = heard.recv_timeout(wait::limit()).expect("it is told");
        assert!(matches!(word, Word::Forgot), "{word:?}");
        assert!(!fleet.is_passed_by());
        fleet.due(due());
        let word = heard.recv_timeout(wait::limit()).expect("it goes on");
        assert!(matches!(word, Word::Nothing(..)), "{word:?}");
    }
}
