//! What is known of one leaf in this process: its key, the response that files gave for
//! it, and what the agent was told.
//!
//! A leaf's memory is one of the table's (`leaves`), and is never freed. When nobody uses
//! a leaf any more, its memory may come to be another's. So whoever found a leaf names
//! its key at each step, and gets nothing where another key stands by then.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use staplegun_ocsp::{Certificate, Identity, Judged};
use staplegun_store::Key;

use crate::host::memory::try_box;
use crate::host::process::Origin;
use crate::host::x509::X509Ref;
use crate::log;
use crate::shared::tenancy::Tenancy;
use crate::verify::Unverified;

use super::published::Published;
use super::source::Candidate;
use super::watch::Watch;

/// One leaf, or room for one.
#[derive(Default)]
pub struct Leaf {
    /// Whose it is, and how many contexts hold a certificate that is this leaf.
    tenancy: Tenancy,
    /// The response that files gave.
    pub(super) published: Published,
    /// When a handshake is to look at what waits in memory, in seconds since 1970.
    pub(super) next_step: AtomicI64,
    told: AtomicU8,
    last_outcome: AtomicI64,
    last_complaint: AtomicUsize,
    /// Never waited for: who does not get it goes on without. A child of a process that
    /// forked meanwhile never gets it.
    work: Mutex<Work>,
}

/// What a load finds out, and a look at the files needs.
pub struct Work {
    /// The leaf that the rest is about.
    key: Key,
    /// The process that loaded it, which alone looks at its files again.
    pub origin: Origin,
    /// Its certificate, read. The inner None: it cannot be.
    facts: Option<Option<Box<Facts>>>,
    /// What is known of its issuer.
    pub issuer: Option<Box<Issuer>>,
    /// The file that it was loaded from first.
    pub path: Option<PathBuf>,
    /// What may bring another response.
    pub watch: Watch,
    /// Whether files were looked at.
    pub looked: bool,
    /// Responses that wait until the issuer is known.
    pub waiting: Vec<Candidate>,
    /// Responses that wait for their time to come.
    pub early: Vec<(Candidate, Judged)>,
    /// What is in use, or the revocation that is known.
    pub known: Option<Judged>,
    /// Of the response that the program itself staples: whether its signature counts.
    pub programs: Option<Verified>,
    /// Seconds from the last search for the issuer in a handshake to the next.
    pub search_interval: i64,
}

/// What the agent was told of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Told {
    /// Nothing yet.
    Nothing,
    /// It is to be told at the next SSL_new.
    Soon,
    /// It could not be told: to be tried again at a later load.
    Failed,
    /// The leaf, without its issuer.
    Leaf,
    /// All that there is to tell.
    All,
}

impl Told {
    const ALL: [Told; 5] = [
        Told::Nothing,
        Told::Soon,
        Told::Failed,
        Told::Leaf,
        Told::All,
    ];
}

/// The issuer of a leaf. Not as an X509: that may belong to a library context, which the
/// program frees before the leaf is forgotten.
pub struct Issuer {
    /// The leaf as OCSP names it.
    pub identity: Identity,
    /// The issuer's certificate.
    pub certificate: Certificate,
    /// Its DER.
    pub der: Vec<u8>,
}

/// A response in DER, and whether its signature counts.
pub type Verified = (Vec<u8>, Result<(), Unverified>);

/// What is read in a leaf's certificate.
pub struct Facts {
    /// Its DER.
    pub der: Vec<u8>,
    /// The same, read.
    pub certificate: Certificate,
    /// What it is called in the log.
    pub name: String,
}

impl Default for Work {
    fn default() -> Self {
        Work {
            key: [0; 32],
            origin: Origin::NOWHERE,
            facts: None,
            issuer: None,
            path: None,
            watch: Watch::default(),
            looked: false,
            waiting: Vec::new(),
            early: Vec::new(),
            known: None,
            programs: None,
            search_interval: 0,
        }
    }
}

impl Work {
    /// What is read in the certificate, of which `x509` is one. None, with a word in the
    /// log, if it cannot be read.
    pub fn facts(&mut self, x509: X509Ref<'_>) -> Option<&Facts> {
        if self.facts.is_none() {
            let der = x509.to_der(staplegun_ocsp::MAX_RESPONSE)?;
            self.facts = Some(match Certificate::from_der(&der) {
                Ok(certificate) => Some(try_box(Facts {
                    name: certificate.display_subject(),
                    certificate,
                    der,
                })?),
                Err(error) => {
                    log::warning!("a certificate was loaded that cannot be stapled for: {error}");
                    None
                }
            });
        }
        self.facts.as_ref()?.as_deref()
    }

    /// The same, if it was read.
    pub fn known_facts(&self) -> Option<&Facts> {
        self.facts.as_ref()?.as_deref()
    }

    /// What it is called in the log.
    pub fn name(&self) -> &str {
        self.known_facts()
            .map_or("a certificate", |facts| &facts.name)
    }
}

impl Leaf {
    /// Whether this is the leaf `key`.
    #[inline]
    pub fn is(&self, key: &Key) -> bool {
        self.tenancy.is(key)
    }

    /// The SHA-256 of the leaf: its key in the live map. None if there is none now.
    #[inline]
    pub fn key(&self) -> Option<Key> {
        self.tenancy.key()
    }

    /// The key of a leaf that is in use all the while, and so cannot change.
    #[inline]
    pub fn key_in_use(&self) -> Key {
        self.tenancy.key_in_use()
    }

    /// Whether no leaf ever stood here.
    pub(super) fn is_new(&self) -> bool {
        self.tenancy.is_new()
    }

    /// Whether no context holds a certificate that is this leaf.
    pub(super) fn is_idle(&self) -> bool {
        self.tenancy.is_idle()
    }

    /// A context holds a certificate that is the leaf `key`. False if another stands here.
    pub fn begin_use(&self, key: &Key) -> bool {
        self.tenancy.begin_use(key)
    }

    /// It does no longer.
    pub fn end_use(&self) {
        self.tenancy.end_use();
    }

    /// Makes this the leaf `key`, loaded by the process `origin`, unless it is in use.
    pub(super) fn become_leaf(&self, key: &Key, origin: Origin) -> Option<MutexGuard<'_, Work>> {
        let mut work = self.work.try_lock().ok()?;
        let changed = self.tenancy.change(key, || {
            *work = Work {
                key: *key,
                origin,
                ..Work::default()
            };
            self.published.forget();
            self.next_step.store(0, Ordering::Relaxed);
            self.set_told(Told::Nothing);
            self.last_outcome.store(i64::MIN, Ordering::Relaxed);
            self.last_complaint.store(0, Ordering::Relaxed);
        });
        changed.then_some(work)
    }

    /// What is to be found out about the leaf `key`, for one thread at a time. None if
    /// another one has it.
    pub fn work(&self, key: &Key) -> Option<MutexGuard<'_, Work>> {
        let work = self.work.try_lock().ok()?;
        (work.key == *key).then_some(work)
    }

    /// What the agent was told of it.
    pub fn told(&self) -> Told {
        let told = usize::from(self.told.load(Ordering::Relaxed));
        Told::ALL.get(told).copied().unwrap_or(Told::Nothing)
    }

    /// Notes what the agent was told.
    pub fn set_told(&self, told: Told) {
        self.told.store(told as u8, Ordering::Relaxed);
    }

    /// Notes that the agent is to be told soon, for the one thread that gets true.
    pub fn tell_soon(&self, known: Told) -> bool {
        let (known, soon) = (known as u8, Told::Soon as u8);
        let swap = (self.told).compare_exchange(known, soon, Ordering::Relaxed, Ordering::Relaxed);
        swap.is_ok()
    }

    /// Whether this handshake ends otherwise than the one before: with a response of
    /// another end, or without one for another reason.
    pub fn outcome_changed(&self, outcome: i64) -> bool {
        self.last_outcome.swap(outcome, Ordering::Relaxed) != outcome
    }

    /// Whether this is another complaint than the one before. Causes are few
    /// constants, told apart by their addresses.
    pub fn complaint_is_new(&self, cause: &'static str) -> bool {
        let number = cause.as_ptr() as usize;
        self.last_complaint.swap(number, Ordering::Relaxed) != number
    }
}
