//! What the thread does: it obeys what the desk decides and reads what the store says.
//! Connections are made by a thread of their own, since looking up a name may take long: nobody
//! waits for that.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use staplegun_store::Key;

use super::ask::{self, Asker};
use super::breaker::{At, News};
use super::counters::{Counters, count};
use super::course::{Rules, Situation};
use super::desk::{Desk, Do};
use super::greeting::{Talk, Way};
use super::link::{For, Link};
use super::places::Side;
use super::rank::Rank;
use super::trouble::{Trouble, caught};
use super::word::{Due, Order, Seen, Word};
use crate::agent::{now, random};
use crate::fetch::Question;

/// How long notices are gathered.
const GATHERING: Duration = Duration::from_millis(20);
/// Certificates that are noticed at once, at most.
const NOTICED: usize = 1 << 16;
/// So often something may lie there still after all that is read at once: beyond that it is a
/// flood, for whose end nobody waits.
const FLOOD: u32 = 16;
/// How long the end waits for the store.
pub const END: Duration = Duration::from_millis(500);

/// Everything that the thread has.
pub struct Work {
    way: Way,
    asker: Asker,
    pub(super) rules: Rules,
    pub(super) desk: Desk<(String, Question)>,
    link: Option<Link>,
    /// What was asked for without being due.
    pub(super) seen: HashMap<Key, Seen>,
    noticed: BTreeMap<Key, Rank>,
    notices_at: Option<Instant>,
    pub(super) wary: HashMap<Key, Instant>,
    /// The troubles that the operator knows of.
    told: HashSet<&'static str>,
    start: Instant,
    pub(super) counters: Arc<Counters>,
    waker: Arc<OwnedFd>,
    orders: Receiver<Order>,
    made: Receiver<Result<(Talk, String), Trouble>>,
    connections: Sender<Result<(Talk, String), Trouble>>,
    /// Until when everything was read that had come.
    heard: Duration,
    /// How often in a row something was left.
    unread: u32,
    stop_at: Option<Instant>,
    tell: Box<dyn Fn(Word) -> bool + Send>,
}

impl Work {
    /// `orders` come with what wakes the thread; `tell` is false once there is no main thread.
    pub fn new(
        way: Way,
        desk: Desk<(String, Question)>,
        rules: Rules,
        counters: Arc<Counters>,
        (orders, waker): (Receiver<Order>, Arc<OwnedFd>),
        tell: Box<dyn Fn(Word) -> bool + Send>,
    ) -> Self {
        let mut token = [0; 16];
        for part in token.chunks_mut(8) {
            part.copy_from_slice(&random().to_ne_bytes());
        }
        let (connections, made) = channel();
        Self {
            asker: Asker {
                keys: way.keys.clone(),
                token: token.iter().map(|byte| format!("{byte:02x}")).collect(),
                lease: rules.lease(),
            },
            way,
            rules,
            desk,
            link: None,
            seen: HashMap::new(),
            noticed: BTreeMap::new(),
            notices_at: None,
            wary: HashMap::new(),
            told: HashSet::new(),
            start: Instant::now(),
            counters,
            waker,
            orders,
            made,
            connections,
            heard: Duration::ZERO,
            unread: 0,
            stop_at: None,
            tell,
        }
    }

    /// Until it is to end.
    pub fn run(&mut self) {
        loop {
            self.take_orders();
            // What is to be sent goes before whatever takes long.
            self.obey();
            while let Ok(made) = self.made.try_recv() {
                self.made(made);
            }
            self.work_link();
            self.desk.tick(self.at(), self.heard);
            self.obey();
            self.pass_notices_on();
            if self.stop_at.is_some_and(|at| {
                at <= Instant::now() || self.link.as_ref().is_none_or(Link::is_idle)
            }) {
                return;
            }
            self.wait();
        }
    }

    /// Forgets whatever is under way.
    pub(super) fn forget(&mut self) {
        self.desk.begin_again();
        self.noticed.clear();
        self.notices_at = None;
        self.wary.clear();
        self.unread = 0;
    }

    /// The time since the start.
    pub(super) fn at(&self) -> At {
        self.start.elapsed()
    }

    fn wait(&self) {
        let mut next = self.desk.next().map(|at| self.start + at);
        let link = self.link.as_ref();
        for at in [link.and_then(Link::deadline), self.notices_at, self.stop_at] {
            next = [next, at].into_iter().flatten().min();
        }
        let mut waited = vec![PollFd::from_borrowed_fd(self.waker.as_fd(), PollFlags::IN)];
        if let Some(link) = link {
            let (descriptor, flags) = link.waits_for();
            waited.push(PollFd::from_borrowed_fd(descriptor, flags));
        }
        let left = next.map(|at| at.saturating_duration_since(Instant::now()));
        // Rounded up by poll itself: it never returns too early.
        let limit = left.and_then(|left| Timespec::try_from(left).ok());
        // A signal is as good as a time that is over.
        let _ = poll(&mut waited, limit.as_ref());
        let _ = rustix::io::read(&*self.waker, &mut [0; 8]);
    }

    fn take_orders(&mut self) {
        loop {
            let at = self.at();
            match self.orders.try_recv() {
                Ok(Order::Due(due)) => self.due(*due),
                Ok(Order::Look(all)) => all.into_iter().for_each(|one| self.look(one)),
                Ok(Order::Result(key, Ok(stored))) => self.desk.store(&key, stored, at),
                Ok(Order::Result(key, Err(wait))) => self.desk.fail(&key, wait, at),
                Ok(Order::Begun(key)) => self.desk.begun(&key, at),
                Ok(Order::Forget(key)) => {
                    self.desk.forget(&key, at);
                    self.wary.remove(&key);
                }
                Ok(Order::Stop) => self.stop_at = Some(Instant::now() + END),
                Err(_) => return,
            }
        }
    }

    fn due(&mut self, due: Due) {
        let at = self.at();
        let situation = Situation {
            is_stapled: due.is_stapled,
            asks_itself: due.asks_itself,
            same_until: at.saturating_add(due.same_for),
        };
        let key = due.question.subject.key();
        let responder = due.responder.clone();
        let side = match due.question.is_ours {
            true => Side::Ours,
            false => Side::Users,
        };
        let question = (due.responder, due.question);
        let lane = (side, responder.as_str());
        self.desk.due(key, lane, situation, due.known, question, at);
    }

    fn look(&mut self, seen: Seen) {
        if !self.desk.is_connected() {
            return;
        }
        let key = seen.subject.key();
        // What is being asked for already brings what there is.
        if self.seen.insert(key, seen).is_none() {
            self.send(For::Seen(key), self.asker.get(&key));
        }
    }

    fn send(&mut self, what: For, command: Vec<u8>) {
        if let Some(link) = &mut self.link {
            link.send(what, command);
        }
    }

    /// Does what the desk wants.
    fn obey(&mut self) {
        loop {
            while let Some(order) = self.desk.order() {
                self.obey_one(order);
            }
            // What was sent is on its way before anything is waited for.
            let had_link = self.link.is_some();
            self.work_link();
            if self.link.is_some() == had_link && !self.desk.has_orders() {
                return;
            }
        }
    }

    fn obey_one(&mut self, order: Do<(String, Question)>) {
        match order {
            Do::Look {
                key,
                known,
                refused,
                heeds,
            } => {
                let command = match self.rules.only_takes {
                    true => self.asker.get(&key),
                    false => self.asker.look(&key, known, refused.as_ref(), heeds, now()),
                };
                self.send(For::Due(key), command);
                self.desk.sent(&key, self.at());
            }
            Do::Ask(_, (responder, question)) => self.tell(Word::Ask {
                responder,
                question,
            }),
            Do::Store(key, stored) => {
                if let Some(command) = self.asker.store(&key, &stored, now()) {
                    self.send(For::Nothing, command);
                }
            }
            Do::Fail(key, wait) => self.send(For::Nothing, self.asker.fail(&key, wait)),
            Do::Postpone(key, wait) => self.tell(Word::Postpone(key, wait)),
            Do::Nothing(key) => {
                let why = match self.desk.is_connected() {
                    true => "the fleet has no newer response, and this machine only takes",
                    false => "the fleet's store cannot be used, and this machine only takes",
                };
                self.tell(Word::Nothing(key, why));
            }
            Do::Connect => self.connect(),
            Do::Drop => self.lose(&Trouble::new("timeout", "it takes too long to answer")),
            Do::Settled => {
                self.told.clear();
                tracing::info!("the fleet's store has been well for a minute");
            }
        }
    }

    pub(super) fn tell(&mut self, word: Word) {
        if !(self.tell)(word) {
            // Without a main thread the process is ending.
            self.stop_at.get_or_insert(Instant::now() + END);
        }
    }

    fn connect(&self) {
        let (way, connections) = (self.way.clone(), self.connections.clone());
        let waker = Arc::clone(&self.waker);
        let connect = move || {
            // Without the thread that wants it nobody does.
            let _ = connections.send(caught(|| way.connect(true)));
            wake(&waker);
        };
        let thread = std::thread::Builder::new().name("fleet connect".to_owned());
        if let Err(error) = thread.spawn(connect) {
            let _ = self.connections.send(Err(Trouble::new("internal", error)));
            wake(&self.waker);
        }
    }

    fn made(&mut self, made: Result<(Talk, String), Trouble>) {
        match made {
            Err(trouble) => self.lose(&trouble),
            Ok((talk, about)) => {
                self.link = Some(Link::new(talk));
                self.counters.is_connected.store(true, Ordering::Relaxed);
                match self.desk.connected(self.at()) {
                    News::New => tracing::info!(store = about, "sharing with the fleet"),
                    News::Known => tracing::debug!(store = about, "connected to the fleet's store"),
                }
                self.tell(Word::Connected);
            }
        }
    }

    /// The store cannot be used: everybody goes on alone. It is told once.
    pub(super) fn lose(&mut self, trouble: &Trouble) {
        if self.link.take().is_some() {
            count(&self.counters.lost);
        }
        self.counters.is_connected.store(false, Ordering::Relaxed);
        self.seen.clear();
        let is_new = self.desk.lost(self.at()) == News::New;
        if self.told.insert(trouble.cause) || is_new {
            tracing::error!(
                cause = "fleet",
                because = trouble.cause,
                "the fleet's store cannot be used: {trouble}; until it can, this machine fetches \
                 for itself"
            );
        }
    }

    fn work_link(&mut self) {
        let before = self.at();
        let Some(link) = &mut self.link else {
            return;
        };
        let (mut replies, mut notices) = (Vec::new(), Vec::new());
        let worked = link.work(&mut replies, &mut notices);
        for (what, reply) in replies {
            if let Err(trouble) = self.replied(what, reply) {
                self.lose(&trouble);
                return;
            }
        }
        for (key, rank) in notices.iter().filter_map(|push| ask::noticed(push)) {
            if self.noticed.len() < NOTICED {
                let known = self.noticed.entry(key).or_insert(rank);
                *known = rank.max(*known);
                self.notices_at.get_or_insert(Instant::now() + GATHERING);
            }
        }
        match worked {
            Ok((sent, is_all)) => {
                self.unread = if is_all { 0 } else { self.unread + 1 };
                if is_all || self.unread > FLOOD {
                    self.heard = before;
                }
                self.counters.commands.fetch_add(sent, Ordering::Relaxed);
            }
            Err(trouble) => self.lose(&trouble),
        }
    }

    fn pass_notices_on(&mut self) {
        let now = Instant::now();
        if self.notices_at.is_none_or(|at| at > now) {
            return;
        }
        self.notices_at = None;
        let wary = &mut self.wary;
        wary.retain(|_, until| *until > now);
        let noticed = std::mem::take(&mut self.noticed).into_iter();
        let noticed: Vec<_> = noticed.filter(|(key, _)| !wary.contains_key(key)).collect();
        if !noticed.is_empty() {
            self.tell(Word::Noticed(noticed));
        }
    }
}

/// Wakes the thread.
pub fn wake(waker: &OwnedFd) {
    // Full, it wakes as well.
    let _ = rustix::io::write(waker, &1u64.to_ne_bytes());
}
