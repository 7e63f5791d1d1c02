//! Heap blocks that may fail to be had. Rust aborts when its allocator fails;
//! the host's process must not end for that.

use std::alloc::Layout;

/// A box, or None for want of memory.
pub fn try_box<T>(value: T) -> Option<Box<T>> {
    let layout = Layout::new::<T>();
    if layout.size() == 0 {
        return Some(Box::new(value));
    }
    // SAFETY: the layout is not of size zero; the block is written before it
    // becomes a Box, and came from the global allocator with T's layout.
    unsafe {
        let block = std::alloc::alloc(layout).cast::<T>();
        if block.is_null() {
            return None;
        }
        block.write(value);
        Some(Box::from_raw(block))
    }
}
