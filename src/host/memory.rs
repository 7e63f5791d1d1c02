//! Memory that cannot be had. Rust aborts when its allocator fails, and the host's
//! process must not end for us.
//!
//! What is kept, and what is large, is asked for by the functions here, which may
//! fail; then our part is not done. What libraries take on the way (parsers, paths,
//! messages) cannot fail: for that there is a reserve, which costs address space only
//! as long as malloc gives what it is asked for. The records of contexts and SSLs have one of
//! their own, since a block that is kept would keep the rest from being whole again. Where
//! that is used up as well, a function of the program's that needs a record fails, as
//! OpenSSL's own do.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

use crate::shared::reserve::Reserve;

/// Bytes in reserve. A certificate of usual size is parsed in some 10 KiB.
const RESERVE: usize = 1024 * 1024;

#[global_allocator]
static ALLOCATOR: Allocator<RESERVE> = Allocator(Reserve::new(AtomicU64::new(0)));

/// Bytes in reserve for records, of which an SSL's has some 100 and a context's some 600.
const RECORDS: usize = 32 * 1024;

static RECORD_ALLOCATOR: Allocator<RECORDS> = Allocator(Reserve::new(AtomicU64::new(0)));

/// A record, of malloc's memory or of the reserve, or None where both are used up.
pub fn record<T>(value: T) -> Option<*mut T> {
    const { assert!(size_of::<T>() > 0) };
    // SAFETY: the layout is not of size zero.
    let block = unsafe { RECORD_ALLOCATOR.alloc(Layout::new::<T>()) }.cast::<T>();
    if block.is_null() {
        return None;
    }
    // SAFETY: the block is new and fits T.
    unsafe { block.write(value) };
    Some(block)
}

/// Ends a record.
///
/// # Safety
/// `record` must come from the function of that name, and nobody use it any more.
pub unsafe fn release_record<T>(record: *mut T) {
    // SAFETY: the caller vouches for it.
    unsafe {
        record.drop_in_place();
        RECORD_ALLOCATOR.dealloc(record.cast(), Layout::new::<T>());
    }
}

/// A box, or None for want of memory.
pub fn try_box<T>(value: T) -> Option<Box<T>> {
    let block = allocate::<T>(1)?;
    // SAFETY: the block is new, fits T, and came from where a Box's comes from.
    unsafe {
        block.write(value);
        Some(Box::from_raw(block.as_ptr()))
    }
}

/// A vector with room for `capacity`, or None for want of memory.
pub fn try_vec<T>(capacity: usize) -> Option<Vec<T>> {
    let block = allocate::<T>(capacity)?;
    // SAFETY: the block is new, holds so many, and came from where a Vec's comes from.
    Some(unsafe { Vec::from_raw_parts(block.as_ptr(), 0, capacity) })
}

/// So many zeros, or None for want of memory.
pub fn try_zeroed(length: usize) -> Option<Vec<u8>> {
    let mut bytes = try_vec(length)?;
    bytes.resize(length, 0);
    Some(bytes)
}

/// Appends `value`, or says false for want of memory.
pub fn try_push<T>(vector: &mut Vec<T>, value: T) -> bool {
    if vector.len() == vector.capacity() {
        let Some(mut larger) = try_vec(vector.len().saturating_mul(2).max(4)) else {
            return false;
        };
        larger.append(vector);
        *vector = larger;
    }
    vector.push(value);
    true
}

/// Whether so much of the reserve is used that what is done many times over must end:
/// each time takes a little.
pub fn is_short() -> bool {
    ALLOCATOR.0.is_short()
}

/// A block for so many, never of the reserve; released like every other.
fn allocate<T>(count: usize) -> Option<NonNull<T>> {
    let layout = Layout::array::<T>(count).ok()?;
    if layout.size() == 0 {
        return Some(NonNull::dangling());
    }
    // SAFETY: the layout is not of size zero.
    NonNull::new(unsafe { System.alloc(layout) }.cast())
}

/// malloc, and a reserve for when it fails.
struct Allocator<const SIZE: usize>(Reserve<SIZE>);

// SAFETY: each block is malloc's or the reserve's, has the layout asked for, and goes
// back where it came from, which its address tells.
unsafe impl<const SIZE: usize> GlobalAlloc for Allocator<SIZE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() {
            return self.0.take(layout);
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            return block;
        }
        let block = self.0.take(layout);
        if !block.is_null() {
            // SAFETY: a block of the reserve has that size and is the caller's alone.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if self.0.holds(block) {
            self.0.give_back();
        } else {
            // SAFETY: what is not of the reserve is malloc's.
            unsafe { System.dealloc(block, layout) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller vouches for block, layout and size; both blocks are valid
        // for what is copied, and the old one is released once.
        unsafe {
            if !self.0.holds(block) {
                let moved = System.realloc(block, layout, size);
                if !moved.is_null() {
                    return moved;
                }
            }
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).expect("a layout")
    }

    #[test]
    fn a_vector_that_is_appended_to_keeps_what_it_has() {
        let mut numbers = Vec::new();
        assert!((0..100).all(|number| try_push(&mut numbers, number)));
        assert!(numbers.into_iter().eq(0..100));
    }

    #[test]
    fn a_block_of_the_reserve_moves_out_of_it_when_it_grows_and_keeps_its_bytes() {
        let allocator = Allocator::<256>(Reserve::new(AtomicU64::new(0)));
        let block = allocator.0.take(layout(4, 1));
        // SAFETY: the block has 4 bytes, the moved one 1,000, released here.
        unsafe {
            block.copy_from_nonoverlapping([1, 2, 3, 4].as_ptr(), 4);
            let moved = allocator.realloc(block, layout(4, 1), 1000);
            assert!(!allocator.0.holds(moved));
            assert_eq!(std::slice::from_raw_parts(moved, 4), [1, 2, 3, 4]);
            assert!(
                !allocator.0.take(layout(256, 1)).is_null(),
                "it is whole again"
            );
            allocator.dealloc(moved, layout(1000, 1));
        }
    }

    #[test]
    fn a_record_of_the_reserve_is_dropped_and_given_back_like_one_of_mallocs() {
        let dropped = std::rc::Rc::new(());
        let record = record(dropped.clone()).expect("malloc has memory");
        // SAFETY: it was made above.
        unsafe { release_record(record) };
        let layout = Layout::new::<std::rc::Rc<()>>();
        let block = RECORD_ALLOCATOR.0.take(layout).cast::<std::rc::Rc<()>>();
        // SAFETY: the block is new and fits what is written.
        unsafe {
            block.write(dropped.clone());
            release_record(block);
        }
        assert_eq!(std::rc::Rc::strong_count(&dropped), 1);
        let whole = RECORD_ALLOCATOR.0.take(Layout::new::<[u8; RECORDS]>());
        assert!(!whole.is_null(), "it is whole again");
        RECORD_ALLOCATOR.0.give_back();
    }

    #[test]
    fn what_is_too_large_for_any_memory_is_none_and_not_the_end() {
        assert!(try_vec::<u64>(usize::MAX).is_none());
        assert!(try_zeroed(isize::MAX as usize).is_none());
        assert_eq!(try_zeroed(3), Some(vec![0; 3]));
        assert_eq!(try_box(7).as_deref(), Some(&7));
        assert_eq!(try_box(()).as_deref(), Some(&()));
    }
}
