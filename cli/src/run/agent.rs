//! The agent that serves the program: started on its store, and ready before the
//! program is.

use std::collections::hash_map::RandomState;
use std::ffi::{CString, OsString};
use std::hash::{BuildHasher, Hasher};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::become_program::arguments;
use super::detach;
use super::environment::Environment;
use super::store::Store;

/// How long an agent may take to make its map and to publish what it has stored.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts an agent on the store that lives as long
/// as this process, whatever that becomes, or what it leaves behind, uses the
/// store. Returns when the agent is ready.
///
/// # Errors
///
/// If it cannot be started, ends at once, or is not ready in time.
pub fn start(store: &Store, environment: &Environment) -> Result<()> {
    let manager = Manager::new()?;
    let mut environment = environment.clone();
    // The agent is to report to us: the service manager awaits the program's word.
    environment.set("NOTIFY_SOCKET", &manager.name)?;
    environment.remove("LD_PRELOAD");
    let mut words: Vec<OsString> = ["staplegun", "agent", "--quiet", "--watch-pid"]
        .map(OsString::from)
        .to_vec();
    words.push(std::process::id().to_string().into());
    if let Some(directory) = &store.named {
        words.extend(["--dir".into(), directory.into()]);
    }
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    let own = CString::new(own.as_os_str().as_bytes())?;
    let agent = detach::spawn(&own, &arguments(&words)?, environment.entries())?;
    let is_ready = manager.wait_for(&agent).and_then(|()| {
        // The map is filled now; the drop box may come a moment later.
        wait_for_directory(&store.layout.spool())
    });
    is_ready.with_context(|| {
        let words = words.iter().map(|word| word.to_string_lossy());
        let words: Vec<_> = words.filter(|word| word != "--quiet").collect();
        format!("see why with: {}", words.join(" "))
    })
}

/// Waits until the directory is there: the agent makes it without telling.
fn wait_for_directory(path: &Path) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !path.is_dir() {
        if Instant::now() >= deadline {
            bail!("the agent has not made {}", path.display());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// The receiving end of sd_notify(3).
struct Manager {
    socket: UnixDatagram,
    /// What stands in NOTIFY_SOCKET.
    name: String,
}

impl Manager {
    fn new() -> Result<Self> {
        // An abstract address leaves no file behind. Nobody can take it before us,
        // since it holds a number that cannot be guessed.
        let random = RandomState::new().build_hasher().finish();
        let name = format!("staplegun-run-{}-{random:016x}", std::process::id());
        let socket = SocketAddr::from_abstract_name(&name)
            .and_then(|address| UnixDatagram::bind_addr(&address))
            .context("cannot make a socket to hear from the agent")?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            name: format!("@{name}"),
        })
    }

    /// Waits until the agent says that it is ready.
    fn wait_for(&self, agent: &OwnedFd) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut awaited = [
                PollFd::new(&self.socket, PollFlags::IN),
                PollFd::new(agent, PollFlags::IN),
            ];
            match poll(&mut awaited, Some(&Timespec::try_from(left)?)) {
                Ok(0) => bail!(
                    "the agent is not ready after {} seconds",
                    PATIENCE.as_secs()
                ),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno).context("cannot wait for the agent"),
            }
            let ended = !awaited[1].revents().is_empty();
            let mut message = [0; 4096];
            // What it said before it ended counts.
            while let Ok(length) = self.socket.recv(&mut message) {
                let mut lines = message[..length].split(|&byte| byte == b'\n');
                if lines.any(|line| line == b"READY=1") {
                    return Ok(());
                }
            }
            if ended {
                bail!("the agent ended instead of getting ready");
            }
        }
    }
}
