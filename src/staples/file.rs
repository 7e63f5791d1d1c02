//! The response that files give for one certificate.
//!
//! It is looked for when the certificate is loaded, and again when its file
//! changes: by a handshake, at most once a second, and only in the process that
//! loaded it. A child may be confined so that even a look kills it. Handshakes
//! read what was found from two slots and wait for nobody.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use once_cell::race::OnceBox;
use staplegun_ocsp::{Certificate, Fault, Identity, Response, Status, Tolerance, Validity};
use staplegun_store::slots::{Copied, Miss};

use crate::config::{self, Level};
use crate::host::buffer::Space;
use crate::host::library_context::LibraryContext;
use crate::host::memory::try_box;
use crate::host::origin::Origin;
use crate::host::output;
use crate::host::x509::{OwnedX509, X509Ref};
use crate::log;
use crate::verify;

use super::candidates::{Candidate, Candidates};
use super::directory::When;
use super::published::Published;
use super::watch::Watch;

/// Seconds between two looks.
const INTERVAL: i64 = 1;

/// The issuer of the leaf, found with or without reading files.
pub type FindIssuer<'f> = &'f dyn Fn(bool) -> Option<OwnedX509>;

/// The response for one certificate, as files gave it.
pub struct FileStaple {
    published: Published,
    next_look: AtomicI64,
    waits_for_issuer: AtomicBool,
    origin: Origin,
    library: LibraryContext,
    last_outcome: AtomicI64,
    last_complaint: AtomicUsize,
    leaf: OnceBox<Facts>,
    /// Never waited for: who does not get it goes on without.
    work: Mutex<Work>,
}

/// What is known of the leaf from the start.
struct Facts {
    certificate: Certificate,
    key: [u8; 32],
    name: String,
}

/// What a look needs and finds.
#[derive(Default)]
struct Work {
    issuer: Option<(Identity, OwnedX509)>,
    watch: Watch,
    looked: bool,
    /// thisUpdate of what was taken last, be it good or revoked.
    newest: Option<i64>,
    /// Responses that wait for the issuer to be known.
    waiting: Vec<Candidate>,
}

impl FileStaple {
    /// Nothing yet. Files will only be looked at in the process `origin`, and their
    /// signatures in `library`.
    pub fn new(origin: Origin, library: LibraryContext) -> FileStaple {
        FileStaple {
            origin,
            library,
            published: Published::default(),
            next_look: AtomicI64::new(0),
            waits_for_issuer: AtomicBool::new(false),
            last_outcome: AtomicI64::new(i64::MIN),
            last_complaint: AtomicUsize::new(0),
            leaf: OnceBox::new(),
            work: Mutex::default(),
        }
    }

    /// What the certificate is called in the log.
    pub fn name(&self) -> &str {
        self.leaf.get().map_or("a certificate", |facts| &facts.name)
    }

    /// Whether a response was found that cannot be judged without the issuer.
    pub fn waits_for_issuer(&self) -> bool {
        self.waits_for_issuer.load(Ordering::Relaxed)
    }

    /// Copies the response, if there is one to be stapled at `now`.
    pub fn read(
        &self,
        now: i64,
        space: impl FnMut(usize) -> Option<Space>,
    ) -> Result<Copied<Space>, Miss> {
        let facts = self.leaf.get().ok_or(Miss::Absent)?;
        self.published.read(&facts.key, now, space)
    }

    /// Whether this handshake ends otherwise than the one before: with another
    /// response, or for want of one for another reason.
    pub fn outcome_changed(&self, outcome: Result<i64, Miss>) -> bool {
        let number = match outcome {
            Ok(until) => until,
            Err(miss) => i64::MIN + 1 + miss as i64,
        };
        self.last_outcome.swap(number, Ordering::Relaxed) != number
    }

    /// Whether this is another complaint than the one before. Causes are few
    /// constants, told apart by their addresses.
    pub fn complaint_is_new(&self, cause: &'static str) -> bool {
        let number = cause.as_ptr() as usize;
        self.last_complaint.swap(number, Ordering::Relaxed) != number
    }

    /// What clients would say of `bytes` at `now`, signature aside.
    pub fn judge(
        &self,
        x509: X509Ref<'_>,
        bytes: &[u8],
        now: i64,
        find_issuer: FindIssuer<'_>,
    ) -> Result<(), Fault> {
        let response = Response::parse(bytes)?;
        let (Some(facts), Ok(mut work)) = (self.facts(x509), self.work.try_lock()) else {
            return Ok(());
        };
        work.learn_issuer(&facts.certificate, find_issuer, false);
        let Some((identity, _)) = &work.issuer else {
            return Ok(());
        };
        let single = response.status_for(identity)?;
        let life = Tolerance::STAPLING.life_without_next_update;
        single.validity(life).check_to_staple(now)
    }

    /// Looks for a response: the certificate was loaded, or its chain changed.
    pub fn look(&self, x509: X509Ref<'_>, path: Option<&Path>, find_issuer: FindIssuer<'_>) {
        if let Ok(mut work) = self.work.try_lock() {
            self.look_everywhere(&mut work, x509, path, When::Load, find_issuer);
        }
    }

    /// Looks again in a handshake, if that is due and allowed.
    pub fn look_again(&self, x509: X509Ref<'_>, path: Option<&Path>, find_issuer: FindIssuer<'_>) {
        let now = output::seconds();
        let due = self.next_look.load(Ordering::Relaxed);
        // Far ahead of the clock means that the clock was set back.
        if now < due && due - now <= INTERVAL {
            return;
        }
        // One thread looks; the others go on with what there is.
        let claim = self.next_look.compare_exchange(
            due,
            now + INTERVAL,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        let Some(mut work) = claim.ok().and_then(|_| self.work.try_lock().ok()) else {
            return;
        };
        if let Some(facts) = self.leaf.get() {
            self.judge_waiting(&mut work, facts, find_issuer, false);
        }
        if !config::get().recheck || !self.origin.is_here() {
            return;
        }
        if !work.looked {
            self.look_everywhere(&mut work, x509, path, When::Handshake, find_issuer);
        } else if let Some(source) = work.watch.changed() {
            // The rest of them is not looked at.
            let candidates = Candidates::of_changed(source);
            self.take_in(&mut work, x509, candidates, find_issuer);
        }
    }

    fn look_everywhere(
        &self,
        work: &mut Work,
        x509: X509Ref<'_>,
        path: Option<&Path>,
        when: When,
        find_issuer: FindIssuer<'_>,
    ) {
        work.looked = true;
        let candidates = Candidates::gather(path, when);
        self.next_look
            .store(output::seconds() + INTERVAL, Ordering::Relaxed);
        // Without files there is nothing to judge; a log wants the name.
        if candidates.is_empty() && !log::enabled(Level::Info) {
            work.watch.set(candidates.into_watched());
            return;
        }
        work.watch.set(Vec::new());
        work.waiting.clear();
        self.take_in(work, x509, candidates, find_issuer);
    }

    fn take_in(
        &self,
        work: &mut Work,
        x509: X509Ref<'_>,
        candidates: Candidates,
        find_issuer: FindIssuer<'_>,
    ) {
        let Some(facts) = self.facts(x509) else {
            return;
        };
        let about = candidates.about(&facts.certificate);
        work.watch.add(about.watched);
        let has_response = !about.responses.is_empty() || work.newest.is_some();
        for complaint in about.complaints {
            complaint.log(&facts.name, has_response);
        }
        let is_new = |old: &Candidate| about.responses.iter().all(|new| new.path != old.path);
        work.waiting.retain(is_new);
        work.waiting.extend(about.responses);
        self.judge_waiting(work, facts, find_issuer, true);
    }

    fn facts(&self, x509: X509Ref<'_>) -> Option<&Facts> {
        if let Some(facts) = self.leaf.get() {
            return Some(facts);
        }
        let der = x509.to_der(staplegun_ocsp::MAX_RESPONSE)?;
        let certificate = match Certificate::from_der(&der) {
            Ok(certificate) => certificate,
            Err(error) => {
                log::warning!("a certificate was loaded that cannot be stapled for: {error}");
                return None;
            }
        };
        let facts = try_box(Facts {
            key: certificate.sha256(),
            name: certificate.display_subject(),
            certificate,
        })?;
        let _ = self.leaf.set(facts);
        self.leaf.get()
    }

    /// Judges the responses that wait, if the issuer is known or can be found.
    fn judge_waiting(
        &self,
        work: &mut Work,
        facts: &Facts,
        find_issuer: FindIssuer<'_>,
        files: bool,
    ) {
        if !work.waiting.is_empty() {
            work.learn_issuer(&facts.certificate, find_issuer, files);
        }
        let waits = work.issuer.is_none() && !work.waiting.is_empty();
        self.waits_for_issuer.store(waits, Ordering::Relaxed);
        if waits {
            // At load the chain or the store may still come: the first handshake
            // looks again at once, and says it.
            if files {
                self.next_look.store(0, Ordering::Relaxed);
            }
            if !files && self.complaint_is_new(verify::Unverified::NoIssuer.cause()) {
                log::warning!(
                    "no staple for {}: {}",
                    facts.name,
                    verify::Unverified::NoIssuer
                );
            }
            return;
        }
        for candidate in std::mem::take(&mut work.waiting) {
            if let Err(refusal) = self.take(work, facts, &candidate) {
                log::warning!(
                    "{} is not stapled for {}: {refusal}",
                    candidate.path.display(),
                    facts.name
                );
            }
        }
    }

    /// Takes a response in, or says why not.
    fn take(&self, work: &mut Work, facts: &Facts, candidate: &Candidate) -> Result<(), Refusal> {
        let Some((identity, issuer)) = &work.issuer else {
            return Ok(());
        };
        let single = Response::parse(&candidate.der)?.single_for(identity)?;
        if let Status::Unknown = single.status {
            return Err(Refusal::Fault(Fault::Unknown));
        }
        self.library.within(issuer.as_ref().crypto(), || {
            verify::signed_for(issuer.as_ref(), &candidate.der)
        })?;
        if work
            .newest
            .is_some_and(|newest| single.this_update < newest)
        {
            log::debug!("{} is older than what is stapled", candidate.path.display());
            return Ok(());
        }
        if let Err(revoked) = single.good() {
            work.newest = Some(single.this_update);
            self.published.withdraw(&facts.key);
            return Err(Refusal::Fault(revoked));
        }
        let validity = single.validity(Tolerance::STAPLING.life_without_next_update);
        let publish = |validity: Validity| {
            let Validity { from, until } = validity;
            self.published
                .publish(&facts.key, &candidate.der, from, until)
        };
        match validity.check_to_staple(output::seconds()) {
            Ok(()) => {}
            // It becomes valid by itself: each handshake looks at the clock.
            Err(early @ Fault::NotYetValid { .. }) => {
                if work.newest.is_none() {
                    publish(validity);
                }
                return Err(Refusal::Fault(early));
            }
            Err(fault) => return Err(Refusal::Fault(fault)),
        }
        work.newest = Some(single.this_update);
        work.watch.is_in_use(&candidate.path);
        if publish(validity) {
            log::info!(
                "{} is ready to be stapled for {}",
                candidate.path.display(),
                facts.name
            );
        }
        Ok(())
    }
}

impl Work {
    /// Finds the leaf's issuer, if it is not known yet.
    fn learn_issuer(&mut self, leaf: &Certificate, find_issuer: FindIssuer<'_>, files: bool) {
        if self.issuer.is_none() {
            self.issuer = find_issuer(files).and_then(|issuer| {
                let der = issuer.as_ref().to_der(staplegun_ocsp::MAX_RESPONSE)?;
                let parsed = Certificate::from_der(&der).ok()?;
                Some((Identity::new(leaf, &parsed)?, issuer))
            });
        }
    }
}

/// Why a response is not stapled.
#[derive(Debug)]
pub enum Refusal {
    /// What it says, or is.
    Fault(Fault),
    /// Who signed it.
    Unverified(verify::Unverified),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<verify::Unverified> for Refusal {
    fn from(unverified: verify::Unverified) -> Self {
        Self::Unverified(unverified)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Unverified(unverified) => unverified.fmt(f),
        }
    }
}
