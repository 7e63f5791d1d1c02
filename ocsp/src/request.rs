//! Requests: their DER (RFC 6960, 4.1) and their way over HTTP (appendix A.1,
//! and RFC 5019, 5).

use crate::asn1::encode as element;
use crate::identity::{HashAlgorithm, Identity};

/// The media type of a request that is sent by POST.
pub const REQUEST_TYPE: &str = "application/ocsp-request";

/// The media type of a response. Answers are judged by parsing, not by this.
pub const RESPONSE_TYPE: &str = "application/ocsp-response";

/// The longest address that is asked for by GET, in bytes: RFC 5019, 5 wants GET
/// up to here so that caches can answer, and POST beyond.
pub const MAX_GET: usize = 255;

/// The DER of id-pkix-ocsp-nonce.
const NONCE: &[u8] = &[0x06, 9, 0x2b, 6, 1, 5, 5, 7, 48, 1, 2];

/// The DER of an unsigned OCSPRequest for these certificates, in this order.
///
/// RFC 5019 asks for one certificate, [`HashAlgorithm::Sha1`] and no nonce;
/// responders that sign ahead of time answer nothing else. A nonce is for those
/// that sign on demand. It must be random; RFC 9654 asks for 32 octets.
pub fn encode(
    identities: &[&Identity],
    hash_algorithm: HashAlgorithm,
    nonce: Option<&[u8; 32]>,
) -> Vec<u8> {
    let requests: Vec<u8> = identities
        .iter()
        .flat_map(|identity| element(0x30, &[&identity.cert_id(hash_algorithm)]))
        .collect();
    let request_list = element(0x30, &[&requests]);
    let extensions = nonce.map_or_else(Vec::new, |nonce| {
        let value = element(0x04, &[&element(0x04, &[nonce])]);
        let extension = element(0x30, &[NONCE, &value]);
        element(0xa2, &[&element(0x30, &[&extension])])
    });
    element(0x30, &[&element(0x30, &[&request_list, &extensions])])
}

/// How a request goes to a responder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpRequest {
    /// GET this address: the request is part of it.
    Get {
        /// The whole address.
        url: String,
    },
    /// POST the body, of type [`REQUEST_TYPE`], to this address.
    Post {
        /// The responder's address.
        url: String,
        /// The request's DER.
        body: Vec<u8>,
    },
}

impl HttpRequest {
    /// Sends by GET if the address then has at most [`MAX_GET`] bytes, else by
    /// POST; also by POST if the responder's address has a query or a fragment,
    /// to which no path can be added.
    pub fn new(responder: &str, request: Vec<u8>) -> HttpRequest {
        if !responder.contains(['?', '#']) {
            let base = responder.strip_suffix('/').unwrap_or(responder);
            let url = format!("{base}/{}", path(&request));
            if url.len() <= MAX_GET {
                return HttpRequest::Get { url };
            }
        }
        HttpRequest::Post {
            url: responder.to_owned(),
            body: request,
        }
    }
}

/// A request as the last part of a GET's path: its base64, in which the three
/// characters that mean something in an address are percent-encoded.
pub fn path(request: &[u8]) -> String {
    let mut path = String::with_capacity(request.len().saturating_mul(2));
    for chunk in request.chunks(3) {
        let (a, b, c) = match *chunk {
            [a, b, c] => (a, b, c),
            [a, b] => (a, b, 0),
            [a] => (a, 0, 0),
            _ => break,
        };
        let sextets = [a >> 2, (a << 4) | (b >> 4), (b << 2) | (c >> 6), c];
        for (position, sextet) in sextets.into_iter().enumerate() {
            // One octet gives two characters, two give three, three give four.
            if position > chunk.len() {
                path.push_str("%3D");
            } else {
                push_sextet(&mut path, sextet & 0x3f);
            }
        }
    }
    path
}

fn push_sextet(path: &mut String, sextet: u8) {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    match (ALPHABET.get(usize::from(sextet)), sextet) {
        (Some(letter), _) => path.push(char::from(*letter)),
        (None, 62) => path.push_str("%2B"),
        (None, _) => path.push_str("%2F"),
    }
}
