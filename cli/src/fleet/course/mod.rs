//! What is done for one certificate, from the moment that its response is due until it has
//! one or an attempt has failed: pure, one step for each thing that happens.
//!
//! The store is looked at, and in the same step the right to ask the responder is taken
//! (the lease). Who does not get it waits for the one who has it, but believes neither a
//! lease nor a back-off for longer than a fetch can take, so that nobody who can write
//! there can keep an agent from asking.

use std::time::Duration;

use super::breaker::At;

/// How long a lease or back-off is believed where nothing is stapled.
const BELIEF_UNSTAPLED: Duration = Duration::from_secs(2);
/// What a lease lasts longer than a fetch may take; they are believed for as long.
const BELIEF_MORE: Duration = Duration::from_secs(5);
/// How long the store may take until a responder is asked, all in all.
const PATIENCE: Duration = Duration::from_millis(900);
/// A question that has been under way for so long when that is over is the store's fault.
const SLOW: Duration = Duration::from_millis(500);
/// Values that were refused before the responder is asked without a lease.
const REFUSALS: u8 = 2;
/// The spread of those who wait for the same lease.
const SPREAD: Duration = Duration::from_millis(250);

/// The SHA-1 of a value in hexadecimal, as the store can tell it: which one was refused.
pub type Digest = String;

/// What is known of the certificate when it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Situation {
    /// A good response is stapled, or it is known to be revoked.
    pub is_stapled: bool,
    /// It is this agent's turn to ask the responder itself.
    pub asks_itself: bool,
    /// Until when the word of others is believed that the responder has nothing newer:
    /// until 60 % of the response's life are over.
    pub same_until: At,
}

/// The rules that the configuration sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rules {
    /// How long a fetch may take.
    pub fetch: Duration,
    /// This machine asks no responder.
    pub only_takes: bool,
}

impl Rules {
    /// How long a lease lasts.
    pub fn lease(&self) -> Duration {
        self.fetch + BELIEF_MORE
    }
}

/// One certificate's way to a response.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Course {
    situation: Situation,
    state: State,
    /// What was refused last: it may be overwritten.
    refused: Option<Digest>,
    refusals: u8,
    /// The end of the belief in others' leases and back-offs, once one was met.
    believes_until: Option<At>,
    /// Until when the store may take.
    patience: Option<At>,
    /// When it was asked last.
    sent: Option<At>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum State {
    /// Not yet begun: others of the same responder come first.
    Queued,
    /// The store was asked.
    Looking,
    /// For another's lease or back-off.
    Waiting(At),
    /// The responder is being asked, with a lease or without.
    Asking(bool),
}

/// What the store said.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// A response that is newer than what is known, and counts.
    Better,
    /// One that claims to be newer and does not count.
    Refused(Digest),
    /// The lease is ours.
    Leased,
    /// Another has it, for that long as the store says.
    Held(Option<Duration>),
    /// The last fetch failed; nobody should try for that long.
    BackOff(Option<Duration>),
    /// The responder had nothing newer; nobody need ask for that long.
    Same(Option<Duration>),
    /// Nothing newer, and this machine takes no lease.
    Nothing,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Look at the store, and take the lease if there is nothing newer but what is
    /// refused; pass over a back-off if it is believed no more.
    Look {
        /// The value to be passed over.
        refused: Option<Digest>,
        /// Back-offs count.
        heeds: bool,
    },
    /// Call [`Course::woke`] then.
    Wait(At),
    /// Ask the responder.
    Ask,
    /// It has its response: over.
    Take,
    /// Over: it is due again after that time.
    Postpone(Duration),
    /// Over: there is nothing to be had.
    Nothing,
}

impl Course {
    /// One that is due.
    pub fn new(situation: Situation) -> Self {
        Self {
            situation,
            state: State::Queued,
            refused: None,
            refusals: 0,
            believes_until: None,
            patience: None,
            sent: None,
        }
    }

    /// Its turn has come, for the first time or again.
    pub fn begin(&mut self, rules: &Rules, at: At) -> Next {
        if self.situation.asks_itself && !rules.only_takes {
            return self.ask(false);
        }
        self.look(at)
    }

    /// The store answered.
    pub fn answered(&mut self, answer: Answer, rules: &Rules, at: At, random: u64) -> Next {
        match answer {
            Answer::Better => Next::Take,
            Answer::Refused(digest) => {
                self.refused = Some(digest);
                self.refusals += 1;
                match self.refusals < REFUSALS {
                    true => self.look(at),
                    false => self.alone(rules),
                }
            }
            Answer::Leased => self.ask(true),
            Answer::Nothing => Next::Nothing,
            Answer::Same(left) if at < self.situation.same_until => {
                let believed = self.situation.same_until.saturating_sub(at);
                let left = left.unwrap_or(believed);
                Next::Postpone((left + part(left / 4, random)).min(believed))
            }
            Answer::Held(left) | Answer::BackOff(left) | Answer::Same(left) => {
                let belief = match self.situation.is_stapled {
                    true => rules.lease(),
                    false => BELIEF_UNSTAPLED,
                };
                let until = *self.believes_until.get_or_insert(at + belief);
                if at >= until {
                    return self.ask(false);
                }
                let left = left.unwrap_or(belief).min(belief);
                let wake = (at + left + part(SPREAD, random)).min(until);
                (self.state, self.patience) = (State::Waiting(wake), None);
                Next::Wait(wake)
            }
        }
    }

    /// What it waited for is over, or the store is there again: it begins again when it is its
    /// turn.
    pub fn queue(&mut self) {
        self.state = State::Queued;
    }

    /// A lease came too late for the question, and while the responder is being asked.
    pub fn has_lease(&mut self) {
        if self.is_asking() {
            self.state = State::Asking(true);
        }
    }

    /// The question that [`Next::Look`] wants is on its way. Until when the store may take: what
    /// the agent itself took until then does not count.
    pub fn sent(&mut self, at: At) -> At {
        self.sent = Some(at);
        *self.patience.get_or_insert(at + PATIENCE)
    }

    /// The store was lost, and may be back in a moment: until when to wait for it, where
    /// it was being asked.
    pub fn strand(&mut self, at: At) -> Option<At> {
        if self.state != State::Looking {
            return None;
        }
        let until = *self.patience.get_or_insert(at + PATIENCE);
        self.state = State::Waiting(until);
        Some(until)
    }

    /// Whether the store had the time that it may take, in all its steps.
    pub fn is_out_of_patience(&self, at: At) -> bool {
        self.patience.is_some_and(|until| until <= at)
    }

    /// Whether it is the store that took the time.
    pub fn is_store_slow(&self, at: At) -> bool {
        self.sent.is_some_and(|sent| at >= sent + SLOW)
    }

    /// The store cannot be used.
    pub fn alone(&mut self, rules: &Rules) -> Next {
        match rules.only_takes {
            true => Next::Nothing,
            false => self.ask(false),
        }
    }

    fn ask(&mut self, leased: bool) -> Next {
        self.state = State::Asking(leased);
        Next::Ask
    }

    fn look(&mut self, at: At) -> Next {
        self.state = State::Looking;
        Next::Look {
            refused: self.refused.clone(),
            heeds: self.believes_until.is_none_or(|until| at < until),
        }
    }

    /// Whether it waits for a turn.
    pub fn is_queued(&self) -> bool {
        self.state == State::Queued
    }

    /// Whether the responder is being asked.
    pub fn is_asking(&self) -> bool {
        matches!(self.state, State::Asking(_))
    }

    /// Whether it was asked with a lease.
    pub fn is_leased(&self) -> bool {
        self.state == State::Asking(true)
    }

    /// Whether the store was asked and has not answered.
    pub fn is_looking(&self) -> bool {
        self.state == State::Looking
    }

    /// Whether it waits for others, and until when.
    pub fn waits_until(&self) -> Option<At> {
        match self.state {
            State::Waiting(until) => Some(until),
            _ => None,
        }
    }

    /// What was refused.
    pub fn refused(&self) -> Option<&Digest> {
        self.refused.as_ref()
    }
}

/// A random part of a time.
fn part(time: Duration, random: u64) -> Duration {
    time.mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests;
