//! A certificate is replaced while the server runs: the response goes with the
//! certificate that is served, never with the one before.

use std::process::Command;

use staplegun_testkit::hosts::{Nginx, Redis};
use staplegun_testkit::{Host, Identity, Response, Shim, Site, Spec, wait};

/// Writes a new leaf's files over those of the old, and returns it.
fn rotate(site: &Site) -> Identity {
    let leaf = site.root.issue(&Spec::server());
    site.write("chain.pem", leaf.pem() + &site.root.pem());
    site.write("key.pem", leaf.key.pem());
    leaf
}

#[test]
fn nginx_reloaded_staples_the_new_certificates_response() {
    let site = Site::new();
    let old = site.good().der();
    let response = site.write("response.der", &old);
    let host = Nginx::new();
    let server = host.start(&site, &Shim::preloaded().responses(&[&response]));
    let client = host.client(&server, &site);
    client.handshake().assert_stapled(&old);
    let leaf = rotate(&site);
    let new = Response::good(&leaf, &site.root).der();
    site.write("response.der", &new);
    server.hang_up();
    wait::until("the new certificate's response is stapled", || {
        let handshake = client.handshake();
        assert!(handshake.completed, "{}", handshake.output);
        // The old workers serve until the new ones have taken over.
        let staple = handshake.staple.expect("there is one at any time");
        assert!(staple == old || staple == new);
        (staple == new).then_some(())
    });
}

#[test]
fn redis_told_to_load_another_certificate_staples_its_response() {
    let site = Site::new();
    let old = site.good().der();
    let responses = site.path("responses");
    std::fs::create_dir(&responses).expect("it is new");
    std::fs::write(responses.join("old.der"), &old).expect("it is ours");
    let shim = Shim::preloaded().responses(&[&responses]);
    let server = Redis.start(&site, &shim);
    let client = Redis.client(&server, &site);
    client.handshake().assert_stapled(&old);

    let leaf = rotate(&site);
    load_again(&site, server.port());
    client.handshake().assert_no_staple();

    let new = Response::good(&leaf, &site.root).der();
    std::fs::write(responses.join("new.der"), &new).expect("it is ours");
    load_again(&site, server.port());
    client.handshake().assert_stapled(&new);
}

/// Setting the same file makes redis read it again.
fn load_again(site: &Site, port: u16) {
    let chain = site.path("chain.pem");
    let output = Command::new("redis-cli")
        .args(["--tls", "-p", &port.to_string(), "--cacert"])
        .arg(site.path("ca.pem"))
        .args(["config", "set", "tls-cert-file"])
        .arg(chain)
        .output()
        .expect("redis-cli runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        said.trim(),
        "OK",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
