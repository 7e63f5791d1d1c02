//! How large the parts of a map are. `proof/` has small ones in their place, since it goes through
//! every order of every load and store.

/// Where the index starts.
pub(crate) const HEADER_WORDS: usize = 512;
/// There is a bucket for so many bytes of the map, which is half a usual record or less.
pub(crate) const BYTES_PER_BUCKET: usize = 512;
/// How many buckets a lookup looks at.
pub(crate) const MAX_PROBE: usize = 256;
/// Sizes are multiples of this; it is no smaller than the pages it runs on,
/// except where those have 16 or 64 KiB, which divide [`MIN_SIZE`] as well.
pub(crate) const PAGE: usize = 4096;
/// The smallest map, in bytes.
pub const MIN_SIZE: usize = 256 * 1024;
/// Capacities are multiples of so many bytes.
#[cfg(feature = "agent")]
pub(crate) const CAPACITY_STEP: usize = 128;
/// What a slot has to spare, at least, so that the next response fits too.
#[cfg(feature = "agent")]
pub(crate) const CAPACITY_SPARE: usize = 32;
/// The map grows by so many words at a time.
#[cfg(feature = "agent")]
pub(crate) const GROWTH_WORDS: usize = 256 * 1024 / 8;
