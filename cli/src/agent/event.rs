//! What the agent's main thread is told by the others.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use staplegun_store::Key;
use staplegun_store::files::{FileError, Notes, Stamp};

use super::roster::{Room, Source};
use super::sentence::Refusal;
use super::settings::Settings;
use super::survey::Asker;
use crate::fetch::{Fetched, Kind, Manner, Staple, Subject};
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
    /// Somebody wants to be told how everything stands.
    Tell(Asker),
    /// Read the configuration again.
    Reload,
    /// That was done; an error says why it does not count.
    Configured(Box<anyhow::Result<(Settings, Arc<Manner>)>>),
    /// End; why.
    Stop(&'static str),
}

/// A certificate that was left or named, as it was examined.
#[derive(Debug)]
pub struct Left {
    /// The certificate; with its issuer, unless it is refused.
    pub subject: Subject,
    /// Who did it.
    pub source: Source,
    /// What is remembered of it.
    pub notes: Notes,
    /// Why nobody is to be asked for it.
    pub refusal: Option<Refusal>,
    /// What was remembered of it before.
    pub before: Notes,
}

/// What there was at a look, besides the certificates that are new or have changed: those
/// come before it, by [`Event::Left`].
#[derive(Debug)]
pub struct Listed {
    /// The list's own file.
    pub list: Option<Stamp>,
    /// A directory is watched that was not before: what came into it meanwhile is still to
    /// be looked at.
    pub is_new: bool,
    /// So many orders are done.
    pub done: u64,
}

/// A file that is another one than was seen last.
#[derive(Debug)]
pub struct Looked {
    /// Whose response it is.
    pub key: Key,
    /// Which file was there when this was found.
    pub stamp: Option<Stamp>,
    /// What is in it.
    pub found: Found,
}

/// What is in a file of `staples/`.
#[derive(Debug)]
pub enum Found {
    /// What is in use.
    InUse,
    /// Nothing that could be a response.
    Nothing,
    /// A response, and what it is worth.
    Response(Vec<u8>, Result<Staple, Kind>),
    /// It cannot be read now.
    Unreadable(FileError),
}
