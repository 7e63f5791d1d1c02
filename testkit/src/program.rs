//! Real servers as children: started with a clean environment, ready when they
//! listen, gone when the test is.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, getuid, kill_process};

use crate::directory::Directory;
use crate::process;
use crate::wait;

/// A program to be started.
pub struct Program {
    words: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    user: Option<String>,
    stop_signal: Signal,
}

impl Program {
    /// The program of that name or path. Its environment holds PATH, HOME, and
    /// the C locale; nothing of the test's own.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let clean = [
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/"),
            ("LC_ALL", "C"),
        ];
        Self {
            words: vec![program.as_ref().to_owned()],
            environment: clean.map(|(k, v)| (k.into(), v.into())).to_vec(),
            user: None,
            stop_signal: Signal::TERM,
        }
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        let arguments = arguments.into_iter().map(|a| a.as_ref().to_owned());
        self.words.extend(arguments);
        self
    }

    /// Adds an argument.
    pub fn arg(self, argument: impl AsRef<OsStr>) -> Self {
        self.args([argument])
    }

    /// Has it started by another program, which becomes it: `words` come first.
    pub fn under<A: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = A>) -> Self {
        let words = words.into_iter().map(|word| word.as_ref().to_owned());
        self.words.splice(0..0, words);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let pair = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.environment.push(pair);
        self
    }

    /// Preloads a library into the program.
    pub fn preload(self, library: &Path) -> Self {
        self.env("LD_PRELOAD", library)
    }

    /// Runs the program as that user, if the tests run as root.
    pub fn user(mut self, name: &str) -> Self {
        self.user = Some(name.to_owned());
        self
    }

    /// Stops the program with SIGINT instead of SIGTERM, where SIGTERM waits
    /// for clients to leave.
    pub fn stop_by_interrupt(mut self) -> Self {
        self.stop_signal = Signal::INT;
        self
    }

    /// Runs the program to its end and returns its output.
    pub fn run(&self) -> std::process::Output {
        self.command()
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("cannot run {:?}: {e}", self.words))
    }

    /// Starts the program, which binds a port of its own choice, and waits
    /// until it listens.
    pub fn start(self) -> Server {
        let mut server = self.spawn();
        server.wait_until_listening(None).unwrap_or_else(|output| {
            panic!("the program ended instead of listening: {output}");
        });
        server
    }

    /// Starts a program that must be told its port, and waits until it listens
    /// there. Where another process takes the free port first, and the program
    /// ends for it, another port is chosen.
    pub fn start_on_free_port(make: impl Fn(u16) -> Self) -> Server {
        const ATTEMPTS: u32 = 10;
        for _ in 0..ATTEMPTS {
            let port = free_port();
            let mut server = make(port).spawn();
            match server.wait_until_listening(Some(port)) {
                Ok(()) => return server,
                Err(output) if output.to_lowercase().contains("address already in use") => {}
                Err(output) => panic!("the program ended instead of listening: {output}"),
            }
        }
        panic!("{ATTEMPTS} free ports were taken by others");
    }

    /// Started through setpriv, which lets the program end with the thread
    /// that started it, and takes the user; and through env, so that what is
    /// preloaded is not loaded into setpriv.
    fn command(&self) -> Command {
        let signal = match self.stop_signal {
            Signal::INT => "INT",
            _ => "TERM",
        };
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", signal]);
        if let Some(user) = self.user.as_ref().filter(|_| getuid().is_root()) {
            command.args(["--reuid", user, "--regid", primary_group(user).as_str()]);
            command.arg("--init-groups");
        }
        command.args(["env", "-i"]);
        for (name, value) in &self.environment {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            command.arg(pair);
        }
        command.args(&self.words).env_remove("LD_PRELOAD");
        command
    }

    fn spawn(&self) -> Server {
        let directory = Directory::new();
        let create = |name| File::create(directory.join(name)).expect("the file can be made");
        let child = self
            .command()
            .current_dir("/")
            // Apache ends its whole process group when it is stopped.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(create("stdout"))
            .stderr(create("stderr"))
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {:?}: {e}", self.words));
        Server {
            child,
            port: 0,
            stop_signal: self.stop_signal,
            directory,
            kept: None,
        }
    }
}

/// A running program that listens on a loopback port. Dropping it stops it and
/// all its children.
pub struct Server {
    child: Child,
    port: u16,
    stop_signal: Signal,
    directory: Directory,
    kept: Option<Directory>,
}

impl Server {
    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has written to its standard output so far.
    pub fn stdout(&self) -> String {
        self.output("stdout")
    }

    /// What it has written to its standard error so far.
    pub fn stderr(&self) -> String {
        self.output("stderr")
    }

    /// Removes that directory only when the program has been stopped.
    pub fn keep(&mut self, directory: Directory) {
        self.kept = Some(directory);
    }

    fn output(&self, name: &str) -> String {
        let bytes = fs::read(self.directory.join(name)).expect("the output can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits for the program to listen; on `port`, if given. If it ends
    /// instead, its exit status and output is the error.
    fn wait_until_listening(&mut self, port: Option<u16>) -> Result<(), String> {
        let pid = self.pid();
        let listening = wait::until("the program listens", || {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return Some(Err(status));
            }
            match port {
                // A master may leave the listening to its children.
                Some(port) => process::descendants(pid)
                    .into_iter()
                    .chain([pid])
                    .any(|pid| process::listening_ports(pid).contains(&port))
                    .then_some(Ok(port)),
                None => process::listening_ports(pid).first().map(|port| Ok(*port)),
            }
        });
        match listening {
            Ok(port) => {
                self.port = port;
                Ok(())
            }
            Err(status) => Err(format!("{status}\n{}{}", self.stdout(), self.stderr())),
        }
    }

    /// Sends SIGHUP, by which many servers load their configuration again.
    pub fn hang_up(&self) {
        signal(self.pid(), Signal::HUP);
    }

    /// Asks the program to end, and returns how it did. Children that outlive
    /// it are asked as well; what remains after [`wait::limit`] is killed.
    pub fn stop(&mut self) -> ExitStatus {
        if let Some(status) = self.child.try_wait().expect("it is our child") {
            return status;
        }
        let children = process::descendants(self.pid());
        let children: Vec<(u32, u64)> = children
            .into_iter()
            .filter_map(|pid| Some((pid, process::start_time(pid)?)))
            .collect();
        signal(self.pid(), self.stop_signal);
        if !ends_in_time(|| self.child.try_wait().is_ok_and(|status| status.is_some())) {
            signal(self.pid(), Signal::KILL);
        }
        let status = self.child.wait().expect("it is our child");
        for pid in remaining(&children) {
            signal(pid, Signal::TERM);
        }
        if !ends_in_time(|| remaining(&children).is_empty()) {
            for pid in remaining(&children) {
                signal(pid, Signal::KILL);
            }
        }
        status
    }
}

/// Whether it has ended before [`wait::limit`] is over.
fn ends_in_time(mut ended: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + wait::limit();
    while !ended() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(wait::PAUSE);
    }
    true
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Those of the processes that still run and are not others of the same number.
fn remaining(family: &[(u32, u64)]) -> Vec<u32> {
    let runs = |(pid, start): &&(u32, u64)| process::start_time(*pid) == Some(*start);
    family.iter().filter(runs).map(|(pid, _)| *pid).collect()
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("not zero");
    // It may just have ended by itself.
    let _ = kill_process(pid, signal);
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a loopback port is free")
        .port()
}

fn primary_group(user: &str) -> String {
    let output = Command::new("id").args(["-g", user]).output();
    let output = output.unwrap_or_else(|e| panic!("cannot run id: {e}"));
    let group = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(!group.is_empty(), "there is no user {user}");
    group
}
