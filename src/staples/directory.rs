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
            index.read(stamp, when);
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
        When::Handshake if index.is_large => {}
        _ => index.read(stamp, when),
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

    /// Reads the directory, of which `stamp` was taken before: at a load as many files as are
    /// ever looked at, in a handshake nothing of a large one. The stamp becomes the index's if
    /// all of them could be read.
    fn read(&mut self, stamp: Option<Stamp>, when: When) {
        let limit = match when {
            When::Load => MAX_FILES,
            When::Handshake => MAX_IN_HANDSHAKE,
        };
        let (paths, more) = match source::files_in(&self.directory, limit) {
            Ok(found) => found,
            Err(error) => {
                // At a load, since a handshake tries again each second.
                if when == When::Load {
                    log::warning!("{} cannot be read: {error}", self.directory.display());
                }
                return;
            }
        };
        self.is_large = more || paths.len() > MAX_IN_HANDSHAKE;
        if more && when == When::Handshake {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use staplegun_testkit::Site;

    use super::*;

    /// A file there whose response is about `serial`.
    fn put(directory: &Path, name: &str, site: &Site, serial: &[u8]) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, site.good().serial(serial).der()).expect("it is ours");
        path
    }

    fn read(index: &mut Index, when: When) -> Option<Stamp> {
        let stamp = Stamp::of(&index.directory);
        index.read(stamp, when);
        stamp
    }

    #[test]
    fn while_another_thread_reads_one_a_load_finds_its_file_by_itself_and_a_handshake_waits() {
        let site = Site::new();
        let directory = site.directory.path();
        let path = put(directory, "own.der", &site, b"own");
        let stamp = Stamp::of(directory);
        let busy = INDEXES.lock().expect("nobody has panicked");
        let found = |when| files_about(directory, stamp, b"own", when);
        assert_eq!(found(When::Load), Some(vec![path]));
        assert_eq!(found(When::Handshake), None);
        drop(busy);
    }

    #[test]
    fn what_is_no_response_hides_none() {
        let site = Site::new();
        let directory = site.directory.path();
        fs::create_dir(directory.join("a directory")).expect("it is new");
        let path = put(directory, "own.der", &site, b"own");
        let mut index = Index::of(directory);
        read(&mut index, When::Load);
        assert_eq!(index.files_about(b"own"), [path]);
    }

    #[test]
    fn a_file_that_is_replaced_is_about_what_it_holds_now() {
        let site = Site::new();
        let directory = site.directory.path();
        put(directory, "response.der", &site, b"before");
        let mut index = Index::of(directory);
        read(&mut index, When::Load);
        let path = put(directory, "response.der", &site, b"of another length");
        read(&mut index, When::Load);
        assert_eq!(index.files_about(b"of another length"), [path]);
        assert!(index.files_about(b"before").is_empty());
    }

    #[test]
    fn a_handshake_reads_nothing_of_a_directory_that_has_become_large() {
        let site = Site::new();
        let directory = site.directory.path();
        let path = put(directory, "own.der", &site, b"own");
        let mut index = Index::of(directory);
        read(&mut index, When::Load);
        for number in 0..MAX_IN_HANDSHAKE {
            fs::write(directory.join(format!("{number}")), "").expect("it is ours");
        }
        put(directory, "z.der", &site, b"new");
        let before = index.stamp;
        read(&mut index, When::Handshake);
        assert!(index.is_large && index.stamp == before);
        assert_eq!(index.files_about(b"own"), [path]);
        // The next load reads it.
        let stamp = read(&mut index, When::Load);
        assert!(index.stamp == stamp && !index.files_about(b"new").is_empty());
    }

    #[test]
    fn what_was_read_is_believed_for_a_while_of_a_directory_that_has_not_changed() {
        let directory = Site::new().directory;
        let stamp = Stamp::of(directory.path());
        let known_for = |seconds| Index {
            stamp,
            good_until: output::seconds() + seconds,
            ..Index::of(directory.path())
        };
        assert!(known_for(GOOD_FOR / 2).is_current(stamp));
        assert!(!known_for(GOOD_FOR / 2).is_current(Stamp::of(Path::new("/"))));
        assert!(!known_for(-1).is_current(stamp));
        // The clock was set back.
        assert!(!known_for(10 * GOOD_FOR).is_current(stamp));
    }
}
