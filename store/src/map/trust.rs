//! Opening the map's file only where nobody else could harm a reader.
//!
//! Truncating a mapped file is SIGBUS in every process that maps it. So the file
//! must belong to root or to the process's effective user, nobody else may write
//! it, and the same holds for every directory above it: who can write a directory
//! can put another file there. One exception: a sticky directory such as /tmp may
//! be writable by all, since there only the owner of an entry (who is checked
//! next), of the directory (checked) and root can move or remove it.
//!
//! Symbolic links are followed nowhere: the path is walked from the root
//! directory, one component at a time, and each is judged by its descriptor, so
//! that nothing can be exchanged between the look and the use.

use super::MapError;
use rustix::fd::OwnedFd;
use rustix::fs::{self, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::path::{Component, Path, PathBuf};

const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// A trusted directory, and the name of the map in it.
pub(crate) struct Place<'a> {
    pub(crate) directory: OwnedFd,
    pub(crate) name: &'a std::ffi::OsStr,
    path: &'a Path,
}

impl<'a> Place<'a> {
    /// Walks to the directory of `path`, which must be absolute.
    pub(crate) fn find(path: &'a Path) -> Result<Self, MapError> {
        let untrusted = |at: &Path, why| MapError::untrusted(at, why);
        let (Some(parent), Some(name), true) =
            (path.parent(), path.file_name(), path.is_absolute())
        else {
            return Err(untrusted(path, "is not the absolute path of a file"));
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut walked = PathBuf::from("/");
        let mut directory = fs::open("/", flags, Mode::empty())
            .map_err(|errno| MapError::system("open the directory", &walked, errno))?;
        judge(&directory, &walked, FileType::Directory)?;
        for component in parent.components() {
            match component {
                Component::RootDir | Component::CurDir => continue,
                Component::Normal(name) => {
                    walked.push(name);
                    directory =
                        fs::openat(&directory, name, flags, Mode::empty()).map_err(|errno| {
                            match errno {
                                // What O_NOFOLLOW | O_DIRECTORY says of a symbolic link.
                                Errno::NOTDIR | Errno::LOOP => {
                                    untrusted(&walked, "is a symbolic link or no directory")
                                }
                                errno => MapError::system("open the directory", &walked, errno),
                            }
                        })?;
                    judge(&directory, &walked, FileType::Directory)?;
                }
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(untrusted(path, "has .. in its path"));
                }
            }
        }
        Ok(Self {
            directory,
            name,
            path,
        })
    }

    /// Opens the map's file; the second value is its size in bytes.
    pub(crate) fn open(&self, access: OFlags) -> Result<(OwnedFd, u64), MapError> {
        // A fifo that stands there must not keep the open waiting.
        let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::NONBLOCK;
        let file =
            fs::openat(&self.directory, self.name, flags, Mode::empty()).map_err(|errno| {
                match errno {
                    Errno::LOOP => MapError::untrusted(self.path, "is a symbolic link"),
                    errno => MapError::system("open the live map", self.path, errno),
                }
            })?;
        let stat = judge(&file, self.path, FileType::RegularFile)?;
        Ok((file, u64::try_from(stat.st_size).unwrap_or(0)))
    }
}

/// Whether nobody but root and the effective user can change what `file` is.
fn judge(file: &OwnedFd, path: &Path, wanted: FileType) -> Result<fs::Stat, MapError> {
    let stat = fs::fstat(file).map_err(|errno| MapError::system("examine", path, errno))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind != wanted {
        let why = match wanted {
            FileType::Directory => "is not a directory",
            _ => "is not a regular file",
        };
        return Err(MapError::untrusted(path, why));
    }
    if stat.st_uid != 0 && stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(MapError::untrusted(
            path,
            "belongs neither to root nor to this process's user",
        ));
    }
    let mode = stat.st_mode;
    let sticky = wanted == FileType::Directory && mode & STICKY != 0;
    if mode & WRITABLE_BY_OTHERS != 0 && !sticky {
        return Err(MapError::untrusted(path, "can be written by others"));
    }
    Ok(stat)
}
