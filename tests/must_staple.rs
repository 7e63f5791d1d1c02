//! A certificate that demands a staple (RFC 7633) is refused by clients that
//! honour it, until the server staples; and what is told of one that names no responder.

use staplegun_testkit::hosts::Python;
use staplegun_testkit::{Host, Shim, Site, Spec};

#[test]
fn gnutls_and_curl_refuse_the_server_without_us_and_accept_it_with_us() {
    let site = Site::with(&Spec::server().must_staple());
    site.write("chain.pem.ocsp", site.good().der());
    let host = Python::new();
    let plain = host.start(&site, &Shim::absent());
    let client = host.client(&plain, &site);
    client.gnutls().assert_refused("the OCSP status is missing");
    client.curl().assert_refused("No OCSP response received");
    let preloaded = host.start(&site, &Shim::preloaded());
    let client = host.client(&preloaded, &site);
    client.gnutls().assert_accepted();
    // Python's bare handler knows no GET, which is no failure to curl.
    client.curl().assert_accepted();
}

#[test]
fn clients_verify_what_a_delegated_responder_signed() {
    let site = Site::with_intermediate(&Spec::server().must_staple());
    let delegate = site.issuer().issue(&Spec::responder());
    let response = site.good().delegate(&delegate).der();
    site.write("chain.pem.ocsp", &response);
    let host = Python::new();
    let server = host.start(&site, &Shim::preloaded());
    let client = host.client(&server, &site);
    client.handshake().assert_stapled(&response);
    client.gnutls().assert_accepted();
    client.curl().assert_accepted();
}

#[test]
fn one_that_names_no_responder_is_told_of_once_with_what_that_means() {
    for (spec, sentence) in [
        (Spec::server(), "names no OCSP responder"),
        (
            Spec::server().must_staple(),
            "must-staple, and no responder",
        ),
    ] {
        let site = Site::with(&spec);
        let log = site.write_with_mode("log", "", 0o666);
        let host = Python::new();
        let server = host.start(&site, &Shim::preloaded().log(&log));
        for _ in 0..2 {
            let client = host.client(&server, &site);
            client.handshake().assert_no_staple();
        }
        let log = std::fs::read_to_string(&log).expect("the log can be read");
        let told: Vec<&str> = log.lines().filter(|it| it.contains(sentence)).collect();
        assert_eq!(told.len(), 1, "{log}");
        assert!(told[0].contains("info:"), "{log}");
    }
}
