//! Reads a store: the plain files, the live map, and who has it mapped. Writes
//! nothing, needs no agent.

use std::collections::HashMap;
use std::path::Path;

use anyhow::bail;
use serde::Serialize;
use staplegun_ocsp::{CLOCK_SKEW, UnixTime};
use staplegun_store::files::{Files, Notes};
use staplegun_store::layout::Layout;
use staplegun_store::map::{Reader, WriterLock};
use staplegun_store::slots::{self, Summary};
use staplegun_store::{Key, name};

use crate::agent::CAUSE_REVOKED;
use crate::agent::mapped::{self, Mapped};
use crate::fetch::{Issuers, Subject};

/// The largest map that is looked at: the largest there is.
const MAX_MAP: usize = 1 << 30;

/// What a store holds.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The directory of the plain files.
    pub store: String,
    /// The live map.
    pub map: String,
    /// Why the live map cannot be used; none if it can.
    pub map_error: Option<String>,
    /// Whether an agent writes it; none if that cannot be told.
    pub agent_running: Option<bool>,
    /// Processes that have the map.
    pub mapped_by: Mapped,
    /// The certificates, by subject.
    pub certificates: Vec<One>,
}

/// One certificate.
#[derive(Debug, Serialize)]
pub struct One {
    /// SHA-256 of the leaf: its name in the store.
    pub sha256: String,
    /// The subject.
    pub subject: String,
    /// When the certificate ends.
    pub not_after: UnixTime,
    /// How it stands.
    pub status: State,
    /// The responder asked last, else the certificate's first.
    pub responder: Option<String>,
    /// thisUpdate of what is stapled.
    pub this_update: Option<UnixTime>,
    /// When what is stapled ends.
    pub until: Option<UnixTime>,
    /// Since when the certificate is revoked; none if it is not, or if nobody noted it.
    pub revoked_since: Option<UnixTime>,
    /// When the responder is asked next.
    pub next_refresh: Option<UnixTime>,
    /// When it was asked last.
    pub last_attempt: Option<UnixTime>,
    /// Failures in a row.
    pub failures: u32,
    /// The kind of the last failure.
    pub last_cause: Option<String>,
    /// The last failure.
    pub last_error: Option<String>,
}

/// How a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A valid response is stapled.
    Stapled,
    /// What there is has expired.
    Expired,
    /// thisUpdate lies in the future.
    NotYetValid,
    /// The certificate is revoked.
    Revoked,
    /// There is a responder and no response.
    Missing,
    /// There is no responder, and no response.
    NoResponder,
    /// The record in the map is damaged.
    Damaged,
}

/// Reads the store at the time `now`.
///
/// # Errors
///
/// If there is no store, or it cannot be read.
pub fn read(layout: &Layout, now: UnixTime) -> anyhow::Result<Status> {
    let map = layout.map();
    let (in_map, map_error) = match Reader::open(&map, MAX_MAP) {
        Ok(reader) => (entries(&reader), None),
        Err(error) => (HashMap::new(), Some(error.to_string())),
    };
    let files = Files::of_anybody(layout.lasting());
    let keys = match files.certificates.keys() {
        Err(error) if error.cause().kind() == std::io::ErrorKind::NotFound => bail!(
            "there is no store in {}: no agent has run here, or it is another store (--dir)",
            layout.lasting().display()
        ),
        keys => keys?,
    };
    let (mut certificates, issuers) = (Vec::new(), Issuers::default());
    for key in keys {
        // The agent may remove it just now; and what cannot be read is passed over,
        // as the agent does.
        let Ok(Some(pem)) = files.certificates.read(&key) else {
            continue;
        };
        let Ok(subject) = Subject::from_bytes(&pem, &issuers) else {
            continue;
        };
        let notes = files.notes(&key).ok().flatten().unwrap_or_default();
        certificates.push(one(&subject, notes, in_map.get(&key), now));
    }
    certificates.sort_by(|a, b| (&a.subject, &a.sha256).cmp(&(&b.subject, &b.sha256)));
    Ok(Status {
        store: layout.lasting().display().to_string(),
        map: map.display().to_string(),
        map_error,
        agent_running: is_agent_running(&map),
        mapped_by: mapped::processes(&map),
        certificates,
    })
}

fn entries(reader: &Reader) -> HashMap<Key, Option<Summary>> {
    reader
        .entries()
        .map(|entry| (entry.key, entry.summary))
        .collect()
}

/// Tried by taking its lock for a moment, if the lock's file may be opened: an
/// agent that starts just then stands by and takes over at once.
fn is_agent_running(map: &Path) -> Option<bool> {
    if !map.exists() {
        return Some(false);
    }
    match WriterLock::try_take(map) {
        Ok(_) => Some(false),
        Err(error) if error.is_busy() => Some(true),
        Err(_) => None,
    }
}

fn one(subject: &Subject, notes: Notes, in_map: Option<&Option<Summary>>, now: UnixTime) -> One {
    let leaf = &subject.leaf;
    // A later failure to ask takes the place of the cause, and changes nothing.
    let is_revoked =
        notes.revoked_since.is_some() || notes.last_cause.as_deref() == Some(CAUSE_REVOKED);
    let stapled = in_map.copied().flatten();
    let stapled = stapled.filter(|summary| summary.state == slots::State::Good);
    let status = match (in_map, stapled) {
        _ if is_revoked => State::Revoked,
        (Some(None), _) => State::Damaged,
        (_, Some(summary)) if summary.until < now => State::Expired,
        (_, Some(summary)) if summary.this_update > now.saturating_add(CLOCK_SKEW) => {
            State::NotYetValid
        }
        (_, Some(_)) => State::Stapled,
        (Some(Some(summary)), _) if summary.state == slots::State::Withdrawn => State::Revoked,
        _ if leaf.responders().is_empty() && notes.responder.is_none() => State::NoResponder,
        _ => State::Missing,
    };
    One {
        sha256: name::of_key(&leaf.sha256()),
        subject: leaf.display_subject(),
        not_after: leaf.not_after(),
        status,
        responder: notes
            .responder
            .or_else(|| leaf.responders().first().cloned()),
        this_update: stapled.map(|summary| summary.this_update),
        until: stapled.map(|summary| summary.until),
        revoked_since: notes.revoked_since,
        next_refresh: notes.next_refresh,
        last_attempt: notes.last_attempt,
        failures: notes.failures,
        last_cause: notes.last_cause,
        last_error: notes.last_error,
    }
}
