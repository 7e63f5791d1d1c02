//! How long after a certificate was loaded its responder is asked.
//!
//!     loaded DIRECTORY COUNT
//!
//! An agent runs on the store DIRECTORY. One after the other COUNT certificates are left
//! in its spool, as the library does when a program loads one; measured is the time from
//! before that until the responder on the loopback has read the request for it. Prints
//! the median, the 99th percentile and the longest, in microseconds.
#![forbid(unsafe_code)]

use std::error::Error;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use staplegun_benches::{Connections, respond, told};
use staplegun_store::layout::Layout;
use staplegun_store::{name, spool};
use staplegun_testkit::{Identity, Response, Spec};

/// How long one may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A serial number that was asked about, and when.
type Asked = (Vec<u8>, Instant);

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [directory, count] = words.as_slice() else {
        return Err("usage: loaded DIRECTORY COUNT".into());
    };
    let spool = Layout::at(Path::new(directory)).spool();
    let issuer = Identity::self_signed(&Spec::ca("Benchmark CA of loads"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}/", listener.local_addr()?);
    let (sender, asked) = channel();
    let signers = Arc::new((issuer.issue(&Spec::server()), issuer));
    let signing = Arc::clone(&signers);
    respond(listener, Connections::Kept, move |serial| {
        // Who no longer waits for it has its times.
        let _ = sender.send((serial.to_vec(), Instant::now()));
        Response::good(&signing.0, &signing.1).serial(serial).der()
    });
    let issuer = &signers.1;
    // The first one waits for the agent's start as well.
    let mut times = Vec::new();
    for number in 0..=count.parse()? {
        let name = format!("load{number}.example");
        let leaf = issuer.issue(&Spec::server().common_name(&name).ocsp_url(&url));
        let key = name::to_key(&leaf.sha256_hex()).ok_or("no SHA-256")?;
        let chain = [leaf.der(), issuer.der()];
        let begun = Instant::now();
        leave(&spool, &key, &chain)?;
        times.push(
            wait(&asked, leaf.serial())?
                .saturating_duration_since(begun)
                .as_micros(),
        );
    }
    times.remove(0);
    println!("{}", told(times));
    Ok(())
}

/// Once there is a spool.
fn leave(
    spool: &Path,
    key: &staplegun_store::Key,
    chain: &[Vec<u8>],
) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + LIMIT;
    let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
    loop {
        match spool::publish(spool, key, &chain) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn wait(asked: &Receiver<Asked>, serial: &[u8]) -> Result<Instant, Box<dyn Error>> {
    loop {
        let (about, at) = asked.recv_timeout(LIMIT)?;
        if about == serial {
            return Ok(at);
        }
    }
}
