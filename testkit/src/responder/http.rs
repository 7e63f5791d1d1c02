//! Just enough of HTTP/1.1 to receive an OCSP request and to answer it.

use std::io::{self, BufRead, BufReader, Read};
use std::net::TcpStream;

use base64ct::{Base64, Encoding};

/// An HTTP request as the responder received it.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET or POST.
    pub method: String,
    /// What was asked for: path and query.
    pub target: String,
    /// The header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// Reads the next one of a connection whose client waits for each answer.
    ///
    /// # Errors
    ///
    /// If the client has gone, or sends no request.
    pub fn read(stream: &TcpStream) -> io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let first = line(&mut reader)?;
        if first.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut words = first.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        loop {
            let line = line(&mut reader)?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            method,
            target,
            headers,
            body: Vec::new(),
        };
        let length = request.header("content-length").unwrap_or("0");
        let length = length.parse().map_err(io::Error::other)?;
        request.body.resize(length, 0);
        reader.read_exact(&mut request.body)?;
        Ok(request)
    }

    /// The value of a header field; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The OCSPRequest in DER: a POST's body, or what stands in base64 behind
    /// the last bare `/` of a GET's target (RFC 6960, A.1).
    pub fn der(&self) -> Option<Vec<u8>> {
        match self.method.as_str() {
            "POST" => Some(self.body.clone()),
            "GET" => {
                // Base64 has slashes of its own: the request starts after the
                // first slash from which on all decodes.
                let slashes = self.target.match_indices('/');
                let mut tails = slashes.map(|(at, _)| percent_decoded(&self.target[at + 1..]));
                tails.find_map(|tail| {
                    let der = Base64::decode_vec(&tail?).ok()?;
                    (der.first() == Some(&0x30)).then_some(der)
                })
            }
            _ => None,
        }
    }
}

/// A line without its end.
fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let hex = std::str::from_utf8(rest.get(..2)?).ok()?;
            decoded.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &rest[2..];
        } else {
            decoded.push(*first);
        }
    }
    String::from_utf8(decoded).ok()
}

/// An HTTP response: status line, the fields, Content-Length and
/// `Connection: close`, then the body.
pub(super) fn response(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!(
        "Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 | 302 | 307 | 308 => "Redirect",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
