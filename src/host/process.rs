//! Which process this is, and how far it has come: told without a system call, also
//! after a fork.
//!
//! One page is marked to be wiped on fork. It holds a number that no ancestor of this
//! process has, so that a child reads 0 and takes the next one. The process's own number
//! would not do: in a PID namespace of its own a child can have its parent's. Where the
//! kernel cannot wipe a page (before Linux 4.14) every process counts as a child.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use super::guard;

/// MADV_WIPEONFORK of linux/mman.h.
const MADV_WIPEONFORK: i32 = 18;

/// The number of the process that made the page.
const FIRST: u32 = 1;

static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());
/// The number that was given out last: a child inherits it, and goes on from there.
static LAST: AtomicU32 = AtomicU32::new(FIRST);
/// Whether the kernel cannot wipe a page.
static UNABLE: AtomicBool = AtomicBool::new(false);
static HAS_STARTED: AtomicBool = AtomicBool::new(false);

/// The process that something was done in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin(u32);

impl Origin {
    /// No process at all: it never is here.
    pub const NOWHERE: Origin = Origin(0);

    /// This process. The first call makes the page; not for handshakes.
    pub fn here() -> Origin {
        if page().is_none() && !UNABLE.load(Ordering::Relaxed) {
            guard::errno_kept(make_page);
        }
        Origin(number())
    }

    /// This process, as far as it is known by now: no system call.
    pub fn known() -> Origin {
        Origin(number())
    }

    /// Whether this still is that process.
    pub fn is_here(self) -> bool {
        self.0 != 0 && page().is_some_and(|page| page.load(Ordering::Relaxed) == self.0)
    }
}

/// This process's number, which none of its ancestors has; 0 where that is not known.
fn number() -> u32 {
    let Some(page) = page() else { return 0 };
    match page.load(Ordering::Relaxed) {
        0 => {
            let next = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
            match page.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => next,
                Err(of_another_thread) => of_another_thread,
            }
        }
        known => known,
    }
}

/// Who has a claim: as [`number`], but never 0. Before there is a page it is who makes it, so
/// that one thread's claim from before is another one's later on.
pub fn claimant() -> u32 {
    number().max(FIRST)
}

/// Whether this is a child of the process that first loaded a certificate or made a
/// context. Where that cannot be told, every process is one.
pub fn is_child() -> bool {
    match page() {
        Some(page) => page.load(Ordering::Relaxed) != FIRST,
        None => UNABLE.load(Ordering::Relaxed),
    }
}

/// Whether the process has made its first SSL: from then on it serves.
pub fn has_started() -> bool {
    HAS_STARTED.load(Ordering::Relaxed)
}

/// The process makes its first SSL.
pub fn starts() {
    HAS_STARTED.store(true, Ordering::Relaxed);
}

fn page() -> Option<&'static AtomicU32> {
    // SAFETY: the page is never unmapped, and zeroes are a valid AtomicU32.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }
}

fn make_page() {
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
            UNABLE.store(true, Ordering::Relaxed);
            return;
        }
        (*mapped.cast::<AtomicU32>()).store(FIRST, Ordering::Relaxed);
        let wiped = libc::madvise(mapped, SIZE, MADV_WIPEONFORK) == 0;
        UNABLE.store(!wiped, Ordering::Relaxed);
        let published = wiped
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::claim::{Claim, Claimed};

    fn take(claim: &Claim) -> Option<Claimed<'_>> {
        claim.take(claimant())
    }

    #[test]
    fn a_claim_is_had_once_and_is_free_again_when_it_is_dropped() {
        let claim = Claim::default();
        let held = take(&claim);
        assert!(held.is_some() && take(&claim).is_none());
        drop(held);
        assert!(take(&claim).is_some());
    }

    #[test]
    fn a_claim_that_a_forked_parent_held_is_free_for_its_child() {
        // What a child inherits is its parent's number, which is not its own.
        let claim = Claim::had_by(claimant().wrapping_add(7));
        assert!(take(&claim).is_some());
    }

    #[test]
    fn a_claim_from_before_the_page_still_holds_when_there_is_one() {
        // Taken when there was none, which no test of this process can see any more.
        let claim = Claim::had_by(FIRST);
        assert!(Origin::here().is_here() && take(&claim).is_none());
    }

    #[test]
    fn a_process_knows_itself_and_no_process_is_nowhere() {
        let here = Origin::here();
        assert!(here.is_here() && here == Origin::here());
        assert!(!Origin::NOWHERE.is_here());
    }
}
