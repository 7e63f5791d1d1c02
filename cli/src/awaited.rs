//! Waiting until the agent has an answer for certificates that it was told of.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use staplegun_ocsp::Unstapled;
use staplegun_store::files::Files;
use staplegun_store::layout::Layout;
use staplegun_store::map::{Reader, Trusted};
use staplegun_store::slots::Miss;
use staplegun_store::{Key, name};

use crate::agent::now;
use crate::status::read::{self as status, One};

/// A leaf that the agent was told of.
#[derive(Debug)]
pub struct Told {
    /// The file in which it is.
    pub file: PathBuf,
    /// Its key in the map.
    pub key: Key,
}

/// Waits until the agent, which was told after `begun`, has an answer for each, or `patience`
/// is over. Returns a complaint for each that is not stapled then.
pub fn complaints(
    layout: &Layout,
    told: &[Told],
    begun: SystemTime,
    patience: Duration,
) -> Vec<String> {
    let late = late(layout, told, begun, patience);
    let known = status::certificates(layout, now()).map_or_else(|_| Vec::new(), |(all, _)| all);
    let mut complaints = Vec::new();
    for told in told {
        let file = told.file.display();
        let one = known.iter().find(|one| is_it(one, &told.key));
        let sentence = one.and_then(|one| one.sentence.as_deref());
        if late.contains(&told.key) {
            complaints.push(format!(
                "no response for {file} after {} seconds: {}; the agent goes on trying",
                patience.as_secs_f64(),
                sentence.unwrap_or("the agent has no answer yet"),
            ));
        } else if let Some(sentence) = sentence {
            complaints.push(format!("{file}: {sentence}"));
        }
    }
    complaints
}

/// Whether that is the one with this key.
pub fn is_it(one: &One, key: &Key) -> bool {
    one.sha256.as_deref() == Some(name::of_key(key).as_str())
}

/// Those without an answer.
fn late(layout: &Layout, told: &[Told], begun: SystemTime, patience: Duration) -> Vec<Key> {
    let deadline = Instant::now() + patience;
    let in_store = Files::of_anybody(layout.lasting());
    let mut reader = None;
    let mut waiting: Vec<Key> = told.iter().map(|told| told.key).collect();
    loop {
        reader =
            reader.or_else(|| Reader::open_by(&layout.map(), usize::MAX, Trusted::Volumes).ok());
        if let Some(reader) = &reader {
            waiting.retain(|key| match reader.lookup(key, now()) {
                Err(Miss::Absent) => !has_given_up(&in_store, key, begun),
                // The map says it first, and since when stands in the notes.
                Err(Miss::Withdrawn) => !is_noted_revoked(&in_store, key),
                _ => false,
            });
        }
        if waiting.is_empty() || Instant::now() >= deadline {
            return waiting;
        }
        // The map has nothing to wait on: it is read in handshakes.
        std::thread::sleep(Duration::from_millis(20));
    }
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
