//! How these tests call `staplegun`.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use staplegun_testkit::shim;
use staplegun_testkit::wait;

/// The program under test.
pub const STAPLEGUN: &str = env!("CARGO_BIN_EXE_staplegun");

/// Not one that a user's shell would find first.
pub const PYTHON: &str = "/usr/bin/python3";

/// `staplegun` with these arguments.
pub fn staplegun<A: AsRef<OsStr>>(arguments: &[A]) -> Command {
    let mut command = like_staplegun(STAPLEGUN);
    command.args(arguments);
    command
}

/// A program that will start `staplegun`, in an environment that says where the
/// library is and nothing else of ours.
pub fn like_staplegun(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("STAPLEGUN_LIB", shim::library())
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env_remove("LD_PRELOAD")
        .env_remove("STAPLEGUN_DIR")
        .stdin(Stdio::null());
    command
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// The exit status; -1 if it was ended by a signal.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Runs the command to its end.
    pub fn by(command: &mut Command) -> Self {
        let output = command.output();
        let Output {
            status,
            stdout,
            stderr,
        } = output.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            status: status.code().unwrap_or(-1),
            out: text(stdout),
            err: text(stderr),
        }
    }

    /// Panics unless it ended with that status.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// The output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Compiles a C program.
pub fn compile(source: &str, to: &Path, options: &[&str]) {
    compile_with("gcc", source, to, options);
}

/// Compiles a C program by that compiler.
pub fn compile_with(compiler: &str, source: &str, to: &Path, options: &[&str]) {
    let file = to.with_extension("c");
    std::fs::write(&file, source).expect("the directory can be written");
    let said = Said::by(
        Command::new(compiler)
            .args(["-o".as_ref(), to.as_os_str(), file.as_os_str()])
            .args(options),
    );
    assert_eq!(said.status, 0, "{said:?}");
}

/// The agents that were started for a process.
pub fn agents_of(pid: u32) -> Vec<u32> {
    let watched = [b"--watch-pid\0", pid.to_string().as_bytes(), b"\0"].concat();
    let entries = fs::read_dir("/proc").expect("it is mounted");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(watched.len()).any(|part| part == watched)
    })
    .collect()
}

/// The one agent that was started for a process.
pub fn agent_of(pid: u32) -> u32 {
    match agents_of(pid)[..] {
        [agent] => agent,
        ref others => panic!("one agent was expected for {pid}: {others:?}"),
    }
}

/// Waits until no agent is left that was started for a process.
pub fn wait_for_the_end_of_agents(pid: u32) {
    wait::until("the agent ends", || agents_of(pid).is_empty().then_some(()));
}
