//! The main thread's part of what a fleet shares (`fleet`): what is due goes there first,
//! and what comes from there is acted upon as an answer of a responder is.

use std::sync::Arc;
use std::time::Duration;

use staplegun_store::Key;

use super::clock;
use super::daemon::Daemon;
use super::decision::{Decision, after_success};
use super::outcome::Origin;
use super::pool::Pool;
use super::roster::Watched;
use crate::fetch::{Question, Staple, responders_of};
use crate::fleet::{Due, Fleet, Rank, Seen, Stored, Word, believed, count, own};

impl Daemon {
    /// Asks the responder, or the fleet whether it is to be asked; `at_once`: the operator
    /// wants it asked.
    pub(super) fn ask(
        &mut self,
        responder: String,
        question: Question,
        at_once: bool,
        pool: &Pool,
    ) {
        let watched = self.roster.get_mut(&question.subject.key());
        let (Some(fleet), Some(watched)) = (&self.fleet, watched) else {
            pool.add(&responder, question);
            return;
        };
        // Until it was, however often the store comes and goes.
        watched.share.asks_itself |= at_once;
        if fleet.is_passed_by() {
            pool.add(&responder, question);
            return;
        }
        let now = clock::now();
        let known = watched.known.as_ref();
        fleet.due(Due {
            responder,
            question,
            known: rank(watched),
            is_stapled: known.is_some_and(|known| known.settles(now)),
            asks_itself: watched.share.asks_itself,
            same_for: known.map_or(Duration::ZERO, |known| believed(known.validity, now)),
        });
    }

    /// The fleet's thread says something.
    pub(super) fn heard(&mut self, word: Word, pool: &Pool) {
        match word {
            Word::Ask {
                responder,
                question,
            } => pool.add(&responder, question),
            Word::Took {
                key,
                staple,
                is_over,
            } => self.took(&key, staple, is_over),
            Word::Postpone(key, wait) => {
                self.roster.end(&key);
                self.schedule(&key, wait);
            }
            Word::Nothing(key, why) => {
                self.roster.end(&key);
                self.failed(&key, None, "fleet", why, None);
            }
            Word::Noticed(noticed) => {
                let is_newer = |(key, new): &(Key, Rank)| {
                    let watched = self.roster.get(key)?;
                    (Some(*new) > rank(watched)).then(|| self.seen(watched))
                };
                self.look(noticed.iter().filter_map(is_newer).collect());
            }
            Word::Connected => {
                for question in pool.take_back() {
                    self.ask_again(question, pool);
                }
                self.look(self.roster.iter().map(|(_, it)| self.seen(it)).collect());
            }
            Word::Lacks(key) => {
                let now = clock::now();
                let known = self.roster.get(&key).and_then(|it| it.known.as_ref());
                if let Some(known) = known.filter(|known| known.settles(now)) {
                    self.share(&key, known, None);
                }
            }
            Word::Forgot => {
                // What a thread fetches already ends by itself, and is fetched twice at most.
                pool.take_back();
                self.roster.end_all();
            }
        }
    }

    /// The store is there again: it comes before the responder, as far as that was not asked.
    fn ask_again(&mut self, question: Question, pool: &Pool) {
        let key = question.subject.key();
        let responders = responders_of(&question.subject, &question.manner.overrides);
        match responders.into_iter().next() {
            Some(responder) => self.ask(responder.url, question, false, pool),
            None => self.roster.end(&key),
        }
    }

    fn seen(&self, watched: &Watched) -> Seen {
        Seen {
            subject: Arc::clone(&watched.subject),
            manner: Arc::clone(&self.manner),
            known: rank(watched),
        }
    }

    fn look(&self, seen: Vec<Seen>) {
        if let Some(fleet) = self.fleet.as_ref().filter(|_| !seen.is_empty()) {
            fleet.look(seen);
        }
    }

    fn took(&mut self, key: &Key, staple: Staple, is_over: bool) {
        if is_over {
            self.roster.end(key);
        }
        let decision = match self.accept(key, staple, Origin::Fleet) {
            Ok(decision) => decision,
            Err(full) => {
                self.failed(key, None, "map", &full.to_string(), None);
                return;
            }
        };
        let (now, limits) = (clock::now(), self.settings.limits());
        let of = self.settings.fleet.own_question;
        let Some(watched) = self.roster.get_mut(key) else {
            return;
        };
        let is_news = matches!(decision, Decision::Staple | Decision::Withdraw);
        watched.at_once = false;
        if is_news {
            self.fleet
                .as_ref()
                .inspect(|fleet| count(&fleet.counters.taken));
            watched.share.took(of, clock::random());
            watched.notes.failures = 0;
            watched.notes.last_success = Some(now);
            watched.stale = 0;
        } else if !is_over {
            return;
        }
        let Some(known) = &watched.known else {
            return;
        };
        let random = clock::random();
        let usual = after_success(known, watched.stale, now, None, &limits, random);
        let is_past_belief = known.is_good() && believed(known.validity, now).is_zero();
        let delay = match is_news {
            // However many old ones somebody has kept: by then the responder is asked.
            true if is_past_belief => Duration::ZERO,
            true if watched.share.asks_itself => own(known.validity, now, random).min(usual),
            _ => usual,
        };
        self.schedule(key, delay);
    }

    /// Lets the fleet have what is in use here from now on.
    pub(super) fn share_known(&self, key: &Key) {
        let known = self.roster.get(key).and_then(|it| it.known.as_ref());
        if let Some(known) = known.filter(|known| !known.der.is_empty()) {
            self.share(key, known, None);
        }
    }

    /// Lets the fleet have what is in use here; nothing newer for `same_for`, if that is
    /// what the responder said.
    fn share(&self, key: &Key, staple: &Staple, same_for: Option<Duration>) {
        let Some(fleet) = self.told_fleet() else {
            return;
        };
        let result = match staple.der.is_empty() {
            // Evidence that was lost.
            true => Err(same_for.unwrap_or_default()),
            false => Ok(Stored {
                rank: Rank::of(&staple.judged()),
                der: staple.der.clone(),
                refused: None,
                same_for,
            }),
        };
        fleet.result(key, result);
    }

    /// The responder was asked and gave something that counts, after which `delay` follows.
    pub(super) fn asked_itself(&mut self, key: &Key, decision: Decision, delay: Duration) {
        if self.fleet.is_none() {
            return;
        }
        let of = self.settings.fleet.own_question;
        if let Some(watched) = self.roster.get_mut(key) {
            watched.share.asked(of);
        }
        let known = self.roster.get(key).and_then(|it| it.known.as_ref());
        if let (Decision::Keep(_), Some(known)) = (decision, known) {
            self.share(key, known, Some(delay));
        }
    }

    /// The responder was asked in vain, and is asked again after `delay`.
    pub(super) fn asked_in_vain(&self, key: &Key, delay: Duration) {
        if let Some(fleet) = self.told_fleet() {
            fleet.result(key, Err(delay));
        }
    }

    /// The fleet, if it is to be told of what comes: when there is a connection again all that
    /// is known here is compared with what lies there.
    fn told_fleet(&self) -> Option<&Fleet> {
        self.fleet.as_ref().filter(|fleet| !fleet.is_passed_by())
    }

    /// Nobody looks after that certificate any more.
    pub(super) fn forget_in_fleet(&self, key: &Key) {
        if let Some(fleet) = &self.fleet {
            fleet.forget(key);
        }
    }
}

fn rank(watched: &Watched) -> Option<Rank> {
    watched
        .known
        .as_ref()
        .map(|known| Rank::of(&known.judged()))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::mpsc;
    use std::time::Instant;

    use staplegun_testkit::directory::Directory;
    use staplegun_testkit::{Identity, Spec, wait};

    use super::*;
    use crate::agent::testing::{certificate, good};
    use crate::fetch::{Issuers, Subject};
    use staplegun_store::files::Notes;

    #[test]
    fn what_the_fleets_thread_has_forgotten_is_due_again() {
        let directory = Directory::new();
        let mut daemon = Daemon::at(directory.path());
        let (events, _events) = mpsc::channel();
        let pool = Pool::start(1, 1, &daemon.issuers, &events, None).expect("there are threads");
        let leaf = Identity::self_signed(&Spec::server()).der();
        let subject = Subject::new(vec![leaf], &Issuers::default()).expect("a certificate");
        let key = subject.key();
        let now = Instant::now();
        daemon
            .roster
            .take_in(Watched::new(subject, Notes::default()), now);
        daemon.roster.set_due(&key, Some(now));
        // It was handed to the fleet.
        daemon.roster.begin(&key);
        assert!(daemon.roster.due(now, 1).is_empty());
        daemon.heard(Word::Forgot, &pool);
        assert_eq!(daemon.roster.due(now, 1), [key]);
        assert!(!daemon.roster.is_asking());
    }

    #[test]
    fn what_waited_for_its_responder_is_asked_again_when_the_store_is_there() {
        let directory = Directory::new();
        let mut daemon = Daemon::at(directory.path());
        let (events, _events) = mpsc::channel();
        let pool = Pool::start(1, 1, &daemon.issuers, &events, None).expect("there are threads");
        // A responder that says nothing: one is asked for, and one waits.
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        silent.set_nonblocking(true).expect("it is ours");
        let url = format!("http://{}/", silent.local_addr().expect("it is bound"));
        let mut manner = (*daemon.manner).clone();
        manner.patience.total = 2 * wait::limit();
        let ca = Identity::self_signed(&Spec::ca("CA"));
        let add = || {
            let ders = vec![ca.issue(&Spec::server().ocsp_url(&url)).der(), ca.der()];
            let subject = Subject::new(ders, &Issuers::default()).expect("a certificate");
            let key = subject.key();
            let question = Question {
                subject: Arc::new(subject),
                manner: Arc::new(manner.clone()),
                turn: 0,
                is_ours: true,
                heed: Duration::ZERO,
            };
            pool.add(&url, question);
            key
        };
        add();
        let _asked = wait::until("it is asked", || silent.accept().ok());
        let waiting = add();
        daemon.heard(Word::Connected, &pool);
        let left: Vec<Key> = pool.take_back().iter().map(|it| it.subject.key()).collect();
        assert_eq!(left, [waiting]);
    }

    #[test]
    fn what_the_fleet_has_no_news_of_is_asked_for_at_its_usual_time_only_if_that_was_the_question()
    {
        let directory = Directory::new();
        let mut daemon = Daemon::at(directory.path());
        let (events, _events) = mpsc::channel();
        let pool = Pool::start(1, 1, &daemon.issuers, &events, None).expect("there are threads");
        let known = good(clock::now() - 1_000, clock::now() + 100_000);
        let mut watched = Watched::new(certificate(&Spec::server()), Notes::default());
        watched.known = Some(known.clone());
        let (key, due) = (watched.subject.key(), Instant::now());
        daemon.roster.take_in(watched, due);
        let mut took = |is_over| {
            let staple = known.clone();
            daemon.roster.begin(&key);
            let word = Word::Took {
                key,
                staple,
                is_over,
            };
            daemon.heard(word, &pool);
            daemon.roster.end(&key);
            let watched = daemon.roster.get(&key).expect("it is there");
            watched.waits_until().expect("it is asked for at some time")
        };
        assert_eq!(took(false), due);
        assert!(took(true) > due + Duration::from_secs(1_000));
    }
}
