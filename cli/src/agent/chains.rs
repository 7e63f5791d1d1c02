//! Which chains are to be followed, and were.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use super::chain::{Chain, Stored};
use super::inbox::Inbox;

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

#[cfg(test)]
mod tests {
    use staplegun_testkit::{Identity, Spec};

    use super::*;
    use crate::agent::roster::Source;
    use crate::fetch::{Issuers, Subject};

    #[test]
    fn a_chain_that_came_before_is_not_followed_again_unless_that_is_wanted() {
        let root = Identity::self_signed(&Spec::ca("Root"));
        let issuer = root.issue(&Spec::ca("Issuer"));
        let of_another_leaf = || {
            let ders = vec![issuer.issue(&Spec::server()).der(), issuer.der()];
            let leaf = Subject::new(ders, &Issuers::default()).expect("a certificate");
            Chain::of(&leaf, Source::Trusted).expect("its issuer is no root")
        };
        let mut chains = Chains::default();
        chains.note(of_another_leaf());
        chains.note(of_another_leaf());
        assert_eq!(chains.waiting.len(), 1);
        chains.forget_followed();
        chains.note(of_another_leaf());
        assert_eq!(chains.waiting.len(), 2);
    }
}
