//! The processes of this machine, as /proc shows them (proc(5)): program, unit, network,
//! and what is mapped.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result};
use procfs::ProcError;

use crate::check::process::Seen;

/// A process that this user may look into.
#[derive(Debug)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// That of the one that started it.
    pub parent: u32,
    /// When it was started, in the kernel's ticks since boot.
    started: u64,
    /// How it calls itself (comm), not fit to be shown.
    pub name: String,
    /// Who runs it: what the cgroup says.
    pub keeper: Keeper,
    /// Whether its network is another one than ours, so that its ports are not ours.
    pub is_elsewhere: bool,
    /// Program, mapped files and environment.
    pub seen: Seen,
}

/// Who started a process and watches over it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Keeper {
    /// The system's systemd: the unit, as `nginx.service`.
    Unit(String),
    /// A user's systemd: the user and the unit.
    UserUnit(u32, String),
    /// A container's.
    Container,
    /// A person, or something that is none of these.
    #[default]
    Nobody,
}

/// What runs.
#[derive(Debug, Default)]
pub struct Survey {
    /// The processes that may be looked into, the oldest first.
    pub processes: Vec<Process>,
    /// How many may not.
    pub hidden: usize,
}

/// Looks at all processes but this one. Those that end meanwhile are left out, and so are the
/// kernel's threads.
///
/// # Errors
///
/// If there is no /proc.
pub fn all() -> Result<Survey> {
    let mut survey = Survey::default();
    let here = Here {
        network: namespace("self", "net"),
        processes: namespace("self", "pid"),
    };
    let entries = procfs::process::all_processes().context("cannot list the processes")?;
    for process in entries.filter_map(Result::ok) {
        let pid = process.pid().cast_unsigned();
        if pid == std::process::id() {
            continue;
        }
        match look(&process, &here) {
            Ok(Some(process)) => survey.processes.push(process),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => survey.hidden += 1,
            Ok(None) | Err(_) => {}
        }
    }
    // Numbers begin anew where they end, so that a child may have a lower one than its parent.
    survey
        .processes
        .sort_by_key(|process| (process.started, process.pid));
    Ok(survey)
}

/// The namespaces of this process, as the kernel names them (namespaces(7)).
struct Here {
    network: Option<PathBuf>,
    processes: Option<PathBuf>,
}

fn look(process: &procfs::process::Process, here: &Here) -> io::Result<Option<Process>> {
    let pid = process.pid().cast_unsigned();
    let of = pid.to_string();
    let stat = process.stat().map_err(as_io)?;
    // Bit 21 of the flags is PF_KTHREAD; a zombie has no program any more.
    const KERNEL_THREAD: u32 = 1 << 21;
    if stat.flags & KERNEL_THREAD != 0 || stat.state == 'Z' {
        return Ok(None);
    }
    Ok(Some(Process {
        pid,
        parent: stat.ppid.cast_unsigned(),
        started: stat.starttime,
        name: stat.comm,
        // Where processes have numbers of their own, so have units a systemd of their own.
        keeper: match namespace(&of, "pid") == here.processes {
            false => Keeper::Container,
            true => process
                .cgroups()
                .map(|groups| Keeper::of(groups.into_iter().map(|group| group.pathname)))
                .unwrap_or(Keeper::Nobody),
        },
        is_elsewhere: namespace(&of, "net") != here.network,
        seen: Seen::look(pid)?,
    }))
}

fn namespace(pid: &str, kind: &str) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()
}

fn as_io(error: ProcError) -> io::Error {
    match error {
        ProcError::PermissionDenied(_) => io::ErrorKind::PermissionDenied.into(),
        ProcError::NotFound(_) => io::ErrorKind::NotFound.into(),
        ProcError::Io(error, _) => error,
        other => io::Error::other(other),
    }
}

impl Keeper {
    /// From the paths of a process in the hierarchies of cgroups, of which one is systemd's.
    fn of(paths: impl Iterator<Item = String>) -> Self {
        let kept = paths.map(|path| Self::from_path(&path));
        kept.into_iter()
            .find(|keeper| *keeper != Self::Nobody)
            .unwrap_or(Self::Nobody)
    }

    fn from_path(path: &str) -> Self {
        // What Docker, Podman, LXC, systemd-nspawn and those of Kubernetes call theirs; what is
        // below is not of this machine's systemd.
        const CONTAINERS: [&str; 9] = [
            "docker",
            "libpod",
            "lxc",
            "machine-",
            "kubepods",
            "cri-",
            "crio",
            "containerd-",
            "buildkit",
        ];
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let is_container = |part: &&str| {
            !part.ends_with(".service") && CONTAINERS.iter().any(|start| part.starts_with(start))
        };
        if parts.iter().any(is_container) || parts.contains(&"machine.slice") {
            return Self::Container;
        }
        let user = parts.iter().find_map(|part| {
            let uid = part.strip_prefix("user@")?.strip_suffix(".service")?;
            uid.parse().ok()
        });
        // A unit may have cgroups of its own below its own, which are no units.
        let unit = parts
            .iter()
            .skip_while(|part| user.is_some() && !part.starts_with("user@"))
            .skip(usize::from(user.is_some()))
            .find(|part| part.ends_with(".service"));
        match (user, unit) {
            (Some(uid), Some(unit)) => Self::UserUnit(uid, unescaped(unit)),
            (None, Some(unit)) => Self::Unit(unescaped(unit)),
            _ => Self::Nobody,
        }
    }
}

/// As systemd names the unit: it puts a `_` before a name that the kernel would take for a
/// file of its own.
fn unescaped(name: &str) -> String {
    name.strip_prefix('_').unwrap_or(name).to_owned()
}

impl Process {
    /// Its program's file as the kernel has it, whatever became of the name.
    pub fn executable(&self) -> PathBuf {
        format!("/proc/{}/exe", self.pid).into()
    }

    /// Where its program's file is or was.
    pub fn path(&self) -> PathBuf {
        let text = self.seen.executable.to_string_lossy();
        match text.strip_suffix(" (deleted)") {
            Some(path) => path.into(),
            None => self.seen.executable.clone(),
        }
    }

    /// Whether it is `openssl ocsp`, which answers one client at a time in plain HTTP, and
    /// nobody any more after one that speaks TLS.
    pub fn is_openssl_ocsp(&self) -> bool {
        if !self.path().ends_with("openssl") {
            return false;
        }
        let line = std::fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        line.split(|byte| *byte == 0).nth(1) == Some(b"ocsp")
    }
}

impl Survey {
    /// The processes by their numbers.
    pub fn by_pid(&self) -> HashMap<u32, &Process> {
        let all = self.processes.iter();
        all.map(|process| (process.pid, process)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_told_by_the_cgroup() {
        let unit = |name: &str| Keeper::Unit(name.to_owned());
        for (path, keeper) in [
            ("/system.slice/nginx.service", unit("nginx.service")),
            (
                "/system.slice/system-postgresql.slice/postgresql@15-main.service",
                unit("postgresql@15-main.service"),
            ),
            ("/system.slice/docker.service", unit("docker.service")),
            ("/system.slice/a.service/of-its-own", unit("a.service")),
            ("/system.slice/_cgroup.service", unit("cgroup.service")),
            (
                "/user.slice/user-7.slice/user@7.service/app.slice/web.service",
                Keeper::UserUnit(7, "web.service".to_owned()),
            ),
            (
                "/user.slice/user-7.slice/user@7.service/init.scope",
                Keeper::Nobody,
            ),
            ("/user.slice/user-0.slice/session-3.scope", Keeper::Nobody),
            ("/init.scope", Keeper::Nobody),
            ("/", Keeper::Nobody),
            ("/system.slice/docker-4f2a.scope", Keeper::Container),
            ("/docker/4f2a", Keeper::Container),
            (
                "/user.slice/user-7.slice/user@7.service/user.slice/libpod-4f.scope/container",
                Keeper::Container,
            ),
            (
                "/machine.slice/machine-deb.scope/payload/system.slice/nginx.service",
                Keeper::Container,
            ),
        ] {
            assert_eq!(Keeper::from_path(path), keeper, "{path}");
        }
    }

    #[test]
    fn what_started_this_test_is_seen_and_has_our_network() {
        let survey = all().expect("there is a /proc");
        let parent = rustix::process::getppid().expect("it has one");
        let parent = parent.as_raw_nonzero().get().cast_unsigned();
        let processes = survey.by_pid();
        let seen = processes.get(&parent).expect("it runs");
        assert!(!seen.is_elsewhere);
        assert!(!processes.contains_key(&std::process::id()));
    }
}
