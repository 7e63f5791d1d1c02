//! The least that a fetch can cost: an exchange on a connection that stands, and the
//! verification of one signature. Nothing is kept.
//!
//!     floor CERTIFICATE ISSUER URL COUNT
//!
//! Asks the responder at URL COUNT times for the status of the certificate in the PEM
//! file CERTIFICATE, whose issuer stands in ISSUER. What it costs is for the caller to
//! measure.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use openssl::hash::MessageDigest;
use openssl::sign::Verifier;
use openssl::x509::X509;
use staplegun_ocsp::request::{self, HttpRequest};
use staplegun_ocsp::{Certificate, HashAlgorithm, Identity, Response};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [certificate, issuer, url, count] = words.as_slice() else {
        return Err("usage: floor CERTIFICATE ISSUER URL COUNT".into());
    };
    let read =
        |path: &str| -> Result<X509, Box<dyn Error>> { Ok(X509::from_pem(&std::fs::read(path)?)?) };
    let (leaf, issuer) = (read(certificate)?, read(issuer)?);
    let key = issuer.public_key()?;
    let facts = |one: &X509| -> Result<Certificate, Box<dyn Error>> {
        Ok(Certificate::from_der(&one.to_der()?)?)
    };
    let identity = Identity::new(&facts(&leaf)?, &facts(&issuer)?).ok_or("another's")?;
    let der = request::encode(&[&identity], HashAlgorithm::Sha1, None);
    let HttpRequest::Get { url: target } = HttpRequest::new(url, der) else {
        return Err("the request is too long".into());
    };
    let authority = url.trim_start_matches("http://").trim_end_matches('/');
    let path = target
        .trim_start_matches("http://")
        .trim_start_matches(authority);
    let question = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let mut stream = BufReader::new(TcpStream::connect(authority)?);
    for _ in 0..count.parse()? {
        stream.get_mut().write_all(question.as_bytes())?;
        let body = answer(&mut stream)?;
        let response = Response::parse(&body)?;
        response.single_for(&identity)?;
        let it = response.signed().ok_or("nothing is signed")?;
        let mut verifier = Verifier::new(MessageDigest::sha256(), &key)?;
        if !verifier.verify_oneshot(it.signature, it.signed)? {
            return Err("the signature is wrong".into());
        }
    }
    Ok(())
}

fn answer(stream: &mut BufReader<TcpStream>) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut length = None;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = Some(value.parse()?),
            None if line == "\r\n" => break,
            None if line.is_empty() => return Err("the responder hung up".into()),
            _ => {}
        }
    }
    let mut body = vec![0; length.ok_or("no Content-Length")?];
    stream.read_exact(&mut body)?;
    Ok(body)
}
