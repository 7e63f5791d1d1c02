//! What the agent's main thread is told by the others.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use staplegun_store::Key;

use super::inbox::Left;
use super::lister::Listed;
use super::roster::{Room, Source};
use super::settings::Settings;
use super::staples::Looked;
use crate::fetch::{Fetched, Manner};
use crate::fleet::Word;

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// A fetch is over; None if it panicked.
    Fetched {
        /// Whose.
        key: Key,
        /// What came of it.
        fetched: Option<Box<Fetched>>,
    },
    /// The fleet's thread has something to say.
    Fleet(Word),
    /// Is there room for a certificate that somebody left in the spool?
    Room {
        /// Which.
        key: Key,
        /// Who left it.
        source: Source,
        /// Who asks.
        answer: SyncSender<Room>,
    },
    /// A certificate was left in the spool, and was examined.
    Left(Box<Left>),
    /// Files in `staples/` were looked at; those that are others than were seen last.
    Looked(Vec<Looked>),
    /// The operator wants a certificate removed.
    Remove(Key),
    /// What the operator named was looked at.
    Listed(Box<Listed>),
    /// All was done that was to be done for the orders up to that one.
    Emptied(u64),
    /// A file came into the spool.
    Spool,
    /// Files changed; the watch tells which.
    Changed,
    /// Somebody wants to be told, and to know how long it took to write it down.
    Tell(Wanted, SyncSender<(String, Duration)>),
    /// Read the configuration again.
    Reload,
    /// That was done; an error says why it does not count.
    Configured(Box<anyhow::Result<(Settings, Arc<Manner>)>>),
    /// End; why.
    Stop(&'static str),
}

/// What only the main thread can tell.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// The metrics, in Prometheus' text format.
    Metrics,
    /// How each responder does, in JSON.
    Responders,
}
