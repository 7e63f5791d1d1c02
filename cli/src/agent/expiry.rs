//! What the wall clock ends and begins: certificates that expire, and come back should
//! the clock have been wrong, and so do responses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use staplegun_ocsp::{Fault, UnixTime, Validity};
use staplegun_store::{Key, name};

use super::clock;
use super::daemon::Daemon;
use super::decision::overslept;
use super::outcome::Origin;
use super::roster::Watched;
use super::round::PART;
use crate::fetch::Kind;

impl Daemon {
    /// Puts by what was passed over and has expired, takes back what has not, and gives up
    /// what has been expired for long.
    pub(super) fn follow_the_clock(&mut self, now: UnixTime, at: Instant) {
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
    }

    /// Goes on with the round of those that are looked after: how long it is until the first
    /// certificate of this part expires, by the wall clock.
    pub(super) fn follow_the_clock_for_some(&mut self) -> Option<Duration> {
        let (now, at) = (clock::now(), Instant::now());
        let part = self.by_the_clock.take(|it| self.roster.keys_from(it), PART);
        let ends = part.iter().filter_map(|key| self.follow_one(key, now, at));
        // It is valid up to and with its last second.
        let left = ends.min()?.saturating_add(1).saturating_sub(now);
        Some(Duration::from_secs(u64::try_from(left).unwrap_or(0).max(1)))
    }

    /// When that certificate ends, unless it is put by.
    fn follow_one(&mut self, key: &Key, now: UnixTime, at: Instant) -> Option<UnixTime> {
        let watched = self.roster.get_mut(key)?;
        let end = watched.subject.leaf.not_after();
        if watched.has_expired(now) {
            let watched = self.roster.remove(key)?;
            tracing::info!(
                certificate = %watched.subject.leaf.display_subject(),
                "the certificate has expired: it is out of use"
            );
            self.put_by(watched, at);
            return None;
        }
        // What was refused for the time, which is right now, is judged anew.
        if watched.refused_but_at.is_some_and(|at| holds(at, now)) {
            watched.stamp = None;
            self.dropped.insert(*key);
        }
        let has_early = watched.early.is_some();
        if has_overslept(watched, now, at) {
            tracing::info!(
                certificate = %watched.subject.leaf.display_subject(),
                "the clock was set forward, or the machine slept: asking now"
            );
            self.roster.set_due(key, Some(at));
        }
        if has_early {
            self.take_early(key, now);
        }
        Some(end)
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
}

/// Whether what is in use ends before its responder is asked.
fn has_overslept(watched: &Watched, now: UnixTime, at: Instant) -> bool {
    let in_use = watched.known.as_ref().filter(|known| known.is_good());
    let due = watched.waits_until();
    watched.notes.failures == 0
        && watched.stale == 0
        && in_use
            .zip(due)
            .is_some_and(|(in_use, due)| overslept(in_use, now, due.saturating_duration_since(at)))
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

#[cfg(test)]
mod tests {
    use staplegun_store::files::Notes;
    use staplegun_testkit::{Directory, Identity, Spec};

    use super::*;
    use crate::agent::testing::{certificate, good};
    use crate::fetch::Subject;

    #[test]
    fn of_more_than_a_part_whoever_has_expired_is_put_by_and_the_others_end_is_told() {
        let directory = Directory::new();
        let mut daemon = Daemon::at(directory.path());
        let mut admit = |spec: Spec| {
            let leaf = Identity::self_signed(&spec).der();
            let subject = Subject::unexamined(vec![leaf]).expect("a certificate");
            let watched = Watched::new(subject, Notes::default());
            daemon.roster.take_in(watched, Instant::now());
        };
        let (day, hour) = (86_400, 3_600);
        for _ in 0..PART {
            admit(Spec::server().validity(-2 * day, -day));
        }
        admit(Spec::server().validity(-day, hour));
        admit(Spec::server().validity(-day, day));
        daemon.sweep();
        let mut left = Vec::new();
        while !daemon.by_the_clock.is_over() {
            left.extend(daemon.follow_the_clock_for_some());
        }
        assert_eq!(
            (daemon.roster.len(), daemon.shelf.iter().count()),
            (2, PART)
        );
        let first = left.into_iter().min().expect("two are left").as_secs();
        assert!((3_500..=3_601).contains(&first), "{first}");
        assert_eq!(daemon.follow_the_clock_for_some(), None);
    }

    #[test]
    fn what_comes_back_is_stapled_again_while_its_response_is_fresh_and_not_after() {
        let directory = Directory::new();
        let mut daemon = Daemon::at(directory.path());
        let (now, at) = (clock::now(), Instant::now());
        let mut put_by = |until| {
            let mut watched = Watched::new(certificate(&Spec::server()), Notes::default());
            watched.known = Some(good(now - 1_000, until));
            let key = watched.subject.key();
            daemon.shelf.put(watched, at);
            key
        };
        let (fresh, over) = (put_by(now + 1_000), put_by(now - 500));
        daemon.follow_the_clock(now, at);
        let known = |key| daemon.roster.get(key).expect("it is back").known.is_some();
        assert_eq!((known(&fresh), known(&over)), (true, false));
        let in_map = daemon.keeper.in_map();
        assert!(in_map.keys().eq([&fresh]));
    }

    #[test]
    fn what_was_refused_for_the_time_alone_may_count_at_another() {
        let at = |fault: Fault, now| {
            let kind = Kind::Response {
                fault,
                content_type: None,
            };
            refused_but_at(&kind, now).map(|at| (at.from, at.until))
        };
        let signer = Fault::SignerNotValid {
            from: 1_000,
            until: 2_000,
            now: 0,
        };
        for (now, found) in [
            (999, Some((1_000, 2_000))),
            (1_000, None),
            (1_999, None),
            (2_000, Some((1_000, 2_000))),
        ] {
            assert_eq!(at(signer.clone(), now), found, "{now}");
        }
        let expired = Fault::Expired {
            until: 2_000,
            now: 0,
        };
        assert_eq!(at(expired.clone(), 1_999), None);
        assert_eq!(at(expired, 2_000), Some((UnixTime::MIN, 2_000)));
        assert_eq!(at(Fault::Unknown, 2_000), None);
    }
}
