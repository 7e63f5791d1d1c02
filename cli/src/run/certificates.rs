//! `--cert`: the agent is told of certificates, and what it fetches is awaited,
//! before the program starts, so that its first handshake is stapled.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use staplegun_ocsp::Unstapled;
use staplegun_store::files::Files;
use staplegun_store::layout::Layout;
use staplegun_store::map::Reader;
use staplegun_store::slots::Miss;
use staplegun_store::{Key, name, spool};

use super::store::Store;
use crate::agent::now;
use crate::fetch::{Issuers, Subject};
use crate::status::read::{self as status, One, State};

/// A leaf that the agent was told of.
struct Told {
    file: PathBuf,
    key: Key,
}

/// Leaves the certificates in the store's spool and waits until the agent has an
/// answer for each, or `patience` is over. Returns a complaint for each file that
/// is not stapled then, and for what else is revoked or lacks its issuer in a store that
/// is not the system's.
pub fn fetch(files: &[PathBuf], store: &Store, patience: Duration) -> Vec<String> {
    let layout = &store.layout;
    let mut complaints = Vec::new();
    let mut told = Vec::new();
    let begun = SystemTime::now();
    for file in files {
        match tell(file, layout) {
            Ok(key) => told.push(Told {
                file: file.clone(),
                key,
            }),
            Err(error) => complaints.push(format!("{error:#}")),
        }
    }
    let deadline = Instant::now() + patience;
    let in_store = Files::of_anybody(layout.lasting());
    let mut reader = None;
    let mut waiting: Vec<&Told> = told.iter().collect();
    loop {
        reader = reader.or_else(|| Reader::open(&layout.map(), usize::MAX).ok());
        if let Some(reader) = &reader {
            waiting.retain(|Told { key, .. }| match reader.lookup(key, now()) {
                Err(Miss::Absent) => !has_given_up(&in_store, key, begun),
                // The map says it first, and since when stands in the notes.
                Err(Miss::Withdrawn) => !is_noted_revoked(&in_store, key),
                _ => false,
            });
        }
        if waiting.is_empty() || Instant::now() >= deadline {
            break;
        }
        // The map has nothing to wait on: it is read in handshakes.
        std::thread::sleep(Duration::from_millis(20));
    }
    if told.is_empty() && store.is_kept {
        return complaints;
    }
    let late: Vec<Key> = waiting.iter().map(|told| told.key).collect();
    let known = status::certificates(layout, now()).map_or_else(|_| Vec::new(), |(all, _)| all);
    for told in &told {
        let file = told.file.display();
        let is_late = late.contains(&told.key);
        let sentence = known
            .iter()
            .find(|one| is_it(one, &told.key))
            .and_then(|one| one.sentence.as_deref())
            .unwrap_or("the agent has no answer yet");
        if is_late {
            complaints.push(format!(
                "no response for {file} after {} seconds: {sentence}; the agent goes on trying",
                patience.as_secs_f64()
            ));
        } else if known
            .iter()
            .any(|one| is_it(one, &told.key) && one.sentence.is_some())
        {
            complaints.push(format!("{file}: {sentence}"));
        }
    }
    let others = known.iter().filter(|one| {
        let is_told = told.iter().any(|told| is_it(one, &told.key));
        !is_told && !store.is_kept && matches!(one.status, State::Revoked | State::NoIssuer)
    });
    complaints.extend(others.filter_map(|one| {
        let sentence = one.sentence.as_ref()?;
        Some(format!("{}: {sentence}", one.subject))
    }));
    complaints
}

fn is_it(one: &One, key: &Key) -> bool {
    one.sha256.as_deref() == Some(name::of_key(key).as_str())
}

fn is_noted_revoked(store: &Files, key: &Key) -> bool {
    let notes = store.notes(key).ok().flatten();
    notes.is_some_and(|notes| notes.revoked_since.is_some())
}

/// Whether nothing will come of waiting: the agent has said since `begun` that it passes
/// the certificate over, or that it lacks the issuer.
fn has_given_up(store: &Files, key: &Key, begun: SystemTime) -> bool {
    let written = std::fs::metadata(store.state.path_of(key)).and_then(|about| about.modified());
    // File systems count in steps, and round down.
    let is_new = written.is_ok_and(|written| written + Duration::from_millis(20) >= begun);
    let notes = store.notes(key).ok().flatten().unwrap_or_default();
    let no_issuer = Unstapled::NoIssuer.cause();
    is_new && (notes.passed_over.is_some() || notes.last_cause.as_deref() == Some(no_issuer))
}

fn tell(file: &Path, layout: &Layout) -> Result<Key> {
    let subject = Subject::from_file(file, &Issuers::default())?;
    spool::publish(&layout.spool(), &subject.key(), &subject.ders())
        .with_context(|| format!("cannot tell the agent of {}", file.display()))?;
    Ok(subject.key())
}
