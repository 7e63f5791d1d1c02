//! What lasts: plain files, which any tool can read.
//!
//! | directory  | file                  | what                                        |
//! |------------|-----------------------|---------------------------------------------|
//! | `certs/`   | `<SHA-256>.pem`       | the leaf and its issuers                    |
//! | `staples/` | `<SHA-256>.der`       | the OCSPResponse, DER (RFC 6960)            |
//! | `state/`   | `<SHA-256>.json`      | the agent's [`Notes`]                       |
//!
//! Only the agent writes them. A file is written under another name, brought to
//! the disk, renamed, and the directory brought to the disk: after a crash there is
//! the old file or the new one. Symbolic links are not followed: everything is done
//! relative to the directory's descriptor. Of many files each step is taken for
//! all before the next one ([`Files::apply`]), so that the disk is waited for once.

mod batch;
mod notes;

pub use batch::{Change, What, Which};
pub use notes::Notes;

use crate::steps::step;
use crate::{Key, name};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fmt;
use std::path::{Path, PathBuf};

/// The longest file that is read, in bytes.
pub const MAX_FILE: usize = 64 * 1024;

/// The three directories.
#[derive(Debug)]
pub struct Files {
    /// `certs/`: leaf and issuers, PEM.
    pub certificates: Directory,
    /// `staples/`: OCSPResponses, DER.
    pub staples: Directory,
    /// `state/`: see [`Notes`].
    pub state: Directory,
}

impl Files {
    /// Opens the store in the directory `lasting` (see
    /// [`Layout::lasting`](crate::layout::Layout::lasting)), or makes it, and removes
    /// what a killed writer left unfinished. The caller is the only writer.
    pub fn open(lasting: &Path) -> Result<Self, FileError> {
        std::fs::create_dir_all(lasting)
            .map_err(|error| FileError::new("create the directory", lasting, error))?;
        Ok(Self {
            certificates: Directory::open(lasting.join("certs"), "pem")?,
            staples: Directory::open(lasting.join("staples"), "der")?,
            state: Directory::open(lasting.join("state"), "json")?,
        })
    }

    /// Opens the store in the directory `lasting` to be read, whoever owns it: makes
    /// nothing, removes nothing.
    pub fn open_to_read(lasting: &Path) -> Result<Self, FileError> {
        Ok(Self {
            certificates: Directory::open_existing(lasting.join("certs"), "pem")?,
            staples: Directory::open_existing(lasting.join("staples"), "der")?,
            state: Directory::open_existing(lasting.join("state"), "json")?,
        })
    }

    /// The notes for `key`; None if there are none.
    pub fn notes(&self, key: &Key) -> Result<Option<Notes>, FileError> {
        let Some(bytes) = self.state.read(key)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| FileError::new("understand", &self.state.path_of(key), error.into()))
    }
}

/// What failed, on which file.
#[derive(Debug)]
pub struct FileError {
    doing: &'static str,
    path: PathBuf,
    cause: std::io::Error,
}

impl FileError {
    fn new(doing: &'static str, path: &Path, cause: std::io::Error) -> Self {
        let path = path.to_owned();
        Self { doing, path, cause }
    }

    /// The error of the system.
    pub fn cause(&self) -> &std::io::Error {
        &self.cause
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "cannot {} {}: {}",
            self.doing,
            self.path.display(),
            self.cause
        )?;
        match self.cause.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                out.write_str("; the old file is untouched: make room")
            }
            std::io::ErrorKind::ReadOnlyFilesystem => {
                out.write_str("; responses are served but will not survive a restart")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// One directory of files named by keys.
#[derive(Debug)]
pub struct Directory {
    directory: OwnedFd,
    path: PathBuf,
    suffix: &'static str,
}

impl Directory {
    fn open(path: PathBuf, suffix: &'static str) -> Result<Self, FileError> {
        let failed = |doing, errno: Errno| FileError::new(doing, &path, errno.into());
        // rwxr-xr-x: what lies there is public.
        match fs::mkdir(&path, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed("create the directory", errno)),
        }
        let this = Self::open_existing(path.clone(), suffix)?;
        let stat = fs::fstat(&this.directory).map_err(|errno| failed("examine", errno))?;
        let own = rustix::process::geteuid().as_raw();
        if (stat.st_uid != own && stat.st_uid != 0) || stat.st_mode & 0o022 != 0 {
            let why = "it must belong to the agent's user or root, and others may not write it";
            let cause = std::io::Error::new(std::io::ErrorKind::PermissionDenied, why);
            return Err(FileError::new("trust the directory", &path, cause));
        }
        this.clean()?;
        Ok(this)
    }

    fn open_existing(path: PathBuf, suffix: &'static str) -> Result<Self, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match fs::open(&path, flags, Mode::empty()) {
            Ok(directory) => Ok(Self {
                directory,
                path,
                suffix,
            }),
            Err(errno) => {
                let doing = "open the directory (never through a symbolic link)";
                Err(FileError::new(doing, &path, errno.into()))
            }
        }
    }

    /// The path of the file for `key`, for messages.
    pub fn path_of(&self, key: &Key) -> PathBuf {
        self.path.join(self.file_name(key))
    }

    fn file_name(&self, key: &Key) -> String {
        format!("{}.{}", name::of_key(key), self.suffix)
    }

    fn failed(&self, doing: &'static str, key: &Key) -> impl Fn(Errno) -> FileError {
        let path = self.path_of(key);
        move |errno| FileError::new(doing, &path, errno.into())
    }

    /// The file for `key`; None if there is none. Only a regular file of at most
    /// [`MAX_FILE`] bytes is read.
    pub fn read(&self, key: &Key) -> Result<Option<Vec<u8>>, FileError> {
        let failed = self.failed("read", key);
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match fs::openat(&self.directory, self.file_name(key), flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            file => file.map_err(&failed)?,
        };
        let stat = fs::fstat(&file).map_err(&failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(failed(Errno::INVAL));
        }
        let bytes = crate::io::read_up_to(file.as_fd(), MAX_FILE + 1).map_err(&failed)?;
        if bytes.len() > MAX_FILE {
            return Err(failed(Errno::FBIG));
        }
        Ok(Some(bytes))
    }

    /// Writes the file for `key`, whole or not at all; it is on the disk when this
    /// returns. On an error the old file stands.
    pub fn write(&self, key: &Key, bytes: &[u8]) -> Result<(), FileError> {
        let unfinished = self.begin(key, bytes)?;
        unfinished.bring_to_disk()?;
        unfinished.finish()?;
        self.bring_to_disk()
    }

    /// The first step of writing: a whole file under another name.
    fn begin(&self, key: &Key, bytes: &[u8]) -> Result<Unfinished<'_>, FileError> {
        let unfinished = |file| Unfinished {
            directory: self,
            key: *key,
            file,
        };
        let temporary = self.temporary_name(key);
        self.write_as(&temporary, bytes)
            .map(unfinished)
            .map_err(|errno| {
                let _ = fs::unlinkat(&self.directory, &temporary, AtFlags::empty());
                self.failed("write", key)(errno)
            })
    }

    fn temporary_name(&self, key: &Key) -> String {
        format!(".{}", self.file_name(key))
    }

    fn write_as(&self, temporary: &str, bytes: &[u8]) -> Result<OwnedFd, Errno> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || {
            step();
            fs::openat(&self.directory, temporary, flags, Mode::RUSR | Mode::WUSR)
        };
        let file = match create() {
            Err(Errno::EXIST) => {
                step();
                fs::unlinkat(&self.directory, temporary, AtFlags::empty())?;
                create()?
            }
            file => file?,
        };
        step();
        crate::io::write_all(file.as_fd(), bytes)?;
        step();
        fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
        Ok(file)
    }

    /// Removes the file for `key`; false if there was none.
    pub fn remove(&self, key: &Key) -> Result<bool, FileError> {
        let was_there = self.unlink(key)?;
        if was_there {
            self.bring_to_disk()?;
        }
        Ok(was_there)
    }

    fn unlink(&self, key: &Key) -> Result<bool, FileError> {
        step();
        match fs::unlinkat(&self.directory, self.file_name(key), AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(false),
            done => done.map(|()| true).map_err(self.failed("remove", key)),
        }
    }

    /// Brings to the disk which files there are.
    fn bring_to_disk(&self) -> Result<(), FileError> {
        step();
        let failed = |errno: Errno| FileError::new("bring to the disk", &self.path, errno.into());
        fs::fsync(&self.directory).map_err(failed)
    }

    /// The keys of all files here; names that are no key's are passed over.
    pub fn keys(&self) -> Result<Vec<Key>, FileError> {
        let names = self.names()?;
        Ok(names.iter().filter_map(|name| self.key_of(name)).collect())
    }

    fn key_of(&self, file_name: &str) -> Option<Key> {
        let (key, suffix) = file_name.split_once('.')?;
        (suffix == self.suffix).then(|| name::to_key(key))?
    }

    fn names(&self) -> Result<Vec<String>, FileError> {
        let failed = |errno: Errno| FileError::new("list", &self.path, errno.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.directory).map_err(failed)? {
            if let Ok(name) = entry.map_err(failed)?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Removes files that were never finished.
    fn clean(&self) -> Result<(), FileError> {
        for name in self.names()? {
            let unfinished = name.strip_prefix('.').and_then(|name| self.key_of(name));
            if unfinished.is_some() {
                // A read-only directory keeps them: they do no harm.
                let _ = fs::unlinkat(&self.directory, &name, AtFlags::empty());
            }
        }
        Ok(())
    }
}

/// A file that is written, but under another name.
struct Unfinished<'a> {
    directory: &'a Directory,
    key: Key,
    file: OwnedFd,
}

impl Unfinished<'_> {
    /// Before it gets its name: the name must never lead to less than all of it.
    fn bring_to_disk(&self) -> Result<(), FileError> {
        step();
        self.result(fs::fsync(&self.file))
    }

    fn finish(&self) -> Result<(), FileError> {
        let Directory { directory, .. } = self.directory;
        let temporary = self.directory.temporary_name(&self.key);
        let file_name = self.directory.file_name(&self.key);
        step();
        self.result(fs::renameat(directory, temporary, directory, file_name))
    }

    /// On an error nothing is left of it.
    fn result(&self, done: Result<(), Errno>) -> Result<(), FileError> {
        done.map_err(|errno| {
            let temporary = self.directory.temporary_name(&self.key);
            let _ = fs::unlinkat(&self.directory.directory, temporary, AtFlags::empty());
            self.directory.failed("write", &self.key)(errno)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::count::{alone, killed_at};
    use crate::testing::{Scratch, key, response};

    #[test]
    fn a_writer_killed_at_any_step_leaves_the_old_file_or_the_new() {
        let _alone = alone();
        let (old, new) = (response(1, 1, 1500), response(1, 2, 1600));
        let mut steps = 0;
        loop {
            let scratch = Scratch::new();
            let files = Files::open(scratch.path()).unwrap();
            files.staples.write(&key(1), &old).unwrap();
            steps += 1;
            let killed = killed_at(steps, || files.staples.write(&key(1), &new).unwrap());
            let files = Files::open(scratch.path()).unwrap();
            let read = files.staples.read(&key(1)).unwrap().unwrap();
            assert!(read == old || read == new, "after step {steps}");
            assert_eq!(
                files.staples.names().unwrap().len(),
                3,
                "., .. and the file"
            );
            if !killed {
                assert_eq!(read, new);
                break;
            }
        }
        assert!(steps > 5);
    }
}
