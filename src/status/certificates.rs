//! The certificates that a context holds: which X509 is which leaf, so that a handshake
//! need not hash it.
//!
//! Handshakes in all threads read the list while a load changes it, and nobody waits: the
//! list has a version, and who meets a change hashes the certificate. A pointer counts
//! only as long as it stands here, with a reference held, so that its address cannot come
//! to mean another certificate.

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering, fence};

use staplegun_store::Key;

use crate::host::process::Claim;
use crate::host::tables::Crypto;
use crate::host::types::X509;
use crate::host::x509::{OwnedX509, X509Ref};
use crate::staples::leaf::Leaf;

/// Room for each type of key, and for some that come with connections.
const PLACES: usize = 8;
/// A reload of an unchanged file brings another X509 of the same leaf. One that a
/// connection brought may be in use beside it.
const PLACES_FOR_A_LEAF: usize = 2;

/// The list of one context.
#[derive(Default)]
pub struct Certificates {
    /// Odd while the places change.
    version: AtomicU32,
    places: [Place; PLACES],
    /// Which place was filled last.
    last: AtomicUsize,
    claim: Claim,
    /// The libcrypto of all of them.
    crypto: AtomicPtr<Crypto>,
}

#[derive(Default)]
struct Place {
    x509: AtomicPtr<X509>,
    leaf: AtomicPtr<Leaf>,
}

impl Place {
    fn leaf(&self) -> Option<&'static Leaf> {
        // SAFETY: only leaves are stored, which are never freed, and NULL.
        unsafe { self.leaf.load(Ordering::Relaxed).as_ref() }
    }

    /// What stands there, with a reference of the caller's own.
    fn held(&self, crypto: &'static Crypto) -> Option<(OwnedX509, &'static Leaf)> {
        let x509 = NonNull::new(self.x509.load(Ordering::Relaxed))?;
        // SAFETY: the place holds a reference as long as the caller has the claim.
        Some((
            unsafe { X509Ref::new(crypto, x509) }.to_owned()?,
            self.leaf()?,
        ))
    }

    /// Empties the place, and hands over its reference.
    fn take(&self, crypto: &'static Crypto) -> Option<(OwnedX509, &'static Leaf)> {
        let x509 = NonNull::new(self.x509.swap(ptr::null_mut(), Ordering::Relaxed));
        let leaf = self.leaf();
        self.leaf.store(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: the reference was the place's, and is nobody's now.
        Some((unsafe { OwnedX509::from_raw(crypto, x509?) }, leaf?))
    }
}

impl Certificates {
    /// The leaf that this very X509 is, as far as is known, and its key.
    #[inline]
    pub fn find(&self, x509: X509Ref<'_>) -> Option<(&'static Leaf, Key)> {
        let version = self.version.load(Ordering::Acquire);
        let wanted = x509.as_ptr();
        let place = (self.places.iter()).find(|p| p.x509.load(Ordering::Relaxed) == wanted)?;
        let leaf = place.leaf()?;
        // As long as the list is unchanged the leaf is in use, and so keeps its key.
        let key = leaf.key_in_use();
        fence(Ordering::Acquire);
        let unchanged = version & 1 == 0 && self.version.load(Ordering::Relaxed) == version;
        unchanged.then_some((leaf, key))
    }

    /// Notes that `x509` is `leaf`, and answers whether that is new. Not noted if another
    /// thread changes the list: then handshakes hash it.
    pub fn add(&self, x509: X509Ref<'_>, leaf: &'static Leaf, key: &Key) -> bool {
        let Some(_claimed) = self.claim.take() else {
            return false;
        };
        if (self.places.iter()).any(|p| p.x509.load(Ordering::Relaxed) == x509.as_ptr()) {
            return false;
        }
        let Some(owned) = x509.to_owned() else {
            return false;
        };
        if !leaf.begin_use(key) {
            return false;
        }
        let at = self.place_for(leaf);
        let Some(place) = self.places.get(at) else {
            leaf.end_use();
            return false;
        };
        self.last.store(at, Ordering::Relaxed);
        // It is odd already in a child of a process that forked in the middle of this.
        let changing = self.version.load(Ordering::Relaxed) | 1;
        self.version.store(changing, Ordering::Relaxed);
        fence(Ordering::Release);
        let before = place.take(x509.crypto());
        place
            .leaf
            .store(ptr::from_ref(leaf).cast_mut(), Ordering::Relaxed);
        place.x509.store(owned.into_raw(), Ordering::Relaxed);
        self.version
            .store(changing.wrapping_add(1), Ordering::Release);
        self.crypto
            .store(ptr::from_ref(x509.crypto()).cast_mut(), Ordering::Relaxed);
        if let Some((x509, leaf)) = before {
            drop(x509);
            leaf.end_use();
        }
        true
    }

    /// What the context holds, each with the leaf that it is, for work at a load.
    pub fn all(&self) -> impl Iterator<Item = (OwnedX509, &'static Leaf)> {
        let claimed = self.claim.take();
        let crypto = self.crypto().filter(|_| claimed.is_some());
        let mut held = [const { None }; PLACES];
        for (place, held) in self.places.iter().zip(&mut held) {
            *held = crypto.and_then(|crypto| place.held(crypto));
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
        let is_of_leaf = |place: &Place| place.leaf().is_some_and(|held| ptr::eq(held, leaf));
        if self.places.iter().filter(|p| is_of_leaf(p)).count() >= PLACES_FOR_A_LEAF {
            let mut of_leaf = (0..PLACES).filter(|&at| self.places.get(at).is_some_and(is_of_leaf));
            return of_leaf.find(|&at| at != last).unwrap_or(last);
        }
        let empty = (self.places.iter()).position(|place| place.leaf().is_none());
        empty.unwrap_or_else(|| last.wrapping_add(1) % PLACES)
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let Some(crypto) = self.crypto() else { return };
        for place in &self.places {
            if let Some((x509, leaf)) = place.take(crypto) {
                drop(x509);
                leaf.end_use();
            }
        }
    }
}
