//! Which files of a directory speak of which certificate: one index for the whole
//! process, so that a directory is read once and not for each certificate.
//!
//! It holds as long as the directory's stamp does, and then only what changed is read
//! again. Loading a certificate makes it. A handshake brings it up to date where that
//! is little work; else the next load does.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use staplegun_ocsp::Response;

use crate::host::memory::{self, try_push, try_vec};
use crate::host::output;
use crate::log;

use super::source::{self, Stamp};

/// When a look is taken, which bounds the work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The program loads a certificate.
    Load,
    /// A client waits.
    Handshake,
}

/// At most so many files of a directory are looked at.
const MAX_FILES: usize = 65_536;

/// And of one that is read in a handshake. A directory with more is large.
const MAX_IN_HANDSHAKE: usize = 64;

/// A file that is overwritten in place leaves its directory's stamp as it was. So what
/// was found out is not believed for longer than this, in seconds.
const GOOD_FOR: i64 = 60;

/// Nor for longer than this if the directory was changed just before.
const SETTLED_AFTER: i64 = 2;

/// More of one certificate than this are not read.
const MAX_ABOUT: usize = 16;

/// Never waited for: who does not get it goes on without. A child of a process that
/// forked meanwhile never gets it.
static INDEXES: Mutex<Vec<Index>> = Mutex::new(Vec::new());

/// The files of `directory`, whose stamp is `stamp`, that speak of the serial number.
/// None if that cannot be told now, but perhaps later: in a handshake, or for want of
/// descriptors or memory.
pub fn files_about(
    directory: &Path,
    stamp: Option<Stamp>,
    serial: &[u8],
    when: When,
) -> Option<Vec<PathBuf>> {
    let Ok(mut indexes) = INDEXES.try_lock() else {
        let mut index = Index::of(directory);
        if when == When::Load {
            index.read(stamp, MAX_FILES);
        }
        return (index.stamp == stamp).then(|| index.files_about(serial));
    };
    let known = indexes
        .iter()
        .position(|index| index.directory == directory);
    let place = known.unwrap_or_else(|| {
        indexes.push(Index::of(directory));
        indexes.len() - 1
    });
    let index = indexes.get_mut(place)?;
    match when {
        _ if index.is_current(stamp) => {}
        When::Load => index.read(stamp, MAX_FILES),
        When::Handshake if index.is_large => {}
        When::Handshake => index.read(stamp, MAX_IN_HANDSHAKE),
    }
    (index.stamp == stamp).then(|| index.files_about(serial))
}

struct Index {
    directory: PathBuf,
    stamp: Option<Stamp>,
    good_until: i64,
    is_large: bool,
    /// In the order of their paths.
    files: Vec<Indexed>,
    /// Each serial number, in order: its file's place, and its own in that file.
    serials: Vec<(usize, usize)>,
}

struct Indexed {
    path: PathBuf,
    stamp: Option<Stamp>,
    serials: Vec<Box<[u8]>>,
}

impl Index {
    fn of(directory: &Path) -> Index {
        Index {
            directory: directory.to_path_buf(),
            stamp: None,
            good_until: i64::MIN,
            is_large: false,
            files: Vec::new(),
            serials: Vec::new(),
        }
    }

    fn is_current(&self, stamp: Option<Stamp>) -> bool {
        let now = output::seconds();
        // Far ahead of the clock means that the clock was set back.
        let believed = (now..=now.saturating_add(GOOD_FOR)).contains(&self.good_until);
        believed && self.stamp == stamp
    }

    /// Reads the directory, of which `stamp` was taken before, if it has no more files
    /// than `limit`; at a load, so many of them. The stamp becomes the index's if all of
    /// them could be read.
    fn read(&mut self, stamp: Option<Stamp>, limit: usize) {
        let (paths, more) = match source::files_in(&self.directory, limit) {
            Ok(found) => found,
            Err(error) => {
                // At a load, since a handshake tries again each second.
                if limit == MAX_FILES {
                    log::warning!("{} cannot be read: {error}", self.directory.display());
                }
                return;
            }
        };
        self.is_large = more || paths.len() > MAX_IN_HANDSHAKE;
        if more && limit < MAX_FILES {
            return;
        }
        if more {
            log::warning!(
                "{} has more than {limit} files; only some of them are looked at",
                self.directory.display(),
            );
        }
        let before = std::mem::take(&mut self.files);
        (self.stamp, self.serials) = (None, Vec::new());
        let Some(files) = read_files(paths, before) else {
            return;
        };
        let Some(serials) = in_order(&files) else {
            return;
        };
        (self.files, self.serials) = (files, serials);
        let now = output::seconds();
        let settled = stamp.is_some_and(|stamp| now - stamp.changed() >= SETTLED_AFTER);
        self.good_until = if settled { now + GOOD_FOR } else { now };
        self.stamp = stamp;
    }

    fn files_about(&self, serial: &[u8]) -> Vec<PathBuf> {
        let from = self
            .serials
            .partition_point(|place| serial_at(&self.files, *place) < Some(serial));
        let about = self.serials.iter().skip(from);
        let mut places = about
            .take_while(|place| serial_at(&self.files, **place) == Some(serial))
            .map(|(file, _)| *file);
        let mut last = None;
        // A file that speaks of it more than once counts once.
        std::iter::from_fn(|| {
            let next = places.find(|file| Some(*file) != last)?;
            last = Some(next);
            self.files.get(next)
        })
        .take(MAX_ABOUT)
        .map(|file| file.path.clone())
        .collect()
    }
}

/// The files at `paths`: those that are new or have changed since `before` are read. None
/// if one could not be, for want of descriptors or memory.
fn read_files(paths: Vec<PathBuf>, mut before: Vec<Indexed>) -> Option<Vec<Indexed>> {
    let mut files = try_vec(paths.len())?;
    for path in paths {
        let stamp = Stamp::of(&path);
        let known = before.binary_search_by(|file| file.path.cmp(&path));
        let known = known.ok().and_then(|place| before.get_mut(place));
        let serials = match known.filter(|file| stamp.is_some() && file.stamp == stamp) {
            Some(file) => std::mem::take(&mut file.serials),
            None => serials_in(&path)?,
        };
        // There is room for each.
        files.push(Indexed {
            path,
            stamp,
            serials,
        });
    }
    Some(files)
}

/// Where the serial numbers are, in their order. None for want of memory.
fn in_order(files: &[Indexed]) -> Option<Vec<(usize, usize)>> {
    let mut serials = Vec::new();
    for (place, file) in files.iter().enumerate() {
        for which in 0..file.serials.len() {
            try_push(&mut serials, (place, which)).then_some(())?;
        }
    }
    serials.sort_unstable_by(|a, b| {
        serial_at(files, *a)
            .cmp(&serial_at(files, *b))
            .then(a.cmp(b))
    });
    Some(serials)
}

fn serial_at(files: &[Indexed], (file, which): (usize, usize)) -> Option<&[u8]> {
    Some(files.get(file)?.serials.get(which)?)
}

/// The serial numbers that the response in a file speaks of: none if it holds none. None
/// for want of descriptors or memory.
fn serials_in(path: &Path) -> Option<Vec<Box<[u8]>>> {
    if memory::is_short() {
        return None;
    }
    let read = source::read(path, staplegun_ocsp::MAX_RESPONSE as u64);
    let der = match read {
        Ok(der) => der,
        Err(unreadable) => {
            log::debug!("{} is not stapled: {unreadable}", path.display());
            return (!unreadable.is_out_of_resources()).then(Vec::new);
        }
    };
    Some(match Response::parse(&der) {
        Ok(response) => response.cert_ids().map(|id| id.serial.into()).collect(),
        Err(fault) => {
            log::debug!("{} is not stapled: {fault}", path.display());
            Vec::new()
        }
    })
}
