//! Whose a place for a leaf is. Handshakes read it while a load gives the place to another leaf,
//! which it does only where no context uses the one that is there.

use staplegun_store::Key;

use super::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// The key that a place stands for, and how many use it.
#[derive(Default)]
pub struct Tenancy {
    /// 0: no key yet. Odd while the key changes.
    version: AtomicU64,
    key: [AtomicU64; 4],
    /// How many contexts hold a certificate that is this leaf.
    users: AtomicU32,
}

impl Tenancy {
    /// Whether this is the place of `key`.
    #[inline]
    pub fn is(&self, key: &Key) -> bool {
        let (first, _) = key.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
        self.key[0].load(Ordering::Relaxed) == u64::from_ne_bytes(*first)
            && self.key().is_some_and(|own| own == *key)
    }

    /// The key. None if there is none now.
    #[inline]
    pub fn key(&self) -> Option<Key> {
        let version = self.version.load(Ordering::Acquire);
        let key = self.key_in_use();
        fence(Ordering::Acquire);
        let valid = version != 0 && version & 1 == 0;
        (valid && self.version.load(Ordering::Relaxed) == version).then_some(key)
    }

    /// The key of a place that is in use all the while, and so cannot change.
    #[inline]
    pub fn key_in_use(&self) -> Key {
        let mut key: Key = [0; 32];
        for (part, word) in key.as_chunks_mut::<8>().0.iter_mut().zip(&self.key) {
            *part = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        key
    }

    /// Whether no leaf ever stood here.
    pub fn is_new(&self) -> bool {
        self.version.load(Ordering::Relaxed) == 0
    }

    /// Whether nobody uses it.
    pub fn is_idle(&self) -> bool {
        self.users.load(Ordering::Relaxed) == 0
    }

    /// Begins to use it for `key`. False if it is another's.
    pub fn begin_use(&self, key: &Key) -> bool {
        // Against `change`: one of the two sees the other.
        self.users.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let done = self.is(key);
        if !done {
            self.end_use();
        }
        done
    }

    /// Uses it no longer.
    pub fn end_use(&self) {
        self.users.fetch_sub(1, Ordering::SeqCst);
    }

    /// Gives it to `key`, unless it is in use; what belongs to the place is made ready
    /// `meanwhile`, where nobody finds it. For one thread at a time.
    pub fn change(&self, key: &Key, meanwhile: impl FnOnce()) -> bool {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version | 1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.users.load(Ordering::SeqCst) > 0 {
            self.version.store(version, Ordering::Release);
            return false;
        }
        // Who sees the new key sees also what its last user did before it ended its use.
        fence(Ordering::Release);
        meanwhile();
        for (word, part) in self.key.iter().zip(key.as_chunks::<8>().0) {
            word.store(u64::from_ne_bytes(*part), Ordering::Relaxed);
        }
        let after = (version | 1).wrapping_add(1).max(2);
        self.version.store(after, Ordering::Release);
        true
    }
}
