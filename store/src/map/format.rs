//! The layout of the live map, version 1. All words have eight bytes, in the
//! machine's byte order.
//!
//! | words            | what                                                     |
//! |------------------|----------------------------------------------------------|
//! | 0                | magic, "STAPLMAP"                                        |
//! | 1                | format version                                           |
//! | 2                | byte order mark, 0x0102030405060708                      |
//! | 3                | size of the file and of every mapping of it, in bytes    |
//! | 4                | number of buckets, a power of two                        |
//! | 5                | first word of the records                                |
//! | 6                | published extent: high half, in units of 64 bytes; low half, a check of the high half |
//! | 7 to 511         | zero                                                     |
//! | 512 and on       | the index: one word per bucket                           |
//! | word 5 and on    | records, each at a multiple of 64 bytes                  |
//!
//! A bucket is 0 (never used), 1 (its record was removed), or the record's place:
//! low 32 bits, in units of 64 bytes from the start of the file; high 32 bits, a
//! tag from the key. Buckets are probed one after the other from the key's home.
//!
//! | word of a record | what                                                     |
//! |------------------|----------------------------------------------------------|
//! | 0                | shape: high half, capacity of a slot in bytes; low half, a check of capacity and place |
//! | 1 to 4           | key: SHA-256 of the leaf                                 |
//! | 5 and 6          | zero                                                     |
//! | 7 and on         | the two slots, see [`crate::slots`]                      |
//!
//! # Why it is like this
//!
//! **The index never grows.** Its size follows from the size of the file (one
//! bucket per 512 bytes, 1/64 of the file), which never changes. The smallest
//! record has 384 bytes and a usual one 3 KB, so it is never full before the rest
//! is, and readers need no protocol for a table that moves.
//!
//! **No reader touches memory that is not there.** A lookup can make no system
//! call, so this is arranged beforehand:
//! - The file has its full size from the start (sparse), so that no page of a
//!   mapping lies beyond its end; a reader checks this when it opens it. It is
//!   never truncated.
//! - Reading a hole of a tmpfs file allocates a page, which is SIGBUS when the
//!   file system is full. So what the extent covers is allocated before the extent
//!   is published, the header and the index at creation, and readers stay within
//!   the extent.
//! - The extent carries a check. A reader that finds it damaged goes on with the
//!   extent it saw when it opened the map, which was allocated then and still is.
//!   To be led out of the allocated part a damaged bucket and a damaged extent
//!   would have to agree with a 32-bit check, and then the file system be full.
//! - Whoever can write the map (root, or the user himself) can do all this on
//!   purpose, as he can truncate the file or stop the process.
//!
//! **A record's place keeps its shape for ever.** A place that was cut once is
//! only used again for a record of the same capacity, and its generation goes on
//! counting. So a reader that was stopped in the middle of a copy for an hour sees
//! by the generation alone that its record became another's.

use super::sizes::BYTES_PER_BUCKET;
#[cfg(feature = "agent")]
use super::sizes::{CAPACITY_SPARE, CAPACITY_STEP};
use crate::Key;
use crate::checksum::mix;
use crate::words::key_words;

pub use super::sizes::MIN_SIZE;
pub(crate) use super::sizes::{HEADER_WORDS, MAX_PROBE, PAGE};

pub(crate) const MAGIC: u64 = u64::from_be_bytes(*b"STAPLMAP");
/// The version of the layout. Another layout is another file.
pub(crate) const VERSION: u64 = 1;
pub(crate) const BYTE_ORDER: u64 = 0x0102_0304_0506_0708;

pub(crate) const WORD_MAGIC: usize = 0;
pub(crate) const WORD_VERSION: usize = 1;
pub(crate) const WORD_BYTE_ORDER: usize = 2;
pub(crate) const WORD_SIZE: usize = 3;
pub(crate) const WORD_BUCKETS: usize = 4;
pub(crate) const WORD_RECORDS: usize = 5;
pub(crate) const WORD_EXTENT: usize = 6;

/// Records start at multiples of so many words.
pub(crate) const UNIT_WORDS: usize = 8;
pub(crate) const RECORD_SLOTS: usize = 7;
/// The size of a map unless the operator says otherwise, in bytes.
pub const DEFAULT_SIZE: usize = 16 * 1024 * 1024;
/// The largest map, in bytes: 1 GiB, for some 250,000 certificates.
pub const MAX_SIZE: usize = 1024 * 1024 * 1024;

/// Where things lie in a map: it follows from the size alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// The size of file and mapping in bytes.
    pub(crate) size: usize,
    /// A power of two.
    pub(crate) buckets: usize,
    /// The first word of the records.
    pub(crate) records: usize,
}

impl Geometry {
    /// None if no map has this size.
    pub(crate) fn of(size: usize) -> Option<Self> {
        if !(MIN_SIZE..=MAX_SIZE).contains(&size) || !size.is_multiple_of(PAGE) {
            return None;
        }
        let buckets = 1 << (size / BYTES_PER_BUCKET).ilog2();
        Some(Self {
            size,
            buckets,
            records: HEADER_WORDS + buckets,
        })
    }

    /// The words of the whole map.
    pub(crate) fn words(&self) -> usize {
        self.size / 8
    }
}

/// The extent as it stands in the header. `words` is a multiple of 8.
#[cfg(feature = "agent")]
pub(crate) fn encode_extent(words: usize) -> u64 {
    with_check((words / UNIT_WORDS) as u32, 0)
}

/// The extent in words, if its check is right and it is possible.
#[inline]
pub(crate) fn decode_extent(value: u64, geometry: &Geometry) -> Option<usize> {
    let words = checked(value, 0)? as usize * UNIT_WORDS;
    (geometry.records..=geometry.words())
        .contains(&words)
        .then_some(words)
}

/// The shape word of a record at `unit` whose slots have `capacity` bytes.
#[cfg(feature = "agent")]
pub(crate) fn encode_shape(unit: u32, capacity: usize) -> u64 {
    with_check(capacity as u32, unit)
}

/// The capacity of the record at `unit`, if its shape word is right.
#[inline]
pub(crate) fn decode_shape(unit: u32, value: u64) -> Option<usize> {
    checked(value, unit).map(|capacity| capacity as usize)
}

#[cfg(feature = "agent")]
fn with_check(value: u32, salt: u32) -> u64 {
    u64::from(value) << 32 | u64::from(check(value, salt))
}

#[inline]
fn checked(word: u64, salt: u32) -> Option<u32> {
    let value = (word >> 32) as u32;
    (check(value, salt) == word as u32).then_some(value)
}

#[inline]
fn check(value: u32, salt: u32) -> u32 {
    (mix(MAGIC ^ (u64::from(salt) << 32 | u64::from(value))) >> 32) as u32
}

/// The words of a record whose slots have `capacity` bytes: a multiple of 8.
#[cfg(feature = "agent")]
pub(crate) fn record_words(capacity: usize) -> usize {
    (RECORD_SLOTS + crate::slots::Slots::words_for(capacity)).next_multiple_of(UNIT_WORDS)
}

/// The capacity given to a record for a response of `length` bytes. With it, a
/// record takes at most 2.5 × length + 512 bytes.
#[cfg(feature = "agent")]
pub(crate) fn capacity_for(length: usize) -> usize {
    (length + CAPACITY_SPARE).next_multiple_of(CAPACITY_STEP)
}

/// Where a key's probe starts and what its bucket must be tagged with.
#[derive(Clone, Copy)]
pub(crate) struct Probe {
    pub(crate) home: usize,
    tag: u32,
}

impl Probe {
    #[inline]
    pub(crate) fn of(key: &Key) -> Self {
        let [first, second, ..] = key_words(key);
        let spread = mix(first.wrapping_add(second.rotate_left(32)));
        Self {
            home: spread as usize,
            // Never 0, so that no record's bucket looks like Empty or Removed.
            tag: (spread >> 32) as u32 | 1,
        }
    }

    #[cfg(feature = "agent")]
    pub(crate) fn bucket(&self, unit: u32) -> u64 {
        u64::from(self.tag) << 32 | u64::from(unit)
    }

    /// The unit in this bucket, if the tag is this key's.
    #[inline]
    pub(crate) fn unit(&self, bucket: u64) -> Option<u32> {
        ((bucket >> 32) as u32 == self.tag).then_some(bucket as u32)
    }
}

/// A bucket that was never used: the probe ends here.
pub(crate) const BUCKET_EMPTY: u64 = 0;
/// A bucket whose record was removed: the probe goes on.
pub(crate) const BUCKET_REMOVED: u64 = 1;

#[cfg(all(test, feature = "agent"))]
mod tests {
    use super::*;
    use crate::slots::MAX_RESPONSE;

    #[test]
    fn a_record_takes_at_most_two_and_a_half_times_the_response_and_512_bytes() {
        for length in 1..=MAX_RESPONSE {
            // With the bucket, at the density of one per 512 bytes of map.
            let bytes = 8 * record_words(capacity_for(length)) * 65 / 64;
            assert!(2 * bytes <= 5 * length + 1024, "{length}: {bytes}");
        }
    }

    #[test]
    fn geometry_follows_from_the_size_and_leaves_room_for_records() {
        assert_eq!(Geometry::of(0), None);
        assert_eq!(Geometry::of(MIN_SIZE - 4096), None);
        assert_eq!(Geometry::of(MIN_SIZE + 1), None);
        assert_eq!(Geometry::of(MAX_SIZE + 4096), None);
        let geometry = Geometry::of(DEFAULT_SIZE).unwrap();
        assert_eq!(geometry.buckets, 32768);
        assert!(8 * geometry.records <= DEFAULT_SIZE / 50);
    }

    /// Library and agent may be of different versions.
    #[test]
    fn a_probe_begins_where_another_version_has_put_the_record() {
        let probe = Probe::of(&crate::testing::key(1));
        assert_eq!(
            (probe.home, probe.bucket(77)),
            (14_148_963_568_612_888_226, 14_148_963_569_835_704_397)
        );
    }

    #[test]
    fn a_damaged_extent_or_shape_is_noticed() {
        let geometry = Geometry::of(MIN_SIZE).unwrap();
        let extent = encode_extent(geometry.words());
        assert_eq!(decode_extent(extent, &geometry), Some(geometry.words()));
        let shape = encode_shape(77, 1536);
        assert_eq!(decode_shape(77, shape), Some(1536));
        assert_eq!(decode_shape(78, shape), None);
        for bit in 0..64 {
            assert_eq!(decode_extent(extent ^ 1 << bit, &geometry), None);
            assert_eq!(decode_shape(77, shape ^ 1 << bit), None);
        }
        assert_eq!(decode_extent(0, &geometry), None);
        assert_eq!(decode_shape(77, 0), None);
    }
}
