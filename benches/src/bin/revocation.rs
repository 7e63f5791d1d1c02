//! How long a revocation that the agent was told of is still stapled.
//!
//!     revocation STAPLEGUN DIRECTORY COUNT
//!
//! Mints COUNT certificates into the store DIRECTORY and starts the agent STAPLEGUN on
//! it, beside a responder on the loopback that says good of each the first time and
//! revoked from then on: as when a CA revokes many at once. Measured is the time from
//! before "revoked" is written to the agent until the live map says withdrawn to a
//! reader, which looks all the time. Prints the median, the 99th percentile and the
//! longest, in microseconds.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use staplegun_benches::{Agent, Connections, respond, told};
use staplegun_store::layout::Layout;
use staplegun_store::map::Reader;
use staplegun_store::slots::Miss;
use staplegun_store::{Key, name};
use staplegun_testkit::{Identity, Response, Spec};

/// Each is asked for again after this, so that all are revoked together.
const SETTINGS: &str = "[timing]\nlongest-refresh = 1.0\n";

/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What the responder said of each serial number: nothing yet, good, or revoked since
/// then.
type Said = Mutex<HashMap<Vec<u8>, Option<Instant>>>;

type Done<T> = Result<T, Box<dyn Error>>;

/// A certificate's key and its serial number.
type Leaf = (Key, Vec<u8>);

fn main() -> Done<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [staplegun, directory, count] = words.as_slice() else {
        return Err("usage: revocation STAPLEGUN DIRECTORY COUNT".into());
    };
    let directory = Path::new(directory);
    let issuer = Identity::self_signed(&Spec::ca("Benchmark CA"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}/", listener.local_addr()?);
    let waiting = mint(&issuer, &url, directory, count.parse()?)?;
    // Of this leaf only the serial number counts, which is replaced.
    let leaf = issuer.issue(&Spec::server());
    let said = Arc::new(Said::default());
    let saying = Arc::clone(&said);
    respond(listener, Connections::Kept, move |serial| {
        let response = Response::good(&leaf, &issuer).serial(serial);
        let lock = || saying.lock().unwrap_or_else(PoisonError::into_inner);
        if !lock().contains_key(serial) {
            lock().insert(serial.to_vec(), None);
            return response.this_update(-7200).der();
        }
        let der = response.revoked().der();
        let told = Instant::now();
        lock()
            .entry(serial.to_vec())
            .or_default()
            .get_or_insert(told);
        der
    });
    let config = directory.join("agent.toml");
    fs::write(&config, SETTINGS)?;
    let agent = Command::new(staplegun)
        .args(["agent", "--quiet", "--dir"])
        .arg(directory)
        .arg("--config")
        .arg(config)
        .stdout(Stdio::null())
        .spawn()?;
    let _agent = Agent(agent);
    let withdrawn = watch(directory, waiting)?;
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    let times: Vec<u128> = withdrawn
        .iter()
        .filter_map(|(serial, at)| Some((serial, at, said.get(serial)?.as_ref()?)))
        .map(|(_, at, told)| at.saturating_duration_since(*told).as_micros())
        .collect();
    if times.len() != withdrawn.len() {
        return Err("one was withdrawn that was not revoked".into());
    }
    println!("{}", told(times));
    Ok(())
}

/// The keys of the certificates, with their serial numbers.
fn mint(issuer: &Identity, url: &str, directory: &Path, count: usize) -> Done<Vec<Leaf>> {
    let certificates = directory.join("certs");
    fs::create_dir_all(&certificates)?;
    (0..count)
        .map(|number| {
            let name = format!("host{number}.example");
            let leaf = issuer.issue(&Spec::server().common_name(&name).ocsp_url(url));
            let file = certificates.join(leaf.sha256_hex()).with_extension("pem");
            fs::write(file, leaf.pem() + &issuer.pem())?;
            let key = name::to_key(&leaf.sha256_hex()).ok_or("no SHA-256")?;
            Ok((key, leaf.serial().to_vec()))
        })
        .collect()
}

/// When each was withdrawn, by its serial number.
fn watch(directory: &Path, mut waiting: Vec<Leaf>) -> Done<Vec<(Vec<u8>, Instant)>> {
    let (map, deadline) = (Layout::at(directory).map(), Instant::now() + LIMIT);
    let mut withdrawn = Vec::new();
    let mut reader = None;
    while !waiting.is_empty() {
        if Instant::now() > deadline {
            return Err(format!("{} are not withdrawn", waiting.len()).into());
        }
        if reader.is_none() {
            reader = Reader::open(&map, 64 << 20).ok();
        }
        if let Some(reader) = &reader {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
            let now = i64::try_from(now)?;
            waiting.retain(|(key, serial)| {
                let is_stapled = !matches!(reader.lookup(key, now), Err(Miss::Withdrawn));
                if !is_stapled {
                    withdrawn.push((serial.clone(), Instant::now()));
                }
                is_stapled
            });
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(withdrawn)
}
