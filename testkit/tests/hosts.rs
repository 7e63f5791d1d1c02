//! Every host serves as it does for its users: plainly it staples nothing,
//! unless it staples by itself.

use staplegun_testkit::hosts::{HaProxy, Nginx, Postgres, Python, Redis};
use staplegun_testkit::{Host, KeyKind, Shim, Site, Spec, Tls, process};

fn serves_without_a_staple(host: &impl Host) {
    let site = Site::with_intermediate(&Spec::server());
    let server = host.start(&site, &Shim::absent());
    let client = host.client(&server, &site);
    for version in Tls::ALL {
        client.clone().tls(version).handshake().assert_no_staple();
    }
}

#[test]
fn python_serves_without_a_staple() {
    serves_without_a_staple(&Python::new());
}

#[test]
fn redis_serves_without_a_staple() {
    serves_without_a_staple(&Redis);
}

#[test]
fn postgres_serves_without_a_staple() {
    serves_without_a_staple(&Postgres::new());
}

#[test]
fn nginx_serves_without_a_staple() {
    serves_without_a_staple(&Nginx::new());
}

#[test]
fn haproxy_serves_without_a_staple() {
    serves_without_a_staple(&HaProxy);
}

#[test]
fn haproxy_staples_its_own_file() {
    let site = Site::new();
    let own = site.good().der();
    site.write("bundle.pem.ocsp", &own);
    let server = HaProxy.start(&site, &Shim::absent());
    let handshake = HaProxy.client(&server, &site).handshake();
    handshake.assert_stapled(&own);
}

#[test]
fn nginx_staples_its_own_file() {
    let site = Site::new();
    let own = site.good().der();
    site.write("own.der", &own);
    let nginx = Nginx::new().own_response("own.der");
    let server = nginx.start(&site, &Shim::absent());
    nginx
        .client(&server, &site)
        .handshake()
        .assert_stapled(&own);
}

#[test]
fn a_client_chooses_between_two_keys_by_its_signature_algorithms() {
    let site = Site::new();
    let rsa = site.root.issue(&Spec::server().key(KeyKind::Rsa2048));
    site.write("rsa.pem", rsa.pem() + &site.root.pem());
    site.write("rsa.key", rsa.key.pem());
    let nginx = Nginx::new().and("rsa.pem", "rsa.key");
    let server = nginx.start(&site, &Shim::absent());
    let client = nginx.client(&server, &site);
    for (algorithm, shown) in [
        ("RSA-PSS+SHA256", "Peer signature type: RSA-PSS"),
        ("ECDSA+SHA256", "Peer signature type: ECDSA"),
    ] {
        let client = client.clone().options(&["-sigalgs", algorithm]);
        let handshake = client.handshake();
        handshake.assert_no_staple();
        assert!(handshake.output.contains(shown), "{}", handshake.output);
    }
}

#[test]
fn python_runs_with_one_thread_and_its_descriptors_can_be_seen() {
    let site = Site::new();
    let server = Python::new().start(&site, &Shim::absent());
    assert_eq!(process::threads(server.pid()), 1);
    let descriptors = process::descriptors(server.pid());
    let listener = descriptors.iter().filter(|line| line.contains("socket:"));
    assert_eq!(listener.count(), 1, "{descriptors:?}");
}
