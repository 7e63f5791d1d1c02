//! Notices from the kernel that files changed (inotify(7)).
//!
//! Only a hint to look now: the agent looks at everything again from time to
//! time, since notices can be lost, and on some file systems never come.

use std::collections::{BTreeSet, HashMap};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use staplegun_store::{Key, name};

use super::event::Event;

/// How long the thread rests when it has read all notices. The agent's own writes make many,
/// which are read together then.
const REST: Duration = Duration::from_millis(10);
/// Room for what comes meanwhile, in bytes.
const BUFFER: usize = 1 << 16;

/// The directories that are watched.
#[derive(Debug)]
pub struct Watch {
    descriptor: Arc<OwnedFd>,
    /// `staples/`: the agent itself writes there, so it is told which files.
    staples: PathBuf,
    /// The spool, where anybody may make changes: they concern nothing else.
    spool: PathBuf,
    /// The number of each watch.
    directories: HashMap<PathBuf, i32>,
    seen: Arc<Mutex<Seen>>,
}

/// What the kernel told of them, for who looks at the files.
#[derive(Debug)]
pub struct Notices(Arc<Mutex<Seen>>);

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Something in the spool: only if notices were lost, else [`Event::Spool`] tells.
    pub spool: bool,
    /// Something anywhere but in `staples/` and the spool.
    pub elsewhere: bool,
    /// Nobody knows what in `staples/`.
    pub all_staples: bool,
    /// Of these certificates the files in `staples/`.
    pub staples: BTreeSet<Key>,
}

/// What the kernel told since the main thread looked last.
#[derive(Debug, Default)]
struct Seen {
    changes: Changes,
    /// The main thread was told that there is something.
    is_told: bool,
    /// And that a file came into the spool.
    is_spool_told: bool,
    /// The numbers of the watches of `staples/` and of the spool.
    staples: Option<i32>,
    spool: Option<i32>,
}

impl Watch {
    /// Starts to watch nothing yet; `events` is told when there are notices. `staples` is
    /// where the responses lie, `spool` where anybody may leave files.
    ///
    /// # Errors
    ///
    /// If the kernel gives no inotify instance or no thread.
    pub fn start(
        staples: PathBuf,
        spool: PathBuf,
        events: &Sender<Event>,
    ) -> std::io::Result<(Self, Notices)> {
        let descriptor = Arc::new(inotify::init(CreateFlags::CLOEXEC)?);
        let seen = Arc::<Mutex<Seen>>::default();
        let watch = Self {
            descriptor: Arc::clone(&descriptor),
            staples,
            spool,
            directories: HashMap::new(),
            seen: Arc::clone(&seen),
        };
        let (events, notices) = (events.clone(), Notices(Arc::clone(&seen)));
        std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || pass_on(&descriptor, &seen, &events))?;
        Ok((watch, notices))
    }

    /// Watches exactly these directories from now on. What cannot be watched is
    /// left to the sweep. True if one is new, or was made again: what came into it
    /// before it was watched is still to be looked at.
    pub fn set(&mut self, directories: &[PathBuf]) -> bool {
        let gone: Vec<PathBuf> = self
            .directories
            .keys()
            .filter(|known| !directories.contains(known))
            .cloned()
            .collect();
        for directory in gone {
            self.forget(&directory);
        }
        // All of them: the kernel gives the number that is known, unless another
        // directory is there now.
        let mut is_any_new = false;
        for directory in directories {
            is_any_new |= self.add(directory);
        }
        is_any_new
    }

    fn forget(&mut self, directory: &Path) {
        if let Some(number) = self.directories.remove(directory) {
            // It may be gone by itself.
            let _ = inotify::remove_watch(&*self.descriptor, number);
        }
    }

    /// True if it was not watched before.
    fn add(&mut self, directory: &Path) -> bool {
        let mut flags = WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::ATTRIB
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        if directory != self.staples && directory != self.spool {
            // Where the agent itself removes nothing. A directory that somebody has open
            // tells nothing of its end: the one above it does.
            flags |= WatchFlags::DELETE | WatchFlags::MOVED_FROM;
        }
        let number = match inotify::add_watch(&*self.descriptor, directory, flags) {
            Ok(number) => number,
            Err(errno) => {
                tracing::debug!(directory = %directory.display(), "cannot watch it: {errno}");
                self.forget(directory);
                return false;
            }
        };
        if self.directories.get(directory) == Some(&number) {
            return false;
        }
        self.forget(directory);
        let mut seen = lock(&self.seen);
        if directory == self.staples {
            seen.staples = Some(number);
            seen.changes.all_staples = true;
        } else if directory == self.spool {
            seen.spool = Some(number);
        }
        drop(seen);
        self.directories.insert(directory.to_owned(), number);
        true
    }
}

impl Notices {
    /// To be called before looking into the spool: what comes later gives a new notice.
    pub fn take_spool(&self) {
        lock(&self.0).is_spool_told = false;
    }

    /// What has changed since this was called last. To be called before looking:
    /// what changes later gives a new notice.
    pub fn take(&self) -> Changes {
        let mut seen = lock(&self.0);
        seen.is_told = false;
        std::mem::take(&mut seen.changes)
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Changes {
    /// Whatever there is.
    pub fn everything() -> Self {
        Self {
            spool: true,
            elsewhere: true,
            all_staples: true,
            staples: BTreeSet::new(),
        }
    }

    /// Whether there are any.
    fn is_any(&self) -> bool {
        *self != Self::default()
    }
}

impl Seen {
    /// True if there is a file in the spool.
    fn note(&mut self, event: &inotify::Event<'_>) -> bool {
        let file = event.file_name().map_or(&b""[..], |file| file.to_bytes());
        if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
            self.changes = Changes::everything();
        } else if event
            .events()
            .intersects(ReadFlags::IGNORED | ReadFlags::MOVE_SELF)
        {
            // The directory itself has gone.
            self.changes.elsewhere = true;
        } else if Some(event.wd()) == self.staples {
            // Files that are not finished yet have names that are no certificate's.
            let file = std::str::from_utf8(file).ok();
            let key = file.and_then(|file| name::to_key(file.strip_suffix(".der")?));
            self.changes.staples.extend(key);
        } else if Some(event.wd()) == self.spool {
            // What is not whole yet is named so that it is hidden.
            return !file.starts_with(b".");
        } else {
            // Locks are opened by whoever looks whether there is an agent.
            self.changes.elsewhere |= !file.ends_with(b".lock");
        }
        false
    }
}

fn pass_on(descriptor: &OwnedFd, seen: &Mutex<Seen>, events: &Sender<Event>) {
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
    let mut reader = inotify::Reader::new(descriptor, &mut buffer);
    loop {
        match reader.next() {
            Ok(event) => {
                let mut seen = lock(seen);
                if seen.note(&event) && !seen.is_spool_told {
                    seen.is_spool_told = true;
                    if events.send(Event::Spool).is_err() {
                        return;
                    }
                }
                // A flood of changes makes one event.
                if seen.changes.is_any() && !seen.is_told {
                    seen.is_told = true;
                    if events.send(Event::Changed).is_err() {
                        return;
                    }
                }
                drop(seen);
                if reader.is_buffer_empty() {
                    std::thread::sleep(REST);
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => {
                tracing::warn!("no more notices of changed files, only the sweep: {errno}");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_file_in_the_spool_is_told_once_it_is_whole_whatever_else_is_told_already() {
        let directory = staplegun_testkit::Directory::new();
        let [staples, spool] = ["staples", "spool"].map(|name| directory.path().join(name));
        for path in [&staples, &spool] {
            std::fs::create_dir(path).unwrap();
        }
        let (sender, events) = channel();
        let (mut watch, notices) = Watch::start(staples.clone(), spool.clone(), &sender).unwrap();
        watch.set(&[staples.clone(), spool.clone()]);
        // Nobody takes this one.
        let key = [7; 32];
        std::fs::write(staples.join(format!("{}.der", name::of_key(&key))), "x").unwrap();
        let limit = Duration::from_secs(10);
        assert!(matches!(events.recv_timeout(limit), Ok(Event::Changed)));
        for _ in 0..2 {
            std::fs::write(spool.join(".partial"), "x").unwrap();
            std::fs::rename(spool.join(".partial"), spool.join("whole")).unwrap();
            assert!(matches!(events.recv_timeout(limit), Ok(Event::Spool)));
            std::fs::write(spool.join(".other"), "x").unwrap();
            notices.take_spool();
        }
        // The hidden ones made none: what is told next is the other directory's.
        assert!(!notices.take().spool);
        std::fs::write(staples.join(format!("{}.der", name::of_key(&key))), "y").unwrap();
        assert!(matches!(events.recv_timeout(limit), Ok(Event::Changed)));
    }
}
