//! Where a test may kill the writer.
//!
//! Every change that the writer makes to what others see comes after a call of
//! [`step`]. It is nothing outside of this crate's unit tests; there it counts,
//! and kills the process at the step the test chose.

/// About to change something that others see.
#[inline(always)]
pub(crate) fn step() {
    #[cfg(all(test, feature = "agent"))]
    count::step();
}

#[cfg(all(test, feature = "agent"))]
pub(crate) mod count {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    /// Steps left until the process is killed; 0: never.
    static LEFT: AtomicU64 = AtomicU64::new(0);

    pub(super) fn step() {
        if LEFT.load(SeqCst) != 0 && LEFT.fetch_sub(1, SeqCst) == 1 {
            // SAFETY: kill and getpid take no pointers; the test asked for this.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
    }

    /// Lets this process die at its step number `steps` from now (from 1 on).
    /// To be called in a forked child only.
    pub(crate) fn die_at(steps: u64) {
        LEFT.store(steps, SeqCst);
    }
}
