//! The store for one certificate, and the commands that it runs at once.

use crate::fleet::course::Answer;

/// The rank of what does not count and claims to be newest.
pub const LIE: u8 = 9;

/// What the store has for the certificate; the lease stands with who has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shelf {
    /// The rank of the response.
    pub response: Option<u8>,
    /// Who has the lease.
    pub lease: Option<u8>,
    /// What lies there of the last fetch: a back-off, or the word that there is nothing newer.
    pub back_off: Option<Answer>,
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Command {
    /// See `LOOK` in `ask`.
    Look {
        /// What is known.
        known: u8,
        /// The lie is to be passed over.
        refuses: bool,
        /// Back-offs count.
        heeds: bool,
    },
    /// See `STORE`.
    Store {
        /// The response.
        rank: u8,
        /// The lie may be overwritten.
        refuses: bool,
        /// The responder has nothing newer.
        is_same: bool,
    },
    /// See `FAIL`.
    Fail,
}

/// What the store says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reply {
    /// There is a response.
    Value(u8),
    /// What else there is; durations are left out.
    Answer(Answer),
    /// Whether it was stored, or the lease given back.
    Done(bool),
}

impl Shelf {
    /// As the scripts do it.
    pub fn run(&mut self, who: u8, command: &Command) -> Reply {
        match *command {
            Command::Look {
                known,
                refuses,
                heeds,
            } => {
                let is_passed_over = |rank: u8| refuses && rank == LIE;
                if let Some(rank) = self.response.filter(|rank| *rank > known)
                    && !is_passed_over(rank)
                {
                    return Reply::Value(rank);
                }
                if let Some(answer) = self.back_off.as_ref().filter(|_| heeds) {
                    return Reply::Answer(answer.clone());
                }
                match self.lease {
                    Some(other) if other != who => Reply::Answer(Answer::Held(None)),
                    _ => {
                        self.lease = Some(who);
                        Reply::Answer(Answer::Leased)
                    }
                }
            }
            Command::Store {
                rank,
                refuses,
                is_same,
            } => {
                let is_newer = self
                    .response
                    .is_none_or(|old| old < rank || (refuses && old == LIE));
                if is_newer {
                    self.response = Some(rank);
                }
                if self.lease == Some(who) {
                    self.lease = None;
                }
                self.back_off = is_same.then_some(Answer::Same(None));
                Reply::Done(is_newer)
            }
            Command::Fail => {
                let is_ours = self.lease == Some(who);
                if is_ours {
                    (self.lease, self.back_off) = (None, Some(Answer::BackOff(None)));
                }
                Reply::Done(is_ours)
            }
        }
    }
}
