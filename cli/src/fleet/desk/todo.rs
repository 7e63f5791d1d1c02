//! What the desk wants to be done.

use std::time::Duration;

use staplegun_store::Key;

use crate::fleet::ask::Stored;
use crate::fleet::course::Digest;
use crate::fleet::rank::Rank;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Do<Q> {
    /// Ask the store; its answer goes to [`super::Desk::answered`].
    Look {
        /// For whom.
        key: Key,
        /// What is known.
        known: Option<Rank>,
        /// What is to be passed over.
        refused: Option<Digest>,
        /// Back-offs count.
        heeds: bool,
    },
    /// Ask the responder; what comes of it goes to [`super::Desk::store`] or [`super::Desk::fail`].
    Ask(Key, Q),
    /// Tell the store what the responder said.
    Store(Key, Stored),
    /// Tell the store that it said nothing of use, and for how long to wait.
    Fail(Key, Duration),
    /// The course is over without a response: the certificate is due again then.
    Postpone(Key, Duration),
    /// It is over, and there is nothing to be had.
    Nothing(Key),
    /// Connect to the store; [`super::Desk::connected`] or [`super::Desk::lost`] follows.
    Connect,
    /// The store took too long: drop the connection and tell [`super::Desk::lost`].
    Drop,
    /// It has been well for a while, after it came and went.
    Settled,
}
