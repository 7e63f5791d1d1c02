//! A program that staples by itself: its response wins, even one that clients
//! would reject, unless the operator has that repaired. `openssl s_server` sends
//! whatever its file holds.

use staplegun_testkit::{Client, Program, Response, Server, Shim, Site, Tls};

/// A server that staples `own`, while `good.der` is there for us.
fn start(site: &Site, own: &[u8], shim: Shim) -> Server {
    site.write("own.der", own);
    let good = site.write("good.der", site.good().der());
    let program = Program::new("openssl")
        .args([
            "s_server",
            "-quiet",
            "-accept",
            "127.0.0.1:0",
            "-status_file",
        ])
        .arg(site.path("own.der"))
        .arg("-cert")
        .arg(site.path("cert.pem"))
        .arg("-cert_chain")
        .arg(site.path("ca.pem"))
        .arg("-key")
        .arg(site.path("key.pem"));
    shim.responses(&[&good]).apply(program).start()
}

fn assert_stapled(site: &Site, server: &Server, der: &[u8]) {
    for version in Tls::ALL {
        let client = Client::new(server.port(), &site.path("ca.pem")).tls(version);
        client.handshake().assert_stapled(der);
    }
}

#[test]
fn its_own_response_wins_even_if_it_has_expired_and_the_log_says_so() {
    let site = Site::new();
    let expired = site.good().expired().der();
    let log = site.write_with_mode("log", "", 0o666);
    let server = start(&site, &expired, Shim::preloaded().log(&log));
    assert_stapled(&site, &server, &expired);
    let log = std::fs::read_to_string(log).expect("the log can be read");
    assert_eq!(log.matches("would be rejected").count(), 1, "{log}");
}

#[test]
fn repaired_it_is_replaced_by_ours() {
    let site = Site::new();
    let other = Site::new();
    let rejected = [
        site.good().expired().der(),
        site.good().revoked().der(),
        site.good().corrupt_signature().der(),
        Response::good(&other.leaf, &other.root).der(),
    ];
    for own in rejected {
        let shim = Shim::preloaded().env("STAPLEGUN_SERVER", "repair");
        let server = start(&site, &own, shim);
        let good = std::fs::read(site.path("good.der")).expect("it was written");
        assert_stapled(&site, &server, &good);
    }
}

#[test]
fn a_signature_that_does_not_hold_is_told_in_the_log_once() {
    let site = Site::new();
    let forged = site.good().corrupt_signature().der();
    let log = site.write_with_mode("log", "", 0o666);
    let server = start(&site, &forged, Shim::preloaded().log(&log));
    for _ in 0..3 {
        assert_stapled(&site, &server, &forged);
    }
    let log = std::fs::read_to_string(log).expect("the log can be read");
    let complaints = log
        .lines()
        .filter(|line| line.contains("would be rejected"));
    let complaints: Vec<_> = complaints.collect();
    assert_eq!(complaints.len(), 1, "{log}");
    assert!(complaints[0].contains("not signed"), "{log}");
}

#[test]
fn repaired_a_good_one_of_its_own_still_wins() {
    let site = Site::new();
    let own = site.good().this_update(-60).der();
    let shim = Shim::preloaded().env("STAPLEGUN_SERVER", "repair");
    let server = start(&site, &own, shim);
    assert_stapled(&site, &server, &own);
}
