//! How long an agent lives that was started for one program: as long as the
//! program, and then as long as a process that it may inspect has the map, since
//! servers leave their first process behind.

use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::event::Event;
use super::mapped;

/// How often it is looked whether the map is still in use.
const PAUSE: Duration = Duration::from_secs(2);

/// Whether there is such a process, were it another user's.
pub fn is_alive(pid: i32) -> bool {
    let pid = Pid::from_raw(pid);
    pid.is_some_and(|pid| {
        !matches!(
            rustix::process::test_kill_process(pid),
            Err(rustix::io::Errno::SRCH)
        )
    })
}

/// Sends [`Event::Stop`] when the process `pid` has ended and nobody has `map` any
/// more.
///
/// # Errors
///
/// If the process cannot be watched; one that has ended already is no error.
pub fn watch(pid: i32, map: PathBuf, events: &Sender<Event>) -> anyhow::Result<()> {
    let process = match pidfd_open(
        Pid::from_raw(pid).context("--watch-pid wants the number of a process")?,
        PidfdFlags::empty(),
    ) {
        Ok(process) => Some(process),
        Err(rustix::io::Errno::SRCH) => None,
        Err(errno) => return Err(errno).with_context(|| format!("cannot watch process {pid}")),
    };
    let events = events.clone();
    std::thread::Builder::new()
        .name("lifetime".to_owned())
        .spawn(move || {
            if let Some(process) = process {
                // Readable when it has ended; a signal only starts the wait anew.
                while let Err(rustix::io::Errno::INTR) =
                    poll(&mut [PollFd::new(&process, PollFlags::IN)], None)
                {}
            }
            tracing::debug!(pid, "the program has ended");
            while !mapped::processes(&map).processes.is_empty() {
                std::thread::sleep(PAUSE);
            }
            // The agent may be ending by itself.
            let _ = events.send(Event::Stop("nobody uses the store any more"));
        })?;
    Ok(())
}
