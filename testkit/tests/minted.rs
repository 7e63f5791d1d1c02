//! What the testkit mints is judged by the openssl program: a certificate or a
//! response that is wrong in another way than its name says would make every
//! test that uses it worthless.

use std::path::Path;
use std::process::Command;

use staplegun_testkit::response::{self, CertIdHash};
use staplegun_testkit::{Site, Spec};

/// Output and error output of the openssl program, whatever its exit status.
fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(arguments)
        .output()
        .expect("openssl runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// What `openssl ocsp` says to a response for the site's leaf.
fn judge(site: &Site, der: &[u8]) -> String {
    judge_by_hash(site, der, "-sha1")
}

/// The same, for a certID by the hash that the option names.
fn judge_by_hash(site: &Site, der: &[u8], hash: &str) -> String {
    let response = site.write("judged.der", der);
    let issuer = site.write("issuer.pem", site.issuer().pem());
    openssl(&[
        "ocsp",
        "-respin",
        text(&response),
        "-issuer",
        text(&issuer),
        hash,
        "-cert",
        text(&site.path("cert.pem")),
        "-CAfile",
        text(&site.path("ca.pem")),
        // A chain that ends in an intermediate's delegate needs it.
        "-verify_other",
        text(&issuer),
        "-no_nonce",
    ])
}

fn is_good(verdict: &str) -> bool {
    verdict.contains("Response verify OK")
        && verdict.contains("cert.pem: good")
        && !verdict.contains("WARNING")
}

fn assert_good(site: &Site, der: &[u8]) {
    let verdict = judge(site, der);
    assert!(is_good(&verdict), "{verdict}");
}

#[test]
fn certificates_verify_and_hold_what_was_specified() {
    let spec = Spec::server()
        .must_staple()
        .ocsp_url("http://127.0.0.1:9/ocsp")
        .ca_issuers_url("http://127.0.0.1:9/ca.der");
    for site in [Site::with(&spec), Site::with_intermediate(&spec)] {
        let chain = site.path("chain.pem");
        let verdict = openssl(&[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-verify_hostname",
            "localhost",
            "-verify_ip",
            "127.0.0.1",
            "-CAfile",
            text(&site.path("ca.pem")),
            "-untrusted",
            text(&chain),
            text(&site.path("cert.pem")),
        ]);
        assert!(verdict.contains("cert.pem: OK"), "{verdict}");
        let shown = openssl(&["x509", "-noout", "-text", "-in", text(&chain)]);
        for part in [
            "TLS Feature: \n                status_request",
            "OCSP - URI:http://127.0.0.1:9/ocsp",
            "CA Issuers - URI:http://127.0.0.1:9/ca.der",
        ] {
            assert!(shown.contains(part), "no {part:?} in {shown}");
        }
    }
}

#[test]
fn good_responses_are_good_to_openssl() {
    for site in [Site::new(), Site::with_intermediate(&Spec::server())] {
        let delegate = site.issuer().issue(&Spec::responder());
        assert_good(&site, &site.good().der());
        let by_sha256 = site.good().hash(CertIdHash::Sha256).der();
        let verdict = judge_by_hash(&site, &by_sha256, "-sha256");
        assert!(is_good(&verdict), "{verdict}");
        assert_good(&site, &site.good().responder_by_key().der());
        assert_good(&site, &site.good().next_update(None).der());
        assert_good(&site, &site.good().delegate(&delegate).der());
        assert_good(
            &site,
            &site.good().delegate(&delegate).responder_by_key().der(),
        );
    }
}

#[test]
fn rsa_keys_sign_certificates_and_responses() {
    let site = Site::rsa();
    assert_good(&site, &site.good().der());
    let verdict = judge(&site, &site.good().corrupt_signature().der());
    assert!(!is_good(&verdict), "{verdict}");
}

#[test]
fn every_fault_is_refused_by_openssl_for_the_reason_in_its_name() {
    let site = Site::new();
    for fault in response::faults(&site.leaf, &site.root) {
        let reason = match fault.name {
            "expired" => "status expired",
            "not yet valid" => "status not yet valid",
            "revoked" => "cert.pem: revoked",
            "unknown" => "cert.pem: unknown",
            "another serial" | "another issuer" => "ERROR: No Status found",
            "corrupt signature" => "signature failure",
            "signed by another CA" => "Verify error: self-signed certificate",
            "delegate of another CA" => "unable to get local issuer",
            "unknown signer" => "signer certificate not found",
            "expired delegate" => "certificate has expired",
            "delegate without EKU" | "delegate with wrong EKU" | "signed by the leaf itself" => {
                "missing ocspsigning usage"
            }
            "malformedRequest" => "Responder Error: malformedrequest (1)",
            "internalError" => "Responder Error: internalerror (2)",
            "tryLater" => "Responder Error: trylater (3)",
            "sigRequired" => "Responder Error: sigrequired (5)",
            "unauthorized" => "Responder Error: unauthorized (6)",
            // d2i stops at the end of the structure: for what follows it, and
            // for how much is read at all, the reader must care.
            "trailing bytes" | "10 MB" => "Response verify OK",
            _ => "Error reading OCSP response",
        };
        let verdict = judge(&site, &fault.bytes);
        assert!(
            verdict.contains(reason),
            "{}: not {reason:?} but {verdict}",
            fault.name
        );
    }
}
