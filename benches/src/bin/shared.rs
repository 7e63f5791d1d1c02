//! What a fleet asks, and how soon all agents have what one has.
//!
//!     shared STAPLEGUN PORT DIRECTORY AGENTS COUNT LIFE
//!
//! Starts AGENTS agents STAPLEGUN on stores in DIRECTORY with the same COUNT certificates, which
//! share through the Redis at PORT, beside a responder on the loopback that signs anew at each
//! request, for LIFE seconds. Three things happen: all fill their maps; each certificate is due
//! once; and the responder says revoked of a tenth of them, each of which the agent that is due
//! first meets. For each a line is printed: the requests, the keys that were touched in Redis, and
//! how long after the responder had signed it the agents had it in their maps: the median, the
//! 99th percentile and the longest, in microseconds.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use staplegun_benches::Agent;
use staplegun_store::layout::Layout;
use staplegun_store::map::Reader;
use staplegun_store::slots::Miss;
use staplegun_store::{Key, name};
use staplegun_testkit::responder::{Behaviour, FaultyResponder, Request};
use staplegun_testkit::{Identity, Response, Spec};

/// How long each of the three may take.
const LIMIT: Duration = Duration::from_secs(240);

type Done<T> = Result<T, Box<dyn Error>>;

/// What the responder does and did.
#[derive(Default)]
struct Said {
    /// When it signed for each serial number, and what thisUpdate was then at least.
    signed: HashMap<Vec<u8>, Vec<(Instant, i64)>>,
    revoked: HashSet<Vec<u8>>,
}

struct Scene {
    leaves: Vec<(Key, Identity)>,
    said: Arc<Mutex<Said>>,
    maps: Vec<Reader>,
    port: u16,
}

fn main() -> Done<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [staplegun, port, directory, agents, count, life] = words.as_slice() else {
        return Err("usage: shared STAPLEGUN PORT DIRECTORY AGENTS COUNT LIFE".into());
    };
    let (directory, port, life) = (Path::new(directory), port.parse()?, life.parse()?);
    let issuer = Arc::new(Identity::self_signed(&Spec::ca("Benchmark CA")));
    let responder = FaultyResponder::start(Behaviour::Close);
    let spec = Spec::server().ocsp_url(&responder.url());
    let leaf = |_| {
        let leaf = issuer.issue(&spec);
        let key = name::to_key(&leaf.sha256_hex()).ok_or("no SHA-256")?;
        Ok((key, leaf))
    };
    let leaves: Vec<(Key, Identity)> = (0..count.parse()?).map(leaf).collect::<Done<_>>()?;
    let said = Arc::new(Mutex::new(Said::default()));
    answer(&responder, &issuer, &leaves, &said, life);
    let (mut running, mut maps) = (Vec::new(), Vec::new());
    for number in 0..agents.parse()? {
        let store = directory.join(format!("{number}"));
        running.push(start(staplegun, &store, port, &leaves, &issuer)?);
    }
    for number in 0..running.len() {
        maps.push(map(&directory.join(number.to_string()))?);
    }
    let scene = Scene {
        leaves,
        said,
        maps,
        port,
    };
    scene.phase(None, scene.leaves.len(), false)?;
    scene.phase(Some(Instant::now()), scene.leaves.len(), false)?;
    scene.phase(Some(Instant::now()), scene.leaves.len().div_ceil(10), true)
}

fn answer(
    responder: &FaultyResponder,
    issuer: &Arc<Identity>,
    leaves: &[(Key, Identity)],
    said: &Arc<Mutex<Said>>,
    life: i64,
) {
    let (issuer, said) = (Arc::clone(issuer), Arc::clone(said));
    let serials: Vec<Vec<u8>> = leaves.iter().map(|(_, it)| it.serial().to_vec()).collect();
    // Of this leaf only the serial number counts, which is replaced.
    let leaf = issuer.issue(&Spec::server());
    responder.set(Behaviour::Call(Arc::new(move |request: &Request| {
        let der = request.der().unwrap_or_default();
        let is_asked = |serial: &&Vec<u8>| der.windows(serial.len()).any(|it| it == *serial);
        let Some(serial) = serials.iter().find(is_asked) else {
            return Behaviour::Close;
        };
        let response = Response::good(&leaf, &issuer).serial(serial);
        let response = response.this_update(0).next_update(life);
        let mut said = lock(&said);
        let second = now();
        let response = match said.revoked.contains(serial) {
            true => response.revoked().der(),
            false => response.der(),
        };
        let signed = said.signed.entry(serial.clone()).or_default();
        signed.push((Instant::now(), second));
        Behaviour::Answer(response)
    })));
}

fn lock(said: &Mutex<Said>) -> MutexGuard<'_, Said> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(
    staplegun: &str,
    store: &Path,
    port: u16,
    leaves: &[(Key, Identity)],
    issuer: &Identity,
) -> Done<Agent> {
    let certificates = store.join("certs");
    fs::create_dir_all(&certificates)?;
    for (_, leaf) in leaves {
        let file = certificates.join(leaf.sha256_hex()).with_extension("pem");
        fs::write(file, leaf.pem() + &issuer.pem())?;
    }
    let config = store.join("agent.toml");
    // What each asks for itself comes on top, and is simulated.
    let settings =
        format!("[fleet]\nurl = 'redis://127.0.0.1:{port}'\nown-question = 1000000000\n");
    fs::write(&config, settings)?;
    let agent = Command::new(staplegun)
        .args(["agent", "--quiet", "--dir"])
        .arg(store)
        .arg("--config")
        .arg(config)
        .stdout(Stdio::null())
        .spawn()?;
    Ok(Agent(agent))
}

/// In seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX)
}

fn map(store: &Path) -> Done<Reader> {
    let begun = Instant::now();
    loop {
        match Reader::open(&Layout::at(store).map(), 64 << 20) {
            Ok(reader) => return Ok(reader),
            Err(_) if begun.elapsed() < LIMIT => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => return Err(format!("no map: {error:?}").into()),
        }
    }
}

impl Scene {
    /// Waits until all agents have what was signed for the first so many after `than`, or know
    /// that they are revoked, and prints what it took.
    fn phase(&self, than: Option<Instant>, count: usize, revoked: bool) -> Done<()> {
        // The agents have begun before they were looked at.
        let (asked, touched) = match than {
            Some(_) => (self.asked(), self.touched()?),
            None => (0, 0),
        };
        let leaves = &self.leaves[..count];
        if revoked {
            let serials = leaves.iter().map(|(_, leaf)| leaf.serial().to_vec());
            lock(&self.said).revoked.extend(serials);
        }
        let (begun, mut times) = (Instant::now(), Vec::new());
        let all: Vec<usize> = (0..self.maps.len()).collect();
        let mut missing: Vec<_> = leaves.iter().map(|leaf| (leaf, all.clone())).collect();
        while !missing.is_empty() {
            if begun.elapsed() > LIMIT {
                return Err(format!("{} are missing", missing.len()).into());
            }
            let now = now();
            for ((key, leaf), agents) in &mut missing {
                let signed = self.signed(leaf, than);
                let Some((at, second)) = signed.first() else {
                    continue;
                };
                agents.retain(|agent| {
                    let has = match self.maps[*agent].lookup(key, now) {
                        Err(Miss::Withdrawn) => revoked,
                        Ok(found) => !revoked && found.this_update() >= *second,
                        Err(_) => false,
                    };
                    times.extend(has.then(|| at.elapsed().as_micros()));
                    !has
                });
            }
            missing.retain(|(_, agents)| !agents.is_empty());
            std::thread::sleep(Duration::from_millis(1));
        }
        times.sort_unstable();
        let at = |part: usize| times.get((times.len() * part).div_ceil(100).max(1) - 1);
        let [median, nearly_all, longest] = [50, 99, 100].map(|part| at(part).unwrap_or(&0));
        println!(
            "{} {} {median} {nearly_all} {longest}",
            self.asked() - asked,
            self.touched()? - touched
        );
        Ok(())
    }

    fn asked(&self) -> usize {
        lock(&self.said).signed.values().map(Vec::len).sum()
    }

    fn signed(&self, leaf: &Identity, than: Option<Instant>) -> Vec<(Instant, i64)> {
        let said = lock(&self.said);
        let all = said.signed.get(leaf.serial()).into_iter().flatten();
        all.filter(|(at, _)| Some(*at) > than).cloned().collect()
    }

    /// How often a key was touched, in scripts, too: each of these commands is about one.
    fn touched(&self) -> Done<u64> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.write_all(b"INFO commandstats\r\n")?;
        let mut reader = BufReader::new(stream);
        let mut length = String::new();
        reader.read_line(&mut length)?;
        let length = length.trim_start_matches('$').trim().parse()?;
        let mut text = String::new();
        reader.take(length).read_to_string(&mut text)?;
        let calls = |command| {
            let begin = format!("cmdstat_{command}:calls=");
            let line = text.lines().find_map(|line| line.strip_prefix(&begin))?;
            line.split(',').next()?.parse::<u64>().ok()
        };
        Ok(["get", "set", "del", "pttl"]
            .into_iter()
            .filter_map(calls)
            .sum())
    }
}
