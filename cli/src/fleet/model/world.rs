//! Three agents, the store and a responder: what can happen next, and what must hold then.

use std::time::Duration;

use super::shelf::{Command, LIE, Reply, Shelf};
use crate::fleet::course::{Answer, Course, Next, Rules, Situation};

const RULES: Rules = Rules {
    fetch: Duration::from_secs(15),
    only_takes: false,
};
const REFUSED: &str = "the lie";

/// What may still go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Faults {
    /// Agents that die.
    pub deaths: u8,
    /// Fetches that fail.
    pub failures: u8,
    /// Agents that lose the store.
    pub losses: u8,
    /// And those that lose it, and have it again before anybody asks alone.
    pub moments: u8,
    /// Responses that are evicted.
    pub evictions: u8,
    /// Lies that are written.
    pub lies: u8,
    /// Leases and back-offs that end, though nobody is late.
    pub expiries: u8,
    /// Clocks that go on beyond every belief.
    pub late: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Agent {
    /// None: dead.
    pub id: Option<u8>,
    pub known: u8,
    pub course: Option<Course>,
    /// Sent and not yet run.
    pub sent: Vec<Command>,
    pub reply: Option<Reply>,
    /// What the responder will answer.
    pub fetches: Option<u8>,
    /// The store was lost, and is passed by.
    pub is_alone: bool,
    /// What its clock says, in quarters of an hour.
    pub clock: u8,
    /// How often it is due yet.
    pub dues: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub shelf: Shelf,
    pub agents: Vec<Agent>,
    /// What the responder gives now.
    pub version: u8,
    pub faults: Faults,
    /// How often the responder was asked.
    pub asked: u8,
    /// How often newer responses come.
    pub versions: u8,
}

impl Agent {
    fn now(&self) -> Duration {
        Duration::from_secs(u64::from(self.clock) * 900)
    }

    fn new_course(&self) -> Course {
        Course::new(Situation {
            is_stapled: self.known > 0,
            asks_itself: false,
            same_until: Duration::from_secs(500),
        })
    }
}

impl World {
    pub fn new(faults: Faults, versions: u8, dues: u8) -> Self {
        let agent = |id| Agent {
            id: Some(id),
            known: 0,
            course: None,
            sent: Vec::new(),
            reply: None,
            fetches: None,
            is_alone: false,
            clock: 0,
            dues,
        };
        Self {
            shelf: Shelf::default(),
            agents: (0..3).map(agent).collect(),
            version: 1,
            faults,
            asked: 0,
            versions,
        }
    }

    /// Who is who does not matter.
    pub fn canonical(mut self) -> Self {
        let holder = self.shelf.lease;
        let key = |agent: &Agent| (agent.id.is_none(), agent.id == holder, agent.clone());
        let mut agents = std::mem::take(&mut self.agents);
        let strip = |agent: &Agent| {
            let (is_dead, holds, mut agent) = key(agent);
            agent.id = None;
            (is_dead, holds, agent)
        };
        agents.sort_by_key(strip);
        self.shelf.lease = None;
        for (at, agent) in (0..).zip(&mut agents) {
            if let Some(id) = agent.id {
                if holder == Some(id) {
                    self.shelf.lease = Some(at);
                }
                agent.id = Some(at);
            }
        }
        if holder.is_some() && self.shelf.lease.is_none() {
            // A dead one's.
            self.shelf.lease = Some(99);
        }
        self.agents = agents;
        self
    }

    fn follow(&mut self, at: usize, next: Next) {
        let (asked, version) = (self.asked, self.version);
        let agent = &mut self.agents[at];
        match next {
            Next::Look { refused, heeds } => {
                let now = agent.now();
                if let Some(course) = &mut agent.course {
                    course.sent(now);
                }
                agent.sent.push(Command::Look {
                    known: agent.known,
                    refuses: refused.is_some(),
                    heeds,
                });
            }
            Next::Ask => {
                agent.fetches = Some(version);
                self.asked = asked.saturating_add(1);
            }
            Next::Wait(_) => {}
            Next::Take | Next::Postpone(_) | Next::Nothing => agent.course = None,
        }
    }

    fn learn(&mut self, at: usize, rank: u8) {
        let agent = &mut self.agents[at];
        assert_ne!(rank, LIE, "a lie was believed");
        agent.known = agent.known.max(rank);
    }

    /// The store runs the first command of an agent.
    pub fn deliver(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        let command = agent.sent.remove(0);
        let id = agent.id.expect("the dead send nothing");
        let before = self.shelf.response;
        let reply = self.shelf.run(id, &command);
        let (old, new) = (before, self.shelf.response);
        if let Some(old) = old.filter(|old| *old != LIE) {
            assert!(new.is_some_and(|new| new >= old), "{new:?} over {old}");
        }
        if matches!(command, Command::Look { .. }) {
            self.agents[at].reply = Some(reply);
        }
    }

    pub fn receive(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        let now = agent.now();
        let Some(reply) = agent.reply.take() else {
            return;
        };
        // As the desk does it: the last one counts.
        if agent
            .sent
            .iter()
            .any(|it| matches!(it, Command::Look { .. }))
        {
            return;
        }
        let is_lease = reply == Reply::Answer(Answer::Leased);
        let course = match &mut agent.course {
            Some(course) if course.is_looking() => course,
            Some(course) => {
                if is_lease {
                    course.has_lease();
                }
                return;
            }
            None => {
                if is_lease {
                    agent.sent.push(Command::Fail);
                }
                return;
            }
        };
        let (answer, learnt) = match reply {
            Reply::Value(LIE) => (Answer::Refused(REFUSED.to_owned()), None),
            Reply::Value(rank) => (Answer::Better, Some(rank)),
            Reply::Answer(answer) => (answer, None),
            Reply::Done(_) => unreachable!("only looks are answered"),
        };
        let next = course.answered(answer, &RULES, now, 0);
        if let Some(rank) = learnt {
            self.learn(at, rank);
        }
        self.follow(at, next);
    }

    pub fn fetched(&mut self, at: usize, succeeds: bool) {
        let agent = &mut self.agents[at];
        let Some(rank) = agent.fetches.take() else {
            return;
        };
        agent.is_alone = false;
        let Some(course) = agent.course.take() else {
            return;
        };
        if succeeds {
            let is_same = rank <= agent.known;
            let rank = rank.max(agent.known);
            agent.sent.push(Command::Store {
                rank,
                refuses: course.refused().is_some(),
                is_same,
            });
            self.learn(at, rank);
        } else if course.is_leased() {
            agent.sent.push(Command::Fail);
        }
    }

    pub fn due(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        let mut course = agent.new_course();
        let next = course.begin(&RULES, agent.now());
        agent.course = Some(course);
        self.follow(at, next);
    }

    pub fn wake(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        let now = agent.now();
        if let Some(course) = &mut agent.course {
            course.queue();
            let next = course.begin(&RULES, now);
            self.follow(at, next);
        }
    }

    /// Whoever asks goes on, and everybody else asks; what comes of it is stored as if it had
    /// come from elsewhere.
    pub fn lose(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        (agent.sent, agent.reply) = (Vec::new(), None);
        let Some(course) = &agent.course else {
            return;
        };
        let is_asking = course.is_asking();
        let mut course = agent.new_course();
        let next = course.alone(&RULES);
        (agent.course, agent.is_alone) = (Some(course), true);
        if !is_asking {
            self.follow(at, next);
        }
    }

    /// The store is there again before the responder was asked: that is due again.
    pub fn take_back(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        (agent.fetches, agent.is_alone) = (None, false);
        self.due(at);
    }

    /// What was under way is lost, whether or not the store has run it.
    pub fn lose_for_a_moment(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        let now = agent.now();
        (agent.sent, agent.reply) = (Vec::new(), None);
        if let Some(course) = &mut agent.course {
            course.strand(now);
        }
    }

    /// What is new in the store is noticed.
    pub fn notice(&mut self, at: usize) {
        let agent = &mut self.agents[at];
        if agent.course.as_ref().is_some_and(|it| !it.is_asking()) {
            agent.course = None;
        }
        if let Some(rank) = self.shelf.response {
            self.learn(at, rank);
        }
    }
}
