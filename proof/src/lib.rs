//! What processes and threads of staplegun share, as it stands in the tree, on the atomics of
//! loom: each load may give any value, and each thread stop at any point, that the memory model of
//! C11 allows. `tests/` says what must hold in all of these executions.

// What no model uses, and what only shows things.
#![allow(dead_code, unused_imports)]

// What the files below call the crate that some of them are from.
extern crate self as staplegun_store;

#[path = "../../store/src/checksum.rs"]
mod checksum;
pub mod map;
pub mod shared;
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
