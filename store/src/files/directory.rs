//! One of the store's directories.

use super::error::FileError;
use super::replace::{self, Lasting, PUBLIC, Unfinished, make_directory};
use crate::steps::step;
use crate::{Key, name};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::path::PathBuf;
use std::sync::OnceLock;

/// The longest file that is read, in bytes.
pub const MAX_FILE: usize = 64 * 1024;

/// One directory of files named by keys.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    suffix: &'static str,
    /// Only used if it belongs to this process's user or root, and nobody else may
    /// write it.
    is_own: bool,
    /// Whether it, and what lies there, is to outlast a crash of the machine.
    lasting: Lasting,
    /// For one piece of work that reads much: opened by its first read. Else each piece of
    /// work opens it anew.
    held: Option<OnceLock<Option<OwnedFd>>>,
}

impl Directory {
    pub(super) fn new(path: PathBuf, suffix: &'static str, is_own: bool, lasting: Lasting) -> Self {
        Self {
            path,
            suffix,
            is_own,
            lasting,
            held: None,
        }
    }

    /// The same, for one piece of work that reads much.
    pub(super) fn held(self) -> Self {
        Self {
            held: Some(OnceLock::new()),
            ..self
        }
    }

    fn error(&self, doing: &'static str) -> impl Fn(Errno) -> FileError {
        move |errno| FileError::new(doing, &self.path, errno.into())
    }

    /// The directory as it is now; made if it is missing.
    pub(super) fn open_or_make(&self) -> Result<OwnedFd, FileError> {
        if let Some(directory) = self.open()? {
            return Ok(directory);
        }
        make_directory(&self.path, self.lasting)
            .map_err(|error| FileError::new("create the directory", &self.path, error))?;
        let missing = || self.error("open the directory")(Errno::NOENT);
        self.open()?.ok_or_else(missing)
    }

    /// The directory as it is now; None if there is none.
    fn open(&self) -> Result<Option<OwnedFd>, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match fs::open(&self.path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => {
                opened.map_err(self.error("open the directory (never through a symbolic link)"))?
            }
        };
        if self.is_own {
            self.judge(&directory)?;
        }
        Ok(Some(directory))
    }

    fn judge(&self, directory: &OwnedFd) -> Result<(), FileError> {
        let stat = fs::fstat(directory).map_err(self.error("examine"))?;
        let own = rustix::process::geteuid().as_raw();
        if (stat.st_uid == own || stat.st_uid == 0) && stat.st_mode & 0o022 == 0 {
            return Ok(());
        }
        let why = "it must belong to the agent's user or root, and others may not write it";
        let cause = std::io::Error::new(std::io::ErrorKind::PermissionDenied, why);
        Err(FileError::new("trust the directory", &self.path, cause))
    }

    /// The path of the file for `key`, for messages.
    pub fn path_of(&self, key: &Key) -> PathBuf {
        self.path.join(self.file_name(key))
    }

    /// The path of another file in it, made and judged as for any.
    pub(super) fn path_in(&self, file: &str) -> Result<PathBuf, FileError> {
        self.open_or_make()?;
        Ok(self.path.join(file))
    }

    fn file_name(&self, key: &Key) -> String {
        format!("{}.{}", name::of_key(key), self.suffix)
    }

    pub(super) fn failed(&self, doing: &'static str, key: &Key) -> impl Fn(Errno) -> FileError {
        move |errno| FileError::new(doing, &self.path_of(key), errno.into())
    }

    /// The file for `key`; None if there is none. Only a regular file of at most
    /// [`MAX_FILE`] bytes is read.
    pub fn read(&self, key: &Key) -> Result<Option<Vec<u8>>, FileError> {
        let opened;
        let directory = match &self.held {
            None => {
                opened = self.open()?;
                opened.as_ref()
            }
            Some(held) => match held.get() {
                Some(held) => held.as_ref(),
                None => {
                    opened = self.open()?;
                    held.get_or_init(|| opened).as_ref()
                }
            },
        };
        let Some(directory) = directory else {
            return Ok(None);
        };
        let failed = self.failed("read", key);
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match fs::openat(directory, self.file_name(key), flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            file => file.map_err(&failed)?,
        };
        let stat = fs::fstat(&file).map_err(&failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(failed(Errno::INVAL));
        }
        let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        let bytes = crate::io::read_up_to(file.as_fd(), size, MAX_FILE + 1).map_err(&failed)?;
        if bytes.len() > MAX_FILE {
            return Err(failed(Errno::FBIG));
        }
        Ok(Some(bytes))
    }

    /// Writes the file for `key`, whole or not at all; it is on the disk when this
    /// returns. On an error the old file stands.
    pub fn write(&self, key: &Key, bytes: &[u8]) -> Result<(), FileError> {
        let failed = self.failed("write", key);
        let directory = self.open_or_make()?;
        let unfinished = self.begin(directory.as_fd(), key, bytes).map_err(&failed)?;
        unfinished.bring_to_disk().map_err(&failed)?;
        unfinished.finish().map_err(&failed)?;
        self.bring_to_disk(&directory).map_err(&failed)
    }

    /// Writes the file for `key`, whole or not at all, with the time `modified` (seconds
    /// since 1970) as that of its last change. Nothing waits for the disk.
    pub fn show(&self, key: &Key, bytes: &[u8], modified: i64) -> Result<(), FileError> {
        let failed = self.failed("write", key);
        let directory = self.open_or_make()?;
        let unfinished = self.begin(directory.as_fd(), key, bytes).map_err(&failed)?;
        unfinished.set_modified(modified).map_err(&failed)?;
        unfinished.finish().map_err(&failed)
    }

    /// The first step of writing; `directory` is this one.
    pub(super) fn begin<'a>(
        &self,
        directory: BorrowedFd<'a>,
        key: &Key,
        bytes: &[u8],
    ) -> Result<Unfinished<'a>, Errno> {
        Unfinished::begin(directory, self.file_name(key), bytes, PUBLIC)
    }

    /// Removes the file for `key`; false if there was none.
    pub fn remove(&self, key: &Key) -> Result<bool, FileError> {
        let failed = self.failed("remove", key);
        let Some(directory) = self.open()? else {
            return Ok(false);
        };
        let was_there = self.unlink(directory.as_fd(), key).map_err(&failed)?;
        if was_there {
            self.bring_to_disk(&directory).map_err(&failed)?;
        }
        Ok(was_there)
    }

    pub(super) fn unlink(&self, directory: BorrowedFd<'_>, key: &Key) -> Result<bool, Errno> {
        step();
        match fs::unlinkat(directory, self.file_name(key), AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Brings to the disk which files there are; `directory` is this one.
    pub(super) fn bring_to_disk(&self, directory: &OwnedFd) -> Result<(), Errno> {
        if self.lasting == Lasting::InMemory {
            return Ok(());
        }
        step();
        fs::fsync(directory)
    }

    /// The keys of all files here; names that are no key's are passed over.
    pub fn keys(&self) -> Result<Vec<Key>, FileError> {
        let Some(directory) = self.open()? else {
            return Err(self.error("list")(Errno::NOENT));
        };
        let names = self.names(&directory)?;
        Ok(names.iter().filter_map(|name| self.key_of(name)).collect())
    }

    fn key_of(&self, file_name: &str) -> Option<Key> {
        let (key, suffix) = file_name.split_once('.')?;
        (suffix == self.suffix).then(|| name::to_key(key))?
    }

    fn names(&self, directory: &OwnedFd) -> Result<Vec<String>, FileError> {
        let failed = self.error("list");
        let mut names = Vec::new();
        for entry in Dir::read_from(directory).map_err(&failed)? {
            if let Ok(name) = entry.map_err(&failed)?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Makes the directory, and removes files that were never finished. The caller is the
    /// only writer.
    pub fn clean(&self) -> Result<(), FileError> {
        let directory = self.open_or_make()?;
        for file in self.names(&directory)? {
            let to_be = replace::is_unfinished(&file).and_then(|name| self.key_of(name));
            if to_be.is_some() {
                // A read-only directory keeps them: they do no harm.
                let _ = fs::unlinkat(&directory, &file, AtFlags::empty());
            }
        }
        Ok(())
    }
}
