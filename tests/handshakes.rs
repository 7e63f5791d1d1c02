//! The shapes of a handshake in which stapling goes wrong easily.

use staplegun_testkit::hosts::{Nginx, Python};
use staplegun_testkit::{Host, Response, Shim, Site, Spec, Tls};

/// A site with a good response, and a shim that knows it.
fn site_with_response() -> (Site, Vec<u8>, Shim) {
    let site = Site::new();
    let good = site.good().der();
    let shim = Shim::preloaded().responses(&[&site.write("response.der", &good)]);
    (site, good, shim)
}

#[test]
fn a_client_that_does_not_ask_gets_no_staple() {
    let (site, _, shim) = site_with_response();
    let host = Python::new();
    let server = host.start(&site, &shim);
    for version in Tls::ALL {
        let client = host.client(&server, &site).tls(version);
        let unasking = client.without_status_request();
        unasking.handshake().assert_no_staple();
    }
}

/// libssl calls the callback twice in this handshake.
#[test]
fn after_a_hello_retry_request_the_response_is_stapled() {
    let (site, good, shim) = site_with_response();
    let host = Python::new().curve("secp384r1");
    let server = host.start(&site, &shim);
    let client = host.client(&server, &site).tls(Tls::V1_3);
    let handshake = client.options(&["-groups", "X25519:P-384"]).handshake();
    let hellos = handshake.output.matches(", ClientHello").count();
    assert_eq!(hellos, 2, "{}", handshake.output);
    handshake.assert_stapled(&good);
}

#[test]
fn a_resumed_session_is_unharmed() {
    let (site, good, shim) = site_with_response();
    let host = Python::new();
    let server = host.start(&site, &shim);
    let client = host.client(&server, &site);
    let session = site.path("session.pem").display().to_string();
    let client_1_2 = client.clone().tls(Tls::V1_2);
    let first = client_1_2.clone().options(&["-sess_out", &session]);
    first.handshake().assert_stapled(&good);
    let resumed = client_1_2.options(&["-sess_in", &session]).handshake();
    assert!(resumed.completed, "{}", resumed.output);
    assert!(resumed.output.contains("Reused, "), "{}", resumed.output);
    // TLS 1.3.
    let resumed = client.gnutls_twice();
    resumed.assert_accepted();
    let mark = "This is a resumed session";
    assert!(resumed.message.contains(mark), "{}", resumed.message);
}

#[test]
fn the_server_name_decides_which_response_is_stapled() {
    let (site, good, _) = site_with_response();
    let other = site.root.issue(&Spec::server().dns_name("other.test"));
    site.write("other.pem", other.pem() + &site.root.pem());
    site.write("other.key", other.key.pem());
    let good_for_other = Response::good(&other, &site.root).der();
    site.write("other.der", &good_for_other);
    let files = [site.path("response.der"), site.path("other.der")];
    let shim = Shim::preloaded().responses(&[&files[0], &files[1]]);
    let host = Nginx::new().and_server("other.test", "other.pem", "other.key");
    let server = host.start(&site, &shim);
    for version in Tls::ALL {
        let client = host.client(&server, &site).tls(version);
        client.handshake().assert_stapled(&good);
        let other_name = [
            "-servername",
            "other.test",
            "-verify_hostname",
            "other.test",
        ];
        let client = client.options(&other_name);
        client.handshake().assert_stapled(&good_for_other);
    }
}

#[test]
fn a_client_that_hangs_up_leaves_the_server_stapling() {
    let (site, good, shim) = site_with_response();
    let host = Python::new();
    let server = host.start(&site, &shim);
    let stranger = Site::new();
    let untrusting = host.client(&server, &stranger).handshake();
    assert!(!untrusting.completed, "{}", untrusting.output);
    drop(std::net::TcpStream::connect(("127.0.0.1", server.port())));
    let client = host.client(&server, &site);
    client.handshake().assert_stapled(&good);
}
