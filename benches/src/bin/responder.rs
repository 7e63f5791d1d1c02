//! Certificates in any number, and their responder on the loopback.
//!
//!     responder DIRECTORY COUNT [full]
//!
//! Mints a certification authority and COUNT certificates into DIRECTORY:
//! `issuer.pem`, and `certs/<SHA-256>.pem` with leaf and issuer, which is how an
//! agent's store keeps them. Prints the responder's two addresses, then signs an
//! answer with a P-256 key for each request, until standard input ends. At the first,
//! which the certificates name, a connection stays open until the client closes it; at
//! the second each ends with its answer. With `full` the responses lie in the store, too,
//! as an agent leaves them, and none is due.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use staplegun_benches::{Connections, respond};
use staplegun_store::files::Notes;
use staplegun_testkit::{Identity, Response, Spec};

/// In seconds.
const YEAR: i64 = 365 * 86_400;

/// When nobody is due yet, in seconds from now: well before a response ends, or the agent
/// takes it that the machine slept, and asks.
const NOT_DUE: i64 = 12 * 3_600;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (directory, count, is_full) = match words.as_slice() {
        [directory, count] => (directory, count, false),
        [directory, count, full] if full == "full" => (directory, count, true),
        _ => return Err("usage: responder DIRECTORY COUNT [full]".into()),
    };
    // It outlives what it signs, as authorities do.
    let issuer = Spec::ca("Benchmark CA").validity(-YEAR, 10 * YEAR);
    let issuer = Identity::self_signed(&issuer);
    let keeping = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let closing = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = |listener: &TcpListener| -> io::Result<String> {
        Ok(format!("http://{}/", listener.local_addr()?))
    };
    let urls = (url(&keeping)?, url(&closing)?);
    let store = Path::new(directory);
    mint(&issuer, &urls.0, store, count.parse()?, is_full)?;
    // Of this leaf only the serial number counts, which is replaced.
    let leaf = issuer.issue(&Spec::server());
    let signers = Arc::new((issuer, leaf));
    for (listener, connections) in [(keeping, Connections::Kept), (closing, Connections::Closed)] {
        let signers = Arc::clone(&signers);
        respond(listener, connections, move |serial| {
            let (issuer, leaf) = &*signers;
            Response::good(leaf, issuer).serial(serial).der()
        });
    }
    println!("{} {}", urls.0, urls.1);
    io::stdout().flush()?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn mint(
    issuer: &Identity,
    url: &str,
    directory: &Path,
    count: usize,
    is_full: bool,
) -> Result<(), Box<dyn Error>> {
    let [certificates, staples, state] =
        ["certs", "staples", "state"].map(|name| directory.join(name));
    fs::create_dir_all(&certificates)?;
    if is_full {
        fs::create_dir_all(&staples)?;
        fs::create_dir_all(&state)?;
        fs::write(state.join("ended-cleanly"), "")?;
    }
    fs::write(directory.join("issuer.pem"), issuer.pem())?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let notes = Notes {
        responder: Some(url.to_owned()),
        next_refresh: Some(now + NOT_DUE),
        ..Notes::default()
    };
    let notes = notes.to_json();
    for number in 0..count {
        let name = format!("host{number}.example");
        let leaf = issuer.issue(&Spec::server().common_name(&name).ocsp_url(url));
        let file = certificates.join(leaf.sha256_hex()).with_extension("pem");
        fs::write(file, leaf.pem() + &issuer.pem())?;
        if is_full {
            let name = leaf.sha256_hex();
            let response = Response::good(&leaf, issuer).der();
            fs::write(staples.join(&name).with_extension("der"), response)?;
            fs::write(state.join(&name).with_extension("json"), &notes)?;
        }
    }
    Ok(())
}
