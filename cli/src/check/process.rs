//! Judges a running process: is the library in it, and if not, why not?

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use staplegun_store::layout::Layout;

use super::carried;
use super::elf::Image;
use super::finding::{Effect, Finding};
use super::maps::{self, Mapped};
use super::program::{self, Examined};

/// What the kernel shows of a process (proc(5)).
struct Seen {
    /// /proc/PID
    directory: PathBuf,
    /// Mapped files, each once.
    maps: Vec<Mapped>,
    /// Whether it was started with more rights than its starter had.
    secure: Option<bool>,
    /// The environment that it was started with.
    environment: Option<Vec<(Vec<u8>, Vec<u8>)>>,
}

/// Examines the process; `shim` is the library as it lies on disk.
pub fn examine(pid: u32, shim: &Image) -> Result<Examined> {
    let seen = Seen::look(pid)?;
    let executable = seen.directory.join("exe");
    let name = fs::read_link(&executable)
        .with_context(|| format!("cannot see which program process {pid} runs; run as root"))?;
    let mut examined = Examined {
        program: name,
        ..Examined::default()
    };
    let findings = &mut examined.findings;
    let is_ours = |name: &str| name.starts_with("libstaplegun.so");
    let loaded = seen.loaded(is_ours);
    let libssl = seen.loaded(program::is_libssl);
    for path in &libssl {
        let text = format!("it has loaded OpenSSL from {}", path.display());
        findings.push(Finding::new(Effect::Note, "libssl_loaded", text));
    }
    findings.push(seen.live_map());
    findings.extend(seen.variables());
    let unreached = seen.unreached();
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
        if let Ok(file) = program::examine(&executable, shim) {
            let reasons = file.findings.into_iter();
            findings.extend(reasons.filter(|reason| reason.effect == Effect::Prevents));
        }
        return Ok(examined);
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
        return Ok(examined);
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
    Ok(examined)
}

impl Seen {
    fn look(pid: u32) -> Result<Self> {
        let directory = PathBuf::from(format!("/proc/{pid}"));
        if !directory.exists() {
            bail!("there is no process {pid}");
        }
        let maps = fs::read(directory.join("maps"))
            .map_err(|error| explain(error, pid, "what is mapped in"))?;
        Ok(Self {
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
    fn loaded(&self, is: impl Fn(&str) -> bool) -> Vec<&PathBuf> {
        let runs = self.mapped(is).filter(|file| file.is_executable);
        runs.map(|file| &file.path).collect()
    }

    fn variable(&self, name: &[u8]) -> Option<&[u8]> {
        let mut pairs = self.environment.as_ref()?.iter();
        let (_, value) = pairs.find(|(known, _)| known == name)?;
        Some(value)
    }

    fn live_map(&self) -> Finding {
        let layout = Layout::at(Path::new("/"));
        let name = layout.map().file_name().unwrap_or_default().to_owned();
        let mut maps = self.mapped(|mapped| name == *mapped);
        match maps.next() {
            Some(file) => {
                let path = file.path.display();
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
    fn unreached(&self) -> Vec<PathBuf> {
        let running = self.maps.iter().filter(|file| file.is_executable);
        let others = running.filter(|file| {
            let name = file.path.file_name().unwrap_or_default().to_string_lossy();
            !program::is_libssl(&name)
                && !name.starts_with("libcrypto")
                && !name.starts_with("libstaplegun.so")
        });
        let carriers = others.filter(|file| {
            // As the process has it: it may have another root directory.
            let inside = file.path.strip_prefix("/").unwrap_or(&file.path);
            let seen = self.directory.join("root").join(inside);
            carried::carries_openssl(&seen).unwrap_or(false)
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
            .filter(|(name, _)| name == b"LD_PRELOAD" || name.starts_with(b"STAPLEGUN_"))
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

fn explain(error: io::Error, pid: u32, what: &str) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::PermissionDenied => anyhow::anyhow!(
            "this user may not see {what} process {pid}; run as its user or as root"
        ),
        _ => anyhow::Error::new(error).context(format!("cannot see {what} process {pid}")),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let seen = Seen::look(std::process::id()).expect("it runs");
        assert_eq!(seen.secure, Some(false));
        assert!(
            seen.mapped(|name| name.starts_with("libc.so"))
                .next()
                .is_some()
        );
        assert!(seen.environment.is_some());
    }
}
