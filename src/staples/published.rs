//! Where a response from a file stands so that handshakes in all threads can
//! copy it and wait for nobody: two slots, written by whoever looks at the files.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use once_cell::race::OnceBox;
use staplegun_store::Key;
use staplegun_store::slots::{Copied, Miss, Slots};

use crate::host::buffer::Space;
use crate::host::memory::{try_box, try_vec};

/// Slots for responses of up to this many bytes each; a longer response gets
/// the next size. The last one is the longest response there may be.
const SIZES: [usize; 3] = [4 * 1024, 16 * 1024, 64 * 1024];

/// The response for one certificate, if there is one.
pub struct Published {
    memory: [OnceBox<Vec<AtomicU64>>; SIZES.len()],
    /// Which of the memories holds the response; none yet when out of range.
    current: AtomicUsize,
}

impl Default for Published {
    fn default() -> Self {
        Published {
            memory: Default::default(),
            current: AtomicUsize::new(usize::MAX),
        }
    }
}

impl Published {
    /// Copies the response, if it may be sent at `now`.
    pub fn read(
        &self,
        key: &Key,
        now: i64,
        space: impl FnMut(usize) -> Option<Space>,
    ) -> Result<Copied<Space>, Miss> {
        self.slots().ok_or(Miss::Absent)?.read(key, now, space)
    }

    /// Publishes a response that is valid from the second `from` to the second
    /// before `until`. For one writer at a time. False if there is no room.
    pub fn publish(&self, key: &Key, der: &[u8], from: i64, until: i64) -> bool {
        let Some(at) = SIZES.iter().position(|&size| der.len() <= size) else {
            return false;
        };
        let Some((place, &size)) = self.memory.get(at).zip(SIZES.get(at)) else {
            return false;
        };
        if place.get().is_none()
            && let Some(words) = zeroed(Slots::words_for(size)).and_then(try_box)
        {
            let _ = place.set(words);
        }
        let slots = place.get().and_then(|words| Slots::new(words));
        let last = until.saturating_sub(1);
        let published = slots.is_some_and(|slots| slots.publish(key, der, from, last));
        if published {
            self.current.store(at, Ordering::Release);
        }
        published
    }

    /// Stops the response at once.
    pub fn withdraw(&self, key: &Key) {
        if let Some(slots) = self.slots() {
            slots.withdraw(key);
        }
    }

    /// There is no response any more. The memory stays for the next one.
    pub fn forget(&self) {
        self.current.store(usize::MAX, Ordering::Release);
    }

    fn slots(&self) -> Option<Slots<'_>> {
        let memory = self.memory.get(self.current.load(Ordering::Acquire))?;
        Slots::new(memory.get()?)
    }
}

fn zeroed(count: usize) -> Option<Vec<AtomicU64>> {
    let mut words = try_vec(count)?;
    words.resize_with(count, || AtomicU64::new(0));
    Some(words)
}
