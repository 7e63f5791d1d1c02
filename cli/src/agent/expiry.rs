//! What the wall clock ends and begins: certificates that expire, and come back should
//! the clock have been wrong, and so do responses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use staplegun_ocsp::{Fault, UnixTime, Validity};
use staplegun_store::{Key, name};

use super::daemon::Daemon;
use super::outcome::Origin;
use super::roster::Watched;
use crate::fetch::Kind;

impl Daemon {
    /// Puts by what has expired, takes back what has not, and gives up what has been
    /// expired for long.
    pub(super) fn follow_the_clock(&mut self, now: UnixTime, at: Instant) {
        for watched in self.roster.remove_expired(now) {
            tracing::info!(
                certificate = %watched.subject.leaf.display_subject(),
                "the certificate has expired: it is out of use"
            );
            self.put_by(watched, at);
        }
        for one in self.roster.passed_over.take_expired(now) {
            match one.notes.left_by {
                // Strangers could make it grow.
                Some(_) => self.keeper.forget(&one.subject.key()),
                None => self.shelf.put(Watched::new(one.subject, one.notes), at),
            }
        }
        for watched in self.shelf.take_valid(now) {
            self.bring_back(watched, now, at);
        }
        self.note_expired(at, false);
        for gone in self.shelf.give_up(at) {
            tracing::info!(
                certificate = %gone.subject.leaf.display_subject(),
                "the certificate expired long ago: its files are removed"
            );
            self.keeper.forget(&gone.subject.key());
        }
        for key in self.timely(now) {
            if let Some(watched) = self.roster.get_mut(&key) {
                // To be judged anew, in this pass.
                watched.stamp = None;
            }
        }
    }

    /// How long until the next certificate expires, by the wall clock.
    pub(super) fn next_expiry(&self, now: UnixTime) -> Option<Duration> {
        let all = self.roster.iter();
        let first = all.map(|(_, watched)| watched.subject.leaf.not_after());
        // It is valid up to and with its last second.
        let left = first.min()?.saturating_add(1).saturating_sub(now);
        Some(Duration::from_secs(u64::try_from(left).unwrap_or(0).max(1)))
    }

    /// Notes how long they have been expired; `all`: at the end.
    pub(super) fn note_expired(&mut self, at: Instant, all: bool) {
        for (key, notes) in self.shelf.count(at, all) {
            self.keeper.write_notes(&key, &notes);
        }
    }

    /// Out of use, but not lost.
    pub(super) fn put_by(&mut self, mut watched: Watched, at: Instant) {
        let key = watched.subject.key();
        self.keeper.put_by(&key, watched.known.as_ref());
        // What is being judged now is judged anew, should it come back.
        watched.stamp = None;
        // Whether the operator still names it there, or its successor, is looked up.
        if watched.notes.path.take().is_some() {
            self.again.certificates.insert(key);
            self.keeper.write_notes(&key, &watched.notes);
        }
        self.shelf.put(watched, at);
    }

    fn bring_back(&mut self, mut watched: Watched, now: UnixTime, at: Instant) {
        let key = watched.subject.key();
        if watched.notes.passed_over.is_some() {
            let subject = Arc::unwrap_or_clone(watched.subject);
            self.roster.passed_over.keep(subject, watched.notes);
            return;
        }
        tracing::info!(
            certificate = %watched.subject.leaf.display_subject(),
            "the clock was set back: the certificate is in use again"
        );
        let known = watched.known.take();
        self.keeper.write_notes(&key, &watched.notes);
        self.roster.take_in(watched, at);
        match known {
            Some(revoked) if !revoked.is_good() => self.withdraw_known(&key, revoked),
            Some(good) if good.is_fresh(now) => {
                if let Err(full) = self.take_into_use(&key, good, Origin::File) {
                    tracing::error!(key = %name::of_key(&key), cause = "map", "{full}");
                }
            }
            _ => {}
        }
    }

    /// Those whose response in `staples/` was refused for the time, which is right now.
    fn timely(&self, now: UnixTime) -> Vec<Key> {
        let is_timely = |watched: &Watched| watched.refused_but_at.is_some_and(|at| holds(at, now));
        let all = self.roster.iter().filter(|(_, watched)| is_timely(watched));
        all.map(|(key, _)| *key).collect()
    }
}

/// When a response may count that was refused at the time `now` for that alone.
pub fn refused_but_at(kind: &Kind, now: UnixTime) -> Option<Validity> {
    let Kind::Response { fault, .. } = kind else {
        return None;
    };
    let at = match *fault {
        Fault::Expired { until, .. } => Validity {
            from: UnixTime::MIN,
            until,
        },
        Fault::SignerNotValid { from, until, .. } => Validity { from, until },
        _ => return None,
    };
    Some(at).filter(|at| !holds(*at, now))
}

fn holds(validity: Validity, now: UnixTime) -> bool {
    validity.from <= now && now < validity.until
}
