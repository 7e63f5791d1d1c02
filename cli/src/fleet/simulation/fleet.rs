//! The machines: agents that the program's own desk decides for, the store, what lies between them,
//! and their clock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use staplegun_ocsp::Validity;
use staplegun_store::Key;

use super::counts::Counts;
use crate::fleet::ask::{Asker, Stored};
use crate::fleet::breaker::At;
use crate::fleet::course::{Answer, Rules, Situation};
use crate::fleet::desk::{Desk, Do};
use crate::fleet::keys::Keys;
use crate::fleet::places::{Limits, Side};
use crate::fleet::rank::Rank;
use crate::fleet::share::{Share, believed, own};

/// When the simulation begins, by the wall clock.
pub const BEGIN: i64 = 1_700_000_000;
/// The life of a response, and its length: what public CAs have.
pub const LIFE: i64 = 7 * 86_400;
pub const DER: usize = 503;
/// From an agent to the store or back, at most.
pub const NETWORK: u64 = 1_000;
const OF: u32 = 100;
/// Fetches at one responder at once, in each agent.
const PER_RESPONDER: usize = 2;
const LIMITS: Limits = Limits {
    per_lane: PER_RESPONDER,
    ours: 8,
    users: 2,
};
/// After this time one that hangs is not counted any more.
pub const HANGING: u64 = 1_000_000;
/// A connection that is refused nothing takes so long.
const CONNECTS: u64 = 3_000;

/// What the machines are like.
#[derive(Clone, Debug)]
pub struct Machines {
    /// A responder's answer takes so long, in microseconds.
    pub responder: (u64, u64),
    /// One starts after the other within that time.
    pub start: u64,
    /// From when until when the store answers nobody.
    pub stall: std::ops::Range<u64>,
}

/// As they should be.
pub const QUICK: Machines = Machines {
    responder: (20_000, 120_000),
    start: 10_000_000,
    stall: 0..0,
};

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    Start,
    Due(Key),
    /// The store runs what an agent sent.
    Look(u64, Key, Option<Rank>, bool),
    Get(u64, Key),
    Store(u64, Key, Rank),
    Fail(u64, Key),
    Said(u64, Key, Answer, Option<Rank>),
    Got(u64, Key, Rank),
    Notice(Key, Rank),
    /// A fetch begins.
    Begins(Key),
    /// It has come to its end, or hangs.
    Room,
    Fetched(Key, Rank),
    Connected,
    Tick,
}

#[derive(Default)]
pub struct Shelf {
    pub response: Option<(Rank, u64)>,
    pub lease: Option<(usize, u64)>,
}

pub struct Agent {
    pub desk: Desk<()>,
    pub known: HashMap<Key, (Rank, Share)>,
    pub ticks_at: Option<At>,
    /// When it started.
    pub since: u64,
    /// The number of its connection.
    pub link: u64,
    /// What waits for a thread that fetches.
    pub queue: VecDeque<Key>,
    pub fetching: usize,
}

pub struct Fleet {
    pub agents: Vec<Agent>,
    pub shelves: HashMap<Key, Shelf>,
    /// In the order of their times, in microseconds.
    events: BinaryHeap<Reverse<(u64, u64, usize, Event)>>,
    number: u64,
    random: u64,
    pub now: u64,
    pub counts: Counts,
    pub machines: Machines,
    /// The lengths of commands as they are really sent: look, get, store, fail.
    lengths: [u64; 4],
}

fn key(number: u32) -> Key {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    key
}

impl Fleet {
    pub fn new(
        agents: usize,
        certificates: std::ops::Range<u32>,
        seed: u64,
        machines: Machines,
    ) -> Self {
        let rules = Rules {
            fetch: Duration::from_secs(15),
            only_takes: false,
        };
        let asker = Asker {
            keys: Keys::new("sg:1:"),
            token: "0".repeat(32),
            lease: rules.lease(),
        };
        let rank = rank_at(0);
        let stored = Stored {
            rank,
            der: vec![0; DER],
            refused: None,
            same_for: None,
        };
        let key = key(0);
        let lengths = [
            asker.look(&key, Some(rank), None, true, BEGIN).len(),
            asker.get(&key).len(),
            asker.store(&key, &stored, BEGIN).map_or(0, |it| it.len()),
            asker.fail(&key, Duration::from_secs(9)).len(),
        ];
        let mut fleet = Self {
            agents: (0..agents)
                .map(|at| Agent {
                    desk: Desk::new(rules, LIMITS, Arc::default(), seed + at as u64),
                    known: HashMap::new(),
                    ticks_at: None,
                    since: u64::MAX,
                    link: 0,
                    queue: VecDeque::new(),
                    fetching: 0,
                })
                .collect(),
            shelves: certificates
                .map(|number| (self::key(number), Shelf::default()))
                .collect(),
            events: BinaryHeap::new(),
            number: 0,
            random: seed | 1,
            now: 0,
            machines,
            counts: Counts::default(),
            lengths: lengths.map(|length| length as u64),
        };
        for agent in 0..agents {
            let at = fleet.random() % fleet.machines.start;
            fleet.add(at, agent, Event::Start);
        }
        fleet
    }

    pub fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    pub fn add(&mut self, at: u64, agent: usize, event: Event) {
        self.number += 1;
        self.events.push(Reverse((at, self.number, agent, event)));
    }

    pub fn soon(&mut self, agent: usize, event: Event) {
        let at = self.now + 100 + self.random() % NETWORK;
        self.add(at, agent, event);
    }

    pub fn sent(&mut self, which: usize, keys: u64, reply: u64) {
        let counts = &mut self.counts;
        counts.commands += 1;
        counts.keys += keys;
        counts.bytes_in += self.lengths[which];
        counts.bytes_out += reply;
        *counts.by_second.entry(self.now / 1_000_000).or_insert(0) += 1;
    }

    pub fn wall(&self) -> i64 {
        BEGIN + i64::try_from(self.now / 1_000_000).expect("fits")
    }

    /// Runs until that time.
    pub fn run(&mut self, until: Duration) {
        let until = u64::try_from(until.as_micros()).expect("fits");
        while let Some(Reverse((at, _, agent, event))) = self.events.pop() {
            if at > until {
                self.events.push(Reverse((at, 0, agent, event)));
                return;
            }
            self.now = at;
            self.counts.events += 1;
            self.happens(agent, event);
            // Who has not started does nothing.
            if self.agents[agent].since <= self.now {
                self.obey(agent);
            }
        }
    }

    /// By the agent's clock, which begins when it starts.
    pub fn at(&self, agent: usize) -> At {
        Duration::from_micros(self.now.saturating_sub(self.agents[agent].since))
    }

    /// Whether the store would answer now.
    pub fn is_stalled(&self) -> bool {
        self.machines.stall.contains(&self.now)
    }

    /// As the pool's threads do it.
    pub fn fetch_more(&mut self, agent: usize) {
        while self.agents[agent].fetching < PER_RESPONDER
            && let Some(key) = self.agents[agent].queue.pop_front()
        {
            self.agents[agent].fetching += 1;
            self.add(self.now, agent, Event::Begins(key));
        }
    }

    pub fn due(&mut self, agent: usize, key: Key) {
        let at = self.at(agent);
        let wall = self.wall();
        let Agent { desk, known, .. } = &mut self.agents[agent];
        let known = known.get(&key);
        let situation = Situation {
            is_stapled: known.is_some(),
            asks_itself: known.is_some_and(|(_, share)| share.asks_itself),
            same_until: known.map_or(at, |(rank, _)| at + believed(validity(*rank), wall)),
        };
        desk.due(
            key,
            (Side::Ours, "responder"),
            situation,
            known.map(|(rank, _)| *rank),
            (),
            at,
        );
    }

    pub fn took(&mut self, agent: usize, key: Key, rank: Rank) {
        self.learn(agent, key, rank, false);
    }

    /// As the agent schedules what it has.
    pub fn learn(&mut self, agent: usize, key: Key, rank: Rank, itself: bool) {
        let random = self.random();
        let known = &mut self.agents[agent].known;
        let (old, share) = known.entry(key).or_insert_with(|| (rank, Share::default()));
        *old = (*old).max(rank);
        match itself {
            true => share.asked(OF),
            false => share.took(OF, random),
        }
        let asks_itself = share.asks_itself;
        if let Some(delay) = self.until_due(rank, asks_itself, random) {
            let at = self.now + u64::try_from(delay.as_micros()).expect("fits");
            self.add(at, agent, Event::Due(key));
        }
    }

    /// None if 40 % of its life are over.
    pub fn until_due(&self, rank: Rank, asks_itself: bool, random: u64) -> Option<Duration> {
        let (validity, wall) = (validity(rank), self.wall());
        if asks_itself {
            return Some(own(validity, wall, random));
        }
        let past = wall - validity.from;
        let delay = staplegun_ocsp::schedule::refresh(validity, wall, None, random);
        (past < LIFE / 5).then_some(delay)
    }

    fn obey(&mut self, agent: usize) {
        while let Some(order) = self.agents[agent].desk.order() {
            let link = self.agents[agent].link;
            match order {
                Do::Look {
                    key, known, heeds, ..
                } => {
                    self.soon(agent, Event::Look(link, key, known, heeds));
                    let at = self.at(agent);
                    self.agents[agent].desk.sent(&key, at);
                }
                Do::Ask(key, ()) => {
                    self.agents[agent].queue.push_back(key);
                    self.fetch_more(agent);
                }
                Do::Store(key, stored) => self.soon(agent, Event::Store(link, key, stored.rank)),
                Do::Fail(key, _) => self.soon(agent, Event::Fail(link, key)),
                Do::Drop => {
                    let at = self.at(agent);
                    self.counts.lost += 1;
                    self.agents[agent].link += 1;
                    self.agents[agent].desk.lost(at);
                }
                Do::Connect => self.add(self.now + CONNECTS, agent, Event::Connected),
                Do::Postpone(..) | Do::Nothing(_) => panic!("no responder fails here"),
                Do::Settled => {}
            }
        }
        let since = self.agents[agent].since;
        let Agent { desk, ticks_at, .. } = &mut self.agents[agent];
        let next = desk.next();
        if next.is_some() && ticks_at.is_none_or(|at| next < Some(at)) {
            *ticks_at = next;
            let at = next.map_or(0, |at| u64::try_from(at.as_micros()).expect("fits") + 1);
            self.add((since + at).max(self.now), agent, Event::Tick);
        }
    }
}

pub fn rank_at(second: i64) -> Rank {
    let from = BEGIN + second;
    Rank {
        as_of: from,
        is_revoked: false,
        from,
        until: from + LIFE,
    }
}

fn validity(rank: Rank) -> Validity {
    Validity {
        from: rank.from,
        until: rank.until,
    }
}
