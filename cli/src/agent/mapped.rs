//! Which processes have a file mapped, as far as /proc may be read.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A process that has the live map.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name (comm), without control characters.
    pub name: String,
    /// Whether it may write it: an agent does.
    pub writes: bool,
}

/// What could be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Mapped {
    /// The processes that have it, without this one.
    pub processes: Vec<Process>,
    /// How many processes could not be looked into.
    pub hidden: usize,
}

/// Looks for processes that map the file `map` now.
pub fn processes(map: &Path) -> Mapped {
    let Ok(about) = fs::metadata(map) else {
        return Mapped::default();
    };
    let Ok(entries) = fs::read_dir("/proc") else {
        return Mapped::default();
    };
    let pids = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id());
    of(pids.map(|pid| (pid, maps(pid, about.dev(), about.ino()))))
}

/// What comes of a look into each.
fn of(looks: impl Iterator<Item = (u32, std::io::Result<Option<bool>>)>) -> Mapped {
    let mut found = Mapped::default();
    for (pid, look) in looks {
        match look {
            Ok(Some(writes)) => found.processes.push(Process {
                pid,
                name: name(pid),
                writes,
            }),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                found.hidden += 1;
            }
            // It ended meanwhile.
            Ok(None) | Err(_) => {}
        }
    }
    found.processes.sort_by_key(|process| process.pid);
    found
}

fn name(pid: u32) -> String {
    let comm = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&comm)
        .trim_end()
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Whether a process has the file, and then whether it may write it.
fn maps(pid: u32, device: u64, inode: u64) -> std::io::Result<Option<bool>> {
    let file = fs::File::open(format!("/proc/{pid}/maps"))?;
    for line in BufReader::new(file).split(b'\n') {
        let found = access(&String::from_utf8_lossy(&line?), device, inode);
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// If a line of /proc/PID/maps is about that file, whether for writing: `address
/// perms offset major:minor inode path`, the device in hexadecimal (proc(5)).
fn access(line: &str, device: u64, inode: u64) -> Option<bool> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (permissions, _offset) = (words.next()?, words.next()?);
    let (major, minor) = words.next()?.split_once(':')?;
    let hex = |text| u32::from_str_radix(text, 16).ok();
    let is_it = hex(major)? == rustix::fs::major(device)
        && hex(minor)? == rustix::fs::minor(device)
        && words.next()?.parse() == Ok(inode);
    is_it.then(|| permissions.contains('w'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_matched_by_device_and_inode_and_not_by_its_path() {
        let device = rustix::fs::makedev(0xfe, 0x1f);
        let line = "7f00-7f01 r--s 00000000 fe:1f 4242    /run/staplegun/map.v1 (deleted)";
        assert_eq!(access(line, device, 4242), Some(false));
        assert_eq!(
            access(&line.replace("r--", "rw-"), device, 4242),
            Some(true)
        );
        assert_eq!(access(line, device, 4243), None);
        assert_eq!(access(line, rustix::fs::makedev(0xfe, 1), 4242), None);
        assert_eq!(access("7f00-7f01 r--p 00000000 00:00 0", device, 0), None);
        assert_eq!(access("", device, 0), None);
    }

    #[test]
    fn who_may_not_be_looked_into_is_counted_and_who_has_ended_is_not() {
        let failed = |kind: std::io::ErrorKind| Err(kind.into());
        let mapped = of([
            (9, Ok(Some(true))),
            (8, failed(std::io::ErrorKind::PermissionDenied)),
            (7, Ok(None)),
            (6, failed(std::io::ErrorKind::NotFound)),
            (5, failed(std::io::ErrorKind::PermissionDenied)),
            (4, Ok(Some(false))),
        ]
        .into_iter());
        let found = mapped.processes.iter();
        let found: Vec<(u32, bool)> = found.map(|one| (one.pid, one.writes)).collect();
        assert_eq!(found, [(4, false), (9, true)]);
        assert_eq!(mapped.hidden, 2);
    }
}
