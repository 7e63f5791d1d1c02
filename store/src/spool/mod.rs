//! The spool: a drop box where programs leave the certificates they have loaded,
//! for the agent to fetch responses for.
//!
//! The directory has mode 1733: anybody may leave a file, only the agent sees what
//! is there, and nobody touches another's. A file is named
//! `<SHA-256 of the leaf>.<uid of the writer>.<16 random hexadecimal digits>`, where the uid
//! is what the writer takes it to be, so that root's can be told without a look at each, and
//! holds certificates in DER, one after the other: the leaf, then its issuers as
//! far as they are known; [`MAX_FILE`] bytes at most. It is written under that name
//! with a dot before it and then renamed, so a name without a dot is a whole file.

mod file;
mod publish;
#[cfg(feature = "agent")]
mod stuck;
#[cfg(feature = "agent")]
mod take;
#[cfg(feature = "agent")]
mod taken;

pub use file::{MAX_FILE, REMOVE};
pub use publish::{NotPublished, publish};
#[cfg(feature = "agent")]
pub use take::{DropBox, Look};
#[cfg(feature = "agent")]
pub use taken::{Refused, Taken, Why};
