//! A unit of systemd as `systemctl show` tells it: what it starts, with which environment, and
//! what its sandbox forbids.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::shown::{Exec, Shown};

/// What is asked for.
const PROPERTIES: &[&str] = &[
    "Id",
    "LoadState",
    "LoadError",
    "ActiveState",
    "MainPID",
    "ExecStart",
    "ConsistsOf",
    "Environment",
    "EnvironmentFiles",
    "UnsetEnvironment",
    "User",
    "DynamicUser",
    "NoNewPrivileges",
    "RootDirectory",
    "RootImage",
    "ProtectSystem",
    "ReadWritePaths",
    "ReadOnlyPaths",
    "InaccessiblePaths",
    "TemporaryFileSystem",
    "NoExecPaths",
    "ExecPaths",
    "AppArmorProfile",
];

/// A unit that systemd has, or not.
#[derive(Debug)]
pub struct Unit {
    /// Its own name, whatever alias it was asked for by.
    pub name: String,
    shown: Shown,
}

/// Runs systemctl; what it prints.
///
/// # Errors
///
/// If it cannot be run, or what it says if it fails.
pub fn systemctl(words: &[&str]) -> Result<String> {
    let output = Command::new("systemctl")
        .args(words)
        .env("LC_ALL", "C.UTF-8")
        .env("SYSTEMD_COLORS", "0")
        .env("SYSTEMD_PAGER", "")
        .stdin(Stdio::null())
        .output()
        .context("cannot run systemctl")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        let said = if said.is_empty() { "it failed" } else { said };
        bail!("systemctl {}: {said}", words.first().unwrap_or(&""));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether systemd is this machine's init (sd_booted(3)).
pub fn is_machine_of_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// The name as systemctl takes it: of a service where nothing else is said.
pub fn full_name(name: &str) -> String {
    const TYPES: [&str; 11] = [
        "service",
        "socket",
        "target",
        "device",
        "mount",
        "automount",
        "swap",
        "timer",
        "path",
        "slice",
        "scope",
    ];
    match name.rsplit_once('.') {
        Some((_, end)) if TYPES.contains(&end) => name.to_owned(),
        _ => format!("{name}.service"),
    }
}

impl Unit {
    /// Reads the unit of that name, which need not exist.
    ///
    /// # Errors
    ///
    /// If systemctl fails.
    pub fn read(name: &str) -> Result<Self> {
        let name = full_name(name);
        let properties = format!("--property={}", PROPERTIES.join(","));
        let text = systemctl(&["show", &properties, "--", &name])?;
        let unit = Self::from(Shown::read(&text));
        // A name that cannot be one has no properties.
        Ok(Self {
            name: if unit.name.is_empty() {
                name
            } else {
                unit.name
            },
            ..unit
        })
    }

    /// One that was shown.
    pub fn from(shown: Shown) -> Self {
        Self {
            name: shown.one("Id").to_owned(),
            shown,
        }
    }

    /// The name without `.service`, as people type it.
    pub fn short_name(&self) -> &str {
        self.name.strip_suffix(".service").unwrap_or(&self.name)
    }

    /// `loaded`, `not-found`, `masked`, `bad-setting` or `error`.
    pub fn load_state(&self) -> &str {
        self.shown.one("LoadState")
    }

    /// What is wrong with its file.
    pub fn load_error(&self) -> &str {
        self.shown.one("LoadError").trim_matches('"')
    }

    /// `active`, `inactive`, `failed`, `activating`, ...
    pub fn state(&self) -> &str {
        self.shown.one("ActiveState")
    }

    /// Whether it runs.
    pub fn is_active(&self) -> bool {
        matches!(self.state(), "active" | "reloading")
    }

    /// Its main process, if it has one.
    pub fn main_pid(&self) -> Option<u32> {
        let pid = self.shown.one("MainPID").parse().ok();
        pid.filter(|pid| *pid != 0)
    }

    /// The commands that start it.
    pub fn commands(&self) -> Vec<Exec> {
        let all = self.shown.all("ExecStart").iter();
        all.filter_map(|one| Exec::read(one)).collect()
    }

    /// The units that are part of it (PartOf=), and restarted with it.
    pub fn parts(&self) -> Vec<String> {
        self.shown.words("ConsistsOf")
    }

    /// What it sets in the environment.
    pub fn environment(&self) -> Vec<(String, String)> {
        let all = self.shown.words("Environment");
        let pairs = all.iter().filter_map(|word| word.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Files with more of it, which count for more.
    pub fn environment_files(&self) -> Vec<PathBuf> {
        let all = self.shown.all("EnvironmentFiles").iter();
        all.filter_map(|one| Some(one.rsplit_once(" (ignore_errors=")?.0.into()))
            .collect()
    }

    /// What is taken out of it in the end.
    pub fn unset(&self) -> Vec<String> {
        self.shown.words("UnsetEnvironment")
    }

    /// The user as whom it is started; root if none is named.
    pub fn user(&self) -> &str {
        match self.shown.one("User") {
            "" => "root",
            user => user,
        }
    }

    /// Whether no program that it starts gains rights by its file.
    pub fn gains_no_privileges(&self) -> bool {
        self.shown.is("NoNewPrivileges")
    }

    /// Another root directory, or an image of one.
    pub fn root(&self) -> Option<&str> {
        let roots = ["RootDirectory", "RootImage"].map(|name| self.shown.one(name));
        roots.into_iter().find(|root| !root.is_empty())
    }

    /// Whether all file systems are read-only for it, but for what is named.
    pub fn is_strict(&self) -> bool {
        self.shown.one("ProtectSystem") == "strict" || self.is_dynamic()
    }

    /// Whether its user is made when it is started.
    pub fn is_dynamic(&self) -> bool {
        self.shown.is("DynamicUser")
    }

    /// The paths of ReadWritePaths=, ReadOnlyPaths=, NoExecPaths= and so on.
    pub fn paths(&self, property: &str) -> Vec<PathBuf> {
        let all = self.shown.words(property);
        // What systemd does about a path that is not there, and from which root it is.
        all.iter()
            .map(|path| path.trim_start_matches(['-', '+']))
            .map(|path| path.split(':').next().unwrap_or_default().into())
            .collect()
    }

    /// The AppArmor profile that it is put under.
    pub fn apparmor_profile(&self) -> Option<&str> {
        let profile = self.shown.one("AppArmorProfile").trim_start_matches('-');
        Some(profile).filter(|profile| !profile.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_type_is_a_services() {
        for (name, full) in [
            ("nginx", "nginx.service"),
            ("nginx.service", "nginx.service"),
            ("stunnel@tls.conf", "stunnel@tls.conf.service"),
            ("ssh.socket", "ssh.socket"),
        ] {
            assert_eq!(full_name(name), full);
        }
    }

    #[test]
    fn what_a_unit_forbids_is_read() {
        let unit = Unit::from(Shown::read(
            "Id=redis-server.service\nLoadState=loaded\nMainPID=0\nUser=redis\n\
             EnvironmentFiles=/etc/default/a b (ignore_errors=yes)\n\
             EnvironmentFiles=/etc/c (ignore_errors=no)\nProtectSystem=strict\n\
             ReadWritePaths=-/var/lib/redis -/etc/redis\nNoExecPaths=/\n\
             TemporaryFileSystem=/run:ro\nAppArmorProfile=-web\n",
        ));
        assert_eq!(unit.short_name(), "redis-server");
        assert_eq!(unit.main_pid(), None);
        assert!(unit.is_strict() && !unit.is_dynamic());
        assert_eq!(
            unit.environment_files(),
            [Path::new("/etc/default/a b"), Path::new("/etc/c")]
        );
        assert_eq!(
            unit.paths("ReadWritePaths"),
            [Path::new("/var/lib/redis"), Path::new("/etc/redis")]
        );
        assert_eq!(unit.paths("TemporaryFileSystem"), [Path::new("/run")]);
        assert_eq!(unit.apparmor_profile(), Some("web"));
    }
}
