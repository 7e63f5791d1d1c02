//! A real redis-server for the tests, and what is to be seen and done in it.

use std::process::Output;

use rustix::process::{Pid, Signal, kill_process};
use staplegun_testkit::program::{Program, Server};
use staplegun_testkit::{Directory, wait};

use super::network::Network;

/// A running server, or one that was killed.
pub struct Redis {
    server: Option<Server>,
    words: Vec<String>,
    port: u16,
    /// What redis-cli is given to get in.
    client: Vec<String>,
    /// Its files.
    pub directory: Directory,
}

/// The server that is tested with: Redis, or Valkey where that is wanted.
pub fn server() -> String {
    std::env::var("STAPLEGUN_REDIS").unwrap_or_else(|_| "redis-server".to_owned())
}

/// Its client.
pub fn client() -> String {
    server().replace("-server", "-cli")
}

impl Redis {
    /// With these words after the port, on a port that is free.
    pub fn start(words: &[&str]) -> Self {
        Self::start_with(
            |_| words.iter().map(|word| (*word).to_owned()).collect(),
            &[],
        )
    }

    /// One that agents in these networks reach at the address of the first.
    pub fn start_for(networks: &[Network]) -> Self {
        let here = networks[0].here.to_string();
        Self::start(&["--bind", "127.0.0.1", &here, "--protected-mode", "no"])
    }

    /// With the words for its directory; `client` is what redis-cli is given.
    pub fn start_with(words: impl Fn(&Directory) -> Vec<String>, client: &[&str]) -> Self {
        let directory = Directory::new();
        let words = words(&directory);
        let server = Program::start_on_free_port(|port| program(port, &words, &directory));
        Self {
            port: server.port(),
            server: Some(server),
            words,
            client: client.iter().map(|word| (*word).to_owned()).collect(),
            directory,
        }
    }

    /// A port that was free, on which nothing listens yet; see [`Redis::revive`].
    pub fn not_yet() -> Self {
        let mut redis = Self::start(&[]);
        redis.kill();
        redis
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address without TLS, as the settings have it.
    pub fn url(&self) -> String {
        format!("url = 'redis://127.0.0.1:{}'", self.port)
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            signal(&server, Signal::KILL);
            server.stop();
        }
    }

    /// Starts it again on its port, with nothing in it.
    pub fn revive(&mut self) {
        self.server = Some(program(self.port, &self.words, &self.directory).start());
    }

    /// Stops its process, so that every command hangs.
    pub fn freeze(&self) {
        signal(self.server.as_ref().expect("it runs"), Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        signal(self.server.as_ref().expect("it runs"), Signal::CONT);
    }

    /// What redis-cli prints for a command.
    pub fn ask<A: AsRef<str>>(&self, words: &[A]) -> String {
        let output = self.run(words);
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    fn run<A: AsRef<str>>(&self, words: &[A]) -> Output {
        Program::new(client())
            .args(["-p", &self.port.to_string()])
            .args(&self.client)
            .args(words.iter().map(AsRef::as_ref))
            .run()
    }

    /// Puts bytes under a key.
    pub fn set(&self, key: &str, value: &[u8]) {
        let file = self.directory.write("value", value);
        let script = format!(
            "{} -p {} {} -x SET '{key}' < '{}'",
            client(),
            self.port,
            self.client.join(" "),
            file.display()
        );
        let output = Program::new("sh").args(["-c", &script]).run();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            "OK",
            "{output:?}"
        );
    }

    /// Waits until redis-cli prints something that is wanted.
    pub fn wait_until(&self, what: &str, words: &[&str], is_it: impl Fn(&str) -> bool) {
        wait::until(what, || is_it(&self.ask(words)).then_some(()));
    }

    /// How many commands of that name it has run.
    pub fn calls(&self, command: &str) -> u64 {
        let stats = self.ask(&["INFO", "commandstats"]);
        let begin = format!("cmdstat_{command}:calls=");
        let line = stats.lines().find_map(|line| line.strip_prefix(&begin));
        let number = line.and_then(|rest| rest.split(',').next());
        number.map_or(0, |number| number.parse().expect("a number"))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            // A stopped process does not end.
            signal(server, Signal::CONT);
        }
    }
}

fn program(port: u16, words: &[String], directory: &Directory) -> Program {
    let is_tls = words.iter().any(|word| word == "--tls-port");
    let port = port.to_string();
    let words: Vec<String> = words
        .iter()
        .map(|word| word.replace("PORT", &port))
        .collect();
    let program = Program::new(server())
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--dir".as_ref(), directory.path().as_os_str()]);
    let program = match is_tls {
        true => program.args(["--port", "0"]),
        false => program.args(["--port", &port]),
    };
    program.args(words)
}

fn signal(server: &Server, signal: Signal) {
    let pid = Pid::from_raw(server.pid().cast_signed()).expect("not zero");
    // It may have ended by itself.
    let _ = kill_process(pid, signal);
}

/// The key of the response of a leaf.
pub fn response_of(leaf: &staplegun_testkit::Identity) -> String {
    format!("sg:1:{{{}}}:r", leaf.sha256_hex())
}
