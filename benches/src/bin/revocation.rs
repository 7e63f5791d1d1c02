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
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use der::Decode;
use staplegun_store::layout::Layout;
use staplegun_store::map::Reader;
use staplegun_store::slots::Miss;
use staplegun_store::{Key, name};
use staplegun_testkit::responder::Request;
use staplegun_testkit::{Identity, Response, Spec};
use x509_ocsp::OcspRequest;

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

struct Scene {
    issuer: Identity,
    /// Of this leaf only the serial number counts, which is replaced.
    leaf: Identity,
    said: Said,
}

/// Ended with this.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

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
    let scene = Arc::new(Scene {
        leaf: issuer.issue(&Spec::server()),
        issuer,
        said: Said::default(),
    });
    let answering = Arc::clone(&scene);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let scene = Arc::clone(&answering);
            std::thread::spawn(move || serve(&stream, &scene));
        }
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
    let said = scene.said.lock().unwrap_or_else(PoisonError::into_inner);
    let mut times: Vec<u128> = withdrawn
        .iter()
        .filter_map(|(serial, at)| Some((serial, at, said.get(serial)?.as_ref()?)))
        .map(|(_, at, told)| at.saturating_duration_since(*told).as_micros())
        .collect();
    if times.len() != withdrawn.len() {
        return Err("one was withdrawn that was not revoked".into());
    }
    times.sort_unstable();
    let at = |part: usize| times.get((times.len() * part).div_ceil(100).max(1) - 1);
    let all = [at(50), at(99), times.last()].map(|time| time.copied().unwrap_or(0));
    println!("{} {} {}", all[0], all[1], all[2]);
    Ok(())
}

fn serve(mut stream: &TcpStream, scene: &Scene) {
    while let Ok(request) = Request::read(stream) {
        let Some(serial) = serial(&request) else {
            return;
        };
        let is_known = {
            let mut said = scene.said.lock().unwrap_or_else(PoisonError::into_inner);
            let is_known = said.contains_key(&serial);
            said.entry(serial.clone()).or_default();
            is_known
        };
        let response = Response::good(&scene.leaf, &scene.issuer).serial(&serial);
        let body = match is_known {
            false => response.this_update(-7200).der(),
            true => response.revoked().der(),
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        if is_known {
            let mut said = scene.said.lock().unwrap_or_else(PoisonError::into_inner);
            said.entry(serial)
                .or_default()
                .get_or_insert_with(Instant::now);
        }
        if stream
            .write_all(&[head.as_bytes(), &body].concat())
            .is_err()
        {
            return;
        }
    }
}

/// The serial number that is asked about.
fn serial(request: &Request) -> Option<Vec<u8>> {
    let request = OcspRequest::from_der(&request.der()?).ok()?;
    let first = request.tbs_request.request_list.into_iter().next()?;
    Some(first.req_cert.serial_number.as_bytes().to_vec())
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
