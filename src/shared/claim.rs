//! What only one thread at a time may do, and nobody waits for.

use super::atomic::{AtomicU32, Ordering};

/// Free, or had by a process.
#[derive(Debug, Default)]
pub struct Claim(AtomicU32);

/// A claim that is held until this is dropped.
pub struct Claimed<'c>(&'c AtomicU32);

impl Claim {
    /// One that `holder` has.
    #[cfg(test)]
    pub fn had_by(holder: u32) -> Claim {
        Claim(AtomicU32::new(holder))
    }

    /// The claim, for the process `mine` (not 0), unless another thread of it has it. What
    /// another process was doing when this one was forked from it does not hold it up, but where the
    /// system can wipe no page in a child and all processes have one number.
    pub fn take(&self, mine: u32) -> Option<Claimed<'_>> {
        let holder = self.0.load(Ordering::Relaxed);
        if holder == mine {
            return None;
        }
        let taken = self
            .0
            .compare_exchange(holder, mine, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok().then_some(Claimed(&self.0))
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}
