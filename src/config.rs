//! The environment, read once, as an immutable configuration.
//!
//! It is read when the library is loaded: programs such as redis clear or
//! rebuild their environment later. Under secure execution it is ignored.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use once_cell::race::OnceBox;

use crate::host::{loaded, process};

/// A map counts whole against RLIMIT_AS, and some servers run under 200 MB.
const DEFAULT_MAP_MAX: u64 = 64 * 1024 * 1024;

/// The longest time that a start may be held up, in seconds.
const MAX_WAIT: u64 = 300;

/// What a server does about responses (STAPLEGUN_SERVER).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Staples ours when the program provides none.
    Auto,
    /// As auto, and replaces what clients would reject.
    Repair,
    /// Leaves everything to the program.
    Off,
}

/// What a client does about the server's response (STAPLEGUN_CLIENT), from the
/// mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// Leaves everything to the program.
    Off,
    /// Asks, and logs what `verify` would have done.
    Report,
    /// Refuses a bad response; accepts none, unless the certificate is must-staple.
    Verify,
    /// Refuses everything but a good response.
    Require,
}

/// Where log lines go (STAPLEGUN_LOG).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Nowhere.
    Off,
    /// Descriptor 2.
    Stderr,
    /// The system's log socket.
    Syslog,
    /// Appended to this file, which is opened for each line.
    File(PathBuf),
}

/// How much is logged (STAPLEGUN_LOG_LEVEL).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What the operator must mend.
    Error,
    /// What is probably not meant so.
    Warn,
    /// What was stapled, or why not.
    Info,
    /// What was looked at on the way.
    Debug,
}

/// The whole configuration of the shim.
#[derive(Debug)]
pub struct Config {
    /// STAPLEGUN_DISABLE=1: every call goes straight to the real function.
    pub disabled: bool,
    /// STAPLEGUN_SERVER.
    pub server: Server,
    /// STAPLEGUN_CLIENT.
    client: Client,
    /// STAPLEGUN_RESPONSE: files and directories with DER responses.
    pub responses: Vec<PathBuf>,
    /// STAPLEGUN_ISSUERS: a file or directory of PEM certificates.
    pub issuers: Option<PathBuf>,
    /// STAPLEGUN_DIR: the store of live map and spool, if not the system's.
    pub directory: Option<PathBuf>,
    /// STAPLEGUN_MAP_MAX: the largest live map that is mapped, in bytes.
    pub map_max: usize,
    /// STAPLEGUN_WAIT: how long loading a certificate may wait for the agent.
    pub wait: Duration,
    /// STAPLEGUN_RECHECK=0 turns it off: files are looked at again.
    pub recheck: bool,
    /// STAPLEGUN_QUIET=1: see [`may_open`].
    quiet: bool,
    /// Whether certificates are left for the agent: not under secure execution.
    pub publishes: bool,
    /// STAPLEGUN_LOG.
    pub log: LogTarget,
    /// STAPLEGUN_LOG_LEVEL.
    pub level: Level,
    /// Values that were not understood, to be logged once.
    pub complaints: Vec<String>,
}

/// The configuration, read at the first call.
pub fn get() -> &'static Config {
    static CONFIG: OnceBox<Config> = OnceBox::new();
    CONFIG.get_or_init(|| {
        let lookup: &dyn Fn(&CStr) -> Option<&'static [u8]> = if loaded::securely() {
            &|_| None
        } else {
            &environment
        };
        let mut config = Config::read(lookup, loaded::by_preload());
        config.publishes = !loaded::securely();
        Box::new(config)
    })
}

/// Whether anything of ours may open, look at or write a file now. With STAPLEGUN_QUIET=1
/// only before the process makes its first SSL, and not in its children: for programs that
/// a system-call filter ends for any open after their start.
pub fn may_open() -> bool {
    !get().quiet || !(process::is_child() || process::has_started())
}

/// getenv, and not std's, which takes a lock.
fn environment(name: &CStr) -> Option<&'static [u8]> {
    loaded::environment_variable(name).filter(|value| !value.is_empty())
}

impl Config {
    /// Reads the configuration from `lookup`, which gives a variable's value.
    pub fn read<'v>(lookup: &dyn Fn(&CStr) -> Option<&'v [u8]>, preloaded: bool) -> Config {
        let mut complaints = Vec::new();
        let mut word = |name: &CStr, known: &[&str]| -> Option<usize> {
            let value = lookup(name)?;
            let found = known.iter().position(|word| word.as_bytes() == value);
            if found.is_none() {
                complaints.push(complaint(
                    name,
                    value,
                    &format!("none of {}", known.join(", ")),
                ));
            }
            found
        };

        let disabled = word(c"STAPLEGUN_DISABLE", &["0", "1"]) == Some(1);
        let server = match word(c"STAPLEGUN_SERVER", &["auto", "repair", "off"]) {
            Some(0) => Server::Auto,
            Some(1) => Server::Repair,
            Some(_) => Server::Off,
            None if preloaded => Server::Auto,
            None => Server::Off,
        };
        let client = match word(c"STAPLEGUN_CLIENT", &["off", "report", "verify", "require"]) {
            Some(1) => Client::Report,
            Some(2) => Client::Verify,
            Some(3) => Client::Require,
            _ => Client::Off,
        };
        let recheck = word(c"STAPLEGUN_RECHECK", &["0", "1"]) != Some(0);
        let quiet = word(c"STAPLEGUN_QUIET", &["0", "1"]) == Some(1);
        let level = match word(c"STAPLEGUN_LOG_LEVEL", &["error", "warn", "info", "debug"]) {
            Some(0) => Level::Error,
            Some(1) => Level::Warn,
            Some(3) => Level::Debug,
            _ => Level::Info,
        };

        let directory = lookup(c"STAPLEGUN_DIR").and_then(|value| {
            let absolute = value.starts_with(b"/");
            if !absolute {
                complaints.push(complaint(c"STAPLEGUN_DIR", value, "not an absolute path"));
            }
            absolute.then(|| to_path(value))
        });
        let mut number = |name: &CStr, default: u64, most: u64, unit: &str| {
            let Some(value) = lookup(name) else {
                return default;
            };
            let text = std::str::from_utf8(value).unwrap_or_default();
            let digits = text.strip_suffix(unit).unwrap_or(text);
            match digits.parse::<u64>() {
                Ok(number) if number <= most => number,
                _ => {
                    let what = format!("not a number from 0 to {most}");
                    complaints.push(complaint(name, value, &what));
                    default
                }
            }
        };
        let map_max = number(c"STAPLEGUN_MAP_MAX", DEFAULT_MAP_MAX, 1 << 40, "");
        let wait = number(c"STAPLEGUN_WAIT", 0, MAX_WAIT, "s");

        let log = match lookup(c"STAPLEGUN_LOG") {
            None | Some(b"off") => LogTarget::Off,
            Some(b"stderr") => LogTarget::Stderr,
            Some(b"syslog") => LogTarget::Syslog,
            Some(path) if path.starts_with(b"/") => LogTarget::File(to_path(path)),
            // There is no place to say so: a wrong value means no log.
            Some(_) => LogTarget::Off,
        };
        Config {
            disabled,
            server,
            client,
            responses: lookup(c"STAPLEGUN_RESPONSE").map_or_else(Vec::new, |list| {
                list.split(|&byte| byte == b':')
                    .filter(|path| !path.is_empty())
                    .map(to_absolute_path)
                    .collect()
            }),
            issuers: lookup(c"STAPLEGUN_ISSUERS").map(to_absolute_path),
            directory,
            map_max: usize::try_from(map_max).unwrap_or(usize::MAX),
            wait: Duration::from_secs(wait),
            recheck,
            quiet,
            publishes: true,
            log,
            level,
            complaints,
        }
    }

    /// What is done about clients' handshakes.
    pub fn client_policy(&self) -> Client {
        if self.disabled {
            Client::Off
        } else {
            self.client
        }
    }

    /// Whether a client's handshake that was not checked is refused.
    pub fn refuses_unchecked(&self) -> bool {
        self.client_policy() >= Client::Verify
    }

    /// Whether a server's handshakes are any of our business.
    pub fn staples(&self) -> bool {
        !self.disabled && self.server != Server::Off
    }
}

fn complaint(name: &CStr, value: &[u8], what: &str) -> String {
    let name = name.to_string_lossy();
    let value = String::from_utf8_lossy(value);
    format!(
        "{name} is '{}', which is {what}; the default is used",
        value.escape_default()
    )
}

fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// As it is meant now: the program may change its directory later.
fn to_absolute_path(bytes: &[u8]) -> PathBuf {
    let path = to_path(bytes);
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
