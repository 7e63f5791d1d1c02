//! What follows from what happens: at an agent, at the store, and between them.

use std::time::Duration;

use staplegun_store::Key;

use super::fleet::{BEGIN, DER, Event, Fleet, HANGING, NETWORK, rank_at};
use crate::fleet::ask::Stored;
use crate::fleet::course::Answer;

impl Fleet {
    /// The other way of a command: what the store runs comes back to that connection.
    pub fn happens(&mut self, agent: usize, event: Event) {
        let at = self.at(agent);
        let link = self.agents[agent].link;
        match event {
            Event::Look(..) | Event::Get(..) | Event::Store(..) | Event::Fail(..)
                if self.is_stalled() =>
            {
                // It is run when the store goes on.
                let at = self.machines.stall.end + self.random() % NETWORK;
                self.add(at, agent, event);
            }
            Event::Look(of, ..) | Event::Get(of, _) if of != link => {}
            Event::Said(of, ..) | Event::Got(of, ..) if of != link => {}
            Event::Start => {
                self.agents[agent].since = self.now;
                let keys: Vec<Key> = self.shelves.keys().copied().collect();
                for key in keys {
                    self.due(agent, key);
                }
            }
            Event::Connected if self.is_stalled() => {
                let at = self.machines.stall.end + self.random() % NETWORK;
                self.add(at, agent, event);
            }
            Event::Connected => {
                self.agents[agent].desk.connected(at);
                self.agents[agent].link += 1;
                // As the main thread does it: what no thread has begun is due again.
                for key in std::mem::take(&mut self.agents[agent].queue) {
                    self.due(agent, key);
                }
                let keys: Vec<Key> = self.shelves.keys().copied().collect();
                for key in keys {
                    // What a connection begins with.
                    self.soon(agent, Event::Get(link + 1, key));
                }
            }
            Event::Begins(key) => {
                let (from, to) = self.machines.responder;
                let took = from + self.random() % (to - from);
                // It signs anew each hour: who asks too often gets nothing newer.
                let hour = (self.wall() - BEGIN) / 3_600 * 3_600;
                let rank = rank_at(hour);
                self.counts.requests += 1;
                self.agents[agent].desk.begun(&key, at);
                self.add(self.now + took, agent, Event::Fetched(key, rank));
                self.add(self.now + took.min(HANGING), agent, Event::Room);
            }
            Event::Room => {
                self.agents[agent].fetching -= 1;
                self.fetch_more(agent);
            }
            Event::Due(key) => {
                let share = &self.agents[agent].known[&key];
                let delay = self.until_due(share.0, false, 0);
                // It was put off by what came meanwhile.
                if delay.is_none() {
                    self.due(agent, key);
                }
            }
            Event::Tick => {
                self.agents[agent].ticks_at = None;
                self.agents[agent].desk.tick(at, at);
            }
            Event::Look(_, key, known, heeds) => {
                let now = self.now;
                let shelf = self.shelves.get_mut(&key).expect("known");
                if !heeds {
                    self.counts.unheeded += 1;
                }
                let newer = shelf
                    .response
                    .map(|(rank, _)| rank)
                    .filter(|rank| Some(*rank) > known);
                let (answer, rank) = match (newer, shelf.lease) {
                    (Some(rank), _) => (Answer::Better, Some(rank)),
                    (None, Some((who, end))) if who != agent && end > now => {
                        let left = Duration::from_micros(end - now);
                        (Answer::Held(Some(left)), None)
                    }
                    _ => {
                        shelf.lease = Some((agent, now + 20_000_000));
                        (Answer::Leased, None)
                    }
                };
                self.sent(0, 3, rank.map_or(20, |_| DER as u64 + 60));
                self.soon(agent, Event::Said(link, key, answer, rank));
            }
            Event::Get(_, key) => {
                let rank = self.shelves[&key].response.map(|(rank, _)| rank);
                self.sent(1, 1, rank.map_or(5, |_| DER as u64 + 50));
                if let Some(rank) = rank {
                    self.soon(agent, Event::Got(link, key, rank));
                }
            }
            Event::Store(_, key, rank) => {
                self.sent(2, 3, 4);
                let now = self.now;
                let shelf = self.shelves.get_mut(&key).expect("known");
                let is_newer = shelf.response.is_none_or(|(old, _)| old < rank);
                if shelf.lease.is_some_and(|(who, _)| who == agent) {
                    shelf.lease = None;
                }
                if is_newer {
                    self.counts.stored += 1;
                    shelf.response = Some((rank, now));
                    for other in 0..self.agents.len() {
                        self.counts.notices += 1;
                        self.counts.bytes_out += 150;
                        self.soon(other, Event::Notice(key, rank));
                    }
                }
            }
            Event::Fail(_, key) => {
                self.sent(3, 2, 4);
                let shelf = self.shelves.get_mut(&key).expect("known");
                if shelf.lease.is_some_and(|(who, _)| who == agent) {
                    shelf.lease = None;
                }
            }
            Event::Said(_, key, answer, rank) => {
                let desk = &mut self.agents[agent].desk;
                let is_over =
                    desk.expects(&key, answer == Answer::Leased) && desk.answered(&key, answer, at);
                if let Some(rank) = rank.filter(|_| is_over) {
                    self.took(agent, key, rank);
                }
            }
            // Who has not started yet hears nothing.
            Event::Notice(..) if !self.agents[agent].desk.is_connected() => {}
            Event::Notice(key, rank) => {
                let known = self.agents[agent].known.get(&key);
                if known.is_none_or(|(known, _)| *known < rank) {
                    // Gathered for a moment.
                    let at = self.now + 20_000 + self.random() % NETWORK;
                    self.add(at, agent, Event::Get(link, key));
                }
            }
            Event::Got(_, key, rank) => {
                let known = self.agents[agent].known.get(&key);
                if known.is_none_or(|(known, _)| *known < rank) {
                    self.agents[agent].desk.settle(&key, at);
                    if let Some((last, since)) = self.shelves[&key].response
                        && last == rank
                    {
                        let took = Duration::from_micros(self.now - since);
                        // Who comes later has to look first.
                        if self.agents[agent].since < since {
                            self.counts.slowest = self.counts.slowest.max(took);
                        }
                    }
                    self.took(agent, key, rank);
                }
            }
            Event::Fetched(key, rank) => {
                let stored = Stored {
                    rank,
                    der: Vec::new(),
                    refused: None,
                    same_for: None,
                };
                self.agents[agent].desk.store(&key, stored, at);
                self.learn(agent, key, rank, true);
            }
        }
    }
}
