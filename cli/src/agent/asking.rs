//! Starts what is to be asked for now: what is due (when that is, `decision` says), what the operator
//! wants, and what waited for an issuer that came.

use std::sync::Arc;
use std::time::{Duration, Instant};

use staplegun_ocsp::Unstapled;

use super::clock;
use super::daemon::Daemon;
use super::decision::longest_heeded;
use super::pool::Pool;
use super::round::PART;
use crate::fetch::{Question, Subject, responders_of};

impl Daemon {
    /// Begins what is due, or a part of it: the rest is still due then.
    pub(super) fn start_due(&mut self, pool: &Pool) {
        for key in self.roster.due(Instant::now(), PART) {
            let Some(watched) = self.roster.get_mut(&key) else {
                continue;
            };
            let responders = responders_of(&watched.subject, &self.manner.overrides);
            let Some(responder) = responders.into_iter().next() else {
                // Its responses may still be brought by somebody else.
                let leaf = &watched.subject.leaf;
                if let Some(why) = Unstapled::of(leaf, false, clock::now()) {
                    watched.notes.last_cause = Some(why.cause().to_owned());
                    watched.notes.last_error = None;
                    self.keeper.write_notes(&key, &watched.notes);
                }
                self.roster.set_due(&key, None);
                continue;
            };
            let now = clock::now();
            let is_first = watched.notes.last_attempt.is_none();
            let at_once = std::mem::take(&mut watched.at_once);
            let heed = if at_once || is_first {
                Duration::ZERO
            } else {
                longest_heeded(watched.known.as_ref(), now, &self.settings.limits())
            };
            watched.notes.last_attempt = Some(now);
            let question = Question {
                subject: Arc::clone(&watched.subject),
                manner: Arc::clone(&self.manner),
                turn: watched.turn,
                is_ours: watched.notes.left_by.is_none(),
                heed,
            };
            self.roster.begin(&key);
            // What was never asked for is not in need of anything: the fleet may have it.
            self.ask(responder.url, question, at_once && !is_first, pool);
        }
    }

    /// Asks for whatever is not as it should be, whatever its responder wished for: the
    /// operator has done something about it.
    pub(super) fn ask_at_once(&mut self) {
        self.by_their_wants.begin();
    }

    /// Goes on with that.
    pub(super) fn ask_some_at_once(&mut self) {
        let (now, at) = (clock::now(), Instant::now());
        for key in self
            .by_their_wants
            .take(|it| self.roster.keys_from(it), PART)
        {
            if let Some(watched) = self.roster.get_mut(&key)
                && watched.is_wanting(now)
            {
                watched.at_once = true;
                self.roster.set_due(&key, Some(at));
            }
        }
    }

    /// Keeps the issuers that came along with a certificate of root, and asks at once for
    /// those that wait for one.
    pub(super) fn learn_issuers(&mut self, subject: &Subject) {
        if !self.issuers.learn_of_root(&subject.ders()) {
            return;
        }
        for key in self.roster.without_issuer(clock::now()) {
            self.roster.set_due(&key, Some(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::mpsc::channel;

    use staplegun_store::files::Notes;
    use staplegun_testkit::{Directory, Spec};

    use super::*;
    use crate::agent::roster::Watched;
    use crate::agent::testing::certificate;
    use crate::fleet::{Fleet, FleetSettings, Limits, Way};

    /// A fleet whose store accepts connections and says nothing.
    fn fleet() -> (Fleet, TcpListener) {
        let store = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let settings = FleetSettings {
            url: Some(format!(
                "redis://{}",
                store.local_addr().expect("it is bound")
            )),
            ..FleetSettings::default()
        };
        let address = settings.address().expect("it is one");
        let way = Way::new(address, &settings).expect("no files are needed");
        let limits = Limits {
            per_lane: 2,
            ours: 2,
            users: 2,
        };
        let fetch = Duration::from_secs(10);
        let fleet = Fleet::start(way, &settings, fetch, limits, |_| true);
        (fleet.expect("there are threads"), store)
    }

    #[test]
    fn what_the_operator_wants_asked_at_once_is_asked_whatever_the_fleet_has_unless_it_is_new() {
        let directory = Directory::new();
        let mut daemon = Daemon::at(directory.path());
        let (fleet, _store) = fleet();
        daemon.fleet = Some(fleet);
        let (events, _events) = channel();
        let pool = Pool::start(1, 1, &daemon.issuers, &events, None).expect("there are threads");
        let mut asks_itself = |last_attempt, at_once| {
            let spec = Spec::server().ocsp_url("http://127.0.0.1:9/");
            let notes = Notes {
                last_attempt,
                ..Notes::default()
            };
            let mut watched = Watched::new(certificate(&spec), notes);
            watched.at_once = at_once;
            let key = watched.subject.key();
            daemon.roster.take_in(watched, Instant::now());
            daemon.start_due(&pool);
            daemon
                .roster
                .get(&key)
                .expect("it is there")
                .share
                .asks_itself
        };
        assert!(asks_itself(Some(1), true));
        assert!(!asks_itself(Some(1), false));
        assert!(!asks_itself(None, true));
        assert!(!asks_itself(None, false));
    }
}
