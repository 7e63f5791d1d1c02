//! `--cert`: the agent is told of certificates, and what it fetches is awaited,
//! before the program starts, so that its first handshake is stapled.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use staplegun_store::layout::Layout;
use staplegun_store::map::Reader;
use staplegun_store::slots::Miss;
use staplegun_store::{Key, spool};

use crate::fetch::{Issuers, Subject};

/// A leaf that the agent was told of.
struct Told {
    file: PathBuf,
    key: Key,
}

/// Leaves the certificates in the store's spool and waits until the agent has an
/// answer for each, or `patience` is over. Returns a complaint for each file that
/// has none.
pub fn fetch(files: &[PathBuf], layout: &Layout, patience: Duration) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut told = Vec::new();
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
    let mut reader = None;
    loop {
        reader = reader.or_else(|| Reader::open(&layout.map(), usize::MAX).ok());
        if let Some(reader) = &reader {
            told.retain(|told| is_unknown(reader, &told.key));
        }
        if told.is_empty() || Instant::now() >= deadline {
            break;
        }
        // The map has nothing to wait on: it is read in handshakes.
        std::thread::sleep(Duration::from_millis(20));
    }
    complaints.extend(told.iter().map(|told| {
        format!(
            "no response for {} after {} seconds; the agent goes on trying; \
             see why with: staplegun fetch {0}",
            told.file.display(),
            patience.as_secs_f64()
        )
    }));
    complaints
}

/// Whether the map has neither a response nor the agent's word that there is none.
fn is_unknown(reader: &Reader, key: &Key) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs()).cast_signed();
    matches!(reader.lookup(key, now), Err(Miss::Absent))
}

fn tell(file: &Path, layout: &Layout) -> Result<Key> {
    let subject = Subject::from_file(file, &Issuers::default())?;
    spool::publish(&layout.spool(), &subject.key(), &subject.ders())
        .with_context(|| format!("cannot tell the agent of {}", file.display()))?;
    Ok(subject.key())
}
