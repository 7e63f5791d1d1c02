//! The agent's side: takes what was left, believes none of it, never waits.
//!
//! Two steps, so that nobody who leaves much holds up others. [`DropBox::look`] goes
//! through the names, which is cheap, and throws away what is no file of the right
//! kind. [`DropBox::next`] reads one of the others: those of root and of the agent's own
//! user first, then one of each user in turn.

use super::file::MAX_FILE;
use super::stuck::Stuck;
use super::taken::{Refused, Taken, Why, check, told, wrong_size};
use crate::map::is_mount_point;
use crate::{Key, name};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, Dir, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ffi::{CStr, CString};
use std::io;
use std::ops::Bound::{Excluded, Unbounded};
use std::path::Path;
use std::time::{Duration, Instant};

/// Names gone through in one look at most: more than a file system in memory has room for.
const NAMES: usize = 1 << 20;
/// How long one look may spend on what users other than root left; the next one goes on
/// where it stopped. Names that say root's are looked at in each.
const STRANGERS: Duration = Duration::from_millis(20);
/// Files of one user that wait to be read: more than one process publishes in its life.
/// What is beyond is thrown away. Root and the agent's own user may leave as many as
/// they like.
const PER_USER: usize = 1024;
/// Files of all these users together that wait to be read.
const WAITING: usize = 16 * 1024;
/// How long a file may be unfinished since it was seen first: its own times are its
/// owner's to set.
const UNFINISHED: Duration = Duration::from_secs(60);
/// Unfinished files of one user, and of all these users together.
const UNFINISHED_PER_USER: usize = 256;
const UNFINISHED_IN_ALL: usize = 4096;

/// The spool directory, and what is known of it.
#[derive(Debug)]
pub struct DropBox {
    directory: OwnedFd,
    entries: Dir,
    own: u32,
    /// For what strangers left, in one look.
    patience: Duration,
    /// Names of files to be read, by the user who left them.
    waiting: BTreeMap<u32, VecDeque<CString>>,
    /// The same names, each once.
    known: HashSet<CString>,
    /// What was read and cannot be removed, which is in a volume where each removes only his own.
    stuck: Stuck,
    /// Unfinished files, by the number of their inode: a new name makes none younger.
    unfinished: HashMap<u64, Unfinished>,
    /// How many of the strangers' names the next look passes over.
    go_on_at: usize,
    /// Whose turn it was last.
    last: u32,
}

#[derive(Debug)]
struct Unfinished {
    uid: u32,
    since: Instant,
    is_there: bool,
}

/// What one look at the spool brought.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// To be logged.
    pub refused: Vec<Refused>,
    /// Whether all names were looked at; else there is more to do.
    pub complete: bool,
}

impl DropBox {
    /// Opens the spool at `path`, or makes it; its parent directory must exist.
    /// Sets its mode to 1733. Fails if it is a symbolic link or another user's, unless
    /// something is mounted there: a volume is taken as whoever mounted it made it.
    pub fn open(path: &Path) -> io::Result<Self> {
        match fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = fs::open(path, flags, Mode::empty())?;
        let own = rustix::process::geteuid().as_raw();
        let owner = fs::fstat(&directory)?.st_uid;
        if owner == own {
            fs::fchmod(&directory, Mode::from_raw_mode(0o1733))?;
        } else if !is_mount_point(&directory) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "the spool {} belongs to user {owner}, not to the agent's user {own}",
                    path.display()
                ),
            ));
        }
        let entries = Dir::read_from(&directory)?;
        Ok(Self {
            directory,
            entries,
            own,
            patience: STRANGERS,
            waiting: BTreeMap::new(),
            known: HashSet::new(),
            stuck: Stuck::default(),
            unfinished: HashMap::new(),
            go_on_at: 0,
            last: 0,
        })
    }

    /// Gives the spool to `uid`: for an agent that is about to become that user.
    pub fn give_to(&mut self, uid: u32) -> io::Result<()> {
        fs::fchown(&self.directory, Some(fs::Uid::from_raw(uid)), None)?;
        self.own = uid;
        Ok(())
    }

    /// Whether what lies at `path` is still this spool.
    pub fn lies_at(&self, path: &Path) -> bool {
        let here = fs::fstat(&self.directory);
        let there = fs::statat(fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW);
        here.is_ok_and(|here| {
            there.is_ok_and(|there| (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino))
        })
    }

    /// Looks what is there at the time `at`, and throws away what cannot be taken.
    /// Opens nothing, follows no link and never waits.
    pub fn look(&mut self, at: Instant) -> io::Result<Look> {
        let mut look = Look::default();
        // From the first name on that is new: those that are known may be many.
        let mut began = None;
        let mut strangers = 0;
        let mut stopped_at = None;
        for _ in 0..NAMES {
            let Some(entry) = self.entries.read() else {
                self.entries.rewind();
                look.complete = true;
                break;
            };
            let entry = entry?;
            let file = entry.file_name();
            if file == c"." || file == c".." || self.known.contains(file) || self.stuck.has(file) {
                continue;
            }
            let said = file.to_str().ok().and_then(parse);
            let stat = said
                .filter(|(_, uid)| self.is_privileged(*uid))
                .and_then(|_| self.stat(file).ok());
            if !stat.is_some_and(|stat| self.is_privileged(stat.st_uid)) {
                let number = strangers;
                strangers += 1;
                if number < self.go_on_at {
                    continue;
                }
                let began = began.get_or_insert_with(Instant::now);
                if stopped_at.is_some() || began.elapsed() > self.patience {
                    stopped_at.get_or_insert(number);
                    continue;
                }
            }
            if let Err(why) = self.look_at(file, said.map(|(_, uid)| uid), at) {
                look.refused.push(self.refuse(file, why));
            }
        }
        look.complete &= stopped_at.is_none() && self.go_on_at == 0;
        self.go_on_at = stopped_at.unwrap_or(0);
        let complete = look.complete;
        if complete {
            self.stuck.forget_what_is_gone();
        }
        self.unfinished.retain(|_, file| {
            let was_there = std::mem::take(&mut file.is_there);
            let age = at.saturating_duration_since(file.since);
            was_there || (!complete && age < 2 * UNFINISHED)
        });
        Ok(look)
    }

    /// Reads and removes the next file: any of root's and of the agent's own user first,
    /// else one of the user whose turn it is among those for whom `may` holds.
    pub fn next(&mut self, may: impl Fn(u32) -> bool) -> Option<Result<Taken, Refused>> {
        loop {
            let uid = self.turn(&may)?;
            let files = self.waiting.get_mut(&uid)?;
            let file = files.pop_front();
            if files.is_empty() {
                self.waiting.remove(&uid);
            }
            let file = file?;
            self.known.remove(&file);
            match self.read(&file) {
                Ok(Some(taken)) => {
                    if !self.remove(&file) {
                        // Not to be read again.
                        self.stuck.add(file, uid);
                    }
                    return Some(Ok(taken));
                }
                // It is not there any more.
                Ok(None) => {}
                Err(why) => {
                    let refused = self.refuse(&file, why);
                    if !refused.removed {
                        self.stuck.add(file, uid);
                    }
                    return Some(Err(refused));
                }
            }
        }
    }

    /// The users other than root and the agent's own whose files wait to be read.
    pub fn waiting(&self) -> impl Iterator<Item = u32> {
        let users = self.waiting.keys().copied();
        users.filter(|uid| !self.is_privileged(*uid))
    }

    fn is_privileged(&self, uid: u32) -> bool {
        uid == 0 || uid == self.own
    }

    /// Whose file is read next.
    fn turn(&mut self, may: &impl Fn(u32) -> bool) -> Option<u32> {
        if let Some(uid) = [0, self.own]
            .into_iter()
            .find(|uid| self.waiting.contains_key(uid))
        {
            return Some(uid);
        }
        let after = self.waiting.range((Excluded(self.last), Unbounded));
        let from_the_start = self.waiting.range(..=self.last);
        let turn = after
            .chain(from_the_start)
            .map(|(uid, _)| *uid)
            .find(|uid| may(*uid))?;
        self.last = turn;
        Some(turn)
    }

    fn refuse(&self, file: &CStr, why: Why) -> Refused {
        Refused {
            name: file.to_string_lossy().into_owned(),
            why,
            removed: self.remove(file),
        }
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

    fn stat(&self, file: &CStr) -> Result<Stat, Errno> {
        fs::statat(&self.directory, file, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Lets a file wait for its turn; the error says why not.
    fn look_at(&mut self, file: &CStr, said: Option<u32>, at: Instant) -> Result<(), Why> {
        let stat = match self.stat(file) {
            Err(Errno::NOENT) => return Ok(()),
            stat => stat.map_err(told)?,
        };
        check(&stat)?;
        let uid = stat.st_uid;
        if file.to_bytes().starts_with(b".") {
            return self.look_at_unfinished(&stat, at);
        }
        // Who the owner is, the file system tells: in a user namespace a process knows itself
        // by another number.
        said.ok_or_else(|| Why::new("name", "its name is not <SHA-256>.<uid>.<random>"))?;
        if !(1..=MAX_FILE as i64).contains(&stat.st_size) {
            return Err(wrong_size());
        }
        let waits = self.waiting.get(&uid).map_or(0, VecDeque::len) + self.stuck.of(uid);
        if !self.is_privileged(uid) && (waits >= PER_USER || self.known.len() >= WAITING) {
            let words = format!("user {uid} leaves too many");
            return Err(Why::new("too_many", words));
        }
        self.waiting.entry(uid).or_default().push_back(file.into());
        self.known.insert(file.into());
        Ok(())
    }

    /// An error is a reason to throw it away.
    fn look_at_unfinished(&mut self, stat: &Stat, at: Instant) -> Result<(), Why> {
        let uid = stat.st_uid;
        if stat.st_size > MAX_FILE as i64 {
            return Err(wrong_size());
        }
        if let Some(seen) = self.unfinished.get_mut(&stat.st_ino)
            && seen.uid == uid
        {
            seen.is_there = true;
            let age = at.saturating_duration_since(seen.since);
            if age >= UNFINISHED {
                return Err(Why::new("unfinished", "it was never finished"));
            }
            return Ok(());
        }
        let of_user = self.unfinished.values().filter(|file| file.uid == uid);
        let are_too_many =
            of_user.count() >= UNFINISHED_PER_USER || self.unfinished.len() >= UNFINISHED_IN_ALL;
        if !self.is_privileged(uid) && are_too_many {
            let words = format!("user {uid} leaves too many unfinished");
            return Err(Why::new("too_many", words));
        }
        let new = Unfinished {
            uid,
            since: at,
            is_there: true,
        };
        self.unfinished.insert(stat.st_ino, new);
        Ok(())
    }

    /// None if it is not there any more.
    fn read(&self, file: &CStr) -> Result<Option<Taken>, Why> {
        let Some((key, _)) = file.to_str().ok().and_then(parse) else {
            return Ok(None);
        };
        // Never waits: not for a fifo, not for the holder of a lease. Looked at by name
        // before: opening a device can have effects.
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = match fs::openat(&self.directory, file, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened.map_err(told)?,
        };
        let stat = fs::fstat(&opened).map_err(told)?;
        check(&stat)?;
        // One byte more than is allowed, to see whether there is one.
        let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        let bytes = crate::io::read_up_to(opened.as_fd(), size, MAX_FILE + 1).map_err(told)?;
        if bytes.is_empty() || bytes.len() > MAX_FILE {
            return Err(wrong_size());
        }
        let uid = stat.st_uid;
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

#[cfg(test)]
mod tests;
