//! Certificates in any number, and their responder on the loopback.
//!
//!     responder DIRECTORY COUNT [full|keys]
//!
//! Mints a certification authority and COUNT certificates into DIRECTORY:
//! `issuer.pem`, and `certs/<SHA-256>.pem` with leaf and issuer, which is how an
//! agent's store keeps them. Prints the responder's two addresses, then signs an
//! answer with a P-256 key for each request, until standard input ends: then it prints how many
//! it signed, and the microseconds from the first to the last. At the first address,
//! which the certificates name, a connection stays open until the client closes it; at
//! the second each ends with its answer. With `full` the responses lie in the store, too,
//! as an agent leaves them, and none is due. With `keys` the leaf, the issuer and the leaf's
//! key are also in `keys/<SHA-256>.pem`, as servers load them.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
    let (directory, count, more) = match words.as_slice() {
        [directory, count] => (directory, count, ""),
        [directory, count, more] if ["full", "keys"].contains(&more.as_str()) => {
            (directory, count, more.as_str())
        }
        _ => return Err("usage: responder DIRECTORY COUNT [full|keys]".into()),
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
    mint(&issuer, &urls.0, store, count.parse()?, more)?;
    // Of this leaf only the serial number counts, which is replaced.
    let leaf = issuer.issue(&Spec::server());
    let signers = Arc::new((issuer, leaf));
    let signed = Arc::new(Mutex::new(Signed::default()));
    for (listener, connections) in [(keeping, Connections::Kept), (closing, Connections::Closed)] {
        let (signers, signed) = (Arc::clone(&signers), Arc::clone(&signed));
        respond(listener, connections, move |serial| {
            let (issuer, leaf) = &*signers;
            let response = Response::good(leaf, issuer).serial(serial).der();
            Signed::note(&signed);
            response
        });
    }
    println!("{} {}", urls.0, urls.1);
    io::stdout().flush()?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    let signed = signed.lock().unwrap_or_else(PoisonError::into_inner);
    let span = signed
        .span
        .map_or(0, |(first, last)| (last - first).as_micros());
    println!("{} {span}", signed.count);
    Ok(())
}

/// What was signed.
#[derive(Debug, Default)]
struct Signed {
    count: u64,
    /// When the first and the last.
    span: Option<(Instant, Instant)>,
}

impl Signed {
    fn note(signed: &Mutex<Self>) {
        let now = Instant::now();
        let mut signed = signed.lock().unwrap_or_else(PoisonError::into_inner);
        signed.count += 1;
        let first = signed.span.map_or(now, |(first, _)| first);
        signed.span = Some((first, now));
    }
}

fn mint(
    issuer: &Identity,
    url: &str,
    directory: &Path,
    count: usize,
    more: &str,
) -> Result<(), Box<dyn Error>> {
    let (is_full, has_keys) = (more == "full", more == "keys");
    let [certificates, staples, state, keys] =
        ["certs", "staples", "state", "keys"].map(|name| directory.join(name));
    fs::create_dir_all(&certificates)?;
    if has_keys {
        fs::create_dir_all(&keys)?;
    }
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
        let chain = leaf.pem() + &issuer.pem();
        if has_keys {
            let file = keys.join(leaf.sha256_hex()).with_extension("pem");
            fs::write(file, chain.clone() + leaf.key.pem())?;
        }
        fs::write(file, chain)?;
        if is_full {
            let name = leaf.sha256_hex();
            let response = Response::good(&leaf, issuer).der();
            fs::write(staples.join(&name).with_extension("der"), response)?;
            fs::write(state.join(&name).with_extension("json"), &notes)?;
        }
    }
    Ok(())
}
