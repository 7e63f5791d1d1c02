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

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use staplegun_store::{Key, name};

use super::event::Event;

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

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Something in the spool.
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
    /// The numbers of the watches of `staples/` and of the spool.
    staples: Option<i32>,
    spool: Option<i32>,
}

impl Watch {
    /// Starts to watch nothing yet; notices go to `events`. `staples` is where the
    /// responses lie, `spool` where anybody may leave files.
    ///
    /// # Errors
    ///
    /// If the kernel gives no inotify instance or no thread.
    pub fn start(
        staples: PathBuf,
        spool: PathBuf,
        events: &Sender<Event>,
    ) -> std::io::Result<Self> {
        let descriptor = Arc::new(inotify::init(CreateFlags::CLOEXEC)?);
        let seen = Arc::default();
        let watch = Self {
            descriptor: Arc::clone(&descriptor),
            staples,
            spool,
            directories: HashMap::new(),
            seen: Arc::clone(&seen),
        };
        let events = events.clone();
        std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || pass_on(&descriptor, &seen, &events))?;
        Ok(watch)
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

    /// What has changed since this was called last. To be called before looking:
    /// what changes later gives a new notice.
    pub fn take(&self) -> Changes {
        let mut seen = lock(&self.seen);
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
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }
}

impl Seen {
    fn note(&mut self, event: &inotify::Event<'_>) {
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
            let file = event.file_name().and_then(|file| file.to_str().ok());
            let key = file.and_then(|file| name::to_key(file.strip_suffix(".der")?));
            self.changes.staples.extend(key);
        } else if Some(event.wd()) == self.spool {
            self.changes.spool = true;
        } else {
            // Locks are opened by whoever looks whether there is an agent.
            let file = event.file_name().map_or(&b""[..], |file| file.to_bytes());
            self.changes.elsewhere |= !file.ends_with(b".lock");
        }
    }
}

fn pass_on(descriptor: &OwnedFd, seen: &Mutex<Seen>, events: &Sender<Event>) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(descriptor, &mut buffer);
    loop {
        match reader.next() {
            Ok(event) => {
                let mut seen = lock(seen);
                seen.note(&event);
                // A flood of changes makes one event.
                if seen.changes.is_any() && !seen.is_told {
                    seen.is_told = true;
                    if events.send(Event::Changed).is_err() {
                        return;
                    }
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
