//! The live map in a host process.

use super::format::{self, Geometry};
use super::mapping::Mapping;
use super::table::{Entry, Table};
use super::trust::Place;
use super::{MapError, Trusted};
use crate::Key;
use crate::atomic::{Ordering, fence};
use crate::slots::{self, Copied, Found, Miss};
use rustix::fs::OFlags;
use std::mem::MaybeUninit;
use std::path::Path;

/// A map opened to be read: a mapping and nothing else. It stays usable after
/// fork, chroot, setuid, a system-call filter, and when every descriptor is
/// closed. All threads may use one reader at once.
#[derive(Debug)]
pub struct Reader {
    mapping: Mapping,
    geometry: Geometry,
    /// The extent when the map was opened, in words: it was allocated then.
    opened: usize,
}

impl Reader {
    /// Maps the file at the absolute path `path`, if by owners and modes it can be
    /// trusted (see [`MapError`]) and has at most `max_bytes` bytes (64 MiB is a
    /// sensible limit: all of it counts against RLIMIT_AS).
    pub fn open(path: &Path, max_bytes: usize) -> Result<Self, MapError> {
        Self::open_by(path, max_bytes, Trusted::Owners)
    }

    /// The same, where more is trusted.
    pub fn open_by(path: &Path, max_bytes: usize, trusted: Trusted) -> Result<Self, MapError> {
        let (file, size) = Place::find(path, trusted)?.open(OFlags::RDONLY)?;
        let bytes = usize::try_from(size)
            .ok()
            .filter(|bytes| *bytes <= max_bytes)
            .ok_or_else(|| MapError::too_large(path, size, max_bytes))?;
        let geometry =
            Geometry::of(bytes).ok_or_else(|| MapError::format(path, "no map has this size"))?;
        let mapping = Mapping::read_only(&file, bytes)
            .map_err(|errno| MapError::system("map", path, errno))?;
        // The file is as long as the mapping, and its first page is allocated.
        let opened =
            check_header(&mapping, &geometry).map_err(|why| MapError::format(path, why))?;
        Ok(Self {
            mapping,
            geometry,
            opened,
        })
    }

    #[inline]
    fn table(&self) -> Option<Table<'_>> {
        let header = self.mapping.words(format::HEADER_WORDS);
        let extent = header.get(format::WORD_EXTENT)?.load(Ordering::Relaxed);
        let extent = format::decode_extent(extent, &self.geometry).unwrap_or(self.opened);
        Table::new(self.mapping.words(extent), &self.geometry)
    }

    /// Looks for the response for the leaf with the SHA-256 `key` that may be
    /// sent at the time `now` (seconds since 1970). No system call, no lock, no
    /// allocation. The bytes are checked when they are copied; [`read`](Self::read)
    /// does both.
    #[inline]
    pub fn lookup(&self, key: &Key, now: i64) -> Result<Found<'_>, Miss> {
        // The extent is read before the bucket that it must cover, so it may be
        // too old for a record just added: then the record is looked for again.
        match self.look_once(key, now) {
            Err(Miss::Damaged) => self.look_again(key, now),
            found => found,
        }
    }

    #[inline(always)]
    fn look_once(&self, key: &Key, now: i64) -> Result<Found<'_>, Miss> {
        self.table().ok_or(Miss::Damaged)?.lookup(key, now)
    }

    #[cold]
    #[inline(never)]
    fn look_again(&self, key: &Key, now: i64) -> Result<Found<'_>, Miss> {
        self.look_once(key, now)
    }

    /// Looks up and copies, and begins again (a few times) when the writer came
    /// between. `buffer` is asked for a buffer of at least so many bytes, once for
    /// each attempt; buffers of failed attempts are dropped.
    #[inline]
    pub fn read<B: AsMut<[MaybeUninit<u8>]>>(
        &self,
        key: &Key,
        now: i64,
        buffer: impl FnMut(usize) -> Option<B>,
    ) -> Result<Copied<B>, Miss> {
        slots::read(|| self.lookup(key, now), buffer)
    }

    /// All records, in no order: for showing the map.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.table().into_iter().flat_map(|table| table.entries())
    }

    /// The size of the mapping in bytes.
    pub fn size(&self) -> usize {
        self.geometry.size
    }
}

/// Checks the header; gives the extent in words.
fn check_header(mapping: &Mapping, geometry: &Geometry) -> Result<usize, &'static str> {
    let header = mapping.words(format::HEADER_WORDS);
    let word = |at: usize| {
        header
            .get(at)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    };
    let expected = [
        (
            format::WORD_MAGIC,
            format::MAGIC,
            "the magic number is missing",
        ),
        (
            format::WORD_BYTE_ORDER,
            format::BYTE_ORDER,
            "it was written with another byte order",
        ),
        (
            format::WORD_VERSION,
            format::VERSION,
            "it has another version",
        ),
        (
            format::WORD_SIZE,
            geometry.size as u64,
            "its header tells another size",
        ),
        (
            format::WORD_BUCKETS,
            geometry.buckets as u64,
            "its index has another size",
        ),
        (
            format::WORD_RECORDS,
            geometry.records as u64,
            "its records start elsewhere",
        ),
    ];
    for (at, value, why) in expected {
        if word(at) != value {
            return Err(why);
        }
        // The magic is written last and looked at first: what belongs to it is there.
        fence(Ordering::Acquire);
    }
    format::decode_extent(word(format::WORD_EXTENT), geometry).ok_or("its extent is damaged")
}
