//! How many certificates of a store hang on each intermediate.

use std::collections::HashMap;

use staplegun_ocsp::UnixTime;
use staplegun_store::files::Notes;

use crate::fetch::Subject;

/// What came along with certificates that are looked after, and with how many.
#[derive(Debug, Default)]
pub struct Chains(HashMap<Vec<u8>, usize>);

impl Chains {
    /// Counts what came along with `leaf`.
    pub fn count(&mut self, leaf: &Subject, notes: &Notes, now: UnixTime) {
        if notes.passed_over.is_some() || leaf.leaf.not_after() < now {
            return;
        }
        for der in leaf.ders().into_iter().skip(1) {
            match self.0.get_mut(der) {
                Some(count) => *count += 1,
                None => drop(self.0.insert(der.to_vec(), 1)),
            }
        }
    }

    /// With how many `intermediate` came along.
    pub fn leaves_on(&self, intermediate: &Subject) -> usize {
        let ders = intermediate.ders();
        let count = ders.first().and_then(|der| self.0.get(*der));
        count.copied().unwrap_or(0)
    }
}
