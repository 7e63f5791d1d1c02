//! The response that files give for one leaf.
//!
//! It is looked for when the certificate is loaded, and again when its file changes: by a
//! handshake, one look a second for the whole process, and only in the process that
//! loaded the certificate. A child may be confined so that even a look kills it. Handshakes
//! read what was found from two slots and wait for nobody.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use staplegun_ocsp::{
    Certificate, Fault, Identity, Judged, Policy, Refusal, Response, Validity, Verdict, better,
    judge,
};
use staplegun_store::Key;
use staplegun_store::slots::{Copied, Miss};

use crate::config::{self, Level};
use crate::host::buffer::Space;
use crate::host::library_context::LibraryContext;
use crate::host::memory::{try_box, try_push};
use crate::host::output;
use crate::host::x509::{OwnedX509, X509Ref};
use crate::log;
use crate::verify::Unverified;

use super::candidates::Candidates;
use super::directory::When;
use super::leaf::{Issuer, Leaf, Told, Work};
use super::signatures::ByIssuer;
use super::source::Candidate;

/// Seconds between two looks of the process, and between the first two searches for an
/// issuer in handshakes.
const INTERVAL: i64 = 1;

/// More responses of tomorrow than this are not kept.
const MAX_EARLY: usize = 16;

/// No time: not to be done again.
const NEVER: i64 = i64::MAX;

/// The longest time between two searches for an issuer in handshakes, in seconds.
const MAX_INTERVAL: i64 = 64;

/// A leaf as a load or a handshake meets it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// What is known of it.
    pub leaf: &'static Leaf,
    /// The SHA-256 of its certificate.
    pub key: Key,
    /// Its certificate.
    pub x509: X509Ref<'a>,
    /// The library context in which signatures are verified.
    pub library: LibraryContext,
    /// How its issuer is found if it was loaded from that path, with or without reading files.
    pub find_issuer: &'a dyn Fn(Option<&Path>, bool) -> Option<OwnedX509>,
    /// What the program has given for its chain, in DER.
    pub find_chain: &'a dyn Fn() -> Vec<Vec<u8>>,
}

impl Subject<'_> {
    /// Copies the response from files, if there is one to be stapled at `now`.
    pub fn read(
        &self,
        now: i64,
        space: impl FnMut(usize) -> Option<Space>,
    ) -> Result<Copied<Space>, Miss> {
        self.leaf.published.read(&self.key, now, space)
    }

    /// What clients would say of `bytes`, which the program itself staples, at `now`.
    /// Nothing as long as the issuer is not known.
    pub fn judge(&self, bytes: &[u8], now: i64) -> Result<(), Refusal<Unverified>> {
        // What is no response needs no issuer.
        Response::parse(bytes)?;
        // Where another thread has it, this one finds out for itself: no forged response
        // goes out because many shake hands at once.
        let (mut shared, mut own) = (self.leaf.work(&self.key), Work::default());
        let work = shared.as_deref_mut().unwrap_or(&mut own);
        self.learn_issuer(work, false);
        let Work {
            issuer, programs, ..
        } = work;
        let Some(issuer) = issuer.as_deref() else {
            return Ok(());
        };
        let signatures = ByIssuer::new(self.x509.crypto(), self.library, issuer, Some(programs));
        match judge(bytes, &issuer.identity, now, &Policy::STAPLING, &signatures) {
            Ok(judged) => Ok(good(judged.verdict)?),
            // Nobody can tell.
            Err(Refusal::Signature(Unverified::NoOcsp)) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Looks for a response: the certificate was loaded, from `path` if that is known.
    pub fn look(&self, work: &mut Work, path: Option<&Path>) {
        // Loaded before from elsewhere: the first file stays.
        if work.path.is_none() {
            work.path = path.map(Path::to_path_buf);
        }
        self.look_everywhere(work, When::Load);
    }

    /// The issuer may be known by now, after a load of something else. Whether the agent is
    /// to be told of it.
    pub fn complete(&self, work: &mut Work, files: bool) -> bool {
        self.learn_issuer(work, files);
        self.judge_waiting(work, files);
        work.issuer.is_some() && matches!(self.leaf.told(), Told::Nothing | Told::Leaf)
    }

    /// Reads the certificate, and searches for its issuer in memory. Whether it can be
    /// read.
    pub fn learn_in_memory(&self) -> bool {
        let Some(mut work) = self.leaf.work(&self.key) else {
            return false;
        };
        let known = work.facts(self.x509).is_some();
        self.learn_issuer(&mut work, false);
        known
    }

    /// Looks again in a handshake, at `now`, if that is due and allowed. Whether there is
    /// more to tell the agent now: the issuer was found.
    pub fn look_again(&self, now: i64) -> bool {
        /// When the process looks next.
        static NEXT_LOOK: AtomicI64 = AtomicI64::new(0);
        let steps = is_due(&self.leaf.next_step, now, MAX_INTERVAL);
        let looks = config::get().recheck && is_due(&NEXT_LOOK, now, INTERVAL);
        if !steps && !looks {
            return false;
        }
        let Some(mut work) = self.leaf.work(&self.key) else {
            return false;
        };
        let found = steps && self.step(&mut work, now);
        let has_work = if work.looked {
            !work.watch.is_empty()
        } else {
            !config::get().responses.is_empty()
        };
        if looks
            && has_work
            && work.origin.is_here()
            && config::may_open()
            && claim(&NEXT_LOOK, now)
        {
            if !work.looked {
                self.look_everywhere(&mut work, When::Handshake);
            } else if let Some(source) = work.watch.changed() {
                // The rest of them is not looked at.
                self.take_in(&mut work, Candidates::of_changed(source));
            }
        }
        found
    }

    /// What time brings, and needs no file: a response of tomorrow becomes today's, and the
    /// issuer may be known by now, for which is searched less often each time. Whether it
    /// was found, and the agent has not been told of it.
    fn step(&self, work: &mut Work, now: i64) -> bool {
        self.use_those_whose_time_has_come(work, now);
        let untold = self.leaf.told() == Told::Leaf;
        let searches = work.issuer.is_none() && (untold || !work.waiting.is_empty());
        if searches {
            work.search_interval = (2 * work.search_interval).clamp(INTERVAL, MAX_INTERVAL);
        }
        let next = match (searches, work.early.is_empty()) {
            (true, _) => now.saturating_add(work.search_interval),
            (false, false) => now.saturating_add(INTERVAL),
            (false, true) => NEVER,
        };
        self.leaf.next_step.store(next, Ordering::Relaxed);
        if searches {
            self.learn_issuer(work, false);
            self.judge_waiting(work, false);
        }
        searches && untold && work.issuer.is_some()
    }

    fn look_everywhere(&self, work: &mut Work, when: When) {
        work.looked = true;
        let candidates = Candidates::gather(work.path.as_deref(), when);
        // Without files there is nothing to judge; a log wants the name.
        if candidates.is_empty() && !log::enabled(Level::Info) {
            work.watch.set(candidates.into_watched());
            return;
        }
        work.watch.set(Vec::new());
        work.waiting.clear();
        self.take_in(work, candidates);
    }

    fn take_in(&self, work: &mut Work, mut candidates: Candidates) {
        let is_served = work.known.is_some();
        let Some(facts) = work.facts(self.x509) else {
            return;
        };
        let responses = candidates.about(&facts.certificate, &facts.name, is_served);
        work.watch.add(candidates.into_watched());
        work.wait_with(responses);
        self.judge_waiting(work, true);
    }

    /// Judges the responses that wait, if the issuer is known or can be found.
    fn judge_waiting(&self, work: &mut Work, files: bool) {
        if work.waiting.is_empty() {
            return;
        }
        self.learn_issuer(work, files);
        if work.issuer.is_none() {
            // At load the chain or the store may still come: the first handshake
            // searches at once, and says it.
            if files {
                self.look_soon();
            } else if self.leaf.complaint_is_new(Unverified::NoIssuer.cause()) {
                let name = work.name();
                log::warning!("no staple for {name}: {}", Unverified::NoIssuer);
            }
            return;
        }
        for candidate in std::mem::take(&mut work.waiting) {
            self.take(work, candidate);
        }
    }

    /// The next handshake is to look at what waits.
    pub fn look_soon(&self) {
        self.leaf.next_step.store(0, Ordering::Relaxed);
    }

    /// Finds the leaf's issuer, if it is not known yet.
    pub fn learn_issuer(&self, work: &mut Work, files: bool) {
        if work.issuer.is_some() {
            return;
        }
        let issuer = (self.find_issuer)(work.path.as_deref(), files);
        work.issuer = issuer.and_then(|issuer| {
            let der = issuer.as_ref().to_der(staplegun_ocsp::MAX_RESPONSE)?;
            let certificate = Certificate::from_der(&der).ok()?;
            let identity = Identity::new(&work.facts(self.x509)?.certificate, &certificate)?;
            try_box(Issuer {
                identity,
                certificate,
                der,
            })
        });
    }

    /// Takes a response in, keeps it until its time comes, or says why not.
    fn take(&self, work: &mut Work, candidate: Candidate) {
        let Some(issuer) = work.issuer.as_deref() else {
            return;
        };
        let now = output::seconds();
        let signatures = ByIssuer::new(self.x509.crypto(), self.library, issuer, None);
        let (der, identity) = (&candidate.der, &issuer.identity);
        let why = match judge(der, identity, now, &Policy::STAPLING, &signatures) {
            Ok(judged) => match self.use_if_better(work, &candidate, judged, now) {
                Ok(()) => return,
                Err(revoked) => Refusal::Response(revoked),
            },
            Err(Refusal::Early { judged, fault }) => {
                let (path, name) = (candidate.path.display(), work.name());
                log::warning!("{path} is not stapled for {name} yet: {fault}");
                work.keep(candidate, judged);
                self.look_soon();
                return;
            }
            Err(refusal) => refusal,
        };
        let (path, name) = (candidate.path.display(), work.name());
        log::warning!("{path} is not stapled for {name}: {why}");
    }

    /// Takes what was judged in the place of what is known, if it is better. An error
    /// if it tells a revocation, which stops what was stapled.
    fn use_if_better(
        &self,
        work: &mut Work,
        candidate: &Candidate,
        judged: Judged,
        now: i64,
    ) -> Result<(), Fault> {
        let path = candidate.path.display();
        // The same again is written again: it may be signed anew.
        let is_worse = |known: Judged| known != judged && !better(&known, &judged, now);
        if work.known.is_some_and(is_worse) {
            log::debug!("{path} is no better than what is known already");
            return good(judged.verdict);
        }
        let published = &self.leaf.published;
        if let Err(revoked) = good(judged.verdict) {
            work.known = Some(judged);
            published.withdraw(&self.key);
            return Err(revoked);
        }
        let Validity { from, until } = judged.validity;
        if published.publish(&self.key, &candidate.der, from, until) {
            work.known = Some(judged);
            work.watch.is_in_use(&candidate.path);
            log::info!("{path} is ready to be stapled for {}", work.name());
        }
        Ok(())
    }

    /// Judged they are already, so that this is a matter of memory alone.
    fn use_those_whose_time_has_come(&self, work: &mut Work, now: i64) {
        let waits = |judged: &Judged| {
            matches!(
                judged.validity.check_to_staple(now),
                Err(Fault::NotYetValid { .. })
            )
        };
        while let Some(place) = work.early.iter().position(|(_, judged)| !waits(judged)) {
            let (candidate, judged) = work.early.swap_remove(place);
            // None of them tells a revocation.
            let _ = self.use_if_better(work, &candidate, judged, now);
        }
    }
}

impl Work {
    /// Lets these wait for the issuer too, or in the place of what their files held before.
    fn wait_with(&mut self, responses: Vec<Candidate>) {
        let is_other = |old: &Candidate| responses.iter().all(|new| new.path != old.path);
        self.waiting.retain(is_other);
        self.waiting.extend(responses);
    }

    /// Keeps a response until its time comes.
    fn keep(&mut self, candidate: Candidate, judged: Judged) {
        self.early.retain(|(old, _)| old.path != candidate.path);
        if self.early.len() < MAX_EARLY {
            try_push(&mut self.early, (candidate, judged));
        }
    }
}

/// Refuses every verdict but good.
fn good(verdict: Verdict) -> Result<(), Fault> {
    match verdict {
        Verdict::Good => Ok(()),
        Verdict::Revoked { since, reason } => Err(Fault::Revoked {
            time: since,
            reason,
        }),
    }
}

/// Whether what happens at most once in `interval` seconds is due.
fn is_due(next: &AtomicI64, now: i64, interval: i64) -> bool {
    let next = next.load(Ordering::Relaxed);
    // Far ahead of the clock means that the clock was set back.
    next != NEVER && (now >= next || next.saturating_sub(now) > interval)
}

/// Whether this is the thread that looks now.
fn claim(next: &AtomicI64, now: i64) -> bool {
    let due = next.load(Ordering::Relaxed);
    is_due(next, now, INTERVAL)
        && next
            .compare_exchange(due, now + INTERVAL, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
}

#[cfg(test)]
mod tests;
