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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Instant;

    use staplegun_store::files::Notes;
    use staplegun_testkit::{Directory, Identity, Spec, wait};

    use super::*;
    use crate::agent::counters::SpoolRefused;
    use crate::agent::event::Event;
    use crate::agent::inbox::Inbox;
    use crate::agent::roster::Room;
    use crate::fetch::Subject;

    #[test]
    fn once_they_are_wanted_those_are_followed_that_issued_what_is_looked_after() {
        let directory = Directory::new();
        let mut daemon = Daemon::at(directory.path());
        let files = Files::open(daemon.layout.lasting()).expect("it is ours");
        let root = Identity::self_signed(&Spec::ca("Root"));
        let [issuer, other] = ["Issuer", "Other"].map(|name| root.issue(&Spec::ca(name)));
        // One came with its issuer, one with somebody else's.
        for along in [&issuer, &other] {
            let ders = vec![issuer.issue(&Spec::server()).der(), along.der()];
            let leaf = Subject::new(ders, &daemon.issuers).expect("a certificate");
            let written = files.certificates.write(&leaf.key(), &leaf.to_pem());
            written.expect("it is ours");
            let watched = Watched::new(leaf, Notes::default());
            daemon.roster.take_in(watched, Instant::now());
        }
        daemon.settings.intermediates = true;
        daemon.follow_chains(false);
        let (sender, events) = channel();
        let mut inbox = Inbox::start(
            daemon.layout.spool(),
            Arc::clone(&daemon.manner),
            Box::new(|| panic!("nobody asks for it")),
            &daemon.issuers,
            &SpoolRefused::default(),
            &sender,
        )
        .expect("there are threads");
        daemon.chains.hand_over(&mut inbox);
        let mut followed = Vec::new();
        loop {
            match events.recv_timeout(wait::limit()).expect("it goes on") {
                Event::Room { key, answer, .. } => {
                    followed.push(key);
                    answer.send(Room::Known).expect("it waits");
                }
                Event::Emptied(_) => break,
                event => panic!("{event:?}"),
            }
        }
        assert_eq!(followed, [openssl::sha::sha256(&issuer.der())]);
    }
}
