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
//! relative to the directory's descriptor.

use crate::steps::step;
use crate::{Key, name};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
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

    /// The notes for `key`; None if there are none.
    pub fn notes(&self, key: &Key) -> Result<Option<Notes>, FileError> {
        let Some(bytes) = self.state.read(key)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| FileError::new("understand", &self.state.path_of(key), error.into()))
    }

    /// Writes the notes for `key`.
    pub fn write_notes(&self, key: &Key, notes: &Notes) -> Result<(), FileError> {
        let mut bytes = serde_json::to_vec_pretty(notes)
            .map_err(|error| FileError::new("write", &self.state.path_of(key), error.into()))?;
        bytes.push(b'\n');
        self.state.write(key, &bytes)
    }
}

/// What the agent remembers of one certificate. Times are seconds since 1970.
/// Fields that a file lacks have their default, and unknown ones are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notes {
    /// The responder that was asked last.
    pub responder: Option<String>,
    /// When it was asked last.
    pub last_attempt: Option<i64>,
    /// When a good response came last.
    pub last_success: Option<i64>,
    /// Why the last attempt failed; None if it did not.
    pub last_error: Option<String>,
    /// The kind of that failure, one word.
    pub last_cause: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// When the responder will be asked next.
    pub next_refresh: Option<i64>,
    /// thisUpdate of the response that is kept.
    pub this_update: Option<i64>,
    /// Its nextUpdate, or the end of the life it was given without one.
    pub until: Option<i64>,
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
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = fs::open(&path, flags, Mode::empty())
            .map_err(|errno| failed("open the directory (never through a symbolic link)", errno))?;
        let stat = fs::fstat(&directory).map_err(|errno| failed("examine", errno))?;
        let own = rustix::process::geteuid().as_raw();
        if (stat.st_uid != own && stat.st_uid != 0) || stat.st_mode & 0o022 != 0 {
            let why = "it must belong to the agent's user or root, and others may not write it";
            let cause = std::io::Error::new(std::io::ErrorKind::PermissionDenied, why);
            return Err(FileError::new("trust the directory", &path, cause));
        }
        let this = Self {
            directory,
            path,
            suffix,
        };
        this.clean()?;
        Ok(this)
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
        let failed = self.failed("write", key);
        let file_name = self.file_name(key);
        let temporary = format!(".{file_name}");
        let written = self.write_as(&temporary, bytes).and_then(|()| {
            step();
            fs::renameat(&self.directory, &temporary, &self.directory, &file_name)
        });
        if let Err(errno) = written {
            let _ = fs::unlinkat(&self.directory, &temporary, AtFlags::empty());
            return Err(failed(errno));
        }
        step();
        fs::fsync(&self.directory).map_err(failed)
    }

    fn write_as(&self, temporary: &str, bytes: &[u8]) -> Result<(), Errno> {
        step();
        match fs::unlinkat(&self.directory, temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        step();
        let file = fs::openat(&self.directory, temporary, flags, Mode::RUSR | Mode::WUSR)?;
        step();
        crate::io::write_all(file.as_fd(), bytes)?;
        step();
        fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
        fs::fsync(&file)
    }

    /// Removes the file for `key`; false if there was none.
    pub fn remove(&self, key: &Key) -> Result<bool, FileError> {
        let failed = self.failed("remove", key);
        match fs::unlinkat(&self.directory, self.file_name(key), AtFlags::empty()) {
            Err(Errno::NOENT) => return Ok(false),
            done => done.map_err(&failed)?,
        }
        fs::fsync(&self.directory).map_err(failed)?;
        Ok(true)
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
