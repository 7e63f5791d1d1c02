//! What the threads of a process share without a lock. Nothing stands here but the order of loads
//! and stores, and what must hold in it: `proof/` builds the same files with the atomics of a
//! model checker, which tries every order that the memory model allows.

pub mod at_once;
mod atomic;
pub mod claim;
pub mod pending;
pub mod places;
pub mod reserve;
pub mod tenancy;
