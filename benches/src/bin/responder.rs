//! Certificates in any number, and their responder on the loopback.
//!
//!     responder DIRECTORY COUNT
//!
//! Mints a certification authority and COUNT certificates into DIRECTORY:
//! `issuer.pem`, and `certs/<SHA-256>.pem` with leaf and issuer, which is how an
//! agent's store keeps them. Prints the responder's address, then signs an answer
//! with a P-256 key for each request, until standard input ends.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use der::Decode;
use staplegun_testkit::responder::{Behaviour, FaultyResponder, Request};
use staplegun_testkit::{Identity, Response, Spec};
use x509_ocsp::OcspRequest;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [directory, count] = words.as_slice() else {
        return Err("usage: responder DIRECTORY COUNT".into());
    };
    let issuer = Arc::new(Identity::self_signed(&Spec::ca("Benchmark CA")));
    let responder = FaultyResponder::start(answering(&issuer));
    mint(
        &issuer,
        &responder.url(),
        Path::new(directory),
        count.parse()?,
    )?;
    println!("{}", responder.url());
    io::stdout().flush()?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn answering(issuer: &Arc<Identity>) -> Behaviour {
    let issuer = Arc::clone(issuer);
    let template = OnceLock::new();
    Behaviour::Call(Arc::new(move |request| {
        let Some(serial) = serial(request) else {
            return Behaviour::status(400, &[]);
        };
        // The leaf only gives the serial number, which is replaced.
        let leaf = template.get_or_init(|| issuer.issue(&Spec::server()));
        Behaviour::Answer(Response::good(leaf, &issuer).serial(&serial).der())
    }))
}

/// The serial number that is asked about.
fn serial(request: &Request) -> Option<Vec<u8>> {
    let request = OcspRequest::from_der(&request.der()?).ok()?;
    let first = request.tbs_request.request_list.into_iter().next()?;
    Some(first.req_cert.serial_number.as_bytes().to_vec())
}

fn mint(issuer: &Identity, url: &str, directory: &Path, count: usize) -> io::Result<()> {
    let certificates = directory.join("certs");
    fs::create_dir_all(&certificates)?;
    fs::write(directory.join("issuer.pem"), issuer.pem())?;
    for number in 0..count {
        let name = format!("host{number}.example");
        let leaf = issuer.issue(&Spec::server().common_name(&name).ocsp_url(url));
        let file = certificates.join(leaf.sha256_hex()).with_extension("pem");
        fs::write(file, leaf.pem() + &issuer.pem())?;
    }
    Ok(())
}
