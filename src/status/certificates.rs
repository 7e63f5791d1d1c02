//! The certificates that a context holds: which X509 is which leaf, so that a handshake
//! need not hash it.
//!
//! Handshakes in all threads read the list while a load changes it, and nobody waits: the
//! list has a version, and who meets a change hashes the certificate. A pointer counts
//! only as long as it stands here, with a reference held, so that its address cannot come
//! to mean another certificate.

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use staplegun_store::Key;

use crate::host::process;
use crate::host::tables::Crypto;
use crate::host::types::X509;
use crate::host::x509::{OwnedX509, X509Ref};
use crate::shared::claim::Claim;
use crate::shared::places::Places;
use crate::staples::leaf::Leaf;

/// Room for each type of key, and for some that come with connections.
pub const PLACES: usize = 8;
/// A reload of an unchanged file brings another X509 of the same leaf. One that a
/// connection brought may be in use beside it.
const PLACES_FOR_A_LEAF: usize = 2;

/// The list of one context.
#[derive(Default)]
pub struct Certificates {
    places: Places<X509, Leaf, PLACES>,
    /// Which place was filled last.
    last: AtomicUsize,
    claim: Claim,
    /// The libcrypto of all of them.
    crypto: AtomicPtr<Crypto>,
}

/// The reference that a place had, and its leaf.
fn held(
    (x509, leaf): (*mut X509, Option<&'static Leaf>),
    crypto: &'static Crypto,
) -> Option<(OwnedX509, &'static Leaf)> {
    let x509 = NonNull::new(x509)?;
    // SAFETY: the reference was the place's, and is nobody's now.
    Some((unsafe { OwnedX509::from_raw(crypto, x509) }, leaf?))
}

impl Certificates {
    /// The leaf that this very X509 is, as far as is known, and its key.
    #[inline]
    pub fn find(&self, x509: X509Ref<'_>) -> Option<(&'static Leaf, Key)> {
        // As long as the list is unchanged the leaf is in use, and so keeps its key.
        self.places.find(x509.as_ptr(), Leaf::key_in_use)
    }

    /// Notes that `x509` is `leaf`, and answers whether that is new. Not noted if another
    /// thread changes the list: then handshakes hash it.
    pub fn add(&self, x509: X509Ref<'_>, leaf: &'static Leaf, key: &Key) -> bool {
        let Some(_claimed) = self.claim.take(process::claimant()) else {
            return false;
        };
        if self.places.has(x509.as_ptr()) {
            return false;
        }
        let Some(owned) = x509.to_owned() else {
            return false;
        };
        if !leaf.begin_use(key) {
            return false;
        }
        let at = self.place_for(leaf);
        self.last.store(at, Ordering::Relaxed);
        let before = self.places.replace(at, owned.into_raw(), leaf);
        self.crypto
            .store(ptr::from_ref(x509.crypto()).cast_mut(), Ordering::Relaxed);
        if let Some((x509, leaf)) = held(before, x509.crypto()) {
            drop(x509);
            leaf.end_use();
        }
        true
    }

    /// What the context holds, for work at a load. Nothing while another thread changes it.
    pub fn leaves(&self) -> impl Iterator<Item = (&'static Leaf, Key)> {
        let claimed = self.claim.take(process::claimant());
        let mut held = [const { None }; PLACES];
        for (leaf, held) in self.places.all().zip(&mut held) {
            let leaf = leaf.filter(|_| claimed.is_some());
            *held = leaf.and_then(|leaf| Some((leaf, leaf.key()?)));
        }
        held.into_iter().flatten()
    }

    fn crypto(&self) -> Option<&'static Crypto> {
        // SAFETY: only what lives as long as the process is stored, and NULL.
        unsafe { self.crypto.load(Ordering::Relaxed).as_ref() }
    }

    /// An empty place, else one of this leaf's where it has enough, else the next in turn.
    fn place_for(&self, leaf: &'static Leaf) -> usize {
        let last = self.last.load(Ordering::Relaxed);
        let is_of_leaf = |held: Option<&Leaf>| held.is_some_and(|held| ptr::eq(held, leaf));
        let all = || self.places.all().enumerate();
        if all().filter(|&(_, held)| is_of_leaf(held)).count() >= PLACES_FOR_A_LEAF {
            let mut others = all().filter(|&(at, held)| at != last && is_of_leaf(held));
            return others.next().map_or(last, |(at, _)| at);
        }
        let empty = self.places.all().position(|held| held.is_none());
        empty.unwrap_or_else(|| last.wrapping_add(1) % PLACES)
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let Some(crypto) = self.crypto() else { return };
        for before in self.places.take_all() {
            if let Some((x509, leaf)) = held(before, crypto) {
                drop(x509);
                leaf.end_use();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_that_are_renewed_take_the_places_in_turn() {
        let certificates = Certificates::default();
        for number in 0..3 * PLACES {
            let leaf = Box::leak(Box::new(Leaf::default()));
            let at = certificates.place_for(leaf);
            assert_eq!(at, number % PLACES);
            // No X509: nothing looks at it, and without a libcrypto nothing is freed.
            let x509 = NonNull::dangling().as_ptr();
            certificates.places.replace(at, x509, leaf);
            certificates.last.store(at, Ordering::Relaxed);
        }
    }
}
