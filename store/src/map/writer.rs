//! The one process that changes the map.

use super::create;
use super::format::{
    self, BUCKET_EMPTY, BUCKET_REMOVED, Geometry, MAX_PROBE, Probe, UNIT_WORDS, record_words,
};
use super::lock::WriterLock;
use super::mapping::Mapping;
use super::sizes::GROWTH_WORDS;
use super::survey::{Place, Records};
use super::table::{Entry, Table};
use super::{MapError, Trusted, trust};
use crate::Key;
use crate::atomic::{AtomicU64, Ordering, fence};
use crate::slots::MAX_RESPONSE;
use crate::steps::step;
use crate::words::key_words;
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// The writer of a live map. It may be killed at any step: readers see the old
/// response or the new one, and the next writer goes on with the same file.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    /// None once it was closed.
    file: Option<OwnedFd>,
    mapping: Mapping,
    geometry: Geometry,
    /// Allocated and published, in words.
    extent: usize,
    records: Records,
    opened: Opened,
    _lock: WriterLock,
}

/// What [`Writer::open`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// There was no map: it is new and empty.
    pub created: bool,
    /// Records that were there and are intact.
    pub kept: usize,
    /// Records that were damaged and dropped.
    pub dropped: usize,
}

/// How full a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Bytes that something has, of the map's size: its index, and records that are in use.
    pub used: usize,
    /// Records in use.
    pub entries: usize,
    /// For how many the index has room.
    pub buckets: usize,
}

impl Writer {
    /// Opens the map at the absolute path `path`, or makes one of `size` bytes (a
    /// multiple of 4096 from [`format::MIN_SIZE`] to [`format::MAX_SIZE`]). A map
    /// that exists keeps its size and its file: it is checked as a whole, and what
    /// a killed writer or a fault left in it is repaired or dropped.
    pub fn open(path: &Path, size: usize, lock: WriterLock) -> Result<Self, MapError> {
        let wanted = Geometry::of(size).ok_or_else(|| {
            MapError::format(
                path,
                "the size asked for is no multiple of 4096 from 256 KiB to 1 GiB",
            )
        })?;
        let place = trust::Place::find(path, Trusted::Volumes)?;
        create::clean(&place, path)?;
        let failed = |errno| MapError::system("set up the live map", path, errno);
        let mut created = false;
        let (file, bytes) = match place.open(OFlags::RDWR) {
            Err(error) if error.is_absent() => {
                create::create(&place, path, &wanted)?;
                created = true;
                place.open(OFlags::RDWR)?
            }
            // No reader maps an empty file.
            Ok((file, 0)) => {
                create::initialise(&file, &wanted).map_err(failed)?;
                created = true;
                (file, size as u64)
            }
            other => other?,
        };
        let geometry = usize::try_from(bytes)
            .ok()
            .and_then(Geometry::of)
            .ok_or_else(|| {
                let why = "no map has its size; remove it while no process uses it";
                MapError::format(path, why)
            })?;
        // A no-op, unless somebody punched holes.
        create::allocate(&file, geometry.records).map_err(failed)?;
        let mapping = Mapping::writable(&file, geometry.size).map_err(failed)?;
        let extent = old_extent(&file, &mapping, &geometry).map_err(failed)?;
        create::write_header(&mapping, &geometry, extent);
        let records = Table::new(mapping.words(extent), &geometry)
            .map(|table| Records::survey(&table, &geometry, extent))
            .ok_or_else(|| MapError::format(path, "its records start elsewhere"))?;
        let opened = Opened {
            created,
            kept: records.places.len(),
            dropped: records.dropped,
        };
        Ok(Self {
            path: path.to_owned(),
            file: Some(file),
            mapping,
            geometry,
            extent,
            records,
            opened,
            _lock: lock,
        })
    }

    /// What was found when the map was opened.
    pub fn opened(&self) -> Opened {
        self.opened
    }

    /// The size of the map in bytes, which may not be the one asked for.
    pub fn size(&self) -> usize {
        self.geometry.size
    }

    /// How much of it is allocated, in bytes.
    pub fn allocated(&self) -> usize {
        8 * self.extent
    }

    /// How full the map is.
    pub fn fill(&self) -> Fill {
        let free = self.records.free.iter();
        let free = free.map(|(capacity, units)| units.len() * record_words(*capacity));
        Fill {
            used: 8 * (self.records.end - free.sum::<usize>()),
            entries: self.records.places.len(),
            buckets: self.geometry.buckets,
        }
    }

    /// Closes the descriptor, so that nobody can truncate the file through this
    /// process after it has given up root. Growing goes on through the mapping
    /// (MADV_POPULATE_WRITE, Linux 5.14); on an older kernel the whole map is
    /// allocated here and now, which fails if the file system has no room.
    pub fn close_descriptor(&mut self) -> Result<(), MapError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        if self.mapping.populate(format::HEADER_WORDS).is_err() {
            let words = self.geometry.words();
            create::allocate(file, words).map_err(|errno| self.growing(errno))?;
            self.publish_extent(words);
        }
        self.file = None;
        Ok(())
    }

    /// Whether a response of `length` bytes for `key` leaves at least `reserve` bytes of the
    /// map that were never used. What fits into a record that is there takes none of them.
    pub fn leaves(&self, key: &Key, length: usize, reserve: usize) -> bool {
        let end = self.records.end + record_words(format::capacity_for(length));
        self.fitting(key, length).is_some()
            || self.records.has_free(length)
            || 8 * end + reserve <= self.geometry.size
    }

    /// Publishes the response `der` for the leaf with the SHA-256 `key`, valid
    /// from `this_update` to `until` (seconds since 1970). On an error what was
    /// published stays: [`MapError::is_full`] if there is no room.
    pub fn put(
        &mut self,
        key: &Key,
        der: &[u8],
        this_update: i64,
        until: i64,
    ) -> Result<(), MapError> {
        if der.is_empty() || der.len() > MAX_RESPONSE {
            return Err(MapError::response(&self.path, der.len()));
        }
        self.change(key, der.len(), |slots| {
            // It fits: `change` saw to that.
            let _ = slots.publish(key, der, this_update, until);
        })
    }

    /// Stops the response for `key` at once, and says so to readers, which then
    /// use none from elsewhere either. Until the next `put`.
    pub fn withdraw(&mut self, key: &Key) -> Result<(), MapError> {
        self.revoke(key, &[], 0, 0)
    }

    /// As [`withdraw`](Self::withdraw), for a revocation. The response `der` that tells it
    /// is stapled while it is valid, unless it is empty; its thisUpdate can be read again
    /// by [`entries`](Self::entries). On an error what was published stays.
    pub fn revoke(
        &mut self,
        key: &Key,
        der: &[u8],
        this_update: i64,
        until: i64,
    ) -> Result<(), MapError> {
        if der.len() > MAX_RESPONSE {
            return Err(MapError::response(&self.path, der.len()));
        }
        self.change(key, der.len(), |slots| {
            // It fits: `change` saw to that.
            let _ = slots.revoke(key, der, this_update, until);
        })
    }

    /// Removes the record for `key`; false if there is none.
    pub fn remove(&mut self, key: &Key) -> bool {
        let Some(place) = self.records.places.remove(key) else {
            return false;
        };
        if let Some(table) = self.table() {
            empty_bucket(&table, place.bucket);
        }
        self.retire(key, place.unit);
        true
    }

    /// Whether there is a record for `key`.
    pub fn contains(&self, key: &Key) -> bool {
        self.records.places.contains_key(key)
    }

    /// All records, in no order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.table().into_iter().flat_map(|table| table.entries())
    }

    fn table(&self) -> Option<Table<'_>> {
        Table::new(self.mapping.words(self.extent), &self.geometry)
    }

    /// Lets `fill` publish in the record for `key`, in place if `length` bytes fit,
    /// else in another that then takes its place.
    fn change(
        &mut self,
        key: &Key,
        length: usize,
        fill: impl FnOnce(&crate::slots::Slots),
    ) -> Result<(), MapError> {
        // What was damaged since it was written is put right in passing.
        create::write_header(&self.mapping, &self.geometry, self.extent);
        let old = self.records.places.get(key).copied();
        let unit = match self.fitting(key, length) {
            Some(place) => place.unit,
            None => self.new_record(length)?,
        };
        let full = || MapError::full(&self.path);
        let table = self.table().ok_or_else(full)?;
        let record = table.record(unit).ok_or_else(full)?;
        // Whoever is still copying from this place under another key has seen a
        // generation that is over.
        fence(Ordering::Release);
        for (word, value) in record.key.iter().zip(key_words(key)) {
            store(word, value);
        }
        fill(&record.slots);
        let probe = Probe::of(key);
        let bucket = match old {
            Some(old) => Some(old.bucket),
            None => free_bucket(&table, probe),
        };
        let Some(bucket) = bucket else {
            self.retire(key, unit);
            return Err(MapError::full(&self.path));
        };
        if let Some(word) = table.index().get(bucket) {
            store(word, probe.bucket(unit));
        }
        self.records.places.insert(*key, Place { bucket, unit });
        if let Some(old) = old.filter(|old| old.unit != unit) {
            self.retire(key, old.unit);
        }
        Ok(())
    }

    /// The record for `key`, if a response of `length` bytes fits into it.
    fn fitting(&self, key: &Key, length: usize) -> Option<Place> {
        let old = self.records.places.get(key).copied();
        old.filter(|old| {
            self.table()
                .and_then(|table| table.record(old.unit))
                .is_some_and(|record| record.capacity >= length)
        })
    }

    /// An empty record for a response of `length` bytes, which no bucket leads to.
    fn new_record(&mut self, length: usize) -> Result<u32, MapError> {
        if let Some(unit) = self.records.take_free(length) {
            return Ok(unit);
        }
        let capacity = format::capacity_for(length);
        let at = self.records.end;
        let end = at + record_words(capacity);
        self.grow(end)?;
        let unit = (at / UNIT_WORDS) as u32;
        if let Some(shape) = self.mapping.words(self.extent).get(at) {
            store(shape, format::encode_shape(unit, capacity));
        }
        self.records.end = end;
        Ok(unit)
    }

    /// Sees to it that the first `words` words are allocated and published.
    fn grow(&mut self, words: usize) -> Result<(), MapError> {
        if words <= self.extent {
            return Ok(());
        }
        if words > self.geometry.words() {
            return Err(MapError::full(&self.path));
        }
        let extent = words
            .max(self.extent + GROWTH_WORDS)
            .next_multiple_of(format::PAGE / 8)
            .min(self.geometry.words());
        match &self.file {
            Some(file) => create::allocate(file, extent),
            None => self.mapping.populate(extent),
        }
        .map_err(|errno| self.growing(errno))?;
        self.publish_extent(extent);
        Ok(())
    }

    fn publish_extent(&mut self, extent: usize) {
        self.extent = extent;
        create::write_header(&self.mapping, &self.geometry, extent);
    }

    fn growing(&self, errno: Errno) -> MapError {
        // Populating tells of a full file system by the fault it would have been.
        let errno = match errno {
            Errno::FAULT => Errno::NOSPC,
            errno => errno,
        };
        MapError::system("allocate more of the live map", &self.path, errno)
    }

    /// Makes a record free that no bucket leads to any more.
    fn retire(&mut self, key: &Key, unit: u32) {
        let capacity = self
            .table()
            .and_then(|table| table.record(unit))
            .map(|record| {
                record.slots.clear(key);
                record.capacity
            });
        if let Some(capacity) = capacity {
            self.records.free.entry(capacity).or_default().push(unit);
        }
    }
}

/// The extent of a map that exists. If its word is damaged the whole map is
/// allocated, for records may be anywhere, or, when there is no room for that,
/// the records beyond the first extent are given up.
fn old_extent(file: &OwnedFd, mapping: &Mapping, geometry: &Geometry) -> Result<usize, Errno> {
    let word = mapping
        .words(format::HEADER_WORDS)
        .get(format::WORD_EXTENT)
        .map_or(0, |word| word.load(Ordering::Relaxed));
    if let Some(extent) = format::decode_extent(word, geometry) {
        return create::allocate(file, extent).map(|()| extent);
    }
    if create::allocate(file, geometry.words()).is_ok() {
        return Ok(geometry.words());
    }
    let extent = create::first_extent(geometry);
    create::allocate(file, extent).map(|()| extent)
}

/// The number of a bucket that can be given to a new key.
fn free_bucket(table: &Table, probe: Probe) -> Option<usize> {
    let mask = table.index().len() - 1;
    (0..MAX_PROBE)
        .map(|step| probe.home.wrapping_add(step) & mask)
        .find(|number| {
            let value = table.index()[*number].load(Ordering::Relaxed);
            value == BUCKET_EMPTY || value == BUCKET_REMOVED
        })
}

/// Takes a record out of the index. Where no probe needs to go on, buckets become
/// as if never used, so that removals do not pile up.
fn empty_bucket(table: &Table, bucket: usize) {
    let index = table.index();
    let mask = index.len() - 1;
    store(&index[bucket], BUCKET_REMOVED);
    let mut number = bucket;
    while index[(number + 1) & mask].load(Ordering::Relaxed) == BUCKET_EMPTY
        && index[number].load(Ordering::Relaxed) == BUCKET_REMOVED
    {
        store(&index[number], BUCKET_EMPTY);
        number = number.wrapping_sub(1) & mask;
    }
}

fn store(word: &AtomicU64, value: u64) {
    if word.load(Ordering::Relaxed) != value {
        step();
        word.store(value, Ordering::Release);
    }
}
