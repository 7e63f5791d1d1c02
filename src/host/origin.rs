//! Which process did something: told without a system call, also after a fork.
//!
//! One page is marked to be wiped on fork. It holds the number of the process
//! that wrote it, so that a child reads 0. Where the kernel cannot do that
//! (before Linux 4.14) the process's number is asked for each time.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// MADV_WIPEONFORK of linux/mman.h.
const MADV_WIPEONFORK: i32 = 18;

static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// The process that something was done in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin(u32);

impl Origin {
    /// This process. To be called outside handshakes.
    pub fn here() -> Origin {
        let pid = super::output::pid().unsigned_abs();
        if let Some(page) = page().or_else(make_page) {
            page.store(pid, Ordering::Relaxed);
        }
        Origin(pid)
    }

    /// Whether this still is that process.
    pub fn is_here(self) -> bool {
        match page() {
            Some(page) => page.load(Ordering::Relaxed) == self.0,
            None => super::output::pid().unsigned_abs() == self.0,
        }
    }
}

fn page() -> Option<&'static AtomicU32> {
    // SAFETY: the page is never unmapped, and zeroes are a valid AtomicU32.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }
}

fn make_page() -> Option<&'static AtomicU32> {
    const SIZE: usize = 4096;
    // SAFETY: a new private mapping, ours alone until it is published; the
    // loser of a race unmaps its own.
    unsafe {
        let mapped = libc::mmap(
            ptr::null_mut(),
            SIZE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if mapped == libc::MAP_FAILED {
            return None;
        }
        let published = libc::madvise(mapped, SIZE, MADV_WIPEONFORK) == 0
            && PAGE
                .compare_exchange(
                    ptr::null_mut(),
                    mapped.cast(),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .is_ok();
        if !published {
            libc::munmap(mapped, SIZE);
        }
    }
    page()
}
