//! What follows from a fetch, or from a response that somebody brought: the
//! decision's consequences for map, files, notes and schedule.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use staplegun_ocsp::time::Rfc3339;
use staplegun_ocsp::{CLOCK_SKEW, UnixTime, Verdict};
use staplegun_store::{Key, name};

use super::chain::Chain;
use super::clock;
use super::daemon::Daemon;
use super::decision::{Decision, Why, after_failure, after_success, decide};
use super::keeper::NoRoom;
use super::known;
use super::sentence::{self, CAUSE_REVOKED};
use crate::fetch::{Failure, Fetched, Kind, Received, Staple};

/// Who brought a response.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// A responder.
    Responder(&'a str),
    /// Somebody who put it into `staples/`: there it lies already, and what lies
    /// there by now may be newer still.
    File,
    /// Either of them, before its time had come.
    Earlier,
    /// Another agent of the fleet.
    Fleet,
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Responder(url) => f.write_str(url),
            Self::File => f.write_str("the file in staples/"),
            Self::Earlier => f.write_str("an answer that came before its time"),
            Self::Fleet => f.write_str("the fleet"),
        }
    }
}

impl Daemon {
    /// A fetch is over.
    pub(super) fn fetched(&mut self, key: &Key, fetched: Option<Fetched>) {
        self.roster.end(key);
        if let Some(fetched) = &fetched {
            self.ledger.note(&fetched.asked, clock::now());
        }
        let Some(watched) = self.roster.get_mut(key) else {
            return;
        };
        watched.turn = watched.turn.wrapping_add(1);
        let Some(Fetched {
            completed, outcome, ..
        }) = fetched
        else {
            self.failed(
                key,
                None,
                "internal",
                "fetching panicked: this is a bug",
                None,
            );
            return;
        };
        if let Some(mut completed) = completed
            && completed.improves(&watched.subject)
        {
            let pem = completed.to_pem();
            let chain = Chain::of(&completed, watched.source());
            completed.let_go();
            watched.subject = Arc::new(completed);
            self.keeper.write_certificate(key, pem);
            self.note_chain(chain);
            // A response may have been brought that nobody could judge.
            self.dropped.insert(*key);
        }
        match outcome {
            Ok(received) => self.received(key, received),
            Err(failure) => {
                let Failure { retry_after, .. } = failure;
                let responder = Some(failure.responder.as_str()).filter(|it| !it.is_empty());
                let why = failure.to_string();
                self.failed(key, responder, failure.cause(), &why, retry_after);
                if let Kind::Early { staple, .. } = failure.kind {
                    self.keep_until_its_time(key, staple);
                }
            }
        }
    }

    /// Keeps a response of tomorrow, in the place of one that came before it.
    pub(super) fn keep_until_its_time(&mut self, key: &Key, staple: Box<Staple>) {
        if let Some(watched) = self.roster.get_mut(key) {
            watched.early = Some(staple);
        }
    }

    /// Takes it if its time has come.
    pub(super) fn take_early(&mut self, key: &Key, now: UnixTime) {
        let has_come =
            |early: &mut Box<Staple>| early.validity.from <= now.saturating_add(CLOCK_SKEW);
        let watched = self.roster.get_mut(key);
        // What has expired meanwhile would be worse than anything.
        if let Some(staple) = watched.and_then(|watched| watched.early.take_if(has_come))
            && staple.is_fresh(now)
            && let Err(full) = self.accept(key, *staple, Origin::Earlier)
        {
            tracing::error!(key = %name::of_key(key), cause = "map", "{full}");
        }
    }

    fn received(&mut self, key: &Key, received: Received) {
        let Received {
            staple,
            responder,
            max_age,
        } = received;
        self.counters.fetched += 1;
        let decision = match self.accept(key, staple, Origin::Responder(&responder)) {
            Ok(decision) => decision,
            Err(full) => {
                self.failed(key, Some(&responder), "map", &full.to_string(), None);
                return;
            }
        };
        let (now, limits) = (clock::now(), self.settings.limits());
        let Some(watched) = self.roster.get_mut(key) else {
            return;
        };
        watched.at_once = false;
        let notes = &mut watched.notes;
        notes.responder = Some(responder);
        notes.failures = 0;
        if matches!(
            decision,
            Decision::Staple | Decision::Keep(Why::Same | Why::NotNewer)
        ) {
            notes.last_success = Some(now);
        }
        if let Some(known) = &watched.known {
            watched.stale = match known.is_fresh(now) {
                true => 0,
                false => watched.stale.saturating_add(1),
            };
            let (stale, random) = (watched.stale, clock::random());
            let delay = after_success(known, stale, now, max_age, &limits, random);
            self.schedule(key, delay);
            self.asked_itself(key, decision, delay);
        }
    }

    /// An attempt failed.
    pub(super) fn failed(
        &mut self,
        key: &Key,
        responder: Option<&str>,
        cause: &'static str,
        why: &str,
        retry_after: Option<Duration>,
    ) {
        self.counters.failed.count(cause);
        let (now, limits) = (clock::now(), self.settings.limits());
        let Some(watched) = self.roster.get_mut(key) else {
            return;
        };
        watched.failed.count(cause);
        let notes = &mut watched.notes;
        notes.failures = notes.failures.saturating_add(1);
        notes.last_cause = Some(cause.to_owned());
        notes.last_error = Some(why.to_owned());
        if let Some(responder) = responder {
            notes.responder = Some(responder.to_owned());
        }
        let in_use = watched.known.as_ref();
        let random = clock::random();
        let delay = after_failure(notes.failures, retry_after, in_use, now, &limits, random);
        let kept = match in_use {
            Some(known) if known.is_good() && known.is_fresh(now) => {
                format!(
                    "the old one is stapled until {}",
                    Rfc3339(known.validity.until)
                )
            }
            _ => "nothing is stapled".to_owned(),
        };
        tracing::warn!(
            certificate = %watched.subject.leaf.display_subject(),
            cause,
            failures = notes.failures,
            retry_in = ?rounded(delay),
            "no new response: {why}; {kept}"
        );
        self.schedule(key, delay);
        self.asked_in_vain(key, delay);
    }

    /// Sets the next attempt, and writes the notes.
    pub(super) fn schedule(&mut self, key: &Key, delay: Duration) {
        self.roster.set_due(key, Instant::now().checked_add(delay));
        let Some(watched) = self.roster.get_mut(key) else {
            return;
        };
        let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
        watched.notes.next_refresh = Some(clock::now().saturating_add(seconds));
        self.keeper.write_notes(key, &watched.notes);
    }

    /// Acts upon a response whose signature was verified; `from` is who brought it.
    ///
    /// # Errors
    ///
    /// If the map has no room for it. It is not in use then.
    pub(super) fn accept(
        &mut self,
        key: &Key,
        staple: Staple,
        from: Origin<'_>,
    ) -> Result<Decision, NoRoom> {
        let Some(watched) = self.roster.get_mut(key) else {
            return Ok(Decision::Keep(Why::Same));
        };
        let decision = decide(watched.known.as_ref(), &staple, clock::now());
        let certificate = watched.subject.leaf.display_subject();
        match decision {
            Decision::Staple => {
                let until = staple.validity.until;
                self.take_into_use(key, staple, from)?;
                tracing::info!(
                    %certificate,
                    key = %name::of_key(key),
                    until = %Rfc3339(until),
                    %from,
                    "stapling a new response"
                );
            }
            Decision::Withdraw => {
                self.counters.revocations += 1;
                let since = since(&staple);
                // First of all: nothing before it may take time.
                let done = self.withdraw(key, staple, from);
                let unsaid = match done {
                    Ok(()) => String::new(),
                    Err(full) => format!(" (servers are not told: {full})"),
                };
                let leaves = self.leaves_if_intermediate(key);
                let (what, todo) = (sentence::what(leaves), sentence::replace(leaves));
                tracing::error!(
                    %certificate,
                    key = %name::of_key(key),
                    cause = CAUSE_REVOKED,
                    %from,
                    "the {what} IS REVOKED{since}: {todo}{unsaid}"
                );
            }
            Decision::Keep(Why::Same | Why::NotNewer) => {
                let revoked = watched.known.as_ref().filter(|known| !known.is_good());
                let since = revoked.map(since);
                (watched.notes.last_error, watched.notes.last_cause) = trouble(revoked);
                if let Some(since) = since {
                    let leaves = self.leaves_if_intermediate(key);
                    let (what, todo) = (sentence::what(leaves), sentence::replace(leaves));
                    tracing::error!(
                        %certificate,
                        cause = CAUSE_REVOKED,
                        "the {what} is still revoked{since}: {todo}"
                    );
                }
            }
            Decision::Keep(why) => tracing::warn!(
                %certificate,
                %from,
                "passed over a response that says {:?}: {}",
                staple.verdict,
                match why {
                    Why::OlderThanRevocation => "it is older than the revocation that is known",
                    _ => "it is older than the good one in use",
                }
            ),
        }
        Ok(decision)
    }

    /// Puts a good response into the map first, for what is served counts more
    /// than what lasts; then into its file.
    pub(super) fn take_into_use(
        &mut self,
        key: &Key,
        staple: Staple,
        from: Origin<'_>,
    ) -> Result<(), NoRoom> {
        let is_users = self.is_users(key);
        self.keeper.staple(key, &staple, is_users)?;
        match from {
            Origin::Responder(_) | Origin::Earlier | Origin::Fleet => {
                self.keeper.write_response(key, &staple.der);
            }
            Origin::File => self.keeper.leave_response(key),
        }
        self.know(key, staple, from);
        Ok(())
    }

    /// Stops the good response, or lets the revoked one take its place if the
    /// operator wants it so: at once, whatever the disk does. The evidence is written
    /// meanwhile; were the machine to stop before it is on the disk, the next agent
    /// would ask at once for what it found there.
    ///
    /// # Errors
    ///
    /// If the map has no room to say so. It had no response for the certificate then.
    fn withdraw(&mut self, key: &Key, staple: Staple, from: Origin<'_>) -> Result<(), NoRoom> {
        let (staples, is_users) = (self.settings.staple_revoked, self.is_users(key));
        let done = self.keeper.withdraw(key, &staple, staples, is_users);
        match from {
            Origin::Responder(_) | Origin::Earlier | Origin::Fleet => {
                self.keeper.write_evidence(key, &staple.der);
            }
            Origin::File => self.keeper.leave_response(key),
        }
        self.know(key, staple, from);
        done
    }

    /// Withdraws what was known before to be revoked, so that nobody has to be told.
    pub(super) fn withdraw_known(&mut self, key: &Key, revoked: Staple) {
        if let Err(full) = self.withdraw(key, revoked, Origin::File) {
            tracing::error!(key = %name::of_key(key), cause = "map", "{full}");
        }
    }

    /// Whether another user than root left that certificate.
    fn is_users(&mut self, key: &Key) -> bool {
        let watched = self.roster.get_mut(key);
        watched.is_some_and(|watched| watched.notes.left_by.is_some())
    }

    /// This is what is known from now on; the notes follow, after a responder's answer with
    /// the time of the next attempt. Those of a revocation are written after its evidence,
    /// so that they tell that it is on the disk.
    fn know(&mut self, key: &Key, staple: Staple, from: Origin<'_>) {
        if let Some(watched) = self.roster.get_mut(key) {
            let revoked = Some(&staple).filter(|staple| !staple.is_good());
            (watched.notes.last_error, watched.notes.last_cause) = trouble(revoked);
            known::note(&mut watched.notes, &staple);
            let is_fleets = matches!(from, Origin::Fleet);
            watched.notes.fleet_since = is_fleets.then(clock::now);
            watched.known = Some(staple);
            if !matches!(from, Origin::Responder(_)) {
                self.keeper.write_notes(key, &watched.notes);
            }
            if !is_fleets {
                self.share_known(key);
            }
        }
    }
}

/// What the notes say of a certificate whose responder does its work: error and
/// cause, or none.
fn trouble(revoked: Option<&Staple>) -> (Option<String>, Option<String>) {
    let told = |known| format!("the certificate is revoked{}", since(known));
    (revoked.map(told), revoked.map(|_| CAUSE_REVOKED.to_owned()))
}

fn since(staple: &Staple) -> String {
    match staple.verdict {
        Verdict::Revoked { since, .. } => format!(" since {}", Rfc3339(since)),
        Verdict::Good => String::new(),
    }
}

/// To the millisecond, for logs.
fn rounded(delay: Duration) -> Duration {
    Duration::from_millis(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
}
