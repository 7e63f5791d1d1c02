//! What an earlier agent left: read and verified again, by as many threads as the
//! machine has processors, since a boot waits for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use staplegun_ocsp::{Judged, Policy, Validity, Verdict, better};
use staplegun_store::files::{Files, Notes, Stamp};
use staplegun_store::layout::Layout;
use staplegun_store::slots::{State, Summary};
use staplegun_store::{Key, name};

use super::chain::Chain;
use super::clock;
use super::daemon::Daemon;
use super::expiry;
use super::known;
use super::passed_over::PassedOver;
use super::roster::{Source, Watched};
use super::stored;
use crate::fetch::{self, Issuers, Kind, Staple, Subject};

/// Threads, at most.
const THREADS: usize = 16;
/// How many certificates they hand over at once, and how many times so many they are ahead
/// of the main thread at most: to be woken takes longer than to take one in.
const AT_ONCE: usize = 16;
const AHEAD: usize = 4;

/// One certificate of the store.
struct Restored {
    subject: Subject,
    notes: Notes,
    /// The response in `staples/`, judged; None as well if the certificate's issuer is not known.
    stored: Option<Result<Staple, Kind>>,
    /// What came along with it, if that is wanted.
    chain: Option<Chain>,
    /// Which file that was.
    stamp: Option<Stamp>,
}

impl Daemon {
    /// Reads what an earlier agent left, verifies it again, and fills the map.
    pub fn fill(&mut self) {
        let files = Files::new(self.layout.lasting()).at_once();
        let keys = files.certificates.keys().unwrap_or_else(|error| {
            tracing::error!(cause = "store", "{error}");
            Vec::new()
        });
        let in_map = self.keeper.in_map();
        let reading = Reading {
            files: &files,
            layout: &self.layout.clone(),
            issuers: &self.issuers.clone(),
            policy: self.manner.policy,
            intermediates: self.settings.intermediates,
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let parts: Vec<&[Key]> = keys.chunks(AT_ONCE).collect();
        let next = AtomicUsize::new(0);
        let mut stapled = 0usize;
        let mut passed_over = Vec::new();
        std::thread::scope(|scope| {
            let (sender, all_restored) = sync_channel(AHEAD);
            for _ in 0..threads.min(THREADS) {
                let (sender, next, parts, reading) = (sender.clone(), &next, &parts, &reading);
                scope.spawn(move || {
                    while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let part = part.iter().filter_map(|key| reading.restore(key));
                        if sender.send(part.collect::<Vec<_>>()).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for restored in all_restored.into_iter().flatten() {
                if restored.notes.passed_over.is_some() {
                    let Restored { subject, notes, .. } = restored;
                    passed_over.push(PassedOver { subject, notes });
                    continue;
                }
                let in_map = in_map.get(&restored.subject.key());
                stapled += usize::from(self.take_back(restored, in_map));
            }
        });
        // To be examined again: the configuration may be another now.
        for PassedOver { subject, notes } in passed_over {
            self.roster.passed_over.keep(subject, notes);
        }
        let roster = &self.roster;
        self.keeper.note_strays(in_map, |key| roster.contains(key));
        let certificates = self.roster.len();
        tracing::info!(certificates, stapled, "filled the live map from the store");
    }

    /// True if there is a response to be stapled.
    fn take_back(&mut self, restored: Restored, in_map: Option<&Summary>) -> bool {
        let Restored {
            subject,
            notes,
            stored,
            chain,
            stamp,
        } = restored;
        let (now, at) = (clock::now(), Instant::now());
        let (staple, refused) = match stored {
            Some(Ok(staple)) => (Some(staple), None),
            Some(Err(refused)) => (None, Some(refused)),
            None => (None, None),
        };
        let key = subject.key();
        if subject.leaf.not_after() < now {
            // Whether the clock is right is not known yet: nothing is deleted here.
            let known = known::recover(staple, &notes, in_map, now);
            let mut watched = Watched::new(subject, notes);
            watched.known = known;
            self.put_by(watched, at);
            return false;
        }
        let next = match self.keeper.ended_cleanly() {
            true => notes.next_refresh.unwrap_or(now).saturating_sub(now),
            // It may have been revoked, and known to be, and not on the disk.
            false => 0,
        };
        let known = known::recover(staple, &notes, in_map, now);
        let is_users = notes.left_by.is_some();
        self.roster.admit(subject, Source::Store, notes, at);
        self.note_chain(chain);
        if let Some(watched) = self.roster.get_mut(&key) {
            // Judged now: looked at again only when somebody changes the file, or when
            // its time comes.
            watched.stamp = stamp;
            watched.refused_but_at =
                (refused.as_ref()).and_then(|refused| expiry::refused_but_at(refused, now));
            if let Some(Kind::Early { staple, .. }) = refused {
                watched.early = Some(staple);
            }
        }
        let Some(known) = known else {
            return false;
        };
        if !known.is_good() {
            self.withdraw_known(&key, known);
            return false;
        }
        if !known.is_fresh(now) {
            return false;
        }
        let is_better = in_map.is_none_or(|summary| {
            summary.state != State::Good || better(&good_in_map(summary), &known.judged(), now)
        });
        if is_better && let Err(error) = self.keeper.staple(&key, &known, is_users) {
            tracing::error!(key = %name::of_key(&key), cause = "map", "{error}");
            return false;
        }
        let wait = Duration::from_secs(u64::try_from(next).unwrap_or(0));
        let due = at.checked_add(wait.min(self.settings.limits().longest_refresh));
        self.roster.set_due(&key, due);
        if let Some(watched) = self.roster.get_mut(&key) {
            watched.known = Some(known);
        }
        true
    }
}

/// What the map says of a good response.
fn good_in_map(summary: &Summary) -> Judged {
    Judged {
        verdict: Verdict::Good,
        validity: Validity {
            from: summary.this_update,
            // The map counts up to and with the last second.
            until: summary.until.saturating_add(1),
        },
    }
}

/// What reading takes, from several threads.
struct Reading<'a> {
    files: &'a Files,
    layout: &'a Layout,
    issuers: &'a Issuers,
    policy: Policy,
    intermediates: bool,
}

impl Reading<'_> {
    fn restore(&self, key: &Key) -> Option<Restored> {
        let mut subject = self.subject(key)?;
        let mut notes = stored::or_warn(self.files.notes(key)).unwrap_or_default();
        // Whatever failed before the restart may work now.
        notes.failures = 0;
        // Without an issuer it was not judged: it is looked at once there is one.
        let issuer = subject.issuer();
        let stamp = issuer.and_then(|_| stored::stamp_of_response(self.layout, key));
        let stored = self.stored(key, &subject);
        let source = notes.left_by.map_or(Source::Store, Source::User);
        let is_followed = self.intermediates && notes.passed_over.is_none();
        let chain = Chain::of(&subject, source).filter(|_| is_followed && !notes.intermediate);
        if notes.passed_over.is_none() {
            if notes.left_by.is_none() {
                self.issuers.learn_of_root(&subject.ders());
            }
            subject.let_go();
        }
        Some(Restored {
            subject,
            notes,
            stored,
            chain,
            stamp,
        })
    }

    fn subject(&self, key: &Key) -> Option<Subject> {
        let pem = stored::or_warn(self.files.certificates.read(key))?;
        match Subject::from_bytes(&pem, self.issuers) {
            Ok(subject) if subject.key() == *key => Some(subject),
            Ok(_) => {
                tracing::warn!(
                    key = %name::of_key(key),
                    "passed over a file in certs/ that holds another certificate than its name says"
                );
                None
            }
            Err(error) => {
                tracing::warn!(key = %name::of_key(key), "passed over a file in certs/: {error:#}");
                None
            }
        }
    }

    fn stored(&self, key: &Key, subject: &Subject) -> Option<Result<Staple, Kind>> {
        let issuer = subject.issuer()?;
        let der = stored::or_warn(self.files.staples.read(key))?;
        let judged = fetch::judge(&der, issuer, clock::now(), &self.policy);
        Some(judged.map_err(|refused| {
            let failure = fetch::Failure::at("", refused);
            tracing::warn!(
                key = %name::of_key(key),
                cause = failure.cause(),
                "passed over the response in staples/: {failure}"
            );
            failure.kind
        }))
    }
}

#[cfg(test)]
mod tests {
    use staplegun_testkit::{Directory, Identity, Spec};

    use super::*;

    #[test]
    fn the_chain_of_a_stored_certificate_is_followed_if_that_is_wanted_and_nobodys_twice() {
        let root = Identity::self_signed(&Spec::ca("root"));
        let intermediate = root.issue(&Spec::ca("intermediate"));
        let leaf = intermediate.issue(&Spec::server());
        let (directory, issuers) = (Directory::new(), Issuers::default());
        let layout = Layout::at(directory.path());
        let files = Files::open(layout.lasting()).expect("a store");
        let chain = leaf.pem() + &intermediate.pem();
        let subject = Subject::from_bytes(chain.as_bytes(), &issuers).expect("a certificate");
        let written = files.certificates.write(&subject.key(), chain.as_bytes());
        written.expect("it can be written");
        let is_followed = |intermediates, notes: Notes| {
            let notes = files.state.write(&subject.key(), &notes.to_json());
            notes.expect("they can be written");
            let reading = Reading {
                files: &files,
                layout: &layout,
                issuers: &issuers,
                policy: Policy::STAPLING,
                intermediates,
            };
            let restored = reading.restore(&subject.key()).expect("it is there");
            restored.chain.is_some()
        };
        let passed_over = || Notes {
            passed_over: Some("costly".to_owned()),
            ..Notes::default()
        };
        // Of an intermediate the chain came along with its leaf.
        let itself_followed = || Notes {
            intermediate: true,
            ..Notes::default()
        };
        assert!(is_followed(true, Notes::default()));
        assert!(!is_followed(true, itself_followed()));
        assert!(!is_followed(true, passed_over()));
        assert!(!is_followed(false, Notes::default()));
    }
}
