//! Looks at all certificates, part by part, for whoever wants to be told how everything stands.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock;
use super::daemon::Daemon;
use super::survey::{Asker, Survey};
use super::tally::One;

impl Daemon {
    /// Goes on with the survey that somebody asked for, by so many certificates at most, and tells
    /// it if those were the last: then how long this thread worked for it.
    pub(super) fn survey_some(&mut self, most: usize) -> Option<Duration> {
        let it = &mut self.surveying;
        if it.round.is_over() {
            return None;
        }
        let (now, at) = (clock::now(), Instant::now());
        for key in it.round.take(|it| One::keys_from(&self.roster, it), most) {
            let Some(one) = One::of(&self.roster, &key) else {
                continue;
            };
            it.tally.add(&one, now);
            if let One::Watched(watched) = one {
                it.demands
                    .add(watched, &self.manner.overrides, &self.ledger);
            }
        }
        if !it.round.is_over() {
            it.took += at.elapsed();
            return None;
        }
        let done = std::mem::take(it);
        let survey = Arc::new(Survey {
            swept: self.swept,
            counters: self.counters.clone(),
            map: self.keeper.fill(),
            tally: done.tally.finish(&self.roster),
            responders: self.ledger.view(done.demands, at, now),
            fleet: self.fleet.as_ref().map(|it| Arc::clone(&it.counters)),
            took: done.took + at.elapsed(),
        });
        for asker in done.askers {
            // Who asked may have left, or be at work on the one before.
            let _ = asker.try_send(Arc::clone(&survey));
        }
        Some(survey.took)
    }

    /// Tells that one, and whoever else asks, how everything stands now, at once: at the end.
    pub(super) fn survey_all(&mut self, asker: Option<Asker>) {
        let askers = std::mem::take(&mut self.surveying).askers;
        self.surveying.ask(askers.into_iter().chain(asker));
        self.survey_some(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::mpsc::sync_channel;

    use staplegun_ocsp::{Validity, Verdict};
    use staplegun_store::Key;
    use staplegun_store::files::Notes;
    use staplegun_testkit::{Directory, Identity, Spec};

    use super::*;
    use crate::agent::roster::Watched;
    use crate::fetch::{Staple, Subject};

    const COUNT: usize = 40;
    const PART: usize = 7;

    fn take_one_in(daemon: &mut Daemon) -> Key {
        let leaf = Identity::self_signed(&Spec::server()).der();
        let subject = Subject::unexamined(vec![leaf]).expect("a certificate");
        let key = subject.key();
        let watched = Watched::new(subject, Notes::default());
        daemon.roster.take_in(watched, Instant::now());
        key
    }

    /// Nobody is asked for it any more.
    fn pass_over(daemon: &mut Daemon, key: &Key) {
        let gone = daemon.roster.remove(key).expect("it was looked after");
        let notes = Notes {
            passed_over: Some("no_responder".to_owned()),
            ..Notes::default()
        };
        let subject = Arc::unwrap_or_clone(gone.subject);
        daemon.roster.passed_over.keep(subject, notes);
    }

    fn look_after_again(daemon: &mut Daemon, key: &Key) {
        let back = daemon.roster.passed_over.take(key).expect("it is there");
        let watched = Watched::new(back.subject, Notes::default());
        daemon.roster.take_in(watched, Instant::now());
    }

    fn revoke(daemon: &mut Daemon, key: &Key) {
        let watched = daemon.roster.get_mut(key).expect("it is looked after");
        watched.known = Some(Staple {
            der: vec![1],
            verdict: Verdict::Revoked {
                since: 1,
                reason: None,
            },
            validity: Validity { from: 1, until: 2 },
        });
    }

    fn in_state(survey: &Survey) -> (usize, usize, usize) {
        let of = |state| survey.tally.states[state];
        let all: usize = survey.tally.states.values().sum();
        assert_eq!(all, COUNT);
        (of("missing"), of("revoked"), of("passed_over"))
    }

    #[test]
    fn each_certificate_is_told_once_whatever_becomes_of_it_between_the_parts() {
        let directory = Directory::new();
        let mut daemon = Daemon::at(directory.path());
        let mut keys: Vec<Key> = (0..COUNT).map(|_| take_one_in(&mut daemon)).collect();
        keys.sort_unstable();
        for key in keys.iter().step_by(4) {
            pass_over(&mut daemon, key);
        }
        let (asker, surveys) = sync_channel(2);
        daemon.surveying.ask([asker.clone()]);
        assert_eq!(daemon.survey_some(PART), None);
        assert_eq!(daemon.survey_some(PART), None);
        // One of those that were looked at, and one of the others.
        for (over, again, revoked) in [(1, 4, 2), (33, 36, 34)] {
            pass_over(&mut daemon, &keys[over]);
            look_after_again(&mut daemon, &keys[again]);
            revoke(&mut daemon, &keys[revoked]);
        }
        // Who asks meanwhile is told the same.
        let (other_asker, other_surveys) = sync_channel(1);
        daemon.surveying.ask([other_asker]);
        let parts = (0..COUNT).take_while(|_| daemon.survey_some(PART).is_none());
        assert_eq!(parts.count(), COUNT / PART - 2);
        let survey = surveys.recv().expect("it was told");
        assert!(Arc::ptr_eq(
            &survey,
            &other_surveys.recv().expect("so was he")
        ));
        assert_eq!(in_state(&survey), (29, 1, 10));
        let told: Vec<Key> = survey.tally.rows().map(|row| row.key).collect();
        let each: BTreeSet<Key> = told.iter().copied().collect();
        assert_eq!((told.len(), each), (COUNT, keys.iter().copied().collect()));
        // Nobody else has asked.
        assert_eq!(daemon.survey_some(PART), None);
        assert!(surveys.try_recv().is_err());
        daemon.surveying.ask([asker]);
        assert_eq!(daemon.survey_some(PART), None);
        revoke(&mut daemon, &keys[3]);
        // At the end all is told as it is then.
        daemon.survey_all(None);
        assert_eq!(in_state(&surveys.recv().expect("it was told")), (27, 3, 10));
        assert!(other_surveys.try_recv().is_err());
    }
}
