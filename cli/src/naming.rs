//! Naming paths of certificates to who can read them: the agent, or root, who tells it of them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use staplegun_store::layout::Layout;

use crate::agent::Named;
use crate::as_agent::Agent;

/// Tells the agent of what only root can read.
pub const TIMER: &str = "staplegun-renewed.timer";

/// Writes each to the list of who can read it, and takes it off the other: of root are those in
/// `unread`.
///
/// # Errors
///
/// If a list cannot be written.
pub fn add(layout: &Layout, paths: &[PathBuf], unread: &[PathBuf]) -> anyhow::Result<()> {
    let mut readable = paths.to_vec();
    readable.retain(|path| !unread.contains(path));
    if !unread.is_empty() {
        Named::to_root(layout).add(unread)?;
        Named::to_agent(layout).remove(unread)?;
    }
    // Also for none: the agent then asks for whatever is not as it should be.
    Named::to_agent(layout).add(&readable)?;
    Named::to_root(layout).remove(&readable)
}

/// Names files of a service of the system's.
///
/// # Errors
///
/// If a list cannot be written.
pub fn add_files(layout: &Layout, paths: &[PathBuf]) -> anyhow::Result<()> {
    let mut unread = paths.to_vec();
    let agent = Agent::of(layout);
    unread.retain(|path| {
        agent
            .as_ref()
            .is_some_and(|agent| agent.open(path).is_err())
    });
    add(layout, paths, &unread)?;
    if !unread.is_empty() {
        starts_timer();
    }
    Ok(())
}

/// Takes paths off both lists.
///
/// # Errors
///
/// If a list cannot be written.
pub fn remove(layout: &Layout, paths: &[PathBuf]) -> anyhow::Result<()> {
    Named::to_agent(layout).remove(paths)?;
    Named::to_root(layout).remove(paths)
}

/// All that was named.
///
/// # Errors
///
/// If a list cannot be read.
pub fn all(layout: &Layout) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Named::to_agent(layout).read()?;
    all.extend(Named::to_root(layout).read()?);
    Ok(all)
}

/// Whether root tells the agent of renewals from now on. At a boot the timer is started with
/// the agent.
pub fn starts_timer() -> bool {
    let started = Command::new("systemctl")
        .args(["--quiet", "start", TIMER])
        .stderr(Stdio::null())
        .status();
    started.is_ok_and(|status| status.success())
}
