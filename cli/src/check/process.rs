//! Judges a running process: is the library in it, and if not, why not?

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use staplegun_store::layout::Layout;

use super::carried::Carriers;
use super::elf::Image;
use super::finding::{Effect, Finding};
use super::libc::Libc;
use super::libssl::{self, Examined};
use super::maps::{self, Mapped};
use super::program;
use crate::node;

/// What the kernel shows of a process (proc(5)).
#[derive(Debug)]
pub struct Seen {
    /// /proc/PID
    directory: PathBuf,
    /// The program that it runs, with ` (deleted)` behind it if its file is gone.
    pub executable: PathBuf,
    /// Mapped files, each once.
    pub maps: Vec<Mapped>,
    /// Whether it was started with more rights than its starter had.
    secure: Option<bool>,
    /// The environment that it was started with.
    environment: Option<Vec<(Vec<u8>, Vec<u8>)>>,
}

/// Which C library the process runs on, if that can be told.
pub fn libc(pid: u32) -> Option<Libc> {
    program::libc(Path::new(&format!("/proc/{pid}/exe")))
}

/// Examines the process; `shim` is the library as it lies on disk.
pub fn examine(pid: u32, shim: &Image) -> Result<Examined> {
    let directory = PathBuf::from(format!("/proc/{pid}"));
    if !directory.exists() {
        bail!("there is no process {pid}");
    }
    let seen = Seen::look(pid).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => anyhow::anyhow!(
            "this user may not see what is mapped in process {pid}; run as its user or as root"
        ),
        _ => anyhow::Error::new(error).context(format!("cannot look into process {pid}")),
    })?;
    Ok(examine_seen(&seen, shim, &Carriers::default()))
}

/// Whether the library is in a process, and if not, why not.
pub fn examine_seen(seen: &Seen, shim: &Image, carriers: &Carriers) -> Examined {
    let mut examined = Examined {
        program: seen.executable.clone(),
        ..Examined::default()
    };
    let findings = &mut examined.findings;
    let loaded = seen.loaded(is_ours);
    let libssl = seen.loaded(libssl::is_libssl);
    for path in &libssl {
        let text = format!("it has loaded OpenSSL from {}", path.display());
        findings.push(Finding::new(Effect::Note, "libssl_loaded", text));
    }
    if let Some(has_script) = seen.node(carriers).filter(|_| libssl.is_empty()) {
        findings.extend(seen.variables());
        findings.push(by_script(has_script));
        findings.extend(seen.policy_not_in_force());
        return examined;
    }
    findings.push(seen.live_map());
    findings.extend(seen.variables());
    let unreached = seen.unreached(carriers);
    if loaded.is_empty() {
        match seen.mapped(is_ours).next() {
            Some(there) => findings.push(not_executable(&there.path)),
            None => findings.push(
                Finding::new(
                    Effect::Prevents,
                    "not_loaded",
                    "the library is not loaded in it",
                )
                .advise("start it again with: staplegun run -- PROGRAM"),
            ),
        }
        findings.extend(seen.policy_not_in_force());
        findings.extend(seen.why_not_loaded());
        // The file itself may say why; its own verdict does not matter here.
        if let Ok(file) = program::examine(&seen.directory.join("exe"), shim) {
            let reasons = file.findings.into_iter();
            findings.extend(reasons.filter(|reason| reason.effect == Effect::Prevents));
        }
        return examined;
    }
    for path in &loaded {
        let text = format!("the library is loaded: {}", path.display());
        findings.push(Finding::new(Effect::Note, "loaded", text));
        if path.to_string_lossy().ends_with(" (deleted)") {
            findings.push(
                Finding::new(Effect::Note, "replaced", "that file was replaced since")
                    .advise("restart the program to run the new one"),
            );
        }
    }
    if seen.variable(b"STAPLEGUN_DISABLE") == Some(b"1") {
        let text = "it was started with STAPLEGUN_DISABLE=1, so the library does nothing";
        findings.push(Finding::new(Effect::Prevents, "disabled", text));
    }
    // Beside one that is reached it is worth knowing; a policy must hold everywhere.
    let is_whole = !libssl.is_empty() && seen.policy().is_none();
    let effect = if is_whole {
        Effect::Note
    } else {
        Effect::Prevents
    };
    for path in &unreached {
        let text = format!(
            "TLS of {} is not reached: {} carries an OpenSSL of its own",
            maps::short(path),
            path.display()
        );
        findings.push(
            Finding::new(effect, "own_openssl", text)
                .advise("use a build of it that takes libssl from the system, if its TLS matters"),
        );
    }
    if !unreached.is_empty() {
        findings.extend(seen.policy_not_in_force());
    }
    if !unreached.is_empty() && libssl.is_empty() {
        return examined;
    }
    if libssl.is_empty() {
        findings.push(
            Finding::new(
                Effect::Open,
                "no_libssl_yet",
                "it has loaded no libssl so far",
            )
            .advise("look again when it has made a TLS connection"),
        );
    } else {
        let text = "both the library and OpenSSL are loaded";
        findings.push(Finding::new(Effect::Allows, "both_loaded", text));
    }
    examined
}

/// What follows for Node.js with an OpenSSL of its own.
fn by_script(has_script: bool) -> Finding {
    if has_script {
        let text = "Node.js with an OpenSSL of its own: it was started with the script by which its \
                    servers staple; the library does not reach it";
        return Finding::new(Effect::Allows, "node_script", text);
    }
    let text = "Node.js with an OpenSSL of its own, and it was started without the script by which its \
                servers staple (NODE_OPTIONS)";
    Finding::new(Effect::Prevents, "no_node_script", text)
        .advise("start it again with: staplegun run -- PROGRAM")
}

/// Whether a file of that name is the library.
fn is_ours(name: &str) -> bool {
    name.starts_with("libstaplegun.so")
}

impl Seen {
    /// Looks into a process.
    ///
    /// # Errors
    ///
    /// If it has ended, or this user may not look into it.
    pub fn look(pid: u32) -> io::Result<Self> {
        Self::at(PathBuf::from(format!("/proc/{pid}")))
    }

    fn at(directory: PathBuf) -> io::Result<Self> {
        let maps = fs::read(directory.join("maps"))?;
        Ok(Self {
            executable: fs::read_link(directory.join("exe"))?,
            maps: maps::files(&maps),
            secure: fs::read(directory.join("auxv"))
                .ok()
                .and_then(|a| secure(&a)),
            environment: fs::read(directory.join("environ")).ok().map(|e| pairs(&e)),
            directory,
        })
    }

    /// Mapped files whose name is such.
    fn mapped(&self, is: impl Fn(&str) -> bool) -> impl Iterator<Item = &Mapped> {
        self.maps.iter().filter(move |file| {
            let name = file.path.file_name().unwrap_or_default();
            is(&name.to_string_lossy())
        })
    }

    /// Those that run: ld.so maps a file to look at it, and goes on without it if it
    /// may not be executed.
    pub fn loaded(&self, is: impl Fn(&str) -> bool) -> Vec<&PathBuf> {
        let runs = self.mapped(is).filter(|file| file.is_executable);
        runs.map(|file| &file.path).collect()
    }

    /// The file of the library, if it runs in it.
    pub fn library(&self) -> Option<&PathBuf> {
        self.loaded(is_ours).into_iter().next()
    }

    /// What an environment variable was when it started; none if it was not set, or if
    /// the environment is hidden or was overwritten.
    pub fn variable(&self, name: &[u8]) -> Option<&[u8]> {
        let mut pairs = self.environment.as_ref()?.iter();
        let (_, value) = pairs.find(|(known, _)| known == name)?;
        Some(value)
    }

    /// Whether Node.js with an OpenSSL of its own was started with the script by which its
    /// servers staple; none if it is no such program.
    pub fn node(&self, carriers: &Carriers) -> Option<bool> {
        if !carriers.is_node(&self.directory.join("exe")) {
            return None;
        }
        let options = self.variable(node::OPTIONS.as_bytes());
        Some(options.is_some_and(node::names_script))
    }

    /// The live map that it has.
    pub fn map(&self) -> Option<&PathBuf> {
        let layout = Layout::at(Path::new("/"));
        let name = layout.map().file_name().unwrap_or_default().to_owned();
        let mut maps = self.mapped(|mapped| name == *mapped);
        maps.next().map(|file| &file.path)
    }

    fn live_map(&self) -> Finding {
        match self.map() {
            Some(path) => {
                let path = path.display();
                let text = format!("it takes responses from the live map {path}");
                Finding::new(Effect::Note, "live_map", text)
            }
            None => {
                let text = "it maps no live map: it has made no TLS context yet, or found none";
                Finding::new(Effect::Note, "no_live_map", text).advise(
                    "without an agent only response files are stapled: see staplegun agent --help",
                )
            }
        }
    }

    /// Files that run in it and carry an OpenSSL of their own, which calls itself and
    /// not what is preloaded: in a wheel, a plug-in, or the program.
    pub fn unreached(&self, carriers: &Carriers) -> Vec<PathBuf> {
        let running = self.maps.iter().filter(|file| file.is_executable);
        let others = running.filter(|file| {
            let name = file.path.file_name().unwrap_or_default().to_string_lossy();
            !libssl::is_libssl(&name)
                && !name.starts_with("libcrypto")
                && !name.starts_with("libstaplegun.so")
        });
        let carriers = others.filter(|file| {
            // As the process has it: it may have another root directory.
            let inside = file.path.strip_prefix("/").unwrap_or(&file.path);
            let seen = self.directory.join("root").join(inside);
            carriers.carries_openssl(&seen)
        });
        carriers.map(|file| file.path.clone()).collect()
    }

    /// The client policy that it was started with, if that lets no connection pass
    /// unchecked.
    fn policy(&self) -> Option<&str> {
        let policy = std::str::from_utf8(self.variable(b"STAPLEGUN_CLIENT")?).ok()?;
        ["verify", "require"].contains(&policy).then_some(policy)
    }

    /// Under a client policy a library that does not act is no check.
    fn policy_not_in_force(&self) -> Option<Finding> {
        let policy = self.policy()?;
        let text = format!(
            "STAPLEGUN_CLIENT={policy} is not in force there: what is not reached is not checked"
        );
        Some(
            Finding::new(Effect::Prevents, "policy_not_in_force", text)
                .advise("trust no connection of it to be checked until this is mended"),
        )
    }

    /// What its environment said about us.
    fn variables(&self) -> Vec<Finding> {
        let pairs = self.environment.iter().flatten();
        pairs
            .filter(|(name, value)| {
                let is_ours = name == b"LD_PRELOAD" || name.starts_with(b"STAPLEGUN_");
                is_ours || name == node::OPTIONS.as_bytes() && node::names_script(value)
            })
            .map(|(name, value)| {
                let text = format!(
                    "it was started with {}={}",
                    String::from_utf8_lossy(name),
                    String::from_utf8_lossy(value)
                );
                Finding::new(Effect::Note, "variable", text)
            })
            .collect()
    }

    fn why_not_loaded(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.secure == Some(true) {
            let text = "it was started with more rights than its starter had (setuid, setgid or \
                        file capabilities), so the dynamic linker ignored LD_PRELOAD";
            findings.push(Finding::new(Effect::Prevents, "secure_execution", text));
        }
        match self.variable(b"LD_PRELOAD") {
            Some(list) if String::from_utf8_lossy(list).contains("libstaplegun.so") => {
                let text = "LD_PRELOAD named the library, but the dynamic linker did not load it";
                findings.push(Finding::new(Effect::Note, "preload_failed", text).advise(
                    "its first lines on standard error say why; the file must be readable for its user",
                ));
            }
            _ if self.environment.is_none() => {
                let text = "its environment cannot be read by this user";
                findings.push(Finding::new(Effect::Note, "environment_hidden", text));
            }
            _ => {
                let text = "its environment shows no LD_PRELOAD with the library: what started it \
                            did not pass it on (or it has overwritten its environment, as redis does)";
                findings.push(Finding::new(Effect::Note, "no_preload", text).advise(
                    "set it where the program's own configuration sets its environment \
                     (systemd: Environment=; postgres: the cluster's environment file; \
                     postfix and dovecot: import_environment)",
                ));
            }
        }
        findings
    }
}

fn not_executable(path: &Path) -> Finding {
    let text = format!(
        "{} is mapped, but not to be executed: the dynamic linker went on without it",
        path.display()
    );
    Finding::new(Effect::Prevents, "not_executable", text).advise(
        "put the library on a file system that is not mounted noexec, with a mode and a label that \
         let this program execute it, and start the program again",
    )
}

/// AT_SECURE in an auxiliary vector of this machine's word size.
fn secure(vector: &[u8]) -> Option<bool> {
    const AT_SECURE: usize = 23;
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| Some(usize::from_ne_bytes(bytes.try_into().ok()?));
    let mut pairs = vector.chunks_exact(2 * WORD);
    pairs
        .find_map(|pair| {
            let (key, value) = pair.split_at(WORD);
            (word(key)? == AT_SECURE).then(|| word(value)).flatten()
        })
        .map(|value| value != 0)
}

fn pairs(environment: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    environment
        .split(|&byte| byte == 0)
        .filter_map(|entry| {
            let equals = entry.iter().position(|&byte| byte == b'=')?;
            Some((entry[..equals].to_vec(), entry[equals + 1..].to_vec()))
        })
        .collect()
}
