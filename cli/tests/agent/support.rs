//! An agent on a store of its own, and what can be seen of it from outside.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::{SystemTime, UNIX_EPOCH};

use staplegun_store::Key;
use staplegun_store::files::Notes;
use staplegun_store::layout::Layout;
use staplegun_store::map::Reader;
use staplegun_store::slots::Miss;
use staplegun_testkit::program::{Program, Server};
use staplegun_testkit::{Directory, Identity, wait};

/// The program under test.
pub const STAPLEGUN: &str = env!("CARGO_BIN_EXE_staplegun");

/// The same where it is the agent of a [`Store`]: STAPLEGUN_PROGRAM may name another one.
fn staplegun() -> OsString {
    std::env::var_os("STAPLEGUN_PROGRAM").unwrap_or_else(|| STAPLEGUN.into())
}

/// So quick that nothing has to be waited for, and refreshed so often that a test
/// sees what a refresh does.
pub const QUICK: &str = "threads = 16\n[timing]\nlongest-refresh = 0.05\n\
                         longest-retry = 0.05\nsweep = 0.2\n";

/// As [`QUICK`], but refreshed when it is time.
pub const PATIENT: &str = "threads = 16\n[timing]\nlongest-retry = 0.05\nsweep = 0.2\n";

/// To be appended to these where a responder lets the agent wait: a busy machine's other responders
/// may take as long.
pub const HASTY: &str = "per-address = 0.5\nfetch = 1.0\n";

/// A store, with certificates that the operator named.
pub struct Store {
    /// Where it lies, and where the test's own files are.
    pub directory: Directory,
    certificates: Directory,
}

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            directory: Directory::new(),
            certificates: Directory::new(),
        }
    }

    /// An empty store in memory, as `/run/staplegun` is.
    pub fn in_memory() -> Self {
        Self {
            directory: Directory::in_memory(),
            ..Self::new()
        }
    }

    /// Names a certificate to the agent, as `staplegun add` does.
    pub fn list(&self, leaf: &Identity, issuers: &[&Identity]) -> PathBuf {
        let mut pem = leaf.pem();
        pem.extend(issuers.iter().map(|issuer| issuer.pem()));
        let name = format!("{}.pem", leaf.sha256_hex());
        let path = self.certificates.write(&name, pem);
        let list = self.directory.join("certificates");
        let mut known = std::fs::read_to_string(list).unwrap_or_default();
        known += &format!("{}\n", path.display());
        self.directory.write("certificates", known);
        path
    }

    /// Removes a certificate that was named, as `staplegun remove` does.
    pub fn unlist(&self, leaf: &Identity) {
        let path = self
            .certificates
            .join(&format!("{}.pem", leaf.sha256_hex()));
        let output = self.staplegun(&["remove", &path.display().to_string()]);
        assert!(output.status.success(), "{output:?}");
    }

    /// The paths in it.
    pub fn layout(&self) -> Layout {
        Layout::at(self.directory.path())
    }

    /// `staplegun agent` on this store with that configuration.
    pub fn program(&self, settings: &str) -> Program {
        let config = self.directory.write("agent.toml", settings);
        Program::new(staplegun())
            .args(["agent", "--verbose", "--metrics-port", "0", "--config"])
            .arg(config)
            .arg("--directory")
            .arg(self.directory.path())
    }

    /// Starts an agent; it has filled the map when this returns.
    pub fn start(&self, settings: &str) -> Agent {
        self.adopt(self.program(settings).start())
    }

    /// A server that was started by [`Store::program`] with changes.
    pub fn adopt(&self, server: Server) -> Agent {
        Agent {
            server,
            layout: self.layout(),
        }
    }

    /// Starts an agent in a mount namespace of its own, where `script` (sh) was run
    /// before; its log is the file `log` in the store's directory.
    pub fn start_apart(&self, settings: &str, script: &str) -> Guard {
        let config = self.directory.write("agent.toml", settings);
        let log = std::fs::File::create(self.directory.join("log")).expect("a log");
        let directory = self.directory.path().display();
        let agent = format!("{STAPLEGUN} agent --directory {directory}");
        let child = Command::new("unshare")
            .args(["-m", "sh", "-ec"])
            .arg(format!(
                "{script}\nexec {agent} --config {}",
                config.display()
            ))
            .stderr(log)
            .spawn();
        Guard(child.expect("unshare runs"))
    }

    /// Starts an agent whose plain files are to lie on a full disk, where the map does not; the
    /// disk is mounted at `full`, in a mount namespace of the agent's.
    pub fn start_on_full_disk(&self, settings: &str, full: &Directory) -> Guard {
        let script = format!(
            "mount -t tmpfs -o size=64k none {full}
             mkdir {full}/certs {full}/staples {full}/state
             cat /dev/zero > {full}/filler 2>/dev/null || true
             for name in certs staples state; do
                 mkdir {store}/$name
                 mount --bind {full}/$name {store}/$name
             done",
            full = full.path().display(),
            store = self.directory.path().display(),
        );
        self.start_apart(settings, &script)
    }

    /// What the agent in a namespace of its own has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).expect("a log")
    }

    /// Runs `staplegun` with these words on this store to its end.
    pub fn staplegun(&self, words: &[&str]) -> std::process::Output {
        Program::new(staplegun())
            .args(words)
            .env("STAPLEGUN_DIR", self.directory.path())
            .run()
    }

    /// What a server would staple now.
    pub fn served(&self, leaf: &Identity) -> Result<Vec<u8>, Miss> {
        served(&self.layout(), leaf, now())
    }

    /// What a server whose clock says `now` would staple.
    pub fn served_at(&self, leaf: &Identity, now: i64) -> Result<Vec<u8>, Miss> {
        served(&self.layout(), leaf, now)
    }

    /// The agent's notes.
    pub fn notes(&self, leaf: &Identity) -> Option<Notes> {
        notes(&self.layout(), leaf)
    }

    /// Brings a response as a tool would: written under another name, then renamed. Of a file
    /// that is written in its place the agent may see the beginning, and put back what it has.
    pub fn bring(&self, leaf: &Identity, der: &[u8]) {
        let file = self.file("staples", leaf, "der");
        let new = file.with_extension("tmp");
        std::fs::write(&new, der).expect("it can be written");
        std::fs::rename(&new, &file).expect("it can be renamed");
    }

    /// The file of a certificate in that directory of the store.
    pub fn file(&self, directory: &str, leaf: &Identity, suffix: &str) -> PathBuf {
        let name = format!("{}.{suffix}", leaf.sha256_hex());
        self.directory.join(directory).join(name)
    }
}

/// A child that is ended with the test.
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running agent.
pub struct Agent {
    /// Its process.
    pub server: Server,
    layout: Layout,
}

impl Agent {
    /// Waits until the map serves exactly that.
    pub fn wait_until_served(&self, leaf: &Identity, der: &[u8]) {
        wait::until("the agent serves the response", || {
            (served(&self.layout, leaf, now()).as_deref() == Ok(der)).then_some(())
        });
    }

    /// Waits until the map serves nothing, for that reason.
    pub fn wait_until_missed(&self, leaf: &Identity, miss: Miss) {
        wait::until("the agent serves nothing", || {
            (served(&self.layout, leaf, now()) == Err(miss)).then_some(())
        });
    }

    /// Waits until an attempt failed, and returns the notes of it.
    pub fn wait_until_failed(&self, leaf: &Identity) -> Notes {
        wait::until("the agent notes a failure", || {
            notes(&self.layout, leaf).filter(|notes| notes.failures > 0)
        })
    }

    /// Waits until the log holds that text.
    pub fn wait_until_logged(&self, text: &str) {
        wait::until(&format!("the agent logs {text:?}"), || {
            self.server.stderr().contains(text).then_some(())
        });
    }

    /// Its metrics, as Prometheus would fetch them.
    pub fn metrics(&self) -> String {
        let address = (Ipv4Addr::LOCALHOST, self.server.port());
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    /// How many attempts failed in a row, as the agent knows it now.
    pub fn failures(&self, leaf: &Identity) -> u32 {
        let metrics = self.metrics();
        let name = format!(
            "staplegun_fetch_failures_in_a_row{{sha256=\"{}\"",
            leaf.sha256_hex()
        );
        let line = metrics.lines().find(|line| line.starts_with(&name));
        let value = line.and_then(|line| line.rsplit_once(' '));
        value.expect("a metric").1.parse().expect("a number")
    }

    /// The value of a metric with those labels, as the agent tells it now.
    pub fn value(&self, metric: &str) -> Option<f64> {
        let metrics = self.metrics();
        let mut lines = metrics.lines();
        lines.find_map(|line| line.strip_prefix(metric)?.trim().parse().ok())
    }

    /// Waits until a metric has that value.
    pub fn wait_for_metric(&self, line: &str) {
        wait::until(&format!("the metrics hold {line:?}"), || {
            self.metrics()
                .lines()
                .any(|known| known == line)
                .then_some(())
        });
    }

    /// Kills it: nothing is finished, nothing is said.
    pub fn kill(mut self) {
        // Neither asked nor waited for: it has no time to do anything.
        let pid = rustix::process::Pid::from_raw(self.server.pid().cast_signed());
        rustix::process::kill_process(pid.expect("not zero"), rustix::process::Signal::KILL)
            .expect("it runs");
        self.server.stop();
    }
}

impl Drop for Agent {
    /// What it logged tells why a test failed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.server.stderr());
        }
    }
}

/// A server at any loopback address that answers every request with that response.
/// Returns its port, and where the heads of the requests come out.
pub fn answering(address: SocketAddr, answer: Vec<u8>) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind(address).expect("the port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        // It ends with the test's process.
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut reader = BufReader::new(&stream);
            loop {
                let mut line = String::new();
                match reader.read_line(&mut line) {
                    Ok(length) if length > 2 => head.push(line.trim_end().to_owned()),
                    _ => break,
                }
            }
            let _ = sender.send(head.join("\n"));
            let fields = "Content-Type: application/ocsp-response\r\nConnection: close";
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            let _ = stream.write_all(&answer);
        }
    });
    (port, lines)
}

/// The key of a certificate.
pub fn key(leaf: &Identity) -> Key {
    staplegun_store::name::to_key(&leaf.sha256_hex()).expect("a SHA-256")
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_secs()).expect("fits")
}

fn served(layout: &Layout, leaf: &Identity, now: i64) -> Result<Vec<u8>, Miss> {
    let reader = Reader::open(&layout.map(), 64 << 20).map_err(|_| Miss::Absent)?;
    read(&reader, leaf, now)
}

/// What a server that has mapped that map would staple.
pub fn read(reader: &Reader, leaf: &Identity, now: i64) -> Result<Vec<u8>, Miss> {
    read_key(reader, &key(leaf), now)
}

/// The same by the certificate's key.
pub fn read_key(reader: &Reader, key: &Key, now: i64) -> Result<Vec<u8>, Miss> {
    let buffer = |length: usize| Some(vec![MaybeUninit::new(0u8); length]);
    let copied = reader.read(key, now, buffer)?;
    let bytes = &copied.buffer[..copied.length];
    // SAFETY: every byte was initialised when the buffer was made.
    Ok(bytes
        .iter()
        .map(|byte| unsafe { byte.assume_init() })
        .collect())
}

fn notes(layout: &Layout, leaf: &Identity) -> Option<Notes> {
    let bytes = std::fs::read(file(layout, "state", leaf, "json")).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn file(layout: &Layout, directory: &str, leaf: &Identity, suffix: &str) -> PathBuf {
    let name = format!("{}.{suffix}", leaf.sha256_hex());
    Path::new(layout.lasting()).join(directory).join(name)
}
