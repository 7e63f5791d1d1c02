//! Node.js with an OpenSSL of its own: a preloaded library does not come between, but its servers
//! ask for a response by an event, and a script that is loaded before the program's own, `node.cjs`,
//! answers. NODE_OPTIONS names it. Unlike a preload that fails closed: Node.js does not start if
//! it cannot load the script. So that very Node.js is started with it before it is relied on.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::check::elf::{Image, Kind};

/// The variable that names the script.
pub const OPTIONS: &str = "NODE_OPTIONS";
/// The script's file.
const FILE: &str = "node.cjs";
/// node::Start(int, char**), which Node.js exports to its add-ons.
const START: &str = "_ZN4node5StartEiPPc";
/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much is read of what it says, in bytes.
pub const SAID: u64 = 4096;
/// How often is looked.
const STEP: Duration = Duration::from_millis(5);

/// What is left to do where the script is missing.
pub const ADVICE: &str = "install staplegun whole (`make install`, or its packages), or put a TLS \
                          proxy before it";

/// Whether it is the program of a Node.js; one that is a shared library (libnode.so) takes OpenSSL
/// from the system.
pub fn is_it(image: &Image) -> bool {
    image.kind != Kind::Shared && image.exports(START)
}

/// The script: where the prefix that this program was installed to has it, else where the system's
/// are, else in the tree that this program was built in.
///
/// # Errors
///
/// If it is nowhere, or NODE_OPTIONS cannot hold its path.
pub fn script() -> Result<PathBuf> {
    let mut places: Vec<PathBuf> = Vec::new();
    let own = std::env::current_exe().ok();
    let directory = own.as_deref().and_then(Path::parent);
    if let Some(prefix) = directory.and_then(Path::parent) {
        places.push(prefix.join("share/staplegun"));
    }
    places.push("/usr/local/share/staplegun".into());
    places.push("/usr/share/staplegun".into());
    if let Some(tree) = directory.and_then(|directory| directory.ancestors().nth(2)) {
        places.push(tree.join("packaging"));
    }
    let files = places.iter().map(|place| place.join(FILE));
    let Some(file) = files.into_iter().find(|file| file.is_file()) else {
        let first = places.first().map(|place| place.join(FILE));
        bail!(
            "{} is missing, by which Node.js with an OpenSSL of its own staples",
            first.unwrap_or_default().display()
        );
    };
    let text = file.to_string_lossy();
    if text.contains([' ', '\t', '\n', '"', '\'', '\\']) {
        bail!("the path {text:?} holds a blank or a quote, which NODE_OPTIONS would need quoted");
    }
    Ok(file)
}

/// What NODE_OPTIONS has to be; `there` is what it is.
pub fn with(there: &str, script: &Path) -> String {
    let there = without(there);
    let ours = format!("--require {}", script.display());
    match there.trim() {
        "" => ours,
        _ => format!("{there} {ours}"),
    }
}

/// NODE_OPTIONS without the script.
fn without(there: &str) -> String {
    if !names_script(there.as_bytes()) {
        return there.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    for word in there.split(' ') {
        if !is_script(word) {
            kept.push(word);
        } else if kept
            .last()
            .is_some_and(|last| ["--require", "-r"].contains(last))
        {
            kept.pop();
        }
    }
    kept.join(" ")
}

/// Whether such a value names the script.
pub fn names_script(options: &[u8]) -> bool {
    String::from_utf8_lossy(options).split(' ').any(is_script)
}

fn is_script(word: &str) -> bool {
    let path = word.strip_prefix("--require=").unwrap_or(word);
    path.ends_with("/staplegun/node.cjs") || path.ends_with("/packaging/node.cjs")
}

/// The words of a command that narrow what Node.js may read, the script included.
pub fn restrictions<'w>(words: impl IntoIterator<Item = &'w str>) -> Vec<&'w str> {
    let known = ["--permission", "--experimental-p", "--policy-", "--allow-"];
    let all = words.into_iter();
    all.filter(|word| known.iter().any(|known| word.starts_with(known)))
        .collect()
}

/// Starts it with those options, as its program will be.
///
/// # Errors
///
/// Why it does not start.
pub fn starts(program: &Path, restrictions: &[&str], options: &str) -> Result<()> {
    let mut child = Command::new(program)
        .args(restrictions)
        .args(["-e", "0"])
        .env(OPTIONS, options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut stderr = child.stderr.take().context("it has no standard error")?;
    rustix::io::ioctl_fionbio(&stderr, true)?;
    let end = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    let status = loop {
        // Before its last words are read.
        let ended = child.try_wait()?;
        read_some(&mut stderr, &mut said);
        if let Some(status) = ended {
            break status;
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            bail!(
                "it does not end `-e 0` within {} seconds with {OPTIONS}={options}",
                PATIENCE.as_secs()
            );
        }
        std::thread::sleep(STEP);
    };
    if status.success() {
        return Ok(());
    }
    bail!(
        "it does not start with {OPTIONS}={options}: {}",
        reason(&String::from_utf8_lossy(&said))
    )
}

/// Reads what has come, so that whoever says much is not held up, and keeps the beginning.
fn read_some(stderr: &mut impl Read, said: &mut Vec<u8>) {
    // As much as a pipe holds: more may come without end.
    for _ in 0..16 {
        let mut part = [0; 4096];
        match stderr.read(&mut part) {
            Ok(length @ 1..) => {
                let room = (SAID as usize).saturating_sub(said.len());
                said.extend_from_slice(&part[..length.min(room)]);
            }
            // Nothing for now, or for ever.
            Ok(0) | Err(_) => return,
        }
    }
}

/// The line of what Node.js says that tells the reason.
pub fn reason(said: &str) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().find(|line| line.contains("Error"));
    let line = error.or_else(|| lines().next());
    staplegun_ocsp::printable(line.unwrap_or("it says nothing").as_bytes(), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_variable_holds_already_stays() {
        let script = Path::new("/usr/share/staplegun/node.cjs");
        let ours = "--require /usr/share/staplegun/node.cjs";
        for (there, wanted) in [
            ("", ours.to_owned()),
            (" ", ours.to_owned()),
            ("--inspect", format!("--inspect {ours}")),
            (
                "--require /usr/local/share/staplegun/node.cjs --title=\"a b\"",
                format!("--title=\"a b\" {ours}"),
            ),
            (ours, ours.to_owned()),
        ] {
            assert_eq!(with(there, script), wanted, "{there}");
        }
        assert_eq!(without(&format!("-r /x/y.cjs {ours}")), "-r /x/y.cjs");
    }

    #[test]
    fn one_that_says_more_than_a_pipe_holds_is_not_held_up() {
        let shell = Path::new("/bin/sh");
        let starts = |script: &str| super::starts(shell, &["-c", script], "");
        const MUCH: &str = "head -c 300000 /dev/zero | tr '\\0' x >&2";
        assert!(starts(MUCH).is_ok());
        let error = starts(&format!("echo Error: why >&2; {MUCH}; exit 1"));
        let error = error.expect_err("it fails").to_string();
        assert!(error.ends_with("Error: why"), "{error}");
        // What it has started in the background keeps the pipe.
        let error = starts("echo Error: why >&2; sleep 40 & exit 1");
        let error = error.expect_err("it fails").to_string();
        assert!(error.ends_with("Error: why"), "{error}");
    }

    #[test]
    fn the_reason_is_told_in_a_line() {
        let said = "node:internal/modules/cjs/loader:1210\n  throw err;\n\nError: Cannot find module \
                    '/x'\nRequire stack:\n";
        assert_eq!(reason(said), "Error: Cannot find module '/x'");
        assert_eq!(reason(""), "it says nothing");
    }
}
