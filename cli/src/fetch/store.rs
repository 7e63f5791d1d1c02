//! Keeping what `staplegun fetch` brought in the store. If an agent has the store
//! it is handed over, for the agent alone writes; else this is the agent for a
//! moment.

use std::fmt;

use anyhow::Context;
use serde::Serialize;
use staplegun_ocsp::Policy;
use staplegun_store::files::{FileError, Files, make_directory};
use staplegun_store::layout::Layout;
use staplegun_store::map::{Writer, WriterLock};
use staplegun_store::{Key, spool};

use super::{Staple, Subject, judge};
use crate::agent::{Decision, Why, decide, note, now, recover};

/// The size of a map that is made here, in bytes: the agent's default.
const MAP_SIZE: usize = 16 << 20;

/// What became of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// It stands in the store and in the live map.
    Kept,
    /// The agent that runs was given it.
    HandedOver,
    /// What stood there counts for more: it is newer, or lasts longer, or tells a
    /// revocation that this one is not newer than.
    Outweighed,
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept in the store and the live map",
            Self::HandedOver => "handed to the agent",
            Self::Outweighed => "not kept: the one in the store is newer, or lasts longer",
        })
    }
}

/// Keeps `staple` for `subject`.
///
/// # Errors
///
/// If the store cannot be written.
pub fn keep(layout: &Layout, subject: &Subject, staple: &Staple) -> anyhow::Result<Stored> {
    let failed = || format!("cannot keep the response in {}", layout.lasting().display());
    make_directory(layout.runtime()).with_context(failed)?;
    match WriterLock::try_take(&layout.map()) {
        Ok(lock) => keep_alone(layout, subject, staple, lock).with_context(failed),
        Err(error) if error.is_busy() => {
            hand_over(layout, subject, staple).with_context(failed)?;
            Ok(Stored::HandedOver)
        }
        Err(error) => Err(error).with_context(failed),
    }
}

fn keep_alone(
    layout: &Layout,
    subject: &Subject,
    staple: &Staple,
    lock: WriterLock,
) -> anyhow::Result<Stored> {
    let key = subject.key();
    let files = Files::of_anybody(layout.lasting());
    let mut map = Writer::open(&layout.map(), MAP_SIZE, lock)?;
    let mut notes = files.notes(&key).ok().flatten().unwrap_or_default();
    let in_map = map.entries().find(|entry| entry.key == key);
    let in_map = in_map.and_then(|entry| entry.summary);
    let known = recover(in_file(&files, subject), &notes, in_map.as_ref(), now());
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

/// What stands in the store's file, if that counts for anything.
fn in_file(files: &Files, subject: &Subject) -> Option<Staple> {
    let der = files.staples.read(&subject.key()).ok()??;
    judge(&der, subject.issuer()?, now(), &Policy::STAPLING).ok()
}

/// The response goes where the agent looks for what others bring, the certificate
/// into the spool.
fn hand_over(layout: &Layout, subject: &Subject, staple: &Staple) -> anyhow::Result<()> {
    let key = subject.key();
    Files::of_anybody(layout.lasting())
        .staples
        .write(&key, &staple.der)
        .context("try as root")?;
    spool::publish(&layout.spool(), &key, &subject.ders())?;
    Ok(())
}
