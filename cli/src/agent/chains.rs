//! Which chains are to be followed, and were; how many certificates hang on an intermediate.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use staplegun_store::Key;

use super::chain::{Chain, HIGHEST, Stored};
use super::inbox::Inbox;
use super::roster::{Roster, Watched};

/// So many chains are remembered as followed; then all are forgotten.
const MOST: usize = 65_536;

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

    /// It is to be followed, if it never was.
    pub fn note(&mut self, chain: Chain) {
        if self.followed.len() >= MOST {
            self.followed.clear();
        }
        if self.followed.insert(self.hashes.hash_one(&chain)) {
            self.waiting.push_back(chain);
        }
    }

    /// Those of the store are to be followed.
    pub fn note_stored(&mut self, stored: Stored) {
        self.stored = Some(stored);
    }

    /// Whatever comes along again is to be followed again.
    pub fn forget_followed(&mut self) {
        self.followed.clear();
    }
}

/// How many of `all` hang on each intermediate that is looked after.
pub fn leaves_on<'a>(
    all: impl Iterator<Item = &'a Watched>,
    roster: &Roster,
) -> HashMap<Key, usize> {
    let intermediates: Vec<(&Key, &Watched)> = roster.intermediates().collect();
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
