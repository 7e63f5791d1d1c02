//! Notices from the kernel that files changed (inotify(7)).
//!
//! Only a hint to look now: the agent looks at everything again from time to
//! time, since notices can be lost, and on some file systems never come.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::event::Event;

/// The directories that are watched.
#[derive(Debug)]
pub struct Watch {
    descriptor: Arc<OwnedFd>,
    /// The number of each watch.
    directories: HashMap<PathBuf, i32>,
    /// A notice is on its way and was not seen yet.
    pending: Arc<AtomicBool>,
}

impl Watch {
    /// Starts to watch nothing yet; notices go to `events`.
    ///
    /// # Errors
    ///
    /// If the kernel gives no inotify instance or no thread.
    pub fn start(events: &Sender<Event>) -> std::io::Result<Self> {
        let descriptor = Arc::new(inotify::init(CreateFlags::CLOEXEC)?);
        let pending = Arc::new(AtomicBool::new(false));
        let watch = Self {
            descriptor: Arc::clone(&descriptor),
            directories: HashMap::new(),
            pending: Arc::clone(&pending),
        };
        let events = events.clone();
        std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || pass_on(&descriptor, &pending, &events))?;
        Ok(watch)
    }

    /// Watches exactly these directories from now on. What cannot be watched is
    /// left to the sweep.
    pub fn set(&mut self, directories: &[PathBuf]) {
        let gone: Vec<PathBuf> = self
            .directories
            .keys()
            .filter(|known| !directories.contains(known))
            .cloned()
            .collect();
        for directory in gone {
            if let Some(number) = self.directories.remove(&directory) {
                // It may be gone by itself.
                let _ = inotify::remove_watch(&*self.descriptor, number);
            }
        }
        for directory in directories {
            if !self.directories.contains_key(directory) {
                self.add(directory);
            }
        }
    }

    fn add(&mut self, directory: &Path) {
        let flags = WatchFlags::MOVED_TO
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::ONLYDIR;
        match inotify::add_watch(&*self.descriptor, directory, flags) {
            Ok(number) => {
                self.directories.insert(directory.to_owned(), number);
            }
            Err(errno) => {
                tracing::debug!(directory = %directory.display(), "cannot watch it: {errno}");
            }
        }
    }

    /// To be called before looking: what changes later gives a new notice.
    pub fn seen(&self) {
        self.pending.store(false, Ordering::SeqCst);
    }
}

fn pass_on(descriptor: &OwnedFd, pending: &AtomicBool, events: &Sender<Event>) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(descriptor, &mut buffer);
    loop {
        match reader.next() {
            // A flood of changes makes one event.
            Ok(_) => {
                if !pending.swap(true, Ordering::SeqCst) && events.send(Event::Changed).is_err() {
                    return;
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
