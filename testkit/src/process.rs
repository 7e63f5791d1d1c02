//! What the kernel says about a process: its children, descriptors, threads
//! and listening ports (proc(5)).

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Finds `pid`'s descendants. Processes that come and go meanwhile may be missed.
pub fn descendants(pid: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = numbers_in(Path::new("/proc"))
        .into_iter()
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while next < found.len() {
        let children = parents.iter().filter(|(_, parent)| *parent == found[next]);
        let children: Vec<u32> = children.map(|(pid, _)| *pid).collect();
        found.extend(children);
        next += 1;
    }
    found.split_off(1)
}

fn parent(pid: u32) -> Option<u32> {
    stat_field(pid, 4)?.parse().ok()
}

/// When a process was started, in clock ticks after boot; it tells a process
/// from a later one of the same number. `None` when there is none, or when it
/// has ended and only waits for its parent to notice.
pub fn start_time(pid: u32) -> Option<u64> {
    if stat_field(pid, 3)? == "Z" {
        return None;
    }
    stat_field(pid, 22)?.parse().ok()
}

/// A field of `/proc/PID/stat`, counted from 1 as the manual page does; not
/// the name (2), which may hold spaces.
fn stat_field(pid: u32, number: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(") ")?.1;
    after_name
        .split_whitespace()
        .nth(number - 3)
        .map(str::to_owned)
}

/// The open descriptors of a process, as `number -> target`, sorted.
pub fn descriptors(pid: u32) -> Vec<String> {
    let directory = PathBuf::from(format!("/proc/{pid}/fd"));
    let describe = |number: u32| {
        let target = fs::read_link(directory.join(number.to_string())).ok()?;
        Some(format!("{number} -> {}", target.display()))
    };
    let mut all: Vec<String> = numbers_in(&directory)
        .into_iter()
        .filter_map(describe)
        .collect();
    all.sort();
    all
}

/// How many threads a process has.
pub fn threads(pid: u32) -> usize {
    numbers_in(Path::new(&format!("/proc/{pid}/task"))).len()
}

/// The TCP ports on which a process listens, sorted.
pub fn listening_ports(pid: u32) -> Vec<u16> {
    let sockets: HashSet<String> = descriptors(pid)
        .iter()
        .filter_map(|line| Some(line.split_once("socket:[")?.1.strip_suffix(']')?.to_owned()))
        .collect();
    // The kernel walks through the connections of the whole machine for what is read below.
    if sockets.is_empty() {
        return Vec::new();
    }
    let mut ports: Vec<u16> = ["tcp", "tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")).ok())
        .flat_map(|table| {
            let lines: Vec<u16> = table
                .lines()
                .filter_map(|line| listening_port(line, &sockets))
                .collect();
            lines
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The port in a line of `/proc/net/tcp`, if it is a listening socket among `sockets`.
fn listening_port(line: &str, sockets: &HashSet<String>) -> Option<u16> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    if *fields.get(3)? != LISTEN || !sockets.contains(*fields.get(9)?) {
        return None;
    }
    u16::from_str_radix(fields[1].rsplit_once(':')?.1, 16).ok()
}

fn numbers_in(directory: &Path) -> Vec<u32> {
    // It is gone when the process is gone.
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}
