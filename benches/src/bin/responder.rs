//! Certificates in any number, and their responder on the loopback.
//!
//!     responder DIRECTORY COUNT
//!
//! Mints a certification authority and COUNT certificates into DIRECTORY:
//! `issuer.pem`, and `certs/<SHA-256>.pem` with leaf and issuer, which is how an
//! agent's store keeps them. Prints the responder's address, then signs an answer
//! with a P-256 key for each request, until standard input ends. A connection stays
//! open until the client closes it.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use der::Decode;
use staplegun_testkit::responder::Request;
use staplegun_testkit::{Identity, Response, Spec};
use x509_ocsp::OcspRequest;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [directory, count] = words.as_slice() else {
        return Err("usage: responder DIRECTORY COUNT".into());
    };
    let issuer = Identity::self_signed(&Spec::ca("Benchmark CA"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}/", listener.local_addr()?);
    mint(&issuer, &url, Path::new(directory), count.parse()?)?;
    // Of this leaf only the serial number counts, which is replaced.
    let leaf = issuer.issue(&Spec::server());
    let signers = Arc::new((issuer, leaf));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let signers = Arc::clone(&signers);
            std::thread::spawn(move || serve(&stream, &signers.0, &signers.1));
        }
    });
    println!("{url}");
    io::stdout().flush()?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

fn serve(mut stream: &TcpStream, issuer: &Identity, leaf: &Identity) {
    while let Ok(request) = Request::read(stream) {
        let (status, body) = match serial(&request) {
            Some(serial) => ("200 OK", Response::good(leaf, issuer).serial(&serial).der()),
            None => ("400 Bad Request", Vec::new()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/ocsp-response\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
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
