//! Node.js with an OpenSSL of its own, as a unit: NODE_OPTIONS names the script by which it staples,
//! and it does not start if it cannot load that. So it is started once as the unit would start it,
//! with its user and in its sandbox, before anything is changed.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use staplegun_store::files::open_regular;

use super::file::read;
use super::fit;
use super::journal::Step;
use super::undo::Undo;
use crate::agent::SYSTEM_FILE;
use crate::machine::unit::{Unit, systemctl};
use crate::{live_files, node};

/// What a unit that starts it needs.
#[derive(Debug)]
pub struct Node {
    program: PathBuf,
    script: PathBuf,
    options: String,
    /// What of its command narrows what it may read.
    restrictions: Vec<String>,
}

impl Node {
    /// What the unit needs, whose `program` that is.
    ///
    /// # Errors
    ///
    /// If something takes the variable away, or sets it after us.
    pub fn of(unit: &Unit, program: PathBuf) -> Result<Self> {
        let script = node::script()?;
        fit::judge("the script", &script)?;
        let name = unit.short_name();
        let options = node::OPTIONS;
        if unit.unset().iter().any(|word| word.starts_with(options)) {
            bail!(
                "its unit takes {options} away (UnsetEnvironment=): empty that with systemctl edit \
                 {name}"
            );
        }
        for path in unit.environment_files() {
            let text = read(&path).ok().flatten().unwrap_or_default();
            if text
                .lines()
                .any(|line| line.trim_start().starts_with(options))
            {
                bail!(
                    "{} sets {options}, which counts for more than the unit: move that into the unit, \
                     systemctl edit {name}",
                    path.display()
                );
            }
        }
        let environment = unit.environment();
        let there = environment.iter().find(|(name, _)| name == options);
        let there = there.map_or("", |(_, value)| value.as_str());
        let commands = unit.commands();
        let words = commands.iter().flat_map(|command| command.line.split(' '));
        Ok(Self {
            options: node::with(there, &script),
            restrictions: node::restrictions(words)
                .into_iter()
                .map(str::to_owned)
                .collect(),
            program,
            script,
        })
    }

    /// The line for `[Service]`.
    pub fn line(&self) -> String {
        let value = self.options.replace('\\', r"\\").replace('"', "\\\"");
        format!("Environment=\"{}={}\"", node::OPTIONS, percent(&value))
    }

    /// What the operator should know.
    pub fn remark(&self) -> String {
        format!(
            "Node.js with an OpenSSL of its own: its servers staple by {}, without which it does not \
             start",
            self.script.display()
        )
    }

    /// Starts it once, as the unit does, with the script and nothing to do.
    ///
    /// # Errors
    ///
    /// If it does not start so.
    pub fn try_out(&self, unit: &Unit) -> Result<()> {
        let text = systemctl(&["cat", "--", &unit.name])?;
        let instance = unit.short_name().split_once('@').map(|(_, name)| name);
        let (file, name) = match instance {
            Some(instance) => (
                "staplegun-try@.service",
                format!("staplegun-try@{instance}.service"),
            ),
            None => ("staplegun-try.service", "staplegun-try.service".to_owned()),
        };
        let path = Path::new("/run/systemd/system").join(file);
        let said = Path::new("/run/staplegun-try.err");
        fs::write(&path, self.unit(&text, said))
            .with_context(|| format!("cannot write {}", path.display()))?;
        let tried = systemctl(&["daemon-reload"]).and_then(|_| systemctl(&["start", &name]));
        let mut reason = Vec::new();
        if let Ok(file) = open_regular(said) {
            let _ = file.take(node::SAID).read_to_end(&mut reason);
        }
        let _ = fs::remove_file(said);
        let _ = fs::remove_file(&path);
        let _ = systemctl(&["reset-failed", &name]);
        systemctl(&["daemon-reload"])?;
        if tried.is_ok() {
            return Ok(());
        }
        bail!(
            "{} does not start with {}={} as its user and in its sandbox: {}",
            self.program.display(),
            node::OPTIONS,
            self.options,
            node::reason(&String::from_utf8_lossy(&reason))
        )
    }

    /// A unit with the sandbox of another, whose files are `text`, that only starts Node.js.
    fn unit(&self, text: &str, said: &Path) -> String {
        let service = of_sandbox(text);
        let restrictions: String = self
            .restrictions
            .iter()
            .map(|word| format!(" {word}"))
            .collect();
        format!(
            "[Service]\n{service}\n{}\nType=oneshot\nTimeoutStartSec=60\nStandardOutput=null\n\
             StandardError=truncate:{}\nExecStart=\"{}\"{} -e 0\n",
            self.line(),
            said.display(),
            percent(&self.program.to_string_lossy()),
            percent(&restrictions)
        )
    }
}

/// What of a unit's `[Service]` is about how its programs run: not what they are, nor what becomes
/// of directories that are the running service's.
fn of_sandbox(text: &str) -> String {
    const OTHERS: [&str; 19] = [
        "Type",
        "Restart",
        "PIDFile",
        "BusName",
        "Sockets",
        "Notify",
        "Watchdog",
        "RemainAfterExit",
        "GuessMainPID",
        "RuntimeDirectory",
        "StateDirectory",
        "CacheDirectory",
        "LogsDirectory",
        "ConfigurationDirectory",
        "Standard",
        "Timeout",
        "FileDescriptorStore",
        "OpenFile",
        "Success",
    ];
    let mut kept = String::new();
    let (mut is_service, mut is_kept, mut goes_on) = (false, false, false);
    for line in text.lines() {
        let is_comment = line.trim_start().starts_with(['#', ';']);
        if is_comment {
            continue;
        }
        if !goes_on {
            if line.starts_with('[') {
                is_service = line.trim_end() == "[Service]";
                is_kept = false;
                continue;
            }
            let starts = OTHERS.iter().any(|other| line.starts_with(other));
            let runs = line.starts_with("Exec")
                && !line.starts_with("ExecPaths")
                && !line.starts_with("ExecSearchPath");
            is_kept = is_service && !starts && !runs;
        }
        goes_on = line.ends_with('\\');
        if is_kept && !line.trim().is_empty() {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Lets the agent show files, which the script reads: what is to be done, and what undoes it.
///
/// # Errors
///
/// If the operator forbids it.
pub fn show_files() -> Result<(Vec<Step>, Option<Undo>)> {
    let path = PathBuf::from(SYSTEM_FILE);
    let before = read(&path)?;
    let text = before.as_deref().unwrap_or_default();
    match live_files::setting(text) {
        Some(true) if live_files::is_ours(text) => Ok((Vec::new(), Some(Undo::LiveFiles))),
        Some(true) => Ok((Vec::new(), None)),
        Some(false) => bail!(
            "{SYSTEM_FILE} says `live-files = false`, and Node.js with an OpenSSL of its own reads those \
             files: remove that line"
        ),
        None => {
            let text = live_files::with(before.as_deref());
            let steps = change(path, before, text, "live-files = true\n");
            Ok((steps, Some(Undo::LiveFiles)))
        }
    }
}

/// Takes that back, unless another unit needs it.
///
/// # Errors
///
/// If the file cannot be read.
pub fn show_no_files(is_needed: bool) -> Result<Vec<Step>> {
    let path = PathBuf::from(SYSTEM_FILE);
    let text = read(&path)?.unwrap_or_default();
    if is_needed || !live_files::is_ours(&text) {
        return Ok(Vec::new());
    }
    let Some(rest) = live_files::without(&text) else {
        return Ok(vec![Step::Remove { path, text }, reload()]);
    };
    Ok(change(
        path,
        Some(text),
        rest,
        "(without live-files = true)\n",
    ))
}

fn change(path: PathBuf, before: Option<String>, text: String, shown: &str) -> Vec<Step> {
    let write = Step::Write {
        path,
        before,
        text,
        shown: shown.to_owned(),
    };
    vec![write, reload()]
}

/// The agent reads its configuration, if it runs.
fn reload() -> Step {
    let words = ["systemctl", "try-reload-or-restart", "staplegun.service"];
    Step::Run {
        words: words.map(str::to_owned).to_vec(),
        changes: None,
    }
}

/// systemd reads specifiers in what it reads.
pub fn percent(value: &str) -> String {
    value.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(options: &str) -> Node {
        Node {
            program: "/opt/node/bin/node".into(),
            script: "/usr/share/staplegun/node.cjs".into(),
            options: options.to_owned(),
            restrictions: Vec::new(),
        }
    }

    #[test]
    fn what_is_tried_has_the_sandbox_and_none_of_the_rest() {
        let text = "# /etc/systemd/system/app.service\n[Unit]\nAfter=x\n[Service]\nType=notify\n\
                    User=app\nExecStartPre=/bin/a \\\n  ExecPaths=b\nExecStart=/opt/node/bin/node app\n\
                    RuntimeDirectory=app\nEnvironment=A=1 \\\n  B=2\n[Install]\nWantedBy=y\n\
                    # /etc/systemd/system/app.service.d/more.conf\n[Service]\nProtectSystem=strict\n\
                    ExecPaths=/opt\nRestart=always\n";
        let kept = "User=app\nEnvironment=A=1 \\\n  B=2\nProtectSystem=strict\nExecPaths=/opt\n";
        assert_eq!(of_sandbox(text), kept);
        let unit = node("--require /usr/share/staplegun/node.cjs").unit(text, Path::new("/run/x"));
        assert!(unit.starts_with(&format!("[Service]\n{kept}")), "{unit}");
        assert!(
            unit.ends_with("ExecStart=\"/opt/node/bin/node\" -e 0\n"),
            "{unit}"
        );
        assert_eq!(unit.matches("ExecStart").count(), 1);
    }

    #[test]
    fn the_variable_is_quoted_as_systemd_reads_it() {
        let line = node("--title=\"a 100%\" --require /s/node.cjs").line();
        let wanted = "Environment=\"NODE_OPTIONS=--title=\\\"a 100%%\\\" --require /s/node.cjs\"";
        assert_eq!(line, wanted);
    }
}
