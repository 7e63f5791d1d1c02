//! The responders answer as they were told, judged by `openssl ocsp` and curl.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use staplegun_testkit::responder::{
    Behaviour, FaultyResponder, OpensslResponder, Refused, Request, Status,
};
use staplegun_testkit::{Site, Spec, wait};

/// What `openssl ocsp` gets to hear about the site's leaf.
fn ask(site: &Site, url: &str) -> String {
    let issuer = site.write("issuer.pem", site.issuer().pem());
    let output = Command::new("openssl")
        .args(["ocsp", "-timeout", "10", "-url", url, "-CAfile"])
        .arg(site.path("ca.pem"))
        .arg("-issuer")
        .arg(issuer)
        .arg("-cert")
        .arg(site.path("cert.pem"))
        .output()
        .expect("openssl runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Exit code and body of curl for a GET.
fn fetch(url: &str) -> (Option<i32>, Vec<u8>) {
    let output = Command::new("curl")
        .args(["--silent", "--noproxy", "*", "--max-time", "1", url])
        .output()
        .expect("curl runs");
    (output.status.code(), output.stdout)
}

#[test]
fn the_real_responder_says_good_then_revoked_then_unknown() {
    let site = Site::new();
    let delegate = site.root.issue(&Spec::responder());
    for signer in [&site.root, &delegate] {
        let good = [(&site.leaf, Status::Good)];
        let responder = OpensslResponder::start(&site.root, signer, &good);
        let said = ask(&site, &responder.url());
        assert!(said.contains("Response verify OK"), "{said}");
        assert!(said.contains("cert.pem: good"), "{said}");
        responder.set_index(&[(&site.leaf, Status::Revoked)]);
        wait::until("the responder has read its new index", || {
            let said = ask(&site, &responder.url());
            said.contains("cert.pem: revoked").then_some(())
        });
        responder.set_index(&[]);
        wait::until("the responder has read its empty index", || {
            let said = ask(&site, &responder.url());
            said.contains("cert.pem: unknown").then_some(())
        });
    }
}

#[test]
fn requests_are_counted_and_decoded_by_post_and_by_get() {
    let site = Site::new();
    let answer = site.good().der();
    let responder = FaultyResponder::start(Behaviour::Answer(answer.clone()));
    let said = ask(&site, &responder.url());
    assert!(said.contains("cert.pem: good"), "{said}");
    let requests = responder.requests();
    let post = &requests[0];
    assert_eq!((requests.len(), post.method.as_str()), (1, "POST"));
    assert_eq!(
        post.header("content-type"),
        Some("application/ocsp-request")
    );
    assert_eq!(post.der(), Some(post.body.clone()));

    // 30 03 02 01 3f encodes as "MAMCAT8=": both must be undone.
    for target in ["MAMCAT8%3D", "MAMCAT8="] {
        let (code, body) = fetch(&format!("{}/{target}", responder.url()));
        assert_eq!((code, body), (Some(0), answer.clone()));
        let last = responder.requests().pop().expect("one more");
        assert_eq!(last.method, "GET");
        assert_eq!(last.der(), Some(vec![0x30, 3, 2, 1, 0x3f]));
    }
}

#[test]
fn behaviours_can_be_queued_and_changed_while_it_runs() {
    let responder = FaultyResponder::start(Behaviour::Answer(b"always".to_vec()));
    responder.queue(Behaviour::Answer(b"once".to_vec()));
    assert_eq!(fetch(&responder.url()).1, b"once");
    assert_eq!(fetch(&responder.url()).1, b"always");
    responder.set(Behaviour::Call(Arc::new(|request: &Request| {
        Behaviour::Answer(request.method.clone().into_bytes())
    })));
    assert_eq!(fetch(&responder.url()).1, b"GET");
}

#[test]
fn every_fault_looks_to_curl_as_it_should() {
    const TIMEOUT: Option<i32> = Some(28);
    const EMPTY_REPLY: Option<i32> = Some(52);
    const RESET: Option<i32> = Some(56);
    const REFUSED: Option<i32> = Some(7);
    let responder = FaultyResponder::start(Behaviour::Hang);
    let url = responder.url();
    assert_eq!(fetch(&url).0, TIMEOUT);
    responder.set(Behaviour::Drip {
        bytes: vec![0x30; 1000],
        pause: Duration::from_millis(10),
    });
    assert_eq!(fetch(&url).0, TIMEOUT);
    responder.set(Behaviour::Close);
    assert_eq!(fetch(&url).0, EMPTY_REPLY);
    responder.set(Behaviour::Reset);
    assert_eq!(fetch(&url).0, RESET);
    responder.set(Behaviour::Huge(5 << 20));
    assert_eq!(fetch(&url).1.len(), 5 << 20);
    responder.set(Behaviour::html());
    assert!(fetch(&url).1.starts_with(b"<html>"));
    responder.set(Behaviour::Raw(b"HTTP/1.1 200 OK\r\n\r\nraw".to_vec()));
    assert_eq!(fetch(&url), (Some(0), b"raw".to_vec()));
    assert_eq!(fetch(&Refused::new().url()).0, REFUSED);
}

#[test]
fn status_codes_and_header_fields_arrive() {
    let headers = [("Retry-After", "120")];
    let responder = FaultyResponder::start(Behaviour::status(503, &headers));
    let output = Command::new("curl")
        .args(["--silent", "--noproxy", "*", "--head", &responder.url()])
        .output()
        .expect("curl runs");
    let head = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("Retry-After: 120\r\n"), "{head}");
}

#[test]
fn a_responder_that_hangs_is_gone_when_dropped() {
    let responder = FaultyResponder::start(Behaviour::Hang);
    let url = responder.url();
    let client = std::thread::spawn(move || fetch(&url));
    wait::until("the request has arrived", || {
        (!responder.requests().is_empty()).then_some(())
    });
    let start = Instant::now();
    drop(responder);
    client.join().expect("curl ends");
    assert!(start.elapsed() < Duration::from_secs(5));
}
