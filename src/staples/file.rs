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
use staplegun_ocsp::{
    Certificate, Fault, Identity, Judged, Policy, Refusal, Response, Signatures, Signer, Validity,
    Verdict, better, judge,
};
use staplegun_store::slots::{Copied, Miss};

use crate::config::{self, Level};
use crate::host::buffer::Space;
use crate::host::library_context::LibraryContext;
use crate::host::memory::{try_box, try_push, try_vec};
use crate::host::origin::Origin;
use crate::host::output;
use crate::host::x509::{OwnedX509, X509Ref};
use crate::log;
use crate::verify::{Issuer, Unverified};

use super::candidates::{Candidate, Candidates};
use super::directory::When;
use super::published::Published;
use super::watch::Watch;

/// Seconds between two looks.
const INTERVAL: i64 = 1;

/// More responses of tomorrow than this are not kept.
const MAX_EARLY: usize = 16;

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
    issuer: OnceBox<(Identity, Issuer)>,
    /// Of the response that the program itself staples: whether its signature counts.
    programs: Mutex<Option<Verified>>,
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
    watch: Watch,
    looked: bool,
    /// What is in use, or the revocation that is known.
    known: Option<Judged>,
    /// Responses that wait for the issuer to be known.
    waiting: Vec<Candidate>,
    /// Responses that wait for their time to come.
    early: Vec<(Candidate, Judged)>,
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
            issuer: OnceBox::new(),
            programs: Mutex::default(),
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

    /// What clients would say of `bytes`, which the program itself staples, at `now`.
    /// Nothing as long as the issuer is not known.
    pub fn judge(
        &self,
        x509: X509Ref<'_>,
        bytes: &[u8],
        now: i64,
        find_issuer: FindIssuer<'_>,
    ) -> Result<(), Refusal<Unverified>> {
        // What is no response needs no issuer.
        Response::parse(bytes)?;
        let facts = self.facts(x509);
        let Some((identity, issuer)) =
            facts.and_then(|facts| self.issuer(facts, find_issuer, false))
        else {
            return Ok(());
        };
        let remembered = Remembered {
            issuer,
            library: self.library,
            last: &self.programs,
        };
        match judge(bytes, identity, now, &Policy::STAPLING, &remembered) {
            Ok(judged) => Ok(good(judged.verdict)?),
            // Nobody can tell.
            Err(Refusal::Signature(Unverified::NoOcsp)) => Ok(()),
            Err(refusal) => Err(refusal),
        }
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
            self.use_those_whose_time_has_come(&mut work, facts, now);
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
        let has_response = !about.responses.is_empty() || work.known.is_some();
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
        let waits = !work.waiting.is_empty() && self.issuer(facts, find_issuer, files).is_none();
        self.waits_for_issuer.store(waits, Ordering::Relaxed);
        if waits {
            // At load the chain or the store may still come: the first handshake
            // looks again at once, and says it.
            if files {
                self.next_look.store(0, Ordering::Relaxed);
            }
            if !files && self.complaint_is_new(Unverified::NoIssuer.cause()) {
                log::warning!("no staple for {}: {}", facts.name, Unverified::NoIssuer);
            }
            return;
        }
        for candidate in std::mem::take(&mut work.waiting) {
            self.take(work, facts, candidate);
        }
    }

    /// The leaf's issuer, if it is known or can be found now.
    fn issuer(
        &self,
        facts: &Facts,
        find_issuer: FindIssuer<'_>,
        files: bool,
    ) -> Option<&(Identity, Issuer)> {
        if self.issuer.get().is_none() {
            let issuer = Issuer::new(find_issuer(files)?)?;
            let identity = Identity::new(&facts.certificate, issuer.issuer())?;
            let _ = self.issuer.set(try_box((identity, issuer))?);
        }
        self.issuer.get()
    }

    /// Takes a response in, keeps it until its time comes, or says why not.
    fn take(&self, work: &mut Work, facts: &Facts, candidate: Candidate) {
        let Some((identity, issuer)) = self.issuer.get() else {
            return;
        };
        let now = output::seconds();
        let judged = self.library.within(issuer.crypto(), || {
            judge(&candidate.der, identity, now, &Policy::STAPLING, issuer)
        });
        let why = match judged {
            Ok(judged) => match self.use_if_better(work, facts, &candidate, judged, now) {
                Ok(()) => return,
                Err(revoked) => Refusal::Response(revoked),
            },
            Err(Refusal::Early { judged, fault }) => {
                log::warning!(
                    "{} is not stapled for {} yet: {fault}",
                    candidate.path.display(),
                    facts.name
                );
                work.keep(candidate, judged);
                return;
            }
            Err(refusal) => refusal,
        };
        log::warning!(
            "{} is not stapled for {}: {why}",
            candidate.path.display(),
            facts.name
        );
    }

    /// Takes what was judged in the place of what is known, if it is better. An error
    /// if it tells a revocation, which stops what was stapled.
    fn use_if_better(
        &self,
        work: &mut Work,
        facts: &Facts,
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
        if let Err(revoked) = good(judged.verdict) {
            work.known = Some(judged);
            self.published.withdraw(&facts.key);
            return Err(revoked);
        }
        let Validity { from, until } = judged.validity;
        if self
            .published
            .publish(&facts.key, &candidate.der, from, until)
        {
            work.known = Some(judged);
            work.watch.is_in_use(&candidate.path);
            log::info!("{path} is ready to be stapled for {}", facts.name);
        }
        Ok(())
    }

    /// Judged they are already, so that this is a matter of memory alone.
    fn use_those_whose_time_has_come(&self, work: &mut Work, facts: &Facts, now: i64) {
        let waits = |judged: &Judged| {
            matches!(
                judged.validity.check_to_staple(now),
                Err(Fault::NotYetValid { .. })
            )
        };
        while let Some(place) = work.early.iter().position(|(_, judged)| !waits(judged)) {
            let (candidate, judged) = work.early.swap_remove(place);
            // None of them tells a revocation.
            let _ = self.use_if_better(work, facts, &candidate, judged, now);
        }
    }
}

impl Work {
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

/// A response in DER, and whether its signature counts.
type Verified = (Vec<u8>, Result<(), Unverified>);

/// The issuer's signatures, of which the last one is remembered: the program staples
/// the same response in every handshake, and verifying one takes longer than all the
/// rest.
struct Remembered<'a> {
    issuer: &'a Issuer,
    library: LibraryContext,
    /// Never waited for: who does not get it verifies again.
    last: &'a Mutex<Option<Verified>>,
}

impl Signatures for Remembered<'_> {
    type Error = Unverified;

    fn issuer(&self) -> &Certificate {
        self.issuer.issuer()
    }

    fn verify(&self, response: &Response<'_>, signer: &Signer<'_>) -> Result<(), Unverified> {
        let mut last = self.last.try_lock();
        if let Ok(Some((der, verified))) = last.as_deref()
            && der == response.der()
        {
            return *verified;
        }
        let verify = || self.issuer.verify(response, signer);
        let verified = self.library.within(self.issuer.crypto(), verify);
        if let Ok(last) = &mut last {
            let der = try_vec(response.der().len()).map(|mut copy| {
                copy.extend_from_slice(response.der());
                copy
            });
            **last = der.map(|der| (der, verified));
        }
        verified
    }
}
