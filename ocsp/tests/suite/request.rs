//! Requests, as x509-ocsp reads them and as HTTP carries them.

use crate::mint::{CertificateSpec, leaf_identity};
use der::{Decode, Encode};
use proptest::prelude::*;
use staplegun_ocsp::request::{HttpRequest, MAX_GET, encode, path};
use staplegun_ocsp::{HashAlgorithm, Identity};
use x509_ocsp::OcspRequest;

/// Undoes percent-encoding and base64.
fn decoded(path: &str) -> Vec<u8> {
    let base64 = path
        .replace("%2B", "+")
        .replace("%2F", "/")
        .replace("%3D", "=");
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = String::new();
    for character in base64.trim_end_matches('=').bytes() {
        let value = alphabet.iter().position(|letter| *letter == character);
        bits += &format!("{:06b}", value.expect("base64"));
    }
    assert_eq!(base64.len() % 4, 0);
    bits.as_bytes()
        .chunks_exact(8)
        .map(|octet| u8::from_str_radix(std::str::from_utf8(octet).unwrap(), 2).unwrap())
        .collect()
}

#[test]
fn x509_ocsp_reads_the_same_request() {
    let ca = CertificateSpec::ca();
    let second = CertificateSpec {
        serial: vec![0x12, 0x34],
        ..CertificateSpec::leaf()
    };
    let second = Identity::new(&second.read(), &ca.read()).unwrap();
    let first = leaf_identity();
    for hash in [HashAlgorithm::Sha1, HashAlgorithm::Sha256] {
        let bytes = encode(&[&first, &second], hash, None);
        let request = OcspRequest::from_der(&bytes).expect("a request");
        assert_eq!(request.to_der().unwrap(), bytes);
        assert!(request.optional_signature.is_none());
        assert!(request.nonce().is_none());
        let ids: Vec<_> = request
            .tbs_request
            .request_list
            .iter()
            .map(|request| request.req_cert.to_der().unwrap())
            .collect();
        assert_eq!(ids, [first.cert_id(hash), second.cert_id(hash)]);
    }
}

#[test]
fn a_nonce_is_an_octet_string_inside_the_extension() {
    let nonce = [0x5a; 32];
    let bytes = encode(&[&leaf_identity()], HashAlgorithm::Sha1, Some(&nonce));
    let request = OcspRequest::from_der(&bytes).expect("a request");
    assert_eq!(request.to_der().unwrap(), bytes);
    let found = request.nonce().expect("a nonce");
    assert_eq!(found.0.as_bytes(), nonce);
}

#[test]
fn a_short_request_goes_by_get() {
    let request = encode(&[&leaf_identity()], HashAlgorithm::Sha1, None);
    for responder in ["http://ocsp.example/r1", "http://ocsp.example/r1/"] {
        let HttpRequest::Get { url } = HttpRequest::new(responder, request.clone()) else {
            panic!("not by GET");
        };
        let path = url
            .strip_prefix("http://ocsp.example/r1/")
            .expect("its path");
        assert!(path.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'%'));
        assert_eq!(decoded(path), request);
    }
}

#[test]
fn the_longest_get_has_255_bytes_in_all() {
    let request = encode(&[&leaf_identity()], HashAlgorithm::Sha1, None);
    let room = MAX_GET - path(&request).len() - 1;
    let responder = |length: usize| format!("http://{}", "a".repeat(length - 7));
    let HttpRequest::Get { url } = HttpRequest::new(&responder(room), request.clone()) else {
        panic!("not by GET");
    };
    assert_eq!(url.len(), 255);
    let too_long = HttpRequest::new(&responder(room + 1), request.clone());
    let expected = HttpRequest::Post {
        url: responder(room + 1),
        body: request,
    };
    assert_eq!(too_long, expected);
}

#[test]
fn an_address_with_a_query_is_asked_by_post() {
    let request = encode(&[&leaf_identity()], HashAlgorithm::Sha1, None);
    for url in ["http://ocsp.example/?ca=1", "http://ocsp.example/#a"] {
        let expected = HttpRequest::Post {
            url: url.to_owned(),
            body: request.clone(),
        };
        assert_eq!(HttpRequest::new(url, request.clone()), expected);
    }
}

#[test]
fn the_path_is_base64_with_its_three_specials_percent_encoded() {
    assert_eq!(path(b""), "");
    assert_eq!(path(b"f"), "Zg%3D%3D");
    assert_eq!(path(b"fo"), "Zm8%3D");
    assert_eq!(path(b"foo"), "Zm9v");
    assert_eq!(path(b"\xfb\xff\xbf"), "%2B%2F%2B%2F");
}

proptest! {
    #[test]
    fn any_request_survives_the_path(request in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(decoded(&path(&request)), request);
    }
}
