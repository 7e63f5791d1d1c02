//! `--cert`: the agent is told of certificates, and what it fetches is awaited,
//! before the program starts, so that its first handshake is stapled.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use staplegun_store::layout::Layout;
use staplegun_store::{Key, spool};

use super::store::Store;
use crate::agent::now;
use crate::awaited::{self, Told};
use crate::fetch::{Issuers, Subject};
use crate::status::read::{self as status, State};

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
    complaints.extend(awaited::complaints(layout, &told, begun, patience));
    if store.is_kept {
        return complaints;
    }
    let known = status::certificates(layout, now()).map_or_else(|_| Vec::new(), |(all, _)| all);
    let others = known.iter().filter(|one| {
        let is_told = told.iter().any(|told| awaited::is_it(one, &told.key));
        !is_told && matches!(one.status, State::Revoked | State::NoIssuer)
    });
    complaints.extend(others.filter_map(|one| {
        let sentence = one.sentence.as_ref()?;
        Some(format!("{}: {sentence}", one.subject))
    }));
    complaints
}

fn tell(file: &Path, layout: &Layout) -> Result<Key> {
    let subject = Subject::from_file(file, &Issuers::default())?;
    spool::publish(&layout.spool(), &subject.key(), &subject.ders())
        .with_context(|| format!("cannot tell the agent of {}", file.display()))?;
    Ok(subject.key())
}
