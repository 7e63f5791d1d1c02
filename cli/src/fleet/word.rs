//! What the main thread and the one that talks to the store tell each other.

use std::sync::Arc;
use std::time::Duration;

use staplegun_store::Key;

use super::ask::Stored;
use super::rank::Rank;
use crate::fetch::{Manner, Question, Staple, Subject};

/// A certificate that is due.
#[derive(Debug)]
pub struct Due {
    /// The responder that is asked first.
    pub responder: String,
    /// What it would be asked.
    pub question: Question,
    /// What is known, if anything is.
    pub known: Option<Rank>,
    /// A good response is stapled, or it is known to be revoked.
    pub is_stapled: bool,
    /// It is this agent's turn to ask the responder itself.
    pub asks_itself: bool,
    /// How long it is until 60 % of the response's life are over.
    pub same_for: Duration,
}

/// A certificate for which there may be something in the store.
#[derive(Debug)]
pub struct Seen {
    /// The certificate.
    pub subject: Arc<Subject>,
    /// How to judge.
    pub manner: Arc<Manner>,
    /// What is known, if anything is.
    pub known: Option<Rank>,
}

/// What the main thread is told.
#[derive(Debug)]
pub enum Word {
    /// Ask the responder for it.
    Ask {
        /// The one that is asked first.
        responder: String,
        /// What.
        question: Question,
    },
    /// A response from the store, which counts.
    Took {
        /// Whose.
        key: Key,
        /// The response.
        staple: Staple,
        /// That was due: nobody is asked for it any more.
        is_over: bool,
    },
    /// It was due and is so again after that time: the responder has nothing newer.
    Postpone(Key, Duration),
    /// It was due, there is nothing new, and this machine asks nobody.
    Nothing(Key, &'static str),
    /// There may be newer responses than those that are known.
    Noticed(Vec<(Key, Rank)>),
    /// There is a connection: whatever is new is to be looked for.
    Connected,
    /// The store lacks what is known here.
    Lacks(Key),
    /// It panicked, and has forgotten what it was told: whatever is due is so again.
    Forgot,
}

/// What the thread is told.
pub enum Order {
    /// It is due.
    Due(Box<Due>),
    /// There may be something new for them.
    Look(Vec<Seen>),
    /// That came of asking a responder, or of whoever else brought a response: one that is in
    /// use from now on, or none, and after what time the next attempt is made.
    Result(Key, Result<Stored, Duration>),
    /// A thread has begun to fetch it.
    Begun(Key),
    /// Nobody looks after it any more.
    Forget(Key),
    /// End, soon.
    Stop,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Order")
    }
}
