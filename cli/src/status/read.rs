//! Reads a store: the plain files, the live map, and who has it mapped. Writes
//! nothing, needs no agent.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use anyhow::{Context, bail};
use serde::Serialize;
use staplegun_ocsp::{CLOCK_SKEW, Certificate, UnixTime, Unstapled};
use staplegun_store::files::{Files, Notes};
use staplegun_store::layout::Layout;
use staplegun_store::map::{Reader, Trusted, WriterLock};
use staplegun_store::slots::{self, Summary};
use staplegun_store::{Key, name};

use super::chains::Chains;
use super::evidence;
use crate::agent::mapped::{self, Mapped};
use crate::agent::sentence::{self, Refusal, Standing};
use crate::agent::{Named, unreadable};
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

impl Status {
    /// 0, or 1 if something is to be done, or no agent runs.
    pub fn exit_status(&self) -> ExitCode {
        let is_well = self.agent_running != Some(false)
            && !self.certificates.iter().any(|one| one.needs_operator);
        ExitCode::from(u8::from(!is_well))
    }
}

/// One certificate.
#[derive(Debug, Serialize)]
pub struct One {
    /// SHA-256 of the leaf: its name in the store. None if it could not be read.
    pub sha256: Option<String>,
    /// The subject, or the file that could not be read.
    pub subject: String,
    /// When the certificate ends.
    not_after: Option<UnixTime>,
    /// How it stands.
    pub status: State,
    /// Why it is so, in one word; none if it is stapled.
    pub cause: Option<String>,
    /// The sentence: what is the matter and what to do; none if it is stapled.
    pub sentence: Option<String>,
    /// Whether somebody has to do something.
    pub needs_operator: bool,
    /// The file by which the operator named it.
    pub path: Option<String>,
    /// When the store took it in, or its issuer.
    known_since: Option<UnixTime>,
    /// How many certificates hang on it, if it is an intermediate that is looked after for
    /// them.
    pub leaves: Option<usize>,
    /// The user who left it in the spool, if not root or the agent's own.
    left_by: Option<u32>,
    /// The responder asked last, else the certificate's first.
    pub responder: Option<String>,
    /// Since when the response in use is one that another agent of the fleet fetched; none
    /// if this machine did.
    pub fleet_since: Option<UnixTime>,
    /// thisUpdate of what is stapled.
    this_update: Option<UnixTime>,
    /// When what is stapled ends.
    pub until: Option<UnixTime>,
    /// Since when the certificate is revoked; none if it is not, or if nobody noted it.
    revoked_since: Option<UnixTime>,
    /// Whether the response that tells the revocation is on the disk, so that no restart
    /// of the machine brings the good one back; none if it is not revoked.
    evidence_on_disk: Option<bool>,
    /// When the responder is asked next.
    pub next_refresh: Option<UnixTime>,
    /// When it was asked last.
    last_attempt: Option<UnixTime>,
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
    /// What there is has expired: the response, or the certificate itself.
    Expired,
    /// thisUpdate lies in the future.
    NotYetValid,
    /// The certificate is revoked.
    Revoked,
    /// There is a responder and no response.
    Missing,
    /// There is no responder, and no response.
    NoResponder,
    /// Its issuer is not known.
    NoIssuer,
    /// Nobody is asked for it.
    PassedOver,
    /// The agent cannot read what the operator named.
    Unreadable,
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
    let (certificates, map_error) = certificates(layout, now)?;
    Ok(Status {
        store: layout.lasting().display().to_string(),
        map: map.display().to_string(),
        map_error,
        agent_running: is_agent_running(&map),
        mapped_by: mapped::processes(&map),
        certificates,
    })
}

/// The certificates of a store at the time `now`, by subject; and why its live map cannot
/// be used, if there is none.
///
/// # Errors
///
/// If there is no store, or it cannot be read.
pub fn certificates(layout: &Layout, now: UnixTime) -> anyhow::Result<(Vec<One>, Option<String>)> {
    let map = layout.map();
    let (in_map, map_error) = match Reader::open_by(&map, MAX_MAP, Trusted::Volumes) {
        Ok(reader) => (entries(&reader), None),
        Err(error) if map.exists() => {
            return Err(error).context("the live map cannot be read; ask as its owner");
        }
        Err(error) => (HashMap::new(), Some(error.to_string())),
    };
    let files = Files::of_anybody(layout.lasting()).at_once();
    let keys = match files.certificates.keys() {
        Err(error) if error.cause().kind() == std::io::ErrorKind::NotFound => bail!(
            "there is no store in {}: no agent has run here, or it is another store (--dir)",
            layout.lasting().display()
        ),
        keys => keys?,
    };
    let (mut certificates, issuers) = (Vec::new(), Issuers::default());
    let (mut intermediates, mut chains) = (Vec::new(), Chains::default());
    for key in keys {
        // The agent may remove it just now.
        let Some(pem) = files.certificates.read(&key)? else {
            continue;
        };
        let notes = notes(&files, &key)?;
        match Subject::unexamined_from_bytes(&pem) {
            Ok(mut subject) => {
                if notes.revoked_since.is_some() {
                    // Only of those it is asked what a response says of them.
                    subject.find_issuer(&issuers);
                }
                let is_on_disk = evidence::is_on_disk(&files, &subject, &notes);
                if notes.intermediate {
                    // How many hang on it is known when all were read.
                    intermediates.push((subject, notes, is_on_disk));
                    continue;
                }
                chains.count(&subject, &notes, now);
                let in_map = in_map.get(&key);
                let known = one(&subject, notes, in_map, is_on_disk, None, now);
                certificates.extend(known.map(|known| One {
                    known_since: written(&files.certificates.path_of(&key)),
                    ..known
                }));
            }
            Err(error) => {
                let path = files.certificates.path_of(&key);
                let why = format!("{error:#}: remove this file, which is damaged");
                certificates.push(unreadable(path.display().to_string(), why));
            }
        }
    }
    for (subject, notes, is_on_disk) in intermediates {
        let (key, leaves) = (subject.key(), Some(chains.leaves_on(&subject)));
        let known = one(&subject, notes, in_map.get(&key), is_on_disk, leaves, now);
        certificates.extend(known.map(|known| One {
            known_since: written(&files.certificates.path_of(&key)),
            ..known
        }));
    }
    let noted = unreadable::read(layout).context("cannot read the agent's notes")?;
    certificates.extend(noted.into_iter().map(|(path, why)| unreadable(path, why)));
    certificates.extend(gone(layout)?);
    certificates.sort_by(|a, b| (&a.subject, &a.sha256).cmp(&(&b.subject, &b.sha256)));
    Ok((certificates, map_error))
}

/// When a file was written.
fn written(file: &Path) -> Option<UnixTime> {
    let written = file.metadata().ok()?.modified().ok()?;
    let since = written.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// What root was to tell the agent of and is no longer there.
fn gone(layout: &Layout) -> anyhow::Result<Vec<One>> {
    let named = Named::to_root(layout).read()?;
    let gone = named.into_iter().filter_map(|path| {
        let error = std::fs::metadata(&path).err()?;
        // Who is not root cannot tell.
        (error.kind() == std::io::ErrorKind::NotFound).then(|| {
            let error =
                anyhow::Error::new(error).context(format!("cannot look at {}", path.display()));
            unreadable(
                path.display().to_string(),
                sentence::unreadable(&path, &error),
            )
        })
    });
    Ok(gone.collect())
}

fn entries(reader: &Reader) -> HashMap<Key, Option<Summary>> {
    reader
        .entries()
        .map(|entry| (entry.key, entry.summary))
        .collect()
}

/// Tried by taking its lock for a moment, if the lock's file may be opened: an
/// agent that starts just then stands by and takes over at once.
pub fn is_agent_running(map: &Path) -> Option<bool> {
    if !map.exists() {
        return Some(false);
    }
    match WriterLock::try_take(map) {
        Ok(_) => Some(false),
        Err(error) if error.is_busy() => Some(true),
        Err(_) => None,
    }
}

/// What the agent noted; nothing if the file is damaged, as the agent has it.
fn notes(files: &Files, key: &Key) -> anyhow::Result<Notes> {
    use std::io::ErrorKind;
    match files.notes(key) {
        Err(error)
            if !matches!(
                error.cause().kind(),
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof
            ) =>
        {
            Err(error.into())
        }
        notes => Ok(notes.ok().flatten().unwrap_or_default()),
    }
}

/// How a certificate stands; none if it has expired and nobody names it any more.
fn one(
    subject: &Subject,
    notes: Notes,
    in_map: Option<&Option<Summary>>,
    is_on_disk: bool,
    leaves: Option<usize>,
    now: UnixTime,
) -> Option<One> {
    let leaf = &subject.leaf;
    // One that a program loaded so is told; others have left with their time.
    let not_after = leaf.not_after();
    let expired = Unstapled::Expired { not_after };
    let was_expired = notes.passed_over.as_deref() == Some(expired.cause());
    if not_after < now && notes.path.is_none() && !was_expired {
        return None;
    }
    let stapled = in_map.copied().flatten();
    let stapled = stapled.filter(|summary| summary.state == slots::State::Good);
    let revoked = Standing::Revoked {
        since: notes.revoked_since,
        is_on_disk,
        leaves,
    };
    let standing = standing(leaf, &notes, in_map, stapled, revoked, now);
    let evidence_on_disk = match standing {
        Standing::Revoked { is_on_disk, .. } => Some(is_on_disk),
        _ => None,
    };
    Some(One {
        sha256: Some(name::of_key(&leaf.sha256())),
        subject: leaf.display_subject(),
        not_after: Some(leaf.not_after()),
        status: State::of(&standing),
        cause: (standing != Standing::Stapled).then(|| standing.cause().to_owned()),
        sentence: standing.sentence(leaf.must_staple()),
        needs_operator: standing.needs_operator(),
        path: notes.path,
        known_since: None,
        leaves,
        left_by: notes.left_by,
        responder: notes
            .responder
            .or_else(|| leaf.responders().first().cloned()),
        fleet_since: notes.fleet_since,
        this_update: stapled.map(|summary| summary.this_update),
        until: stapled.map(|summary| summary.until),
        revoked_since: notes.revoked_since,
        evidence_on_disk,
        next_refresh: notes.next_refresh,
        last_attempt: notes.last_attempt,
        failures: notes.failures,
        last_cause: notes.last_cause,
        last_error: notes.last_error,
    })
}

fn standing(
    leaf: &Certificate,
    notes: &Notes,
    in_map: Option<&Option<Summary>>,
    stapled: Option<Summary>,
    revoked: Standing,
    now: UnixTime,
) -> Standing {
    let is_revoked = notes.revoked_since.is_some();
    let from_notes = Standing::from_notes(leaf, notes, now);
    match (in_map, stapled) {
        _ if is_revoked => revoked,
        _ if leaf.not_after() < now => from_notes,
        (Some(None), _) => Standing::Damaged,
        (_, Some(summary)) if summary.until < now => match from_notes {
            Standing::Unasked => Standing::ResponseExpired,
            failing => failing,
        },
        (_, Some(summary)) if summary.this_update > now.saturating_add(CLOCK_SKEW) => {
            Standing::NotYetValid
        }
        (_, Some(_)) => Standing::Stapled,
        (Some(Some(summary)), _) if summary.state == slots::State::Withdrawn => revoked,
        _ => from_notes,
    }
}

fn unreadable(path: String, why: String) -> One {
    let standing = Standing::Unreadable { why };
    One {
        sha256: None,
        subject: path.clone(),
        not_after: None,
        status: State::of(&standing),
        cause: Some(standing.cause().to_owned()),
        sentence: standing.sentence(false),
        needs_operator: standing.needs_operator(),
        path: Some(path),
        known_since: None,
        leaves: None,
        left_by: None,
        responder: None,
        fleet_since: None,
        this_update: None,
        until: None,
        revoked_since: None,
        evidence_on_disk: None,
        next_refresh: None,
        last_attempt: None,
        failures: 0,
        last_cause: None,
        last_error: None,
    }
}

impl State {
    fn of(standing: &Standing) -> Self {
        use Unstapled::{Expired, MustStapleWithoutResponder, NoIssuer, NoResponder};
        match standing {
            Standing::Stapled => Self::Stapled,
            Standing::PassedOver { refusal, .. } => match refusal {
                Refusal::Itself(NoResponder | MustStapleWithoutResponder) => Self::NoResponder,
                Refusal::Itself(NoIssuer) => Self::NoIssuer,
                Refusal::Itself(Expired { .. }) => Self::Expired,
                _ => Self::PassedOver,
            },
            Standing::Unreadable { .. } => Self::Unreadable,
            Standing::Revoked { .. } => Self::Revoked,
            Standing::Failing { .. } | Standing::Unasked => Self::Missing,
            Standing::ResponseExpired => Self::Expired,
            Standing::NotYetValid => Self::NotYetValid,
            Standing::Damaged => Self::Damaged,
        }
    }
}
