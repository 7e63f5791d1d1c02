//! The judges see what a server really staples, to the byte: `openssl s_server`
//! with a response of our choice is the server.

use std::path::Path;

use staplegun_testkit::{Client, Program, Server, Site, Spec, Tls, process};

fn s_server(site: &Site, options: &[&str]) -> Server {
    let file = |name| site.path(name).into_os_string();
    Program::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert_chain"])
        .args([file("chain.pem"), "-cert".into(), file("cert.pem")])
        .args(["-key".into(), file("key.pem")])
        .args(options)
        .start()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_staple_is_seen_to_the_byte_by_s_client_and_accepted_by_curl_and_gnutls() {
    let site = Site::with_intermediate(&Spec::server());
    let der = site.good().der();
    let file = site.write("staple.der", &der);
    let server = s_server(&site, &["-status_file", text(&file)]);
    let client = Client::new(server.port(), &site.path("ca.pem"));
    for version in Tls::ALL {
        let handshake = client.clone().tls(version).handshake();
        handshake.assert_stapled(&der);
        assert_eq!(handshake.shown("Cert Status"), Some("good"));
        assert_eq!(handshake.alert, None);
    }
    client.curl().assert_accepted();
    client.gnutls().assert_accepted();
}

#[test]
fn no_staple_is_seen_where_there_is_none() {
    let site = Site::new();
    let server = s_server(&site, &[]);
    let client = Client::new(server.port(), &site.path("ca.pem"));
    for version in Tls::ALL {
        client.clone().tls(version).handshake().assert_no_staple();
    }
    client.curl().assert_refused("No OCSP response received");
    client.gnutls().assert_accepted();
}

#[test]
fn gnutls_wants_a_good_staple_for_a_must_staple_certificate() {
    let site = Site::with(&Spec::server().must_staple());
    let none = s_server(&site, &[]);
    let client = Client::new(none.port(), &site.path("ca.pem"));
    client.gnutls().assert_refused("the OCSP status is missing");
    let file = site.write("expired.der", site.good().expired().der());
    let expired = s_server(&site, &["-status_file", text(&file)]);
    let client = Client::new(expired.port(), &site.path("ca.pem"));
    client.gnutls().assert_refused("OCSP data are old");
}

#[test]
fn a_failed_handshake_is_told_from_a_completed_one() {
    let site = Site::new();
    let stranger = Site::new();
    let server = s_server(&site, &["-tls1_3"]);
    let untrusted = Client::new(server.port(), &stranger.path("ca.pem")).handshake();
    assert!(!untrusted.completed, "{}", untrusted.output);
    let trusted = Client::new(server.port(), &site.path("ca.pem"));
    let too_old = trusted.tls(Tls::V1_2).handshake();
    assert!(!too_old.completed, "{}", too_old.output);
    assert_eq!(too_old.alert.as_deref(), Some("protocol_version"));
}

#[test]
fn a_program_that_cannot_start_shows_its_own_words() {
    let site = Site::new();
    let result = std::panic::catch_unwind(|| s_server(&site, &["-no_such_option"]).port());
    let message = result.expect_err("there is no such option");
    let message = message.downcast_ref::<String>().expect("a message");
    assert!(message.contains("-no_such_option"), "{message}");
}

#[test]
fn a_stopped_program_leaves_no_process_behind() {
    let script = "import http.server, os, time
server = http.server.HTTPServer(('127.0.0.1', 0), None)
if os.fork() == 0:
    os.closerange(0, 100)
    time.sleep(60)
    os._exit(0)
server.serve_forever()";
    let mut server = Program::new("/usr/bin/python3")
        .args(["-c", script])
        .start();
    let children = process::descendants(server.pid());
    assert_eq!(children.len(), 1, "{children:?}");
    server.stop();
    assert_eq!(process::start_time(children[0]), None);
}
