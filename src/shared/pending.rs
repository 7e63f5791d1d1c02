//! What one thread puts down and another one does later. Nobody waits, and there is little room.

use std::ptr;

use super::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Boxes that wait.
pub struct Pending<T, const N: usize> {
    any: AtomicBool,
    places: [AtomicPtr<T>; N],
}

impl<T, const N: usize> Pending<T, N> {
    /// Nothing waits; `any` tells whether the first look has to come all the same.
    pub const fn new(any: AtomicBool, places: [AtomicPtr<T>; N]) -> Self {
        Pending { any, places }
    }

    /// Whether anything is to be done.
    pub fn is_any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Puts something down, and then has somebody `look`. False if there is no place.
    pub fn put(&self, what: Box<T>, look: impl FnOnce()) -> bool {
        let what = Box::into_raw(what);
        let done = self.places.iter().any(|place| {
            let swap =
                place.compare_exchange(ptr::null_mut(), what, Ordering::Release, Ordering::Relaxed);
            swap.is_ok()
        });
        if done {
            self.any.swap(true, Ordering::AcqRel);
            look();
        } else {
            // SAFETY: it was a Box, and nobody has it.
            drop(unsafe { Box::from_raw(what) });
        }
        done
    }

    /// Whether there was anything to be done, for the one thread that does it.
    pub fn begin(&self) -> bool {
        self.any.swap(false, Ordering::AcqRel)
    }

    /// What waits, each for one thread.
    pub fn take(&self) -> impl Iterator<Item = Box<T>> {
        self.places.iter().filter_map(|place| {
            let waiting = place.swap(ptr::null_mut(), Ordering::Acquire);
            // SAFETY: `put` made it of a Box, and only this thread has it now.
            (!waiting.is_null()).then(|| unsafe { Box::from_raw(waiting) })
        })
    }

    /// Lets `open` hand on what would look here, unless something waits: then it is `close`d.
    pub fn hand_on_if_done(&self, open: impl FnOnce(), close: impl FnOnce()) {
        if !self.is_any() {
            open();
            // Another thread may have put something down meanwhile.
            if self.is_any() {
                close();
            }
        }
    }
}
