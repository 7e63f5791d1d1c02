//! Files of configuration, which are read and written as root and may lie in a directory of a
//! server's: each is found by descriptors, component by component, so that nobody puts a link of his
//! own, or a pipe, in the way of root after it was looked at.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::fs::{fstat, mkdirat, openat, readlinkat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;
use staplegun_store::files::{Lasting, PUBLIC, read_open, replace_at};

/// The longest that is read, in bytes.
const MAX_FILE: usize = 4 << 20;
/// As many links as the kernel follows.
const LINKS: usize = 40;

/// What stands in a file, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// All of it.
    pub bytes: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
}

/// Where a file lies, or may be made: its directory, opened, and its name there.
#[derive(Debug)]
pub struct Entry {
    directory: OwnedFd,
    name: OsString,
}

/// What stands in a file; none if there is none.
///
/// # Errors
///
/// If it cannot be read, or is not text.
pub fn read(path: &Path) -> Result<Option<String>> {
    let cannot = || format!("cannot read {}", path.display());
    let found = Entry::find(path).with_context(cannot)?;
    let contents = found.map(|entry| entry.read()).transpose();
    let Some(contents) = contents.with_context(cannot)?.flatten() else {
        return Ok(None);
    };
    let text = String::from_utf8(contents.bytes);
    text.map(Some).with_context(cannot)
}

impl Entry {
    /// Finds it, behind links that are root's or this user's. None if its directory is missing.
    ///
    /// # Errors
    ///
    /// If a link on the way is somebody else's: he would choose which of root's files is read and
    /// written. Else of the system.
    pub fn find(path: &Path) -> io::Result<Option<Self>> {
        let mut rest = components(&std::path::absolute(path)?);
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut above = vec![openat(CWD, "/", directory, Mode::empty())?];
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                // The one above the root is the root.
                above.truncate((above.len() - 1).max(1));
                continue;
            }
            let here = &above[above.len() - 1];
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = match openat(here, &name, flags, Mode::empty()) {
                Err(Errno::NOENT) if !rest.is_empty() => return Ok(None),
                Err(Errno::NOENT) => None,
                opened => Some(opened?),
            };
            let about = opened.as_ref().map(fstat).transpose()?;
            match (opened, about) {
                (Some(link), Some(about)) if is_a(&about, FileType::Symlink) => {
                    let owner = about.st_uid;
                    if owner != 0 && owner != geteuid().as_raw() {
                        return Err(of_another(&name, owner));
                    }
                    links += 1;
                    if links > LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = OsString::from_vec(readlinkat(&link, "", [])?.into_bytes());
                    if Path::new(&target).is_absolute() {
                        above.truncate(1);
                    }
                    for part in components(Path::new(&target)).into_iter().rev() {
                        rest.push_front(part);
                    }
                }
                (Some(opened), _) if !rest.is_empty() => above.push(opened),
                _ => {
                    let directory = above.pop().ok_or(Errno::NOENT)?;
                    return Ok(Some(Self { directory, name }));
                }
            }
        }
        Err(Errno::ISDIR.into())
    }

    /// What stands there; none if there is nothing.
    ///
    /// # Errors
    ///
    /// If it is no file, or of the system.
    pub fn read(&self) -> io::Result<Option<Contents>> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match openat(&self.directory, &self.name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            file => file?,
        };
        let about = fstat(&file)?;
        Ok(Some(Contents {
            bytes: read_open(file.as_fd(), MAX_FILE)?,
            mode: about.st_mode & 0o7777,
            owner: (about.st_uid, about.st_gid),
        }))
    }

    /// Puts a file there, with the mode and the owner of the one that it replaces.
    ///
    /// # Errors
    ///
    /// Of the system: then what stood there still does.
    pub fn write(&self, bytes: &[u8], before: Option<&Contents>) -> io::Result<()> {
        let (mode, owner) = before.map_or((PUBLIC, None), |it| (it.mode, Some(it.owner)));
        let directory = self.reopened()?;
        replace_at(
            directory.as_fd(),
            &self.name,
            bytes,
            mode,
            owner,
            Lasting::OnDisk,
        )
    }

    /// Removes the file.
    ///
    /// # Errors
    ///
    /// Of the system.
    pub fn remove(&self) -> io::Result<()> {
        Ok(unlinkat(&self.directory, &self.name, AtFlags::empty())?)
    }

    /// Makes a directory of it.
    ///
    /// # Errors
    ///
    /// Of the system.
    pub fn make_directory(&self) -> io::Result<()> {
        Ok(mkdirat(
            &self.directory,
            &self.name,
            Mode::from_raw_mode(0o755),
        )?)
    }

    /// Removes the directory, if it is empty.
    ///
    /// # Errors
    ///
    /// Of the system.
    pub fn remove_directory(&self) -> io::Result<()> {
        Ok(unlinkat(&self.directory, &self.name, AtFlags::REMOVEDIR)?)
    }

    /// Its directory as one that can be brought to the disk.
    fn reopened(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat(&self.directory, ".", flags, Mode::empty())?)
    }
}

/// The names in a path, without what means nothing.
fn components(path: &Path) -> VecDeque<OsString> {
    let all = path.components().filter_map(|one| match one {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    all.collect()
}

fn is_a(about: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(about.st_mode) == kind
}

fn of_another(name: &OsStr, owner: u32) -> io::Error {
    io::Error::other(format!(
        "{} is a link of user {owner}'s: put the file itself there, or have root make the link",
        String::from_utf8_lossy(name.as_bytes())
    ))
}
