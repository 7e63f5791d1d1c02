//! The intermediates of chains (setting `intermediates`): which came along with the
//! certificates that are looked after, and how many of those hang on each.
//!
//! The main thread notes each chain once and hands it to the spool's thread, which does the
//! cryptography (`Examiner::intermediates`). What that finds is let in as a certificate like
//! any other, but for its notes, which say what it is.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use staplegun_store::files::Files;
use staplegun_store::{Key, name};

use super::daemon::Daemon;
use super::fill::said;
use super::inbox::Inbox;
use super::roster::{Roster, Source, Watched};
use crate::fetch::Subject;

/// How many intermediates of a chain are looked at, at most.
pub const HIGHEST: usize = 8;

/// So many chains are remembered as followed; then all are forgotten.
const MOST: usize = 65_536;

/// What came along with a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// The certificate's issuer, then the others, in DER.
    certificates: Vec<Vec<u8>>,
    /// The user who left it, if that was not root or the agent's own.
    left_by: Option<u32>,
}

impl Chain {
    /// The chain of a certificate that `source` left or named. None where its issuer is not
    /// known, or is a root.
    pub fn of(subject: &Subject, source: Source) -> Option<Self> {
        let issuer = &subject.issuer()?.by.facts;
        let mut ders = subject.ders().into_iter().skip(1).map(<[u8]>::to_vec);
        (!issuer.is_self_issued()).then(|| Self {
            certificates: ders.by_ref().collect(),
            left_by: match source {
                Source::User(uid) => Some(uid),
                Source::List | Source::Store | Source::Trusted => None,
            },
        })
    }

    /// To whom its intermediates are counted.
    pub fn source(&self) -> Source {
        self.left_by.map_or(Source::Trusted, Source::User)
    }

    /// The issuer of the certificate that it came with.
    pub fn lowest(&self) -> Option<Vec<u8>> {
        self.certificates.first().cloned()
    }

    /// One of its certificates, or one that issued such, with the others.
    pub fn subject(&self, der: Vec<u8>) -> Option<Subject> {
        let others = self.certificates.iter().filter(|other| **other != der);
        let others: Vec<Vec<u8>> = others.cloned().collect();
        Subject::unexamined([vec![der], others].concat()).ok()
    }
}

/// Those that are to be followed, and were.
#[derive(Debug, Default)]
pub struct Chains {
    waiting: VecDeque<Chain>,
    stored: Option<Stored>,
    /// What was followed, by a hash that nobody can foresee.
    followed: HashSet<u64>,
    hashes: RandomState,
}

impl Chains {
    /// Hands over what waits.
    pub fn hand_over(&mut self, inbox: &mut Inbox) {
        if let Some(stored) = self.stored.take() {
            inbox.follow_stored(stored);
        }
        for chain in self.waiting.drain(..) {
            inbox.follow(chain);
        }
    }

    fn note(&mut self, chain: Chain) {
        if self.followed.len() >= MOST {
            self.followed.clear();
        }
        if self.followed.insert(self.hashes.hash_one(&chain)) {
            self.waiting.push_back(chain);
        }
    }
}

/// The chains of the certificates that the store has, read one by one.
#[derive(Debug)]
pub struct Stored {
    files: Files,
    left: std::vec::IntoIter<(Key, Source)>,
    seen: HashSet<Chain>,
}

impl Iterator for Stored {
    /// None: there is none in that file that was not there before.
    type Item = Option<Chain>;

    fn next(&mut self) -> Option<Option<Chain>> {
        let (key, source) = self.left.next()?;
        let pem = said(self.files.certificates.read(&key));
        let subject = pem.and_then(|pem| Subject::unexamined_from_bytes(&pem).ok());
        let chain = subject.map(|subject| Chain {
            // Written with the issuer first.
            certificates: subject
                .ders()
                .iter()
                .skip(1)
                .map(|der| der.to_vec())
                .collect(),
            left_by: match source {
                Source::User(uid) => Some(uid),
                _ => None,
            },
        });
        Some(chain.filter(|chain| self.seen.insert(chain.clone())))
    }
}

impl Watched {
    /// Who is answerable for it.
    pub fn source(&self) -> Source {
        self.notes.left_by.map_or(Source::Trusted, Source::User)
    }
}

impl Daemon {
    /// The intermediates of that chain are to be looked after, too, if that is wanted.
    pub(super) fn note_chain(&mut self, chain: Option<Chain>) {
        if self.settings.intermediates
            && let Some(chain) = chain
        {
            self.chains.note(chain);
        }
    }

    /// The setting may be another than it was `before`.
    pub(super) fn follow_chains(&mut self, before: bool) {
        if !self.settings.intermediates {
            self.chains = Chains::default();
            self.drop_intermediates(|_| true);
        } else if !before {
            let has_issuer = |watched: &Watched| watched.subject.issuer().is_some();
            let all = self.roster.iter();
            let leaves = all.filter(|(_, it)| !it.notes.intermediate && has_issuer(it));
            let left: Vec<_> = leaves.map(|(key, it)| (*key, it.source())).collect();
            self.chains.stored = Some(Stored {
                files: Files::new(self.layout.lasting()).at_once(),
                left: left.into_iter(),
                seen: HashSet::new(),
            });
        }
    }

    /// Forgets the intermediates on which no certificate hangs any more.
    pub(super) fn drop_idle_intermediates(&mut self) {
        let all = self.roster.iter().map(|(_, watched)| watched);
        // What has expired may be in use again, should the clock have been wrong.
        let on = leaves_on(all.chain(self.shelf.iter()), &self.roster);
        self.drop_intermediates(|key| !on.contains_key(key));
    }

    fn drop_intermediates(&mut self, these: impl Fn(&Key) -> bool) {
        let all = self.roster.iter();
        let over = all.filter(|(key, it)| it.notes.intermediate && these(key));
        let over: Vec<Key> = over.map(|(key, _)| *key).collect();
        for key in over {
            self.roster.remove(&key);
            self.forget_in_fleet(&key);
            self.keeper.forget(&key);
            // Should it come along again, it is looked after again.
            self.chains.followed.clear();
            tracing::info!(key = %name::of_key(&key), "the intermediate is looked after no more");
        }
    }

    /// How many certificates hang on it, if it is an intermediate.
    pub(super) fn leaves_if_intermediate(&self, key: &Key) -> Option<usize> {
        let watched = self.roster.get(key)?;
        let all = self.roster.iter().map(|(_, watched)| watched);
        let count = || leaves_on(all, &self.roster).remove(key).unwrap_or(0);
        watched.notes.intermediate.then(count)
    }
}

/// How many of `all` hang on each intermediate that is looked after.
pub fn leaves_on<'a>(
    all: impl Iterator<Item = &'a Watched>,
    roster: &Roster,
) -> HashMap<Key, usize> {
    let intermediates: Vec<(&Key, &Watched)> = (roster.iter())
        .filter(|(_, watched)| watched.notes.intermediate)
        .collect();
    let mut on = HashMap::new();
    if intermediates.is_empty() {
        return on;
    }
    let mut by_issuer = HashMap::new();
    for issuer in all
        .filter(|watched| !watched.notes.intermediate)
        .filter_map(|leaf| leaf.subject.issuer())
    {
        by_issuer
            .entry(issuer.by.facts.sha256())
            .or_insert((issuer, 0))
            .1 += 1;
    }
    for (mut issuer, count) in by_issuer.into_values() {
        for _ in 0..HIGHEST {
            let facts = &issuer.by.facts;
            let is_it = |(key, _): &&(&Key, &Watched)| **key == facts.sha256();
            // One without a responder is not looked after: its own issuer may be.
            let or_named = |(_, one): &&(&Key, &Watched)| facts.names_as_issuer(&one.subject.leaf);
            let mut known = intermediates.iter();
            let Some((key, one)) = known.find(is_it).or_else(|| {
                let mut named = intermediates.iter();
                named.find(or_named)
            }) else {
                break;
            };
            *on.entry(**key).or_insert(0) += count;
            match one.subject.issuer() {
                Some(next) => issuer = next,
                None => break,
            }
        }
    }
    on
}
