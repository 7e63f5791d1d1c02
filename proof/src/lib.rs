//! The slots of `store`, as they stand there, on the atomics of loom: each load may
//! give any value, and each thread stop at any point, that the memory model of C11
//! allows. `tests/` says what must hold in all of these executions.

// The agent's half and what only shows things is not part of the models.
#![allow(dead_code, unused_imports)]

#[path = "../../store/src/checksum.rs"]
mod checksum;
#[path = "../../store/src/slots/mod.rs"]
pub mod slots;
#[path = "../../store/src/steps.rs"]
mod steps;
#[path = "../../store/src/words.rs"]
mod words;

/// What `store/src/atomic.rs` is there.
mod atomic {
    pub use loom::sync::atomic::{AtomicU64, Ordering, fence};
}

/// SHA-256 of a leaf certificate's DER.
pub type Key = [u8; 32];
