//! What the agent's user may read: tried as that user, and where the agent runs
//! through its own eyes, since a unit may hide directories from it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User, getgrouplist};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::process::{Gid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use staplegun_store::layout::Layout;

use crate::agent::mapped;

/// The agent of a store, if it runs as another user than this process.
#[derive(Debug)]
pub struct Agent {
    user: User,
    groups: Vec<Gid>,
    /// The root directory as the agent has it; None if none runs.
    root: Option<OwnedFd>,
}

impl Agent {
    /// The agent of that store. None if it is this user, if this process may not
    /// become its user, or if no agent has made the store yet.
    pub fn of(layout: &Layout) -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let places = [layout.spool(), layout.lasting().join("state")];
        let mut owners = places.iter().filter_map(|place| {
            let about = std::fs::symlink_metadata(place).ok()?;
            Some(about.uid())
        });
        let uid = owners.next().filter(|uid| *uid != 0)?;
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten()?;
        let name = std::ffi::CString::new(user.name.as_str()).ok()?;
        let groups = getgrouplist(&name, user.gid).ok()?;
        let running = mapped::processes(&layout.map());
        let running = running.processes.iter().find(|process| process.writes);
        let root = running.and_then(|process| {
            let root = format!("/proc/{}/root", process.pid);
            openat(CWD, root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
        });
        Some(Self {
            groups: groups
                .iter()
                .map(|gid| Gid::from_raw(gid.as_raw()))
                .collect(),
            user,
            root,
        })
    }

    /// Its user's name.
    pub fn name(&self) -> &str {
        &self.user.name
    }

    /// Opens a file, or a directory to list it, as the agent would.
    ///
    /// # Errors
    ///
    /// What the agent would get.
    pub fn open(&self, path: &Path) -> io::Result<()> {
        // The kernel has the user per thread (nptl(7)): this one ends with it.
        let tried = std::thread::scope(|scope| scope.spawn(|| self.open_as(path)).join());
        tried.unwrap_or_else(|_| Err(io::Error::other("the attempt failed")))
    }

    fn open_as(&self, path: &Path) -> io::Result<()> {
        let (uid, gid) = (self.user.uid.as_raw(), self.user.gid.as_raw());
        let (uid, gid) = (rustix::process::Uid::from_raw(uid), Gid::from_raw(gid));
        set_thread_groups(&self.groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        if let Some(root) = &self.root {
            // Links in it lead where they lead for the agent.
            let inside = path.strip_prefix("/").unwrap_or(path);
            match openat2(root, inside, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
                Err(rustix::io::Errno::NOSYS) => {}
                opened => return Ok(opened.map(drop)?),
            }
        }
        Ok(openat(CWD, path, flags, Mode::empty()).map(drop)?)
    }
}
