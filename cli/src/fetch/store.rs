//! Keeping what `staplegun fetch` brought in the store. If an agent has the store
//! it is handed over, for the agent alone writes; else this is the agent for a
//! moment.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use staplegun_ocsp::Policy;
use staplegun_store::files::{FileError, Files, make_runtime};
use staplegun_store::layout::Layout;
use staplegun_store::map::{Reader, Trusted, Writer, WriterLock};
use staplegun_store::slots::{State, Summary};
use staplegun_store::{Key, spool};

use super::{Staple, Subject, judge};
use crate::agent::{Decision, Why, decide, note, now, recover};

/// The largest map there is.
const MAX_MAP: usize = 1 << 30;

/// What became of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// It stands in the store and in the live map.
    Kept,
    /// The agent that runs has acted on it.
    HandedOver,
    /// The agent that runs was given it, and has not acted.
    Unanswered,
    /// What stood there counts for more: it is newer, or lasts longer, or tells a
    /// revocation that this one is not newer than.
    Outweighed,
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept in the store and the live map",
            Self::HandedOver => "handed to the agent, which has acted on it",
            Self::Unanswered => {
                "handed to the agent, which HAS NOT ACTED on it: see its log, or restart it"
            }
            Self::Outweighed => "not kept: the one in the store is newer, or lasts longer",
        })
    }
}

/// How long the agent may take to act.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether it has, and whether there is one at all: others hold
/// its lock for a moment.
const PAUSE: Duration = Duration::from_millis(20);

/// Keeps `staple` for `subject`, or waits until the agent that runs has acted on it. What
/// stands there is judged by `policy`; a map that is made has `map_size` bytes.
///
/// # Errors
///
/// If the store cannot be written.
pub fn keep(
    layout: &Layout,
    subject: &Subject,
    staple: &Staple,
    policy: &Policy,
    map_size: usize,
) -> anyhow::Result<Stored> {
    let failed = || format!("cannot keep the response in {}", layout.lasting().display());
    make_runtime(layout).with_context(failed)?;
    let mut offer = Offer {
        layout,
        subject,
        staple,
        policy,
        is_told: false,
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match WriterLock::try_take(&layout.map()) {
            Ok(lock) => return keep_alone(&offer, lock, map_size).with_context(failed),
            Err(error) if error.is_busy() => {}
            Err(error) => return Err(error).with_context(failed),
        }
        if let Some(stored) = offer.look().with_context(failed)? {
            return Ok(stored);
        }
        if Instant::now() > deadline {
            return Ok(Stored::Unanswered);
        }
        std::thread::sleep(PAUSE);
    }
}

fn keep_alone(offer: &Offer<'_>, lock: WriterLock, map_size: usize) -> anyhow::Result<Stored> {
    let Offer {
        layout,
        subject,
        staple,
        ..
    } = *offer;
    let key = subject.key();
    let files = Files::of_anybody(layout.lasting());
    let mut map = Writer::open(&layout.map(), map_size, lock)?;
    let mut notes = files.notes(&key).ok().flatten().unwrap_or_default();
    let in_map = map.entries().find(|entry| entry.key == key);
    let in_map = in_map.and_then(|entry| entry.summary);
    let known = recover(offer.in_file(&files), &notes, in_map.as_ref(), now());
    let (stored, staple) = match (decide(known.as_ref(), staple, now()), &known) {
        (Decision::Keep(why), Some(known)) if why != Why::Same => (Stored::Outweighed, known),
        _ => (Stored::Kept, staple),
    };
    // The map first, as the agent does it; all of it is on the disk before this ends.
    let was_clean = files.ended_cleanly();
    if staple.is_good() {
        let last = staple.validity.until.saturating_sub(1);
        map.put(&key, &staple.der, staple.validity.from, last)?;
        files.staples.write(&key, &staple.der)?;
    } else {
        map.revoke(&key, &[], staple.validity.from, 0)?;
        files.note_end(false)?;
        write_evidence(&files, &key, &staple.der)?;
    }
    note(&mut notes, staple);
    files.state.write(&key, &notes.to_json())?;
    files.certificates.write(&key, &subject.to_pem())?;
    if !staple.is_good() {
        files.note_end(was_clean)?;
    }
    Ok(stored)
}

/// Where it cannot be written, or is lost, the good response goes all the same.
fn write_evidence(files: &Files, key: &Key, der: &[u8]) -> Result<(), FileError> {
    let written = match der.is_empty() {
        true => Ok(()),
        false => files.staples.write(key, der),
    };
    if der.is_empty() || written.is_err() {
        files.staples.remove(key)?;
    }
    written
}

/// A response that is to be kept. Handed to the agent it goes where that looks for what
/// others bring, the certificate into the spool.
struct Offer<'a> {
    layout: &'a Layout,
    subject: &'a Subject,
    staple: &'a Staple,
    /// How what stands there is judged: as what came was.
    policy: &'a Policy,
    /// The agent was told of the certificate.
    is_told: bool,
}

impl Offer<'_> {
    /// What became of it; None while nothing did. The agent's word is what it does: what
    /// is in the map, and what it leaves or puts in the file.
    fn look(&mut self) -> anyhow::Result<Option<Stored>> {
        let (key, staple) = (self.subject.key(), self.staple);
        let files = Files::of_anybody(self.layout.lasting());
        let there = files.staples.read(&key).ok().flatten();
        if there.as_deref() != Some(staple.der.as_slice()) {
            let known = self.in_file(&files);
            if let Decision::Keep(_) = decide(known.as_ref(), staple, now()) {
                return Ok(Some(Stored::Outweighed));
            }
            if known.is_none() && self.is_told && self.is_withdrawn() && staple.is_good() {
                // It knows a revocation, and took this away.
                return Ok(Some(Stored::Outweighed));
            }
            // Also when something worse took its place that was being written just then.
            let written = files.staples.write(&key, &staple.der);
            written.context("try as root")?;
        }
        if !self.is_told {
            spool::publish(&self.layout.spool(), &key, &self.subject.ders())?;
            self.is_told = true;
        }
        Ok(self.is_in_force().then_some(Stored::HandedOver))
    }

    /// What stands in the store's file, if that counts for anything.
    fn in_file(&self, files: &Files) -> Option<Staple> {
        let der = files.staples.read(&self.subject.key()).ok()??;
        judge(&der, self.subject.issuer()?, now(), self.policy).ok()
    }

    fn in_map(&self) -> Option<Summary> {
        let reader = Reader::open_by(&self.layout.map(), MAX_MAP, Trusted::Volumes).ok()?;
        let key = self.subject.key();
        let mut entries = reader.entries();
        entries.find(|entry| entry.key == key)?.summary
    }

    fn is_withdrawn(&self) -> bool {
        let in_map = self.in_map();
        in_map.is_some_and(|in_map| in_map.state == State::Withdrawn)
    }

    fn is_in_force(&self) -> bool {
        let Staple { der, validity, .. } = self.staple;
        self.in_map().is_some_and(|in_map| match in_map.state {
            State::Good => {
                let times = (in_map.this_update, in_map.until);
                let wanted = (validity.from, validity.until.saturating_sub(1));
                self.staple.is_good() && in_map.length == der.len() && times == wanted
            }
            State::Withdrawn => !self.staple.is_good() && in_map.this_update >= validity.from,
            State::Empty => false,
        })
    }
}

#[cfg(test)]
mod tests;
