//! What the threads of a process share: all of `src/shared`.

mod atomic {
    pub use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
}

#[path = "../../src/shared/at_once.rs"]
pub mod at_once;
#[path = "../../src/shared/claim.rs"]
pub mod claim;
#[path = "../../src/shared/pending.rs"]
pub mod pending;
#[path = "../../src/shared/places.rs"]
pub mod places;
#[path = "../../src/shared/reserve.rs"]
pub mod reserve;
#[path = "../../src/shared/tenancy.rs"]
pub mod tenancy;
