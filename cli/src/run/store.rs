//! Which store the program takes its staples from, and who keeps it fresh.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use rustix::process::geteuid;
use staplegun_store::layout::Layout;

use crate::agent::Place;

/// A store, and whether an agent must be started for it.
#[derive(Debug)]
pub struct Store {
    /// Where it lies.
    pub layout: Layout,
    /// The directory that was named, absolute.
    pub named: Option<PathBuf>,
    /// The system's agent looks after it.
    pub is_kept: bool,
}

impl Store {
    /// The store in `directory`; else the system's, if its agent runs or has made
    /// one; else this user's own.
    ///
    /// # Errors
    ///
    /// If the environment does not tell the user's.
    pub fn choose(directory: Option<&Path>) -> Result<Self> {
        let place = Place {
            directory: directory.map(Path::to_owned),
        };
        let system = Layout::system();
        if directory.is_none() && is_kept(&system) {
            return Ok(Self {
                layout: system,
                named: None,
                is_kept: true,
            });
        }
        let layout = place.layout()?;
        Ok(Self {
            named: directory.map(|_| layout.runtime().to_owned()),
            layout,
            is_kept: false,
        })
    }

    /// What STAPLEGUN_DIR must be: nothing for the system's store, which the library
    /// takes by itself.
    pub fn variable(&self) -> Option<&Path> {
        let directory = self.layout.runtime();
        (directory != Layout::system().runtime()).then_some(directory)
    }
}

/// Whether an agent of the system keeps that store. It holds a lock beside the
/// map, which only its user and root may look at; others take its map for a sign.
fn is_kept(system: &Layout) -> bool {
    let map = system.map();
    if !geteuid().is_root() {
        return map.exists();
    }
    let mut lock = map.into_os_string();
    lock.push(".lock");
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = openat(CWD, lock, flags, Mode::empty()) else {
        return false;
    };
    // Shared, so that two who ask at once do not take each other for an agent.
    flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}
