//! What the live map serves, as plain files in `live/`, for software that reads files: a
//! thread that follows the map, since the file system may hang.
//!
//! The map is the truth: the thread is told which record may have changed, and makes the file
//! be what a reader of the map would get. What cannot be done is done at the next sweep.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::Context;
use staplegun_ocsp::UnixTime;
use staplegun_store::Key;
use staplegun_store::files::{self, Directory, FileError};
use staplegun_store::layout::Layout;
use staplegun_store::map::{Reader, Trusted};
use staplegun_store::slots::{Found, Miss};

use super::clock;
use super::worker::Worker;

/// How long the agent's end waits for the file system.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest pause between two looks at the clock, which may be set.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often a record is read that the main thread is changing at that moment.
const ATTEMPTS: usize = 8;

/// The thread. Dropped, it does first what it was told.
#[derive(Debug)]
pub struct Live {
    /// None at the end only.
    changes: Option<Sender<Change>>,
    thread: Worker,
}

/// What may have changed in the map.
#[derive(Debug)]
enum Change {
    One(Key),
    Any,
}

impl Live {
    /// Starts it on a map that is there, and lets it look at all of it.
    ///
    /// # Errors
    ///
    /// If the map cannot be mapped once more, or the system gives no thread.
    pub fn start(layout: &Layout) -> anyhow::Result<Self> {
        let mut mirror = Mirror {
            map: Reader::open_by(&layout.map(), usize::MAX, Trusted::Volumes)?,
            files: files::live(layout),
            there: HashMap::new(),
            is_failing: false,
        };
        let (sender, changes) = channel();
        let thread = Worker::start("live", move || {
            mirror.follow_all();
            mirror.follow(&changes);
        });
        Ok(Self {
            changes: Some(sender),
            thread: thread.context("cannot start threads")?,
        })
    }

    /// The record of `key` has changed.
    pub fn changed(&self, key: &Key) {
        self.send(Change::One(*key));
    }

    /// It is time to look at everything again.
    pub fn look(&self) {
        self.send(Change::Any);
    }

    fn send(&self, change: Change) {
        if let Some(changes) = &self.changes {
            // It ends only when this does.
            let _ = changes.send(change);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.changes = None;
        if !self.thread.ends_within(PATIENCE) {
            tracing::error!(
                cause = "live",
                "the file system hangs: what is in live/ may have expired or been revoked"
            );
        }
    }
}

/// Removes every file: nobody keeps them fresh.
pub fn clear(layout: &Layout) {
    if !layout.live().is_dir() {
        return;
    }
    let files = files::live(layout);
    let removed = files.clean().and_then(|()| files.keys()).and_then(|keys| {
        let mut removed = keys.iter().map(|key| files.remove(key));
        removed.try_for_each(|done| done.map(drop))
    });
    if let Err(error) = removed {
        tracing::error!(
            cause = "live",
            "{error}; what a server reads there is not kept fresh: remove it, or set live-files"
        );
    }
}

/// Map and files, and what the files hold.
struct Mirror {
    map: Reader,
    files: Directory,
    /// The files that are there; None: it is not known what one holds.
    there: HashMap<Key, Option<Shown>>,
    is_failing: bool,
}

/// Which response a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    this_update: UnixTime,
    /// Its last second.
    until: UnixTime,
    length: usize,
}

impl Shown {
    fn of(found: &Found<'_>) -> Self {
        Self {
            this_update: found.this_update(),
            until: found.until(),
            length: found.len(),
        }
    }
}

impl Mirror {
    /// Somebody else may have removed files, or left some.
    fn find_what_is_there(&mut self) -> Result<(), FileError> {
        self.files.clean()?;
        let keys: HashSet<Key> = self.files.keys()?.into_iter().collect();
        self.there.retain(|key, _| keys.contains(key));
        for key in keys {
            self.there.entry(key).or_insert(None);
        }
        Ok(())
    }

    /// Returns at the agent's end.
    fn follow(&mut self, changes: &Receiver<Change>) {
        loop {
            match changes.recv_timeout(self.patience()) {
                Ok(Change::One(key)) => {
                    // Another response may have the same times.
                    if let Some(shown) = self.there.get_mut(&key) {
                        *shown = None;
                    }
                    let done = self.follow_one(&key, clock::now());
                    self.note(done);
                }
                Ok(Change::Any) | Err(RecvTimeoutError::Timeout) => self.follow_all(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// How long until a file expires.
    fn patience(&self) -> Duration {
        let known = self.there.values().flatten();
        let first = known.map(|shown| shown.until).min();
        let left = first.map(|until| until.saturating_add(1).saturating_sub(clock::now()));
        let left = left.and_then(|left| u64::try_from(left).ok());
        left.map_or(LONGEST_PAUSE, |left| {
            Duration::from_secs(left.max(1)).min(LONGEST_PAUSE)
        })
    }

    fn follow_all(&mut self) {
        let now = clock::now();
        let mut all = self.find_what_is_there();
        let mut keys: HashSet<Key> = self.map.entries().map(|entry| entry.key).collect();
        keys.extend(self.there.keys());
        for key in keys {
            all = all.and(self.follow_one(&key, now));
        }
        let is_mended = self.is_failing && all.is_ok();
        self.note(all);
        if is_mended {
            self.is_failing = false;
            tracing::info!("live/ can be written again");
        }
    }

    /// Makes the file of `key` be what the map has for it now.
    fn follow_one(&mut self, key: &Key, now: UnixTime) -> Result<(), FileError> {
        let (done, holds) = match self.read(key, now) {
            Ok(None) => return Ok(()),
            Ok(Some((der, shown))) => {
                // The map counts up to and with the last second.
                let end = shown.until.saturating_add(1);
                (self.files.show(key, &der, end), Some(Some(shown)))
            }
            Err(_) if !self.there.contains_key(key) => return Ok(()),
            Err(_) => (self.files.remove(key).map(drop), None),
        };
        // After an error it is not known what stands there.
        match done.as_ref().map_or(Some(None), |()| holds) {
            Some(shown) => drop(self.there.insert(*key, shown)),
            None => drop(self.there.remove(key)),
        }
        done
    }

    /// What the file has to hold; None if it does.
    fn read(&self, key: &Key, now: UnixTime) -> Result<Option<(Vec<u8>, Shown)>, Miss> {
        for _ in 0..ATTEMPTS {
            let found = self.map.lookup(key, now)?;
            let shown = Shown::of(&found);
            if self.there.get(key) == Some(&Some(shown)) {
                return Ok(None);
            }
            match found.to_vec() {
                Ok(der) => return Ok(Some((der, shown))),
                Err(Miss::Torn) => {}
                Err(miss) => return Err(miss),
            }
        }
        // Whoever changes it tells when that is done.
        Ok(None)
    }

    /// Trouble is told once, not at every attempt.
    fn note(&mut self, done: Result<(), FileError>) {
        if let Err(error) = done
            && !std::mem::replace(&mut self.is_failing, true)
        {
            tracing::error!(
                cause = "live",
                "{error}; servers that read files staple what they find there"
            );
        }
    }
}
