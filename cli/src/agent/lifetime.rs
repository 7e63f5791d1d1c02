//! How long an agent lives that was started for one program: as long as the
//! program, and then as long as a process that it may inspect has the map, since
//! servers leave their first process behind.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::event::Event;
use super::mapped;

/// How often it is looked whether the map is still in use.
const PAUSE: Duration = Duration::from_secs(2);

/// A process, and no other that may have its number later.
#[derive(Debug)]
pub struct Program {
    pid: i32,
    /// None if it had ended already.
    process: Option<OwnedFd>,
}

impl Program {
    /// The process with the number `pid` now.
    ///
    /// # Errors
    ///
    /// If it cannot be watched; one that has ended is no error.
    pub fn open(pid: i32) -> anyhow::Result<Self> {
        let number = Pid::from_raw(pid).context("--watch-pid wants the number of a process")?;
        let process = match pidfd_open(number, PidfdFlags::empty()) {
            Ok(process) => Some(process),
            Err(Errno::SRCH) => None,
            Err(errno) => return Err(errno).with_context(|| format!("cannot watch process {pid}")),
        };
        Ok(Self { pid, process })
    }

    /// Whether it has ended, were it not waited for yet.
    pub fn has_ended(&self) -> bool {
        let Some(process) = &self.process else {
            return true;
        };
        let now = Timespec::default();
        matches!(
            poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&now)),
            Ok(1..)
        )
    }

    fn wait(&self) {
        if let Some(process) = &self.process {
            // Readable when it has ended; a signal only starts the wait anew.
            while let Err(Errno::INTR) = poll(&mut [PollFd::new(process, PollFlags::IN)], None) {}
        }
    }
}

/// Whether programs have the map: agents, which write it, do not count.
pub fn is_in_use(map: &Path) -> bool {
    let mapped = mapped::processes(map);
    mapped.processes.iter().any(|process| !process.writes)
}

/// Sends [`Event::Stop`] when `program` has ended and no other has `map` any more.
///
/// # Errors
///
/// If the system gives no thread.
pub fn watch(program: Program, map: PathBuf, events: &Sender<Event>) -> std::io::Result<()> {
    let events = events.clone();
    std::thread::Builder::new()
        .name("lifetime".to_owned())
        .spawn(move || {
            program.wait();
            tracing::debug!(pid = program.pid, "the program has ended");
            while is_in_use(&map) {
                std::thread::sleep(PAUSE);
            }
            // The agent may be ending by itself.
            let _ = events.send(Event::Stop("nobody uses the store any more"));
        })?;
    Ok(())
}
