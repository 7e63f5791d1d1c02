//! What the agent holds: the live map, and the plain files that last.
//!
//! Files that cannot be written stop nothing: responses are served from the map,
//! and the trouble is told once, not at every attempt.

use std::collections::HashMap;

use anyhow::Context;
use staplegun_ocsp::UnixTime;
use staplegun_store::files::{FileError, Files, Notes};
use staplegun_store::layout::Layout;
use staplegun_store::map::{MapError, Writer, WriterLock};
use staplegun_store::slots::{State, Summary};
use staplegun_store::{Key, name};

use crate::fetch::Staple;

/// The map and the files.
#[derive(Debug)]
pub struct Keeper {
    writer: Writer,
    /// None if the directories cannot be used.
    files: Option<Files>,
    /// The last attempt to write a file failed.
    failing: bool,
}

impl Keeper {
    /// Opens or makes the map. The files follow by [`Keeper::open_files`], once
    /// the process is the user that it is going to be.
    ///
    /// # Errors
    ///
    /// If the map cannot be used: the message says why.
    pub fn open_map(layout: &Layout, size: usize, lock: WriterLock) -> anyhow::Result<Self> {
        let writer = Writer::open(&layout.map(), size, lock)?;
        let opened = writer.opened();
        tracing::info!(
            map = %layout.map().display(),
            created = opened.created,
            kept = opened.kept,
            dropped = opened.dropped,
            "the live map is open"
        );
        Ok(Self {
            writer,
            files: None,
            failing: false,
        })
    }

    /// Closes the map's descriptor: from now on nobody can truncate the file
    /// through this process.
    ///
    /// # Errors
    ///
    /// On old kernels, if there is no room for the whole map.
    pub fn close_descriptor(&mut self) -> anyhow::Result<()> {
        Ok(self.writer.close_descriptor()?)
    }

    /// Opens the files of the store.
    pub fn open_files(&mut self, layout: &Layout) {
        match Files::open(layout.lasting()) {
            Ok(files) => self.files = Some(files),
            Err(error) => tracing::error!(
                cause = "store",
                "{error}; responses are served, but will not survive a restart"
            ),
        }
    }

    /// The certificates that the files know.
    pub fn keys(&self) -> Vec<Key> {
        let Some(files) = &self.files else {
            return Vec::new();
        };
        files.certificates.keys().unwrap_or_else(|error| {
            tracing::error!(cause = "store", "{error}");
            Vec::new()
        })
    }

    /// The PEM of a certificate; None if there is none, or it cannot be read.
    pub fn certificate(&self, key: &Key) -> Option<Vec<u8>> {
        said(self.files.as_ref()?.certificates.read(key))
    }

    /// The response in the files; None if there is none, or it cannot be read.
    pub fn response(&self, key: &Key) -> Option<Vec<u8>> {
        said(self.files.as_ref()?.staples.read(key))
    }

    /// The notes of an earlier agent.
    pub fn notes(&self, key: &Key) -> Notes {
        let notes = self.files.as_ref().map(|files| files.notes(key));
        notes.and_then(said).unwrap_or_default()
    }

    /// Writes a certificate's PEM.
    pub fn write_certificate(&mut self, key: &Key, pem: &[u8]) {
        self.write(|files| files.certificates.write(key, pem));
    }

    /// Writes a response, if it does not stand there already. False if it could
    /// not be written.
    pub fn write_response(&mut self, key: &Key, der: &[u8]) -> bool {
        let there = self.files.as_ref().map(|files| files.staples.read(key));
        if matches!(there, Some(Ok(Some(there))) if there == der) {
            return true;
        }
        self.write(|files| files.staples.write(key, der))
    }

    /// Removes a response: on a full disk that works where writing does not.
    pub fn remove_response(&mut self, key: &Key) {
        self.write(|files| files.staples.remove(key).map(drop));
    }

    /// Writes the notes.
    pub fn write_notes(&mut self, key: &Key, notes: &Notes) {
        self.write(|files| files.write_notes(key, notes));
    }

    /// Forgets a certificate and all that belongs to it.
    pub fn forget(&mut self, key: &Key) {
        self.writer.remove(key);
        self.write(|files| {
            files.certificates.remove(key)?;
            files.staples.remove(key)?;
            files.state.remove(key).map(drop)
        });
    }

    fn write(&mut self, change: impl FnOnce(&Files) -> Result<(), FileError>) -> bool {
        let Some(files) = &self.files else {
            return false;
        };
        let changed = change(files);
        match &changed {
            Ok(()) if self.failing => tracing::info!("the store can be written again"),
            Err(error) if !self.failing => tracing::error!(cause = "store", "{error}"),
            _ => {}
        }
        self.failing = changed.is_err();
        changed.is_ok()
    }

    /// Staples `staple` from now on.
    ///
    /// # Errors
    ///
    /// If the map is full; what was stapled stays.
    pub fn staple(&mut self, key: &Key, staple: &Staple) -> Result<(), MapError> {
        let validity = staple.validity;
        // The map counts up to and with the last second, a validity without it.
        let last = validity.until.saturating_sub(1);
        self.writer.put(key, &staple.der, validity.from, last)
    }

    /// Staples nothing any more.
    ///
    /// # Errors
    ///
    /// If the map is full and had no response either.
    pub fn withdraw(&mut self, key: &Key) -> Result<(), MapError> {
        self.writer.withdraw(key)
    }

    /// What the map holds.
    pub fn in_map(&self) -> HashMap<Key, Summary> {
        self.writer
            .entries()
            .filter_map(|entry| Some((entry.key, entry.summary?)))
            .collect()
    }

    /// Drops what the map holds for certificates other than `known` once it has
    /// expired: nobody is left to renew it.
    pub fn drop_expired(&mut self, known: impl Fn(&Key) -> bool, now: UnixTime) {
        let over: Vec<Key> = self
            .writer
            .entries()
            .filter(|entry| !known(&entry.key))
            .filter(|entry| {
                entry
                    .summary
                    .is_some_and(|summary| summary.state == State::Good && summary.until < now)
            })
            .map(|entry| entry.key)
            .collect();
        for key in over {
            tracing::info!(certificate = %name::of_key(&key), "dropped an expired response");
            self.writer.remove(&key);
        }
    }
}

/// The value; an error is logged and counts as none.
fn said<T>(read: Result<Option<T>, FileError>) -> Option<T> {
    read.unwrap_or_else(|error| {
        tracing::warn!(cause = "store", "{error}");
        None
    })
}

/// Makes the directories of the store and takes the right to write the map.
///
/// # Errors
///
/// [`MapError::is_busy`] if another agent has it; else what cannot be used.
pub fn take_lock(layout: &Layout) -> anyhow::Result<Result<WriterLock, MapError>> {
    use std::os::unix::fs::DirBuilderExt;
    let runtime = layout.runtime();
    // Readers trust a map only where nobody else may write.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(runtime)
        .with_context(|| format!("cannot make the directory {}", runtime.display()))?;
    match WriterLock::try_take(&layout.map()) {
        Err(error) if !error.is_busy() => Err(error.into()),
        taken => Ok(taken),
    }
}
