//! What the agent holds: the live map, and the plain files that last.
//!
//! Files that cannot be written stop nothing: responses are served from the map.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use staplegun_ocsp::UnixTime;
use staplegun_store::files::{Change, Files, Notes, What, Which, make_directory};
use staplegun_store::layout::Layout;
use staplegun_store::map::{MapError, Writer, WriterLock};
use staplegun_store::slots::{State, Summary};
use staplegun_store::{Key, name};

use super::scribe::Scribe;
use crate::fetch::Staple;

/// The map and the files.
#[derive(Debug)]
pub struct Keeper {
    /// None if the directories cannot be used. The first to be dropped: what waits is
    /// written while no other agent can have the lock that the map's writer holds.
    scribe: Option<Scribe>,
    writer: Writer,
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
            scribe: None,
            writer,
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

    /// Opens the files of the store, and starts the thread that writes them.
    ///
    /// # Errors
    ///
    /// If the system gives no thread; directories that cannot be used are no error.
    pub fn open_files(&mut self, layout: &Layout) -> std::io::Result<()> {
        match Files::open(layout.lasting()) {
            Ok(files) => self.scribe = Some(Scribe::start(files)?),
            Err(error) => tracing::error!(
                cause = "store",
                "{error}; responses are served, but will not survive a restart"
            ),
        }
        Ok(())
    }

    /// The files, to be read; None if they cannot be used.
    pub fn files(&self) -> Option<Arc<Files>> {
        self.scribe
            .as_ref()
            .map(|scribe| Arc::clone(scribe.files()))
    }

    /// Writes a certificate's PEM.
    pub fn write_certificate(&self, key: &Key, pem: Vec<u8>) {
        self.change(Which::Certificate, key, What::Write(pem));
    }

    /// Writes a response.
    pub fn write_response(&self, key: &Key, der: &[u8]) {
        self.change(Which::Staple, key, What::Write(der.to_vec()));
    }

    /// Whether a response has yet to be written.
    pub fn is_writing_response(&self, key: &Key) -> bool {
        let scribe = self.scribe.as_ref();
        scribe.is_some_and(|scribe| scribe.is_pending(Which::Staple, key))
    }

    /// Puts the evidence of a revocation in the place of the good response, and
    /// waits for the disk: nobody shall find the good one there any more. On a full
    /// disk it is removed, which works where writing does not.
    pub fn replace_response(&self, key: &Key, der: &[u8]) {
        let Some(scribe) = &self.scribe else {
            return;
        };
        let change = |what| Change {
            which: Which::Staple,
            key: *key,
            what,
        };
        let is_gone = scribe.make(&change(What::Write(der.to_vec()))).is_ok()
            || scribe.make(&change(What::Remove)).is_ok();
        if !is_gone {
            tracing::error!(
                cause = "store",
                key = %name::of_key(key),
                "the good response in staples/ can neither be replaced nor removed: remove it \
                 before the machine restarts, or it is stapled again until its responder is asked"
            );
        }
    }

    /// Writes the notes.
    pub fn write_notes(&self, key: &Key, notes: &Notes) {
        self.change(Which::Notes, key, What::Write(notes.to_json()));
    }

    /// Forgets a certificate and all that belongs to it.
    pub fn forget(&mut self, key: &Key) {
        self.writer.remove(key);
        for which in [Which::Certificate, Which::Staple, Which::Notes] {
            self.change(which, key, What::Remove);
        }
    }

    fn change(&self, which: Which, key: &Key, what: What) {
        if let Some(scribe) = &self.scribe {
            scribe.add(which, key, what);
        }
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

/// Makes the directories of the store and takes the right to write the map.
///
/// # Errors
///
/// [`MapError::is_busy`] if another agent has it; else what cannot be used.
pub fn take_lock(layout: &Layout) -> anyhow::Result<Result<WriterLock, MapError>> {
    let runtime = layout.runtime();
    // Readers trust a map only where nobody else may write.
    make_directory(runtime)
        .with_context(|| format!("cannot make the directory {}", runtime.display()))?;
    match WriterLock::try_take(&layout.map()) {
        Err(error) if !error.is_busy() => Err(error.into()),
        taken => Ok(taken),
    }
}
