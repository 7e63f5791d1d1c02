//! How many certificates hang on an intermediate that is looked after for them.

use std::collections::HashMap;
use std::sync::Arc;

use staplegun_store::Key;

use super::chain::HIGHEST;
use super::roster::{Roster, Watched};
use crate::fetch::{Issued, Issuer};

/// Certificates by who issued them, to know how many hang on an intermediate.
#[derive(Debug, Default)]
pub struct Leaves {
    by_issuer: HashMap<Key, (Arc<Issuer>, usize)>,
}

impl Leaves {
    /// Adds one, unless it is an intermediate itself.
    pub fn add(&mut self, watched: &Watched) {
        if watched.notes.intermediate {
            return;
        }
        if let Some(Issued { by, .. }) = watched.subject.issuer() {
            let known = self.by_issuer.entry(by.facts.sha256());
            known.or_insert_with(|| (Arc::clone(by), 0)).1 += 1;
        }
    }

    /// How many hang on each intermediate that is looked after.
    pub fn on(self, roster: &Roster) -> HashMap<Key, usize> {
        let intermediates: Vec<(&Key, &Watched)> = roster.intermediates().collect();
        let mut on = HashMap::new();
        for (issuer, count) in self.by_issuer.values() {
            let mut facts = &issuer.facts;
            for _ in 0..HIGHEST {
                let is_it = |(key, _): &&(&Key, &Watched)| **key == facts.sha256();
                // One without a responder is not looked after: its own issuer may be.
                let or_named =
                    |(_, one): &&(&Key, &Watched)| facts.names_as_issuer(&one.subject.leaf);
                let mut known = intermediates.iter();
                let Some((key, one)) = known.find(is_it).or_else(|| {
                    let mut named = intermediates.iter();
                    named.find(or_named)
                }) else {
                    break;
                };
                *on.entry(**key).or_insert(0) += count;
                match one.subject.issuer() {
                    Some(next) => facts = &next.by.facts,
                    None => break,
                }
            }
        }
        on
    }
}

/// How many of `all` hang on each intermediate that is looked after.
pub fn leaves_on<'a>(
    all: impl Iterator<Item = &'a Watched>,
    roster: &Roster,
) -> HashMap<Key, usize> {
    if roster.intermediates().next().is_none() {
        return HashMap::new();
    }
    let mut leaves = Leaves::default();
    all.for_each(|watched| leaves.add(watched));
    leaves.on(roster)
}
