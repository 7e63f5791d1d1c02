//! Processor time and page faults of real servers for a handshake, with the library
//! and without, in pairs.
//!
//!     servers nginx|haproxy|postgres|redis ROUNDS TURNS LOAD
//!
//! nginx and HAProxy staple natively, from a file, where they run without the
//! library; PostgreSQL and Redis cannot. LOAD is the program of load.c. Each
//! round starts both servers anew, since one process differs from the next by
//! where its memory lies, and loads them in turns: ours, theirs, theirs, ours, with few handshakes
//! each, so that what else the machine does meets both alike.
//! Prints a line for each round: the microseconds that all processes of ours and
//! of theirs spent on a handshake, and the page faults of both. STAPLEGUN_LIB names
//! the library.
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
/// Handshakes of one server before the other's turn.
const AT_A_TIME: u32 = 10;
/// Nanoseconds in one of the ticks by which the kernel tells times (USER_HZ).
const TICK: u64 = 10_000_000;
/// Where in [`stat`] the minor page faults stand, and behind them those of the children that
/// have ended.
const MINFLT: usize = 10 - 4;
/// Likewise the time of the children that have ended, in user space and behind it in the kernel.
const CUTIME: usize = 16 - 4;

/// A server in two processes: ours has the library, theirs has not.
struct Contest {
    ours: Box<dyn Host>,
    theirs: Box<dyn Host>,
    /// A file that is there while theirs starts, to be stapled.
    own_response: Option<&'static str>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, rounds, turns, load] = words.as_slice() else {
        return Err("usage: servers NAME ROUNDS TURNS LOAD".into());
    };
    let (contest, turns) = (contest(name)?, turns.parse::<u32>()?);
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
        let mut costs = [Cost::default(); 2];
        for _ in 0..turns {
            for (at, server) in [(0, &ours), (1, &theirs), (1, &theirs), (0, &ours)] {
                let cost = server.costs_for(AT_A_TIME)?;
                costs[at].nanoseconds += cost.nanoseconds;
                costs[at].faults += cost.faults;
            }
        }
        let of_each = |sum: u64| sum as f64 / f64::from(2 * AT_A_TIME * turns);
        let [ours, theirs] = costs.map(|cost| of_each(cost.nanoseconds) / 1e3);
        let [our_faults, their_faults] = costs.map(|cost| of_each(cost.faults));
        println!("{ours} {theirs} {our_faults} {their_faults}");
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

    /// What so many handshakes cost it.
    fn costs_for(&self, count: u32) -> Result<Cost, Box<dyn Error>> {
        let before = self.settled();
        self.shake_hands(count)?;
        let after = self.settled();
        Ok(Cost {
            nanoseconds: after.nanoseconds - before.nanoseconds,
            faults: after.faults - before.faults,
        })
    }

    /// What all cost when it has done what it had to do.
    fn settled(&self) -> Cost {
        let mut last = None;
        wait::until("the server has nothing more to do", || {
            let family = process::descendants(self.server.pid());
            let now = spent(self.server.pid(), &family);
            let done = last == Some(now.nanoseconds) && family.len() <= self.processes;
            last = Some(now.nanoseconds);
            done.then_some(now)
        })
    }
}

/// What something costs a server, all its processes together.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// On a processor.
    nanoseconds: u64,
    /// Pages that had to be found, none of them on a disk.
    faults: u64,
}

/// What a process, its descendants, and those of them that have ended, spent.
fn spent(pid: u32, descendants: &[u32]) -> Cost {
    let mut all = Cost::default();
    for pid in descendants.iter().copied().chain([pid]) {
        let stat = stat(pid);
        let field = |number: usize| stat.get(number).copied().unwrap_or(0);
        all.nanoseconds += of_threads(pid) + (field(CUTIME) + field(CUTIME + 1)) * TICK;
        all.faults += field(MINFLT) + field(MINFLT + 1);
    }
    all
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

/// The numbers in `/proc/PID/stat` behind the state, the fourth field of proc(5) first. The name
/// before them may hold spaces.
fn stat(pid: u32) -> Vec<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let numbers = fields.split(' ').skip(1);
    numbers
        .map(|field| field.trim().parse().unwrap_or(0))
        .collect()
}
