//! The map's file comes into being whole, or not at all.

use super::MapError;
use super::format::{self, Geometry};
use super::mapping::Mapping;
use super::sizes::GROWTH_WORDS;
use super::trust::Place;
use crate::atomic::Ordering;
use crate::steps::step;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::path::Path;

/// The extent of a map without records.
pub(crate) fn first_extent(geometry: &Geometry) -> usize {
    (geometry.records + GROWTH_WORDS).min(geometry.words())
}

/// Removes what a writer that was killed in [`create`] left: the caller has the
/// lock.
pub(crate) fn clean(place: &Place, path: &Path) -> Result<(), MapError> {
    discard(place).map_err(|errno| MapError::system("create the live map", path, errno))
}

/// Makes a map under another name and links it to its own, which must be free.
pub(crate) fn create(place: &Place, path: &Path, geometry: &Geometry) -> Result<(), MapError> {
    let failed = |errno| MapError::system("create the live map", path, errno);
    let temporary = temporary_name(place);
    // A link that lies there counts as a file: O_EXCL follows none.
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    step();
    let made = fs::openat(
        &place.directory,
        &temporary,
        flags,
        Mode::from_raw_mode(0o600),
    )
    .and_then(|file| initialise(&file, geometry))
    .and_then(|()| {
        step();
        let to = &place.directory;
        fs::linkat(to, &temporary, to, place.name, AtFlags::empty())
    });
    step();
    let discarded = discard(place);
    made.and(discarded).map_err(failed)
}

fn temporary_name(place: &Place) -> OsString {
    let mut name = OsString::from(".");
    name.push(place.name);
    name.push(".new");
    name
}

fn discard(place: &Place) -> Result<(), Errno> {
    match fs::unlinkat(&place.directory, temporary_name(place), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Makes an empty map of an empty file.
pub(crate) fn initialise(file: &OwnedFd, geometry: &Geometry) -> Result<(), Errno> {
    // Readable by all, whatever the umask: responses are public.
    fs::fchmod(file, Mode::from_raw_mode(0o644))?;
    step();
    fs::ftruncate(file, geometry.size as u64)?;
    let extent = first_extent(geometry);
    allocate(file, extent)?;
    let mapping = Mapping::writable(file, geometry.size)?;
    write_header(&mapping, geometry, extent);
    Ok(())
}

/// Allocates the first `words` words of the file.
pub(crate) fn allocate(file: impl AsFd, words: usize) -> Result<(), Errno> {
    let bytes = (8 * words).next_multiple_of(format::PAGE) as u64;
    loop {
        step();
        match fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

/// Writes what stands in the header, where it does not stand there already: the
/// magic last, so that a reader never takes half a header for a map.
pub(crate) fn write_header(mapping: &Mapping, geometry: &Geometry, extent: usize) {
    let header = mapping.words(format::HEADER_WORDS);
    let values = [
        (format::WORD_EXTENT, format::encode_extent(extent)),
        (format::WORD_RECORDS, geometry.records as u64),
        (format::WORD_BUCKETS, geometry.buckets as u64),
        (format::WORD_SIZE, geometry.size as u64),
        (format::WORD_BYTE_ORDER, format::BYTE_ORDER),
        (format::WORD_VERSION, format::VERSION),
        (format::WORD_MAGIC, format::MAGIC),
    ];
    for (at, value) in values {
        if let Some(word) = header.get(at)
            && word.load(Ordering::Relaxed) != value
        {
            step();
            word.store(value, Ordering::Release);
        }
    }
}
