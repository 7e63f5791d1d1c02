//! A map of a few records, and eight buckets.

/// Where the index starts.
pub(crate) const HEADER_WORDS: usize = 8;
/// There is a bucket for so many bytes of the map.
pub(crate) const BYTES_PER_BUCKET: usize = 128;
/// How many buckets a lookup looks at.
pub(crate) const MAX_PROBE: usize = 3;
/// Sizes are multiples of this.
pub(crate) const PAGE: usize = 64;
/// The smallest map, in bytes.
pub const MIN_SIZE: usize = 1024;
/// Capacities are multiples of so many bytes.
pub(crate) const CAPACITY_STEP: usize = 8;
/// What a slot has to spare, at least.
pub(crate) const CAPACITY_SPARE: usize = 0;
/// The map grows by so many words at a time: a record of one or two words.
pub(crate) const GROWTH_WORDS: usize = 24;
