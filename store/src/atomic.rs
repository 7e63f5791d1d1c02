//! The atomics of everything that readers and the writer share: the standard ones.
//!
//! They have a name of their own so that `proof/` can build the same code with a
//! model checker's, which tries every order of them that the memory model allows.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};
