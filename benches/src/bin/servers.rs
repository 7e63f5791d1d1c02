//! Processor time of real servers for a handshake, with the library and without,
//! in pairs.
//!
//!     servers nginx|haproxy|postgres|redis ROUNDS CONNECTIONS LOAD
//!
//! nginx and HAProxy staple natively, from a file, where they run without the
//! library; PostgreSQL and Redis cannot. LOAD is the program of load.c. Each
//! round starts both servers anew, since one process differs from the next by
//! where its memory lies, and loads them in turn: ours, theirs, theirs, ours.
//! Prints a line for each round: the microseconds that all processes of ours and
//! of theirs spent on a handshake. STAPLEGUN_LIB names the library.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use staplegun_store::layout::Layout;
use staplegun_store::map::{Writer, WriterLock};
use staplegun_testkit::directory::set_mode;
use staplegun_testkit::hosts::{HaProxy, Nginx, Postgres, Redis};
use staplegun_testkit::{Directory, Host, Server, Shim, Site, process, wait};

/// The smallest map.
const MAP_SIZE: usize = 256 * 1024;
const A_DAY: i64 = 24 * 60 * 60;
/// Handshakes before those that count.
const WARM_UP: u32 = 5;
/// Nanoseconds in one of the ticks by which the kernel tells times (USER_HZ).
const TICK: u64 = 10_000_000;

/// A server in two processes: ours has the library, theirs has not.
struct Contest {
    ours: Box<dyn Host>,
    theirs: Box<dyn Host>,
    /// A file that is there while theirs starts, to be stapled.
    own_response: Option<&'static str>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, rounds, connections, load] = words.as_slice() else {
        return Err("usage: servers NAME ROUNDS CONNECTIONS LOAD".into());
    };
    let (contest, connections) = (contest(name)?, connections.parse()?);
    let site = Site::new();
    let store = store_with_response(&site)?;
    let shim = Shim::preloaded().env("STAPLEGUN_DIR", store.path());
    for round in 0..rounds.parse()? {
        let (ours, theirs) = if round % 2 == 0 {
            let ours = contest.ours.start(&site, &shim);
            (ours, contest.start_theirs(&site)?)
        } else {
            let theirs = contest.start_theirs(&site)?;
            (contest.ours.start(&site, &shim), theirs)
        };
        let ours = Loaded::new(&ours, &*contest.ours, true, load)?;
        let theirs_staples = contest.own_response.is_some();
        let theirs = Loaded::new(&theirs, &*contest.theirs, theirs_staples, load)?;
        let mut spent = [0, 0];
        for (at, server) in [(0, &ours), (1, &theirs), (1, &theirs), (0, &ours)] {
            spent[at] += server.spends_on(connections)?;
        }
        let [ours, theirs] = spent.map(|spent| spent as f64 / f64::from(2 * connections) / 1e3);
        println!("{ours} {theirs}");
    }
    Ok(())
}

fn contest(name: &str) -> Result<Contest, Box<dyn Error>> {
    const RESPONSE: &str = "response.der";
    let (ours, theirs, own_response): (Box<dyn Host>, Box<dyn Host>, _) = match name {
        "nginx" => {
            let native = Nginx::new().own_response(RESPONSE);
            (Box::new(Nginx::new()), Box::new(native), Some(RESPONSE))
        }
        "haproxy" => (
            Box::new(HaProxy),
            Box::new(HaProxy),
            Some("bundle.pem.ocsp"),
        ),
        "postgres" => (Box::new(Postgres::new()), Box::new(Postgres::new()), None),
        "redis" => (Box::new(Redis), Box::new(Redis), None),
        _ => return Err(format!("{name} is no server that is known here").into()),
    };
    Ok(Contest {
        ours,
        theirs,
        own_response,
    })
}

impl Contest {
    fn start_theirs(&self, site: &Site) -> Result<Server, Box<dyn Error>> {
        let Some(file) = self.own_response else {
            return Ok(self.theirs.start(site, &Shim::absent()));
        };
        let path = site.write(file, site.good().der());
        let server = self.theirs.start(site, &Shim::absent());
        // HAProxy under the library would staple it too.
        fs::remove_file(path)?;
        Ok(server)
    }
}

/// The store of an agent that has a response for the site's certificate.
fn store_with_response(site: &Site) -> Result<Directory, Box<dyn Error>> {
    let directory = Directory::new();
    set_mode(directory.path(), 0o755);
    let map = Layout::at(directory.path()).map();
    let mut writer = Writer::open(&map, MAP_SIZE, WriterLock::try_take(&map)?)?;
    let hex = site.leaf.sha256_hex();
    let byte = |at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("it is hexadecimal");
    let key = std::array::from_fn(byte);
    let now = std::time::UNIX_EPOCH.elapsed()?.as_secs().cast_signed();
    writer.put(&key, &site.good().der(), 0, now + A_DAY)?;
    Ok(directory)
}

/// A server under load.
struct Loaded<'s> {
    server: &'s Server,
    starttls: Option<&'static str>,
    staples: bool,
    load: &'s Path,
    /// How many processes it has while nobody is connected.
    processes: usize,
}

impl<'s> Loaded<'s> {
    fn new(
        server: &'s Server,
        host: &dyn Host,
        staples: bool,
        load: &'s str,
    ) -> Result<Loaded<'s>, Box<dyn Error>> {
        let mut loaded = Loaded {
            server,
            starttls: host.starttls(),
            staples,
            load: Path::new(load),
            processes: usize::MAX,
        };
        loaded.shake_hands(WARM_UP)?;
        loaded.settled();
        loaded.processes = process::descendants(server.pid()).len();
        Ok(loaded)
    }

    fn shake_hands(&self, count: u32) -> Result<(), Box<dyn Error>> {
        let output = Command::new(self.load)
            .args([self.server.port().to_string(), count.to_string()])
            .args(self.starttls)
            .output()?;
        let stapled = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let expected = if self.staples { count } else { 0 };
        if !output.status.success() || stapled != expected.to_string() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(
                format!("{stapled} of {count} were stapled, not {expected}: {said}").into(),
            );
        }
        Ok(())
    }

    /// The nanoseconds that it spends on so many handshakes.
    fn spends_on(&self, count: u32) -> Result<u64, Box<dyn Error>> {
        let before = self.settled();
        self.shake_hands(count)?;
        Ok(self.settled() - before)
    }

    /// What it has spent when it has done all that it had to do.
    fn settled(&self) -> u64 {
        let mut last = u64::MAX;
        wait::until("the server has nothing more to do", || {
            let family = process::descendants(self.server.pid());
            let now = spent(self.server.pid(), &family);
            let done = now == last && family.len() <= self.processes;
            last = now;
            done.then_some(now)
        })
    }
}

/// The nanoseconds that a process, its descendants, and those of them that have
/// ended, spent on a processor.
fn spent(pid: u32, descendants: &[u32]) -> u64 {
    let all = descendants.iter().copied().chain([pid]);
    all.map(|pid| of_threads(pid) + of_ended_children(pid))
        .sum()
}

fn of_threads(pid: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
    let of_thread = |thread: fs::DirEntry| {
        let times = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        times.split(' ').next()?.parse::<u64>().ok()
    };
    threads.flatten().filter_map(of_thread).sum()
}

/// Fields 16 and 17 of `/proc/PID/stat`, of which the name may hold spaces.
fn of_ended_children(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = fields.split(' ').skip(13).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum::<u64>()
        * TICK
}
