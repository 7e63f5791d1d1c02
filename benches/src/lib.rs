//! What several of the programs do: a responder that signs what it is told to, an agent that
//! does not outlive them, and how times are told.
#![forbid(unsafe_code)]

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::sync::Arc;

use der::Decode;
use staplegun_testkit::responder::Request;
use x509_ocsp::OcspRequest;

/// Whether a connection stays open after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// Until the client closes it.
    Kept,
    /// No longer.
    Closed,
}

/// Answers each request there with what `answer` gives (DER) for the serial number that is
/// asked about, one thread for each connection, as long as the process runs. A request that
/// cannot be read ends its connection.
pub fn respond(
    listener: TcpListener,
    connections: Connections,
    answer: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
) {
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || serve(&stream, connections, &*answer));
        }
    });
}

fn serve(mut stream: &TcpStream, connections: Connections, answer: &impl Fn(&[u8]) -> Vec<u8>) {
    let connection = match connections {
        Connections::Kept => "",
        Connections::Closed => "Connection: close\r\n",
    };
    while let Ok(request) = Request::read(stream) {
        let Some(serial) = serial(&request) else {
            return;
        };
        let body = answer(&serial);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/ocsp-response\r\n\
             {connection}Content-Length: {}\r\n\r\n",
            body.len()
        );
        let sent = stream.write_all(&[head.as_bytes(), &body].concat());
        if sent.is_err() || connections == Connections::Closed {
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

/// An agent that ends with this.
#[derive(Debug)]
pub struct Agent(pub Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The median, the 99th percentile and the longest, in one line.
pub fn told(mut times: Vec<u128>) -> String {
    times.sort_unstable();
    let at = |part: usize| times.get((times.len() * part).div_ceil(100).max(1) - 1);
    let [median, nearly_all, longest] =
        [at(50), at(99), times.last()].map(|time| time.copied().unwrap_or(0));
    format!("{median} {nearly_all} {longest}")
}
