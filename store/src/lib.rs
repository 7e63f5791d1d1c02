//! Where OCSP responses live: plain files that last, and the live map from which
//! every process on the machine takes its staples.
//!
//! Two halves. The *reading* half runs inside other people's processes, within a
//! handshake: [`slots`], [`map::Reader`] and [`spool::publish`]. It has no threads
//! and no locks; a lookup makes no system call, allocates nothing and never
//! panics, whatever the mapped bytes say. The *agent's* half, behind the feature
//! `agent`, writes: [`map::Writer`](map), `files`, and the taking side of the
//! spool. [`layout`] says where everything lies.
//!
//! The crate reads no environment and no clock: paths and times are passed in.

// The map is read with relaxed loads of eight bytes from memory that is mapped
// read-only. On 32-bit targets Rust does not define that, and some of them write.
#[cfg(not(target_pointer_width = "64"))]
compile_error!("staplegun-store needs a 64-bit target: see src/slots/mod.rs");

mod atomic;
mod checksum;
#[cfg(feature = "agent")]
pub mod files;
mod io;
pub mod layout;
pub mod map;
pub mod name;
pub mod slots;
pub mod spool;
mod steps;
mod words;

#[cfg(test)]
extern crate self as staplegun_store;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod testing;

/// SHA-256 of a leaf certificate's DER: the name of everything in the store.
pub type Key = [u8; 32];
