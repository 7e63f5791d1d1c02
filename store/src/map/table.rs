//! The index and the records in it, as seen at one moment: what reader and
//! writer share. It believes nothing that it reads.

use super::format::{
    self, BUCKET_EMPTY, BUCKET_REMOVED, Geometry, MAX_PROBE, Probe, RECORD_SLOTS, UNIT_WORDS,
};
use crate::Key;
use crate::atomic::{AtomicU64, Ordering, fence};
use crate::slots::{Found, Miss, Slots, Summary};
use crate::steps::overtaken;

/// How often a lookup looks at a bucket again that changed under it.
pub(super) const REREADS: usize = 8;

/// The words of a map up to its extent, and where things lie among them.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    words: &'a [AtomicU64],
    index: &'a [AtomicU64],
}

/// One response in the map, as [`Reader::entries`](super::Reader::entries) lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// SHA-256 of the leaf.
    pub key: Key,
    /// What is kept for it; None if it is damaged, or being written just now.
    pub summary: Option<Summary>,
}

/// A record whose shape is right.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) key: &'a [AtomicU64],
    pub(crate) slots: Slots<'a>,
    #[cfg(feature = "agent")]
    pub(crate) capacity: usize,
}

impl<'a> Table<'a> {
    /// None if `words` ends before the records begin.
    #[inline]
    pub(crate) fn new(words: &'a [AtomicU64], geometry: &Geometry) -> Option<Self> {
        let index = words.get(format::HEADER_WORDS..geometry.records)?;
        Some(Self { words, index })
    }

    /// The bucket at `step` from the key's home.
    #[inline]
    pub(crate) fn bucket(&self, probe: Probe, step: usize) -> Option<&'a AtomicU64> {
        // The number of buckets is a power of two.
        let mask = self.index.len().wrapping_sub(1);
        self.index.get(probe.home.wrapping_add(step) & mask)
    }

    #[cfg(feature = "agent")]
    pub(crate) fn index(&self) -> &'a [AtomicU64] {
        self.index
    }

    /// The record at `unit`, if there is one.
    #[inline]
    pub(crate) fn record(&self, unit: u32) -> Option<Record<'a>> {
        let rest = self.words.get(unit as usize * UNIT_WORDS..)?;
        let capacity = format::decode_shape(unit, rest.first()?.load(Ordering::Relaxed))?;
        let words = Slots::words_for(capacity);
        Some(Record {
            key: rest.get(1..5)?,
            slots: Slots::new(rest.get(RECORD_SLOTS..RECORD_SLOTS + words)?)?,
            #[cfg(feature = "agent")]
            capacity,
        })
    }

    /// The response for `key` that may be sent at the time `now`.
    #[inline(always)]
    pub(crate) fn lookup(&self, key: &Key, now: i64) -> Result<Found<'a>, Miss> {
        let probe = Probe::of(key);
        let mut miss = Miss::Absent;
        let mut rereads = 0;
        let mut step = 0;
        while step < MAX_PROBE {
            let bucket = self.bucket(probe, step).ok_or(Miss::Damaged)?;
            let value = bucket.load(Ordering::Relaxed);
            if value == BUCKET_EMPTY {
                break;
            }
            if value != BUCKET_REMOVED
                && let Some(unit) = probe.unit(value)
            {
                fence(Ordering::Acquire);
                overtaken();
                if let Some(record) = self.record(unit) {
                    let found = record.slots.lookup(key, now);
                    // The key was read after the generation that `found` checks
                    // once more when it copies: if this place becomes another
                    // record's in between, nothing is copied.
                    if record.has_key(key) && !matches!(found, Err(Miss::Absent)) {
                        return found;
                    }
                    // Emptied or another's: the record may just have moved.
                    if bucket.load(Ordering::Relaxed) != value && rereads < REREADS {
                        rereads += 1;
                        continue;
                    }
                } else {
                    miss = Miss::Damaged;
                }
            }
            step += 1;
        }
        Err(miss)
    }

    /// All records that a bucket points to.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> + use<'a> {
        let table = *self;
        self.index.iter().filter_map(move |bucket| {
            let value = bucket.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            let record = table.record(value as u32)?;
            let key = record.key();
            // Nor does any key have the tag of a bucket that leads nowhere.
            Probe::of(&key).unit(value)?;
            Some(Entry {
                key,
                summary: record.slots.inspect(&key),
            })
        })
    }
}

impl Record<'_> {
    /// The key that stands there.
    pub(crate) fn key(&self) -> Key {
        let mut key = [0; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip(self.key) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
        }
        key
    }

    #[inline]
    fn has_key(&self, key: &Key) -> bool {
        let words = crate::words::key_words(key);
        self.key
            .iter()
            .zip(words)
            .all(|(word, value)| word.load(Ordering::Relaxed) == value)
    }
}
