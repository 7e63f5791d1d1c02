//! What the agent holds: the live map, and the plain files that last.
//!
//! Files that cannot be written stop nothing: responses are served from the map.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context;
use staplegun_ocsp::UnixTime;
use staplegun_store::files::{Files, Notes, Stamp, What, Which, make_runtime};
use staplegun_store::layout::Layout;
use staplegun_store::map::{Fill, MapError, Writer, WriterLock};
use staplegun_store::slots::{State, Summary};
use staplegun_store::{Key, name};

use super::live::{self, Live};
use super::scribe::Scribe;
use crate::fetch::Staple;

/// The map and the files.
#[derive(Debug)]
pub struct Keeper {
    /// None if the directories cannot be used. The first to be dropped: what waits is
    /// written while no other agent can have the lock that the map's writer holds.
    scribe: Option<Scribe>,
    writer: Writer,
    /// Shows in files what the map serves, where that is wanted.
    live: Option<Live>,
    /// See [`Files::ended_cleanly`].
    ended_cleanly: bool,
    /// Good responses that an earlier agent left in the map and that belong to no certificate:
    /// the last second of each, and since when it is known that it is over.
    strays: HashMap<Key, (UnixTime, Option<Instant>)>,
}

/// Of the map users other than root leave one part of so many to root and the agent's own.
const PART_OF_ROOT: usize = 4;

/// Why there was no room in the map.
#[derive(Debug)]
pub enum NoRoom {
    /// The map has none, or says what else is wrong.
    Map(MapError),
    /// What is left is not for users other than root.
    ForUsers,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(error) => error.fmt(f),
            Self::ForUsers => write!(
                f,
                "what is left of the live map is kept for root and the agent's own user: raise \
                 map-size, which counts after a reboot, or lower max-certificates"
            ),
        }
    }
}

/// How long they stay.
const STRAYS_STAY: Duration = Duration::from_secs(86_400);

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
            live: None,
            ended_cleanly: false,
            strays: HashMap::new(),
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

    /// Opens the files of the store, and starts the thread that writes them; `for_life`
    /// says that this is an agent, and not only filling the map.
    ///
    /// # Errors
    ///
    /// If the system gives no thread; directories that cannot be used are no error.
    pub fn open_files(&mut self, layout: &Layout, for_life: bool) -> std::io::Result<()> {
        let files = Files::new(layout.lasting());
        if let Err(error) = files.prepare() {
            tracing::error!(
                cause = "store",
                "{error}; responses are served, but will not survive a restart"
            );
        }
        self.ended_cleanly = files.ended_cleanly();
        self.scribe = Some(Scribe::start(files, for_life)?);
        Ok(())
    }

    /// Shows from now on in `live/` what the map serves, or no longer.
    pub fn show_live(&mut self, layout: &Layout, is_wanted: bool) {
        match (is_wanted, &self.live) {
            (true, Some(_)) => {}
            (true, None) => match Live::start(layout) {
                Ok(live) => self.live = Some(live),
                Err(error) => tracing::error!(cause = "live", "cannot keep live/: {error:#}"),
            },
            (false, _) => {
                self.live = None;
                live::clear(layout);
            }
        }
    }

    /// Looks again whether `live/` is as it has to be.
    pub fn look_at_live(&self) {
        if let Some(live) = &self.live {
            live.look();
        }
    }

    /// The map's record of `key` has changed.
    fn changed(&self, key: &Key) {
        if let Some(live) = &self.live {
            live.changed(key);
        }
    }

    /// Whether all that was known before the start was on the disk.
    pub fn ended_cleanly(&self) -> bool {
        self.ended_cleanly
    }

    /// Whether something has yet to be written.
    pub fn is_writing(&self) -> bool {
        self.scribe.as_ref().is_some_and(Scribe::is_busy)
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

    /// Which files the responses are that were written since this was asked, the latest
    /// last.
    pub fn take_written(&self) -> Vec<(Key, Stamp)> {
        let scribe = self.scribe.as_ref();
        scribe.map(Scribe::take_written).unwrap_or_default()
    }

    /// Lets the evidence of a revocation take the place of the good response, soon and
    /// before everything else.
    pub fn write_evidence(&self, key: &Key, der: &[u8]) {
        if let Some(scribe) = &self.scribe {
            scribe.add_evidence(key, der);
        }
    }

    /// What somebody else put into the file of a response counts: nothing that could
    /// not be written there before is written over it.
    pub fn leave_response(&self, key: &Key) {
        if let Some(scribe) = &self.scribe {
            scribe.give_up(Which::Staple, key);
        }
    }

    /// Removes the file of a response.
    pub fn remove_response(&self, key: &Key) {
        self.change(Which::Staple, key, What::Remove);
    }

    /// Writes the notes.
    pub fn write_notes(&self, key: &Key, notes: &Notes) {
        self.change(Which::Notes, key, What::Write(notes.to_json()));
    }

    /// Forgets a certificate and all that belongs to it.
    pub fn forget(&mut self, key: &Key) {
        self.writer.remove(key);
        self.changed(key);
        for which in [Which::Certificate, Which::Staple, Which::Notes] {
            self.change(which, key, What::Remove);
        }
    }

    fn change(&self, which: Which, key: &Key, what: What) {
        if let Some(scribe) = &self.scribe {
            scribe.add(which, key, what);
        }
    }

    /// Staples `staple` from now on; `is_users` says that another user than root left the
    /// certificate.
    ///
    /// # Errors
    ///
    /// If the map is full; what was stapled stays.
    pub fn staple(&mut self, key: &Key, staple: &Staple, is_users: bool) -> Result<(), NoRoom> {
        let validity = staple.validity;
        // The map counts up to and with the last second, a validity without it.
        let last = validity.until.saturating_sub(1);
        self.has_room(key, staple.der.len(), is_users)?;
        self.strays.remove(key);
        let put = self.writer.put(key, &staple.der, validity.from, last);
        self.changed(key);
        put.map_err(NoRoom::Map)
    }

    fn has_room(&self, key: &Key, length: usize, is_users: bool) -> Result<(), NoRoom> {
        let reserve = self.writer.size() / PART_OF_ROOT;
        match is_users && !self.writer.leaves(key, length, reserve) {
            true => Err(NoRoom::ForUsers),
            false => Ok(()),
        }
    }

    /// Staples nothing good any more: `revoked` tells a revocation. It is stapled itself
    /// while it is valid, if `staples` says so and there is room.
    ///
    /// # Errors
    ///
    /// If the map is full and had no response either.
    pub fn withdraw(
        &mut self,
        key: &Key,
        revoked: &Staple,
        staples: bool,
        is_users: bool,
    ) -> Result<(), NoRoom> {
        let Staple { der, validity, .. } = revoked;
        let last = validity.until.saturating_sub(1);
        self.strays.remove(key);
        let mut revoke = |der: &[u8]| {
            self.has_room(key, der.len(), is_users)?;
            let revoked = self.writer.revoke(key, der, validity.from, last);
            revoked.map_err(NoRoom::Map)
        };
        let done = match staples && revoke(der).is_ok() {
            true => Ok(()),
            false => revoke(&[]),
        };
        self.changed(key);
        done
    }

    /// How full the map is, and how many bytes it has.
    pub fn fill(&self) -> (Fill, usize) {
        (self.writer.fill(), self.writer.size())
    }

    /// What the map holds.
    pub fn in_map(&self) -> HashMap<Key, Summary> {
        self.writer
            .entries()
            .filter_map(|entry| Some((entry.key, entry.summary?)))
            .collect()
    }

    /// Staples nothing for a certificate that has expired. What was withdrawn stays so.
    pub fn put_by(&mut self, key: &Key, known: Option<&Staple>) {
        match known.filter(|known| !known.is_good()) {
            Some(revoked) => {
                // There is room: it has a record.
                let _ = self.withdraw(key, revoked, false, false);
            }
            None => {
                self.writer.remove(key);
                self.changed(key);
            }
        }
    }

    /// Notes what of `in_map` belongs to no certificate, of which `known` tells: whatever comes
    /// into the map from now on belongs to one.
    pub fn note_strays(&mut self, in_map: HashMap<Key, Summary>, known: impl Fn(&Key) -> bool) {
        let is_stray = |key: &Key| self.writer.contains(key) && !known(key);
        let good = in_map.into_iter().filter(|(_, it)| it.state == State::Good);
        let strays = good.filter(|(key, _)| is_stray(key));
        self.strays = strays.map(|(key, it)| (key, (it.until, None))).collect();
    }

    /// Drops those that have been expired for long: nobody is left to renew them. `at` is by
    /// the monotonic clock, since the other one may be wrong for a moment.
    pub fn drop_expired(&mut self, now: UnixTime, at: Instant) {
        let writer = &mut self.writer;
        self.strays.retain(|key, (until, since)| {
            if *until >= now {
                *since = None;
                return true;
            }
            let since = *since.get_or_insert(at);
            let stays = at.saturating_duration_since(since) < STRAYS_STAY;
            if !stays {
                tracing::info!(certificate = %name::of_key(key), "dropped an expired response");
                writer.remove(key);
            }
            stays
        });
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
    make_runtime(layout)
        .with_context(|| format!("cannot make the directory {}", runtime.display()))?;
    match WriterLock::try_take(&layout.map()) {
        Err(error) if !error.is_busy() => Err(error.into()),
        taken => Ok(taken),
    }
}

#[cfg(test)]
mod tests {
    use staplegun_ocsp::{Validity, Verdict};
    use staplegun_testkit::Directory;

    use super::*;

    #[test]
    fn an_expired_response_in_the_map_goes_after_a_day_unless_a_certificate_has_it() {
        let directory = Directory::new();
        let layout = Layout::at(directory.path());
        let lock = WriterLock::try_take(&layout.map()).expect("nobody has it");
        let mut keeper = Keeper::open_map(&layout, 1 << 20, lock).expect("it can be made");
        let response = |until| Staple {
            der: vec![1],
            verdict: Verdict::Good,
            validity: Validity { from: 0, until },
        };
        let (known, stray, later, named) = ([1; 32], [2; 32], [3; 32], [4; 32]);
        for (key, until) in [(known, 10), (stray, 10), (later, 20), (named, 10)] {
            keeper
                .staple(&key, &response(until), false)
                .expect("there is room");
        }
        let in_map = keeper.in_map();
        keeper.note_strays(in_map, |key| *key == known);
        keeper
            .staple(&named, &response(10), false)
            .expect("there is room");
        let at = Instant::now();
        keeper.drop_expired(15, at);
        keeper.drop_expired(15, at + STRAYS_STAY - Duration::from_secs(1));
        assert_eq!(keeper.in_map().len(), 4);
        // The clock was wrong: it is counted anew.
        keeper.drop_expired(5, at + STRAYS_STAY);
        keeper.drop_expired(30, at + STRAYS_STAY);
        assert_eq!(keeper.in_map().len(), 4);
        keeper.drop_expired(15, at + 2 * STRAYS_STAY);
        let in_map = keeper.in_map();
        let mut left: Vec<&Key> = in_map.keys().collect();
        left.sort_unstable();
        assert_eq!(left, [&known, &later, &named]);
    }
}
