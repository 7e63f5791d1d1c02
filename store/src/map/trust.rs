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
//!
//! In a container owners and modes tell little: volumes belong to root and may be
//! written by all, and in a user namespace all owners that it does not know look
//! alike. There a mount vouches for what lies on it, see [`Trusted`]: who mounts
//! volumes into a container decides what runs in it.

use super::MapError;
use rustix::fd::OwnedFd;
use rustix::fs::{
    self, AtFlags, FileType, Mode, OFlags, StatVfsMountFlags, StatxAttributes, StatxFlags,
};
use rustix::io::Errno;
use std::path::{Component, Path, PathBuf};

const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// What is trusted besides owners and modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// Nothing: for a program that nobody told where the store lies.
    Owners,
    /// What lies on a mount that is read-only here, in this process's mount namespace:
    /// for a program that was told of the store. Whoever mounted it is trusted not to
    /// let the file be truncated elsewhere.
    ReadOnlyMounts,
    /// Those, and the map's directory if it is a mount point, whoever may write it: for
    /// the agent, which makes the map there, and for commands that look at it.
    Volumes,
}

/// A trusted directory, and the name of the map in it.
pub(crate) struct Place<'a> {
    pub(crate) directory: OwnedFd,
    pub(crate) name: &'a std::ffi::OsStr,
    path: &'a Path,
    trusted: Trusted,
}

impl<'a> Place<'a> {
    /// Walks to the directory of `path`, which must be absolute.
    pub(crate) fn find(path: &'a Path, trusted: Trusted) -> Result<Self, MapError> {
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
        // Judged when it is known whether it is the map's own.
        for component in parent.components() {
            match component {
                Component::RootDir | Component::CurDir => continue,
                Component::Normal(name) => {
                    judge(&directory, &walked, FileType::Directory, trusted.above())?;
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
                }
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(untrusted(path, "has .. in its path"));
                }
            }
        }
        judge(&directory, &walked, FileType::Directory, trusted)?;
        Ok(Self {
            directory,
            name,
            path,
            trusted,
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
        let stat = judge(&file, self.path, FileType::RegularFile, self.trusted)?;
        Ok((file, u64::try_from(stat.st_size).unwrap_or(0)))
    }
}

impl Trusted {
    /// What is trusted of the directories above the map's own.
    fn above(self) -> Self {
        match self {
            Self::Volumes => Self::ReadOnlyMounts,
            other => other,
        }
    }

    /// Whether what `file` is need not be judged by its owner and mode.
    fn covers(self, file: &OwnedFd, kind: FileType) -> bool {
        match self {
            Self::Owners => false,
            Self::ReadOnlyMounts => is_on_read_only_mount(file),
            Self::Volumes => {
                is_on_read_only_mount(file) || kind == FileType::Directory && is_mount_point(file)
            }
        }
    }
}

/// As the mount is here, or the whole file system is; other mounts of it do not count.
fn is_on_read_only_mount(file: &OwnedFd) -> bool {
    fs::fstatvfs(file).is_ok_and(|about| about.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Whether something is mounted on this directory. False where the kernel cannot tell
/// (before Linux 5.8).
pub(crate) fn is_mount_point(directory: &OwnedFd) -> bool {
    let about = fs::statx(directory, "", AtFlags::EMPTY_PATH, StatxFlags::empty());
    about.is_ok_and(|about| about.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Whether nobody but root, the effective user and who is `trusted` can change what `file` is.
fn judge(
    file: &OwnedFd,
    path: &Path,
    wanted: FileType,
    trusted: Trusted,
) -> Result<fs::Stat, MapError> {
    let stat = fs::fstat(file).map_err(|errno| MapError::system("examine", path, errno))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind != wanted {
        // A directory is one: O_DIRECTORY opened it.
        return Err(MapError::untrusted(path, "is not a regular file"));
    }
    match doubt(&stat, wanted) {
        // The mount is looked at only where it matters.
        Some(why) if !trusted.covers(file, wanted) => Err(MapError::untrusted(path, why)),
        _ => Ok(stat),
    }
}

/// Why somebody else could change what this is.
fn doubt(stat: &fs::Stat, kind: FileType) -> Option<&'static str> {
    if stat.st_uid != 0 && stat.st_uid != rustix::process::geteuid().as_raw() {
        return Some("belongs neither to root nor to this process's user");
    }
    let mode = stat.st_mode;
    let sticky = kind == FileType::Directory && mode & STICKY != 0;
    (mode & WRITABLE_BY_OTHERS != 0 && !sticky).then_some("can be written by others")
}
