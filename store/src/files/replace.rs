//! The one way in which a file is written here: whole or not at all, with the mode
//! that it is meant to have, whatever the umask.

use super::stamp::Stamp;
use crate::layout::Layout;
use crate::steps::step;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// rw-r--r--: what lies in a store is public.
pub const PUBLIC: u32 = 0o644;

/// rwxr-xr-x: so that others reach it.
const PUBLIC_DIRECTORY: u32 = 0o755;

/// Whether a file is to outlast a crash of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// Yes: it is on the disk when the call returns, which can take long.
    OnDisk,
    /// No: it is made anew soon.
    InMemory,
}

/// Puts a file with these bytes and this mode at `path`, in the place of what stands
/// there: a symbolic link is replaced, and not followed. Whoever reads it meanwhile
/// has the old file or the new one, and on an error the old one stands.
///
/// # Errors
///
/// Of the system.
pub fn replace(path: &Path, bytes: &[u8], mode: u32, lasting: Lasting) -> io::Result<()> {
    replace_for(path, bytes, mode, None, lasting)
}

/// As [`replace`]; `owner` says whose the file is to be, by user and group, where this
/// process may give it away. Else it is this process's user's.
///
/// # Errors
///
/// Of the system.
pub fn replace_for(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    owner: Option<(u32, u32)>,
    lasting: Lasting,
) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default();
    let directory = open_directory(parent(path))?;
    replace_at(directory.as_fd(), name, bytes, mode, owner, lasting)
}

/// As [`replace_for`], the file of that name in an open directory.
///
/// # Errors
///
/// Of the system.
pub fn replace_at(
    directory: BorrowedFd<'_>,
    name: &OsStr,
    bytes: &[u8],
    mode: u32,
    owner: Option<(u32, u32)>,
    lasting: Lasting,
) -> io::Result<()> {
    let name = name.to_str().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no file's name"))?;
    let unfinished = Unfinished::begin(directory, name.to_owned(), bytes, mode)?;
    if let Some((uid, gid)) = owner {
        unfinished.give_to(uid, gid)?;
    }
    if lasting == Lasting::OnDisk {
        unfinished.bring_to_disk()?;
    }
    unfinished.finish()?;
    if lasting == Lasting::OnDisk {
        fs::fsync(directory)?;
    }
    Ok(())
}

/// Removes the file, if there is one; it is gone for good when this returns.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::unlink(path) {
        Err(Errno::NOENT) => return Ok(()),
        done => done?,
    }
    Ok(bring_to_disk(parent(path))?)
}

/// Brings to the disk which files a directory has.
fn bring_to_disk(directory: &Path) -> Result<(), Errno> {
    fs::fsync(open_directory(directory)?)
}

fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    fs::open(path, flags, Mode::empty())
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Makes a directory that everybody can enter, and those above it that are missing.
/// What is there stays as it is; but whoever made it may not have brought it to the disk.
///
/// # Errors
///
/// Of the system.
pub fn make_directory(path: &Path, lasting: Lasting) -> io::Result<()> {
    let mode = Mode::from_raw_mode(PUBLIC_DIRECTORY);
    let made = match fs::mkdir(path, mode) {
        Err(Errno::NOENT) => {
            let parent = path.parent().filter(|parent| *parent != Path::new(""));
            make_directory(parent.ok_or(Errno::NOENT)?, lasting)?;
            fs::mkdir(path, mode)
        }
        made => made,
    };
    match made {
        Ok(()) => fs::chmod(path, mode)?,
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    if lasting == Lasting::InMemory {
        return Ok(());
    }
    // Else what is brought to the disk in it could be lost with it.
    match bring_to_disk(parent(path)) {
        // Names can be made there, and not be looked at; or it is no disk, or nothing changes on it.
        Err(Errno::ACCESS | Errno::INVAL | Errno::ROFS) => Ok(()),
        done => Ok(done?),
    }
}

/// Makes the directory of what is made anew after a boot; it lasts only if what lasts lies
/// there, too.
///
/// # Errors
///
/// Of the system.
pub fn make_runtime(layout: &Layout) -> io::Result<()> {
    let lasting = match layout.runtime() == layout.lasting() {
        true => Lasting::OnDisk,
        false => Lasting::InMemory,
    };
    make_directory(layout.runtime(), lasting)
}

/// A file that is written, but under another name: see [`is_unfinished`].
pub(super) struct Unfinished<'a> {
    directory: BorrowedFd<'a>,
    name: String,
    temporary: String,
    file: OwnedFd,
}

impl<'a> Unfinished<'a> {
    /// The first step: a whole file under a name that no other has.
    pub(super) fn begin(
        directory: BorrowedFd<'a>,
        name: String,
        bytes: &[u8],
        mode: u32,
    ) -> Result<Self, Errno> {
        let temporary = format!(".{name}.{:016x}", crate::io::random());
        // A link that lies there counts as a file: O_EXCL follows none.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        step();
        let file = fs::openat(directory, &temporary, flags, mode)?;
        let unfinished = Self {
            directory,
            name,
            temporary,
            file,
        };
        step();
        unfinished.result(crate::io::write_all(unfinished.file.as_fd(), bytes))?;
        // The umask may have taken some of it away, and seldom does for an agent.
        let about = unfinished.result(fs::fstat(&unfinished.file))?;
        if Mode::from_raw_mode(about.st_mode) != mode {
            step();
            unfinished.result(fs::fchmod(&unfinished.file, mode))?;
        }
        Ok(unfinished)
    }

    /// Which file it is, once it has its name.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        Stamp::of_open(&self.file).ok()
    }

    /// Makes it another user's, if that is allowed.
    fn give_to(&self, uid: u32, gid: u32) -> Result<(), Errno> {
        let (uid, gid) = (fs::Uid::from_raw(uid), fs::Gid::from_raw(gid));
        match fs::fchown(&self.file, Some(uid), Some(gid)) {
            Err(Errno::PERM) => Ok(()),
            done => self.result(done),
        }
    }

    /// Says when it was changed last, in seconds since 1970.
    pub(super) fn set_modified(&self, time: i64) -> Result<(), Errno> {
        let of = |tv_sec, tv_nsec| fs::Timespec { tv_sec, tv_nsec };
        let times = fs::Timestamps {
            last_access: of(0, fs::UTIME_OMIT),
            last_modification: of(time, 0),
        };
        self.result(fs::futimens(&self.file, &times))
    }

    /// Before it gets its name: the name must never lead to less than all of it.
    pub(super) fn bring_to_disk(&self) -> Result<(), Errno> {
        step();
        self.result(fs::fsync(&self.file))
    }

    /// Brings everything to the disk that lies on the same file system.
    pub(super) fn bring_all_to_disk(&self) -> Result<(), Errno> {
        step();
        fs::syncfs(&self.file)
    }

    /// It gets its name.
    pub(super) fn finish(&self) -> Result<(), Errno> {
        step();
        let to = self.directory;
        self.result(fs::renameat(to, &self.temporary, to, &self.name))
    }

    /// On an error nothing is left of it.
    fn result<T>(&self, done: Result<T, Errno>) -> Result<T, Errno> {
        done.inspect_err(|_| {
            let _ = fs::unlinkat(self.directory, &self.temporary, AtFlags::empty());
        })
    }
}

/// The name that a file of that name was to get, if it is one that was never finished.
pub(super) fn is_unfinished(file_name: &str) -> Option<&str> {
    let (name, random) = file_name.strip_prefix('.')?.rsplit_once('.')?;
    let is_random = random.len() == 16 && random.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_random.then_some(name)
}

/// Where a file really lies that was named: what symbolic links lead to.
#[must_use]
pub fn behind_links(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
