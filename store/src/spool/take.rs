//! The agent's side: takes what was left, believes none of it, never waits.

use super::MAX_FILE;
use crate::{Key, name};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::path::Path;

/// Names looked at in one pass.
const ENTRIES: usize = 4096;
/// Files of one user taken in one pass; root and the agent's own user may leave as
/// many as they like. What is beyond is thrown away, so that nobody can keep others
/// waiting. It is more than one process publishes in its life.
const PER_USER: usize = 1024;
/// Seconds after which a file that was never finished is thrown away.
const UNFINISHED: i64 = 60;

/// The spool directory, with a place in it: each pass goes on where the last one
/// stopped, so that what cannot be removed hides nothing.
#[derive(Debug)]
pub struct DropBox {
    directory: OwnedFd,
    entries: Dir,
    own: u32,
}

/// A file that was in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What its name says the SHA-256 of the leaf is. To be checked.
    pub key: Key,
    /// The user who left it, as the file system has it.
    pub uid: u32,
    /// Certificates in DER, one after the other: see [`Taken::certificates`].
    pub bytes: Vec<u8>,
}

/// Something in the spool that was thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its name, with what is not UTF-8 replaced.
    pub name: String,
    /// Why it was not taken.
    pub why: String,
    /// Whether it is gone. A directory with something in it cannot be removed; it
    /// stays and does no harm.
    pub removed: bool,
}

/// What one pass over the spool brought.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// To be examined.
    pub taken: Vec<Taken>,
    /// To be logged.
    pub refused: Vec<Refused>,
    /// Whether the end of the directory was reached; else there is more to do.
    pub complete: bool,
}

impl Taken {
    /// The certificates, leaf first: cut at the lengths that DER gives. None if the
    /// bytes are not a sequence of DER SEQUENCEs.
    pub fn certificates(&self) -> Option<Vec<&[u8]>> {
        let mut certificates = Vec::new();
        let mut rest = self.bytes.as_slice();
        while !rest.is_empty() {
            let (one, after) = rest.split_at_checked(der_length(rest)?)?;
            certificates.push(one);
            rest = after;
        }
        Some(certificates)
    }
}

/// The length of the SEQUENCE at the start of `bytes`, with its header.
fn der_length(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [0x30, length @ 0..=0x7f, ..] => Some(2 + usize::from(*length)),
        [0x30, 0x81, length, ..] => Some(3 + usize::from(*length)),
        [0x30, 0x82, high, low, ..] => Some(4 + usize::from(u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}

impl DropBox {
    /// Opens the spool at `path`, or makes it; its parent directory must exist.
    /// Sets its mode to 1733. Fails if it is a symbolic link or another user's.
    pub fn open(path: &Path) -> io::Result<Self> {
        match fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = fs::open(path, flags, Mode::empty())?;
        let own = rustix::process::geteuid().as_raw();
        let owner = fs::fstat(&directory)?.st_uid;
        if owner != own {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "the spool {} belongs to user {owner}, not to the agent's user {own}",
                    path.display()
                ),
            ));
        }
        fs::fchmod(&directory, Mode::from_raw_mode(0o1733))?;
        let entries = Dir::read_from(&directory)?;
        Ok(Self {
            directory,
            entries,
            own,
        })
    }

    /// Gives the spool to `uid`: for an agent that is about to become that user.
    pub fn give_to(&mut self, uid: u32) -> io::Result<()> {
        fs::fchown(&self.directory, Some(fs::Uid::from_raw(uid)), None)?;
        self.own = uid;
        Ok(())
    }

    /// Takes what is there, a bounded amount, at the time `now` (seconds since
    /// 1970). Everything it looks at is removed, but files that are still being
    /// written. Never follows a link and never waits.
    pub fn take(&mut self, now: i64) -> io::Result<Pass> {
        let mut pass = Pass::default();
        let mut per_user = HashMap::new();
        for _ in 0..ENTRIES {
            let Some(entry) = self.entries.read() else {
                self.entries.rewind();
                pass.complete = true;
                break;
            };
            let entry = entry?;
            let file = entry.file_name();
            if file == c"." || file == c".." {
                continue;
            }
            let why = match self.take_one(file, now, &mut per_user) {
                Ok(Some(taken)) => {
                    pass.taken.push(taken);
                    None
                }
                // It is still being written, or was not there any more.
                Ok(None) => continue,
                Err(why) => Some(why),
            };
            let removed = self.remove(file);
            if let Some(why) = why {
                let name = file.to_string_lossy().into_owned();
                pass.refused.push(Refused { name, why, removed });
            }
        }
        Ok(pass)
    }

    fn remove(&self, file: &CStr) -> bool {
        let removed = match fs::unlinkat(&self.directory, file, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => {
                fs::unlinkat(&self.directory, file, AtFlags::REMOVEDIR)
            }
            done => done,
        };
        matches!(removed, Ok(()) | Err(Errno::NOENT))
    }

    fn take_one(
        &self,
        file: &CStr,
        now: i64,
        per_user: &mut HashMap<u32, usize>,
    ) -> Result<Option<Taken>, String> {
        let failed = |errno: Errno| io::Error::from(errno).to_string();
        // Looked at by name first: opening a device can have effects.
        let stat = match fs::statat(&self.directory, file, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            stat => stat.map_err(failed)?,
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err("it is not a regular file".into());
        }
        if file.to_bytes().starts_with(b".") {
            let age = now.saturating_sub(stat.st_mtime);
            if (-UNFINISHED..UNFINISHED).contains(&age) {
                return Ok(None);
            }
            return Err("it was never finished".into());
        }
        let (key, uid) = file
            .to_str()
            .ok()
            .and_then(parse)
            .ok_or("its name is not <SHA-256>.<uid>.<random>")?;
        // Never waits: not for a fifo, not for the holder of a lease.
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = fs::openat(&self.directory, file, flags, Mode::empty()).map_err(failed)?;
        let stat = fs::fstat(&opened).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err("it is not a regular file".into());
        }
        if stat.st_nlink != 1 {
            return Err("it has more than one link".into());
        }
        if stat.st_uid != uid {
            return Err(format!(
                "its name says user {uid}, but user {} owns it",
                stat.st_uid
            ));
        }
        let count = per_user.entry(uid).or_insert(0);
        *count += 1;
        if *count > PER_USER && uid != 0 && uid != self.own {
            return Err(format!("user {uid} leaves too many"));
        }
        // One byte more than is allowed, to see whether there is one.
        let bytes = crate::io::read_up_to(opened.as_fd(), MAX_FILE + 1).map_err(failed)?;
        if bytes.is_empty() || bytes.len() > MAX_FILE {
            return Err(format!("it does not have from 1 to {MAX_FILE} bytes"));
        }
        Ok(Some(Taken { key, uid, bytes }))
    }
}

fn parse(file: &str) -> Option<(Key, u32)> {
    let mut parts = file.split('.');
    let key = name::to_key(parts.next()?)?;
    let uid = parts.next()?;
    let random = parts.next()?;
    let hexadecimal = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let random_fits = random.len() == 16 && random.bytes().all(hexadecimal);
    let uid_fits = !uid.is_empty() && uid.bytes().all(|digit| digit.is_ascii_digit());
    if !random_fits || !uid_fits || parts.next().is_some() {
        return None;
    }
    Some((key, uid.parse().ok()?))
}
