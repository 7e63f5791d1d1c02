//! Everything that can come next in a world, and how it ends once no more faults come.

use super::shelf::LIE;
use super::world::World;

impl World {
    /// Every world that can follow.
    pub fn followers(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut add = |change: &dyn Fn(&mut Self)| {
            let mut next = self.clone();
            change(&mut next);
            all.push(next.canonical());
        };
        for (at, agent) in self.agents.iter().enumerate() {
            if agent.id.is_none() {
                continue;
            }
            if agent.course.is_none() && agent.dues > 0 && agent.known < self.version {
                add(&|next| {
                    next.agents[at].dues -= 1;
                    next.due(at);
                });
            }
            if !agent.sent.is_empty() && agent.reply.is_none() {
                add(&|next| next.deliver(at));
            }
            if agent.reply.is_some() {
                add(&|next| next.receive(at));
            }
            if agent.fetches.is_some() {
                add(&|next| next.fetched(at, true));
                if agent.is_alone {
                    add(&|next| next.take_back(at));
                }
                if self.faults.failures > 0 {
                    add(&|next| {
                        next.faults.failures -= 1;
                        next.fetched(at, false);
                    });
                }
            }
            if agent
                .course
                .as_ref()
                .is_some_and(|it| it.waits_until().is_some())
            {
                add(&|next| next.wake(at));
            }
            if agent.clock == 0 && self.faults.late > 0 {
                add(&|next| {
                    next.faults.late -= 1;
                    next.agents[at].clock = 1;
                });
            }
            let news = self.shelf.response.filter(|rank| *rank != LIE);
            if news > Some(agent.known) {
                add(&|next| next.notice(at));
            }
            if self.faults.losses > 0 && (agent.course.is_some() || !agent.sent.is_empty()) {
                add(&|next| {
                    next.faults.losses -= 1;
                    next.lose(at);
                });
            }
            if self.faults.moments > 0 && (agent.course.is_some() || !agent.sent.is_empty()) {
                add(&|next| {
                    next.faults.moments -= 1;
                    next.lose_for_a_moment(at);
                });
            }
            if self.faults.deaths > 0 {
                add(&|next| {
                    next.faults.deaths -= 1;
                    let agent = &mut next.agents[at];
                    (agent.id, agent.course, agent.sent) = (None, None, Vec::new());
                    (agent.reply, agent.fetches, agent.dues) = (None, None, 0);
                    agent.is_alone = false;
                    if next.shelf.lease == Some(u8::try_from(at).expect("three")) {
                        next.shelf.lease = Some(99);
                    }
                });
            }
        }
        if self.faults.expiries > 0 {
            if self.shelf.lease.is_some() {
                add(&|next| {
                    next.faults.expiries -= 1;
                    next.shelf.lease = None;
                });
            }
            if self.shelf.back_off.is_some() {
                add(&|next| {
                    next.faults.expiries -= 1;
                    next.shelf.back_off = None;
                });
            }
        }
        if self.faults.evictions > 0 && self.shelf.response.is_some() {
            add(&|next| {
                next.faults.evictions -= 1;
                next.shelf.response = None;
            });
        }
        if self.faults.lies > 0 {
            add(&|next| {
                next.faults.lies -= 1;
                next.shelf.response = Some(LIE);
            });
        }
        if self.versions > 0 {
            add(&|next| {
                next.versions -= 1;
                next.version += 1;
            });
        }
        all
    }

    /// No more faults come, and everything that can be waited for comes in the end: every
    /// agent that is left must get a response.
    pub fn settle(mut self) {
        let beginning = self.clone();
        for _ in 0..64 {
            let mut is_quiet = true;
            for at in 0..self.agents.len() {
                let agent = &self.agents[at];
                if agent.id.is_none() {
                    continue;
                }
                if !agent.sent.is_empty() && agent.reply.is_none() {
                    self.deliver(at);
                } else if agent.reply.is_some() {
                    self.receive(at);
                } else if agent.fetches.is_some() {
                    self.fetched(at, true);
                } else {
                    continue;
                }
                is_quiet = false;
            }
            if !is_quiet {
                continue;
            }
            // Time goes on.
            let mut is_over = true;
            for at in 0..self.agents.len() {
                let agent = &mut self.agents[at];
                if agent.id.is_none() {
                    continue;
                }
                agent.clock += 1;
                if agent
                    .course
                    .as_ref()
                    .is_some_and(|it| it.waits_until().is_some())
                {
                    self.wake(at);
                    is_over = false;
                } else if agent.course.is_none() && agent.known == 0 {
                    // What failed is due again.
                    self.due(at);
                    is_over = false;
                }
            }
            if is_over {
                for agent in self.agents.iter().filter(|agent| agent.id.is_some()) {
                    assert!(agent.course.is_none(), "stuck: {agent:?}\n{beginning:?}");
                    assert!(
                        agent.known > 0,
                        "without a response: {agent:?}\n{beginning:?}"
                    );
                }
                return;
            }
        }
        panic!("it does not come to an end: {self:?}\nfrom {beginning:?}");
    }
}
