//! The intermediates of chains (setting `intermediates`): which came along with the
//! certificates that are looked after, and how many of those hang on each.
//!
//! The main thread notes each chain once and hands it to the spool's thread, which does the
//! cryptography (`Examiner::intermediates`). What that finds is let in as a certificate like
//! any other, but for its notes, which say what it is.

use staplegun_store::files::Files;
use staplegun_store::{Key, name};

use super::chain::{Chain, Stored};
use super::chains::Chains;
use super::daemon::Daemon;
use super::leaves::leaves_on;
use super::roster::Watched;

impl Daemon {
    /// The intermediates of that chain are to be looked after, too, if that is wanted.
    pub(super) fn note_chain(&mut self, chain: Option<Chain>) {
        if self.settings.intermediates
            && let Some(chain) = chain
        {
            self.chains.note(chain);
        }
    }

    /// The setting may be another than it was `before`.
    pub(super) fn follow_chains(&mut self, before: bool) {
        if !self.settings.intermediates {
            self.chains = Chains::default();
            self.drop_intermediates(|_| true);
        } else if !before {
            let has_issuer = |watched: &Watched| watched.subject.issuer().is_some();
            let all = self.roster.iter();
            let leaves = all.filter(|(_, it)| !it.notes.intermediate && has_issuer(it));
            let left: Vec<_> = leaves.map(|(key, it)| (*key, it.source())).collect();
            let files = Files::new(self.layout.lasting()).at_once();
            self.chains.note_stored(Stored::new(files, left));
        }
    }

    /// Forgets the intermediates on which no certificate hangs any more.
    pub(super) fn drop_idle_intermediates(&mut self) {
        let all = self.roster.iter().map(|(_, watched)| watched);
        // What has expired may be in use again, should the clock have been wrong.
        let on = leaves_on(all.chain(self.shelf.iter()), &self.roster);
        self.drop_intermediates(|key| !on.contains_key(key));
    }

    fn drop_intermediates(&mut self, these: impl Fn(&Key) -> bool) {
        let over = self.roster.intermediates().filter(|(key, _)| these(key));
        let over: Vec<Key> = over.map(|(key, _)| *key).collect();
        for key in over {
            self.roster.remove(&key);
            self.forget_in_fleet(&key);
            self.keeper.forget(&key);
            // Should it come along again, it is looked after again.
            self.chains.forget_followed();
            tracing::info!(key = %name::of_key(&key), "the intermediate is looked after no more");
        }
    }

    /// How many certificates hang on it, if it is an intermediate.
    pub(super) fn leaves_if_intermediate(&self, key: &Key) -> Option<usize> {
        let watched = self.roster.get(key)?;
        let all = self.roster.iter().map(|(_, watched)| watched);
        let count = || leaves_on(all, &self.roster).remove(key).unwrap_or(0);
        watched.notes.intermediate.then(count)
    }
}
