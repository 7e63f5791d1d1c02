//! What a writer finds in a map that an earlier one left: everything is looked
//! at, what is damaged is dropped, and no reader is disturbed.

use super::format::{
    self, BUCKET_EMPTY, BUCKET_REMOVED, Geometry, MAX_PROBE, Probe, UNIT_WORDS, record_words,
};
use super::table::Table;
use crate::Key;
use crate::atomic::Ordering;
use crate::slots::State;
use crate::steps::step;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Where a key's record is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The number of its bucket.
    pub(crate) bucket: usize,
    pub(crate) unit: u32,
}

/// All that a writer knows about the records.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) places: HashMap<Key, Place>,
    /// Records that no bucket points to, by capacity.
    pub(crate) free: BTreeMap<usize, Vec<u32>>,
    /// Where the next new record goes, in words.
    pub(crate) end: usize,
    /// How many damaged records were dropped.
    pub(crate) dropped: usize,
}

impl Records {
    /// Surveys the map.
    pub(crate) fn survey(table: &Table, geometry: &Geometry, extent: usize) -> Self {
        let mut records = Self {
            end: geometry.records,
            ..Self::default()
        };
        records.read_index(table);
        records.mend_probes(table);
        records.find_free(table, geometry, extent);
        records
    }

    /// Takes in the buckets that lead to an intact record and drops the others.
    fn read_index(&mut self, table: &Table) {
        let mask = table.index().len() - 1;
        for (number, bucket) in table.index().iter().enumerate() {
            let value = bucket.load(Ordering::Acquire);
            if value == BUCKET_EMPTY || value == BUCKET_REMOVED {
                continue;
            }
            let key = table.record(value as u32).and_then(|record| {
                let key = record.key();
                let probe = Probe::of(&key);
                let unit = probe.unit(value)?;
                let distance = number.wrapping_sub(probe.home) & mask;
                let state = record.slots.inspect(&key)?.state;
                let intact = distance < MAX_PROBE
                    && state != State::Empty
                    && !self.places.contains_key(&key);
                intact.then_some((key, unit))
            });
            if let Some((key, unit)) = key {
                let bucket = number;
                self.places.insert(key, Place { bucket, unit });
            } else {
                step();
                bucket.store(BUCKET_REMOVED, Ordering::Release);
                self.dropped += 1;
            }
        }
    }

    /// A bucket that was damaged to "never used" hides those behind it.
    fn mend_probes(&self, table: &Table) {
        for (key, place) in &self.places {
            let probe = Probe::of(key);
            for number in 0..MAX_PROBE {
                let Some(bucket) = table.bucket(probe, number) else {
                    break;
                };
                if table
                    .index()
                    .get(place.bucket)
                    .is_some_and(|own| std::ptr::eq(own, bucket))
                {
                    break;
                }
                if bucket.load(Ordering::Relaxed) == BUCKET_EMPTY {
                    step();
                    bucket.store(BUCKET_REMOVED, Ordering::Release);
                }
            }
        }
    }

    /// Walks from record to record. One whose shape is damaged is passed over and
    /// never used again, since its size is not known.
    fn find_free(&mut self, table: &Table, geometry: &Geometry, extent: usize) {
        let used: HashSet<u32> = self.places.values().map(|place| place.unit).collect();
        let mut at = geometry.records;
        while at < extent {
            let unit = (at / UNIT_WORDS) as u32;
            let Some(record) = table.record(unit) else {
                at += UNIT_WORDS;
                continue;
            };
            if !used.contains(&unit) {
                // Perhaps left by a writer killed before or after it was in the index.
                record.slots.clear(&record.key());
                self.free.entry(record.capacity).or_default().push(unit);
            }
            at += record_words(record.capacity);
            self.end = at;
        }
    }

    /// Takes a free record for a response of `length` bytes. It has the capacity
    /// that a new one would get, or little more.
    pub(crate) fn take_free(&mut self, length: usize) -> Option<u32> {
        let (_, units) = self
            .free
            .range_mut(alike(length))
            .find(|(_, units)| !units.is_empty())?;
        units.pop()
    }

    /// Whether there is such a one.
    pub(crate) fn has_free(&self, length: usize) -> bool {
        let mut alike = self.free.range(alike(length));
        alike.any(|(_, units)| !units.is_empty())
    }
}

/// The capacities that do for a response of `length` bytes.
fn alike(length: usize) -> std::ops::RangeInclusive<usize> {
    let least = format::capacity_for(length);
    least..=least + least / 16
}
