//! Responses that others left in `staples/`, and what became of the agent's own there: what
//! follows from what the thread found that looks at the files.

use std::collections::BTreeSet;
use std::sync::Arc;

use staplegun_store::{Key, name};

use super::clock;
use super::daemon::Daemon;
use super::event::{Found, Looked};
use super::expiry;
use super::outcome::Origin;
use super::staples::{Look, Looker};
use crate::fetch::{self, Kind, Staple};

/// How many files are looked at between two looks at what else happens: to hand them over takes
/// longer than to look whether one is as it was.
const AT_ONCE: usize = 64;

impl Daemon {
    /// Has some of the files in `staples/` looked at that may have changed; what comes of it
    /// is told to [`Daemon::looked`].
    pub(super) fn look_at_some_dropped(&mut self, looker: &mut Looker) {
        if looker.is_busy() {
            return;
        }
        let dropped = std::iter::from_fn(|| self.dropped.pop_first());
        // Each once: what is found in a file is acted upon.
        let mut keys: BTreeSet<Key> = dropped.take(AT_ONCE).collect();
        let more = AT_ONCE - keys.len();
        keys.extend(
            self.by_their_files
                .take(|it| self.roster.keys_from(it), more),
        );
        // What is being written takes its place anyway, and is looked at then.
        keys.retain(|key| !self.keeper.is_writing_response(key));
        self.know_what_was_written();
        let looks: Vec<Look> = keys.iter().filter_map(|key| self.look_at(key)).collect();
        if !looks.is_empty() {
            looker.look(Arc::clone(&self.manner), looks);
        }
    }

    /// Whatever lay there before: what the agent wrote needs no judgement.
    fn know_what_was_written(&mut self) {
        for (key, stamp) in self.keeper.take_written() {
            if let Some(watched) = self.roster.get_mut(&key) {
                watched.stamp = Some(stamp);
                watched.refused_but_at = None;
            }
        }
    }

    fn look_at(&mut self, key: &Key) -> Option<Look> {
        let watched = self.roster.get_mut(key)?;
        // Without an issuer nothing can be told of it: it waits for him.
        watched.subject.issuer()?;
        Some(Look {
            subject: Arc::clone(&watched.subject),
            seen: watched.stamp,
            in_use: watched.known.as_ref().map(|known| known.der.clone()),
        })
    }

    /// A file in `staples/` is another one than was seen last: somebody may have brought a
    /// better response, or it was damaged or removed. Since it was looked at the certificate
    /// may have gone, or another response have come: it is weighed against what is known now.
    pub(super) fn looked(&mut self, looked: Looked) {
        let Looked { key, stamp, found } = looked;
        // What is to be looked at once more is told then.
        let Some(watched) = self
            .roster
            .get_mut(&key)
            .filter(|_| !self.dropped.contains(&key))
        else {
            return;
        };
        if let Found::Unreadable(error) = &found {
            // It may tell a revocation: it stays, and is looked at again.
            if watched.unread.as_deref() != stamp.as_ref() {
                tracing::error!(
                    cause = "store",
                    "{error}; the agent's user must be able to read it: chmod 644"
                );
            }
            watched.unread = stamp.map(Box::new);
            return;
        }
        watched.stamp = stamp;
        watched.refused_but_at = None;
        match found {
            Found::InUse | Found::Unreadable(_) => {}
            Found::Nothing => self.restore(&key, None),
            Found::Response(der, judgement) => {
                let known = watched.known.as_ref();
                if known.is_none_or(|known| known.der != der) {
                    self.judged(&key, judgement);
                    self.restore(&key, Some(&der));
                }
            }
        }
    }

    fn judged(&mut self, key: &Key, judgement: Result<Staple, Kind>) {
        match judgement {
            Ok(staple) => {
                if let Err(full) = self.accept(key, staple, Origin::File) {
                    tracing::error!(key = %name::of_key(key), cause = "map", "{full}");
                }
            }
            Err(Kind::Early { staple, fault }) => {
                tracing::info!(key = %name::of_key(key), "kept until its time comes: {fault}");
                self.keep_until_its_time(key, staple);
            }
            Err(kind) => {
                if let Some(watched) = self.roster.get_mut(key) {
                    watched.refused_but_at = expiry::refused_but_at(&kind, clock::now());
                }
                let failure = fetch::Failure::at("", kind);
                tracing::warn!(
                    key = %name::of_key(key),
                    cause = failure.cause(),
                    "refused the response in staples/: {failure}"
                );
            }
        }
    }

    /// Puts what is in use back into `staples/`, unless that is what is `there`.
    fn restore(&mut self, key: &Key, there: Option<&[u8]>) {
        // What is being written takes its place anyway.
        if self.keeper.is_writing_response(key) {
            return;
        }
        if let Some(watched) = self.roster.get_mut(key)
            && let Some(known) = &watched.known
        {
            let wanted = Some(known.der.as_slice()).filter(|der| !der.is_empty());
            let early = watched.early.as_ref().map(|early| early.der.as_slice());
            match wanted {
                wanted if there == wanted => {}
                // It is taken when its time has come, by the next agent too.
                _ if there == early => {}
                Some(der) => self.keeper.write_response(key, der),
                // What is there is no evidence of the revocation that is known.
                None => self.keeper.remove_response(key),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Instant;

    use staplegun_store::files::{Files, Notes};
    use staplegun_testkit::directory::set_mode;
    use staplegun_testkit::{Directory, Identity, Spec, wait};

    use super::*;
    use crate::agent::event::Event;
    use crate::agent::roster::Watched;
    use crate::agent::stored;
    use crate::agent::testing::{as_nobody, certificate, logged, revoked};
    use crate::fetch::{Issuers, Subject};

    #[test]
    fn a_file_that_changed_and_whose_turn_it_is_is_looked_at_once() {
        let directory = Directory::new();
        let mut daemon = Daemon::at(directory.path());
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let ders = vec![ca.issue(&Spec::server()).der(), ca.der()];
        let subject = Subject::new(ders, &Issuers::default()).expect("a certificate");
        let key = subject.key();
        let watched = Watched::new(subject, Notes::default());
        daemon.roster.take_in(watched, Instant::now());
        let staples = daemon.layout.lasting().join("staples");
        std::fs::create_dir(&staples).expect("it is ours");
        let file = staples.join(format!("{}.der", name::of_key(&key)));
        std::fs::write(file, "no response").expect("it is ours");
        let (sender, events) = channel();
        let mut looker = Looker::start(&daemon.layout, &sender).expect("there are threads");
        daemon.dropped.insert(key);
        daemon.by_their_files.begin();
        daemon.look_at_some_dropped(&mut looker);
        let Ok(Event::Looked(looked)) = events.recv_timeout(wait::limit()) else {
            panic!("the thread tells what it found");
        };
        assert_eq!(looked.len(), 1);
    }

    /// One that looks after a certificate of which that is known.
    fn with_one(directory: &Directory, known: Option<Staple>) -> (Daemon, Key) {
        let mut daemon = Daemon::at(directory.path());
        let layout = daemon.layout.clone();
        let opened = daemon.keeper.open_files(&layout, true);
        opened.expect("there are threads");
        let mut watched = Watched::new(certificate(&Spec::server()), Notes::default());
        watched.known = known;
        let key = watched.subject.key();
        daemon.roster.take_in(watched, Instant::now());
        (daemon, key)
    }

    #[test]
    fn what_lies_there_of_a_revoked_certificate_whose_evidence_was_lost_is_removed() {
        let directory = Directory::new();
        let (mut daemon, key) = with_one(&directory, Some(revoked(b"")));
        let file = Files::new(directory.path()).staples.path_of(&key);
        std::fs::write(&file, "an old good one").expect("it is ours");
        let refused = Err(Kind::Timeout("for the test"));
        daemon.looked(Looked {
            key,
            stamp: None,
            found: Found::Response(b"an old good one".into(), refused),
        });
        wait::until("it is removed", || (!file.exists()).then_some(()));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_once_until_it_is_another() {
        let directory = Directory::new();
        let (mut daemon, key) = with_one(&directory, None);
        let files = Files::new(directory.path());
        let path = files.staples.path_of(&key);
        let mut told = |contents: &str| {
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, contents).expect("it is ours");
            set_mode(&path, 0);
            let stamp = stored::stamp_of_response(&daemon.layout, &key);
            let mut look = || {
                let error = as_nobody(|| files.staples.read(&key)).expect_err("it is forbidden");
                let found = Found::Unreadable(error);
                daemon.looked(Looked { key, stamp, found });
            };
            [logged(&mut look).len(), logged(look).len()]
        };
        assert_eq!(told("one"), [1, 0]);
        assert_eq!(told("another"), [1, 0]);
    }
}
