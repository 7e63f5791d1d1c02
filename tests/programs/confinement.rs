//! What the kernel says of a server's processes while a connection stands open.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use staplegun_testkit::{Server, process, wait};

/// How a process is confined.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Confinement {
    /// Its effective user.
    pub user: &'static str,
    /// Whether its root is not the machine's.
    pub chroot: bool,
    /// Whether its address space is limited.
    pub limited: bool,
}

/// As that user, and no more.
pub fn user(user: &'static str) -> Confinement {
    Confinement {
        user,
        chroot: false,
        limited: false,
    }
}

impl Confinement {
    /// In a chroot.
    pub fn chroot(mut self) -> Self {
        self.chroot = true;
        self
    }

    /// Under a limit of its address space.
    pub fn limited(mut self) -> Self {
        self.limited = true;
        self
    }

    /// For the table.
    pub fn words(&self) -> String {
        let mut words = self.user.to_owned();
        if self.chroot {
            words += ", chroot";
        }
        if self.limited {
            words += ", limited address space";
        }
        words
    }
}

/// Waits until one of the server's processes is confined so.
pub fn assert_seen(server: &Server, wanted: &Confinement) {
    let uid = uid_of(wanted.user);
    let connection = TcpStream::connect(("127.0.0.1", server.port())).expect("it listens");
    let mut seen = BTreeSet::new();
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait::until("a process of the server is confined as wanted", || {
            let family = process::descendants(server.pid());
            let family = family.into_iter().chain([server.pid()]);
            seen.extend(family.filter_map(observed));
            seen.contains(&(uid, wanted.chroot, wanted.limited))
                .then_some(())
        });
    }));
    drop(connection);
    assert!(
        found.is_ok(),
        "wanted {wanted:?} (uid {uid}), seen {seen:?}"
    );
}

/// Waits until one of the server's processes has the libssl in `directory`.
pub fn assert_runs_on(server: &Server, directory: &Path) {
    let wanted = directory.join("libssl.so").display().to_string();
    let _connection = TcpStream::connect(("127.0.0.1", server.port())).expect("it listens");
    wait::until(
        &format!("a process of the server has mapped {wanted}*"),
        || {
            let family = process::descendants(server.pid());
            let mut family = family.into_iter().chain([server.pid()]);
            family
                .any(|pid| {
                    let maps = fs::read_to_string(format!("/proc/{pid}/maps"));
                    maps.is_ok_and(|maps| maps.contains(&wanted))
                })
                .then_some(())
        },
    );
}

/// Effective user, chroot, limit of a process, unless it has ended.
fn observed(pid: u32) -> Option<(u32, bool, bool)> {
    let directory = format!("/proc/{pid}");
    let root = fs::read_link(Path::new(&directory).join("root")).ok()?;
    let status = fs::read_to_string(Path::new(&directory).join("status")).ok()?;
    let limits = fs::read_to_string(Path::new(&directory).join("limits")).ok()?;
    let field = |text: &str, name: &str, at: usize| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().nth(at).map(str::to_owned)
    };
    Some((
        field(&status, "Uid:", 1)?.parse().ok()?,
        root != Path::new("/"),
        field(&limits, "Max address space", 0)? != "unlimited",
    ))
}

fn uid_of(user: &str) -> u32 {
    let output = Command::new("id").args(["-u", user]).output();
    let output = output.expect("id can be run");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .unwrap_or_else(|_| panic!("there is no user {user}"))
}
