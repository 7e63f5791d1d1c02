//! The live map: one file on tmpfs from which every process takes its staples.
//!
//! [`Reader`] runs in host processes. A `Writer` (feature `agent`) is the only
//! one to change the file. [`format`](self::format) is the layout, and why nothing
//! that stands in the file can make a reader crash.

#[cfg(feature = "agent")]
mod create;
mod error;
pub mod format;
#[cfg(feature = "agent")]
mod lock;
mod mapping;
mod reader;
mod sizes;
#[cfg(feature = "agent")]
mod survey;
mod table;
mod trust;
#[cfg(feature = "agent")]
mod writer;

pub use error::MapError;
#[cfg(feature = "agent")]
pub use lock::WriterLock;
pub use reader::Reader;
pub use table::Entry;
pub use trust::Trusted;
#[cfg(feature = "agent")]
pub(crate) use trust::is_mount_point;
#[cfg(feature = "agent")]
pub use writer::{Fill, Opened, Writer};

#[cfg(all(test, feature = "agent"))]
mod crash_tests;
#[cfg(all(test, feature = "agent"))]
mod lookup_tests;
#[cfg(all(test, feature = "agent"))]
mod room_tests;
