//! OpenSSL's own tools as the other side: `openssl ocsp` writes the same
//! requests, and answers ours with responses that are read as it meant them.

use crate::mint::{CertificateSpec, ResponseSpec, SingleSpec, generalized_time, judged_under};
use staplegun_ocsp::request::encode;
use staplegun_ocsp::response::ResponderId;
use staplegun_ocsp::time::Rfc3339;
use staplegun_ocsp::{
    Certificate, Fault, HashAlgorithm, Identity, Judged, Policy, Response, Signer, Status,
    Validity, Verdict,
};
use staplegun_testkit as testkit;
use staplegun_testkit::Directory;
use staplegun_testkit::pki::Spec;
use std::fs;
use std::process::Command;
use std::time::SystemTime;

fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("after 1970").as_secs() as i64
}

/// A CA, a leaf, a delegated responder, and `openssl ocsp` without a network.
struct Bench {
    directory: Directory,
    ca: testkit::Identity,
    leaf: testkit::Identity,
    responder: testkit::Identity,
}

impl Bench {
    fn new() -> Self {
        let ca = testkit::Identity::self_signed(&Spec::ca("Test CA"));
        // The first octet is above 7f: a zero must stand before it.
        let leaf = ca.issue(&Spec::server().serial(&[0xc1, 2, 3]));
        let responder = ca.issue(&Spec::responder());
        let directory = Directory::new();
        for (name, identity) in [("ca", &ca), ("leaf", &leaf), ("responder", &responder)] {
            directory.write(&format!("{name}.pem"), identity.pem());
            directory.write(&format!("{name}.key"), identity.key.pem());
        }
        Bench {
            directory,
            ca,
            leaf,
            responder,
        }
    }

    fn identity(&self, of: &testkit::Identity) -> Identity {
        let read = |identity: &testkit::Identity| Certificate::from_der(&identity.der()).unwrap();
        Identity::new(&read(of), &read(&self.ca)).expect("its issuer")
    }

    /// The judgement of `bytes` for the leaf, now.
    fn judged(&self, bytes: &[u8]) -> Judged {
        let ca = Certificate::from_der(&self.ca.der()).unwrap();
        let leaf = self.identity(&self.leaf);
        judged_under(&ca, bytes, &leaf, now(), &Policy::STAPLING).expect("it counts")
    }

    fn openssl_ocsp(&self, arguments: &[&str]) {
        let output = Command::new("openssl")
            .arg("ocsp")
            .args(arguments)
            .current_dir(self.directory.path())
            .output()
            .expect("openssl runs");
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "openssl ocsp {arguments:?}: {message}"
        );
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.directory.join(name)).expect("openssl wrote it")
    }

    /// What openssl answers to `request` by this index, signed by the delegate.
    fn answer(&self, index: &str, request: Vec<u8>, arguments: &[&str]) -> Vec<u8> {
        self.directory.write("index.txt", index);
        self.directory.write("request.der", request);
        let mut all = vec!["-index", "index.txt", "-CA", "ca.pem"];
        all.extend(["-rsigner", "responder.pem", "-rkey", "responder.key"]);
        all.extend(["-reqin", "request.der", "-respout", "response.der"]);
        all.extend(arguments);
        self.openssl_ocsp(&all);
        self.read("response.der")
    }
}

const VALID: &str = "V\t491231235959Z\t\tC10203\tunknown\t/CN=localhost\n";
const REVOKED: &str =
    "R\t491231235959Z\t251201000000Z,superseded\tC10203\tunknown\t/CN=localhost\n";

#[test]
fn requests_are_openssls_octet_by_octet() {
    let bench = Bench::new();
    let leaf = bench.identity(&bench.leaf);
    for (option, hash) in [
        ("-sha1", HashAlgorithm::Sha1),
        ("-sha256", HashAlgorithm::Sha256),
        ("-sha384", HashAlgorithm::Sha384),
        ("-sha512", HashAlgorithm::Sha512),
    ] {
        let leaf_only = [
            "-no_nonce",
            "-issuer",
            "ca.pem",
            option,
            "-cert",
            "leaf.pem",
        ];
        bench.openssl_ocsp(&[&leaf_only[..], &["-reqout", "theirs.der"]].concat());
        assert_eq!(bench.read("theirs.der"), encode(&[&leaf], hash, None));

        let responder = bench.identity(&bench.responder);
        let both = ["-cert", "responder.pem", "-reqout", "theirs.der"];
        bench.openssl_ocsp(&[&leaf_only[..], &[option], &both].concat());
        assert_eq!(
            bench.read("theirs.der"),
            encode(&[&leaf, &responder], hash, None)
        );
    }
}

#[test]
fn a_good_answer_is_accepted_under_every_hash() {
    let bench = Bench::new();
    let leaf = bench.identity(&bench.leaf);
    for hash in [
        HashAlgorithm::Sha1,
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
    ] {
        let request = encode(&[&leaf], hash, None);
        let bytes = bench.answer(VALID, request, &["-ndays", "3"]);
        let judged = bench.judged(&bytes);
        assert!(judged.is_good());
        let Validity { from, until } = judged.validity;
        assert_eq!(until, from + 3 * 86_400);
        assert!((now() - from).abs() < 60);
    }
}

#[test]
fn the_delegates_certificate_is_found_by_name_and_by_key() {
    let bench = Bench::new();
    let leaf = bench.identity(&bench.leaf);
    let delegate = Certificate::from_der(&bench.responder.der()).unwrap();
    for arguments in [&["-ndays", "1"][..], &["-ndays", "1", "-resp_key_id"]] {
        let request = encode(&[&leaf], HashAlgorithm::Sha1, None);
        let bytes = bench.answer(VALID, request, arguments);
        let response = Response::parse(&bytes).expect("a response");
        let by_key = matches!(response.responder_id(), ResponderId::ByKey(_));
        assert_eq!(by_key, arguments.contains(&"-resp_key_id"));
        let ca = Certificate::from_der(&bench.ca.der()).unwrap();
        let Some(Signer::Delegate { certificate, .. }) = response.signer(&ca) else {
            panic!("the delegate signed");
        };
        assert_eq!(*certificate, delegate);
    }
}

#[test]
fn a_nonce_comes_back() {
    let bench = Bench::new();
    let leaf = bench.identity(&bench.leaf);
    let nonce = [0xa7; 32];
    let request = encode(&[&leaf], HashAlgorithm::Sha1, Some(&nonce));
    let bytes = bench.answer(VALID, request, &["-ndays", "1"]);
    assert_eq!(Response::parse(&bytes).unwrap().nonce(), Some(&nonce[..]));
}

#[test]
fn revoked_and_unknown_are_told_apart() {
    let bench = Bench::new();
    let (leaf, other) = (
        bench.identity(&bench.leaf),
        bench.identity(&bench.responder),
    );
    let request = encode(&[&leaf, &other], HashAlgorithm::Sha1, None);
    let bytes = bench.answer(REVOKED, request, &["-ndays", "1"]);
    let response = Response::parse(&bytes).unwrap();
    let Verdict::Revoked { since, reason } = bench.judged(&bytes).verdict else {
        panic!("it is revoked");
    };
    let fault = Fault::Revoked {
        time: since,
        reason,
    };
    let expected = "the certificate is revoked since 2025-12-01T00:00:00Z (superseded); replace it";
    assert_eq!(fault.to_string(), expected);
    assert_eq!(response.single_for(&other).unwrap().status, Status::Unknown);
}

#[test]
fn an_answer_without_next_update_has_none() {
    let bench = Bench::new();
    let leaf = bench.identity(&bench.leaf);
    let request = encode(&[&leaf], HashAlgorithm::Sha1, None);
    let bytes = bench.answer(VALID, request, &[]);
    let response = Response::parse(&bytes).unwrap();
    let single = response.single_for(&leaf).unwrap();
    assert_eq!(single.next_update, None);
}

/// What `openssl ocsp` says of a response for the leaf with these times.
fn said_of_times(bench: &Bench, this_update: &str, next_update: &str) -> (String, Vec<u8>) {
    let single = SingleSpec {
        cert_id: bench.identity(&bench.leaf).cert_id(HashAlgorithm::Sha1),
        this_update: generalized_time(this_update),
        next_update: Some(generalized_time(next_update)),
        ..SingleSpec::good()
    };
    let response = ResponseSpec::of(&[single]).der();
    bench.directory.write("times.der", &response);
    let output = Command::new("openssl")
        .args(["ocsp", "-noverify", "-respin", "times.der"])
        .args(["-issuer", "ca.pem", "-cert", "leaf.pem"])
        .current_dir(bench.directory.path())
        .output()
        .expect("openssl runs");
    let told = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&told).into_owned(), response)
}

#[test]
fn fractions_of_a_second_are_read_as_openssl_reads_them() {
    let bench = Bench::new();
    let digits = |time: i64| -> String {
        let text = Rfc3339(time).to_string();
        text.chars().filter(char::is_ascii_digit).collect()
    };
    let (from, until) = (digits(now() - 3_600), digits(now() + 3_600));
    for (of_this, of_next, counts) in [
        ("", "", true),
        (".5", ".25", true),
        ("", ".5", true),
        // The shorter text is the earlier time.
        (".5", "", false),
        (".", ".", false),
        (",5", ",5", false),
    ] {
        let this_update = format!("{from}{of_this}Z");
        let next_update = format!("{until}{of_next}Z");
        let (told, response) = said_of_times(&bench, &this_update, &next_update);
        let is_taken = told.contains("leaf.pem: good") && !told.contains("times invalid");
        assert_eq!(is_taken, counts, "{of_this:?} {of_next:?}: {told}");
        let ca = CertificateSpec::ca().read();
        let leaf = bench.identity(&bench.leaf);
        let judged = judged_under(&ca, &response, &leaf, now(), &Policy::STAPLING);
        assert_eq!(
            judged.is_ok(),
            counts,
            "{of_this:?} {of_next:?}: {judged:?}"
        );
    }
}
