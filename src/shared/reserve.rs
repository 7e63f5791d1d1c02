//! A reserve of memory without a lock, so that a fork finds it whole. Blocks are handed out one
//! behind the other; when the last has come back, all of it is free again.

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;

use super::atomic::{AtomicU64, Ordering};

/// So many bytes.
#[repr(align(16))]
pub struct Reserve<const SIZE: usize> {
    bytes: UnsafeCell<[MaybeUninit<u8>; SIZE]>,
    /// How many bytes are handed out, and above them how many blocks.
    used: AtomicU64,
}

/// One block, in `used`.
const BLOCK: u64 = 1 << 32;

// SAFETY: the bytes are only reached through blocks, each handed out to one caller.
unsafe impl<const SIZE: usize> Sync for Reserve<SIZE> {}

impl<const SIZE: usize> Reserve<SIZE> {
    /// A reserve of which nothing is used: `zero` is 0.
    pub const fn new(zero: AtomicU64) -> Self {
        Reserve {
            bytes: UnsafeCell::new([MaybeUninit::uninit(); SIZE]),
            used: zero,
        }
    }

    /// A block, or NULL if too little is left.
    pub fn take(&self, layout: Layout) -> *mut u8 {
        let start = self.bytes.get().cast::<u8>();
        let mut found = ptr::null_mut();
        let taken = self
            .used
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |used| {
                let free = start.wrapping_add((used % BLOCK) as usize);
                let from = (used % BLOCK) as usize + free.align_offset(layout.align());
                let end = from.checked_add(layout.size()).filter(|&end| end <= SIZE)?;
                found = start.wrapping_add(from);
                Some((used / BLOCK + 1) * BLOCK + end as u64)
            });
        if taken.is_ok() {
            found
        } else {
            ptr::null_mut()
        }
    }

    /// Whether more than half of it is used.
    pub fn is_short(&self) -> bool {
        self.used.load(Ordering::Relaxed) % BLOCK > SIZE as u64 / 2
    }

    /// Whether a block is one of its own.
    pub fn holds(&self, block: *const u8) -> bool {
        let start = self.bytes.get() as usize;
        (start..start + SIZE).contains(&(block as usize))
    }

    /// One block came back.
    pub fn give_back(&self) {
        let _ = self
            .used
            .fetch_update(Ordering::Release, Ordering::Relaxed, |used| {
                let left = used - BLOCK;
                Some(if left < BLOCK { 0 } else { left })
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    fn reserve() -> Reserve<256> {
        Reserve::new(AtomicU64::new(0))
    }

    #[test]
    fn blocks_of_the_reserve_do_not_overlap_and_are_aligned() {
        let reserve = reserve();
        let first = reserve.take(layout(3, 1)) as usize;
        let second = reserve.take(layout(64, 32)) as usize;
        assert!(second >= first + 3 && second.is_multiple_of(32));
        assert!(reserve.holds(second as *const u8));
        assert!(!reserve.holds(ptr::from_ref(&reserve).wrapping_add(1).cast()));
    }

    #[test]
    fn a_reserve_gives_no_more_than_it_has_and_is_whole_again_when_all_came_back() {
        let reserve = reserve();
        let all = reserve.take(layout(128, 1));
        assert!(!all.is_null() && !reserve.is_short());
        assert!(!reserve.take(layout(128, 1)).is_null() && reserve.is_short());
        assert!(reserve.take(layout(1, 1)).is_null());
        assert!(reserve.take(layout(usize::MAX / 4, 1)).is_null());
        reserve.give_back();
        assert!(reserve.take(layout(1, 1)).is_null());
        reserve.give_back();
        assert!(!reserve.is_short());
        assert_eq!(reserve.take(layout(256, 1)), all);
    }
}
