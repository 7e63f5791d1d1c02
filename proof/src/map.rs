//! The live map: all of `store/src/map`, but for its sizes and for the memory that is mapped.

#[path = "../../store/src/map/create.rs"]
mod create;
#[path = "../../store/src/map/error.rs"]
mod error;
#[path = "../../store/src/map/format.rs"]
pub mod format;
#[path = "../../store/src/map/lock.rs"]
mod lock;
mod mapping;
#[path = "../../store/src/map/reader.rs"]
mod reader;
mod sizes;
#[path = "../../store/src/map/survey.rs"]
mod survey;
#[path = "../../store/src/map/table.rs"]
mod table;
#[path = "../../store/src/map/trust.rs"]
mod trust;
#[path = "../../store/src/map/writer.rs"]
mod writer;

pub use error::MapError;
pub use lock::WriterLock;
pub use mapping::with_memory;
pub use reader::Reader;
pub use table::Entry;
pub use trust::Trusted;
pub use writer::{Opened, Writer};

/// The bucket, of eight, at which the probe for a key begins.
pub fn home(key: &crate::Key) -> usize {
    format::Probe::of(key).home & 7
}
