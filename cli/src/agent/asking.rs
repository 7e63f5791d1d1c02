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
