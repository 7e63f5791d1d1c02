//! The agent against `openssl ocsp`, `openssl s_server` and a server that it serves.

use staplegun_store::slots::Miss;
use staplegun_testkit::directory::set_mode;
use staplegun_testkit::hosts::{Host, Redis};
use staplegun_testkit::responder::{OpensslResponder, Status};
use staplegun_testkit::{Client, Identity, KeyKind, Program, Shim, Site, Spec, wait};

use crate::support::{PATIENT, QUICK, Store};

/// Where nobody answers: the configuration says who does.
const NAMED: &str = "http://responder.invalid/";

fn instead(responder: &OpensslResponder) -> String {
    format!(
        "[[responder]]\nprefix = '{NAMED}'\nurl = '{}'\n",
        responder.url()
    )
}

#[test]
fn what_openssl_signs_is_served() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let leaf = ca.issue(&Spec::server().ocsp_url(NAMED));
    let responder = OpensslResponder::start(&ca, &ca, &[(&leaf, Status::Good)]);
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let agent = store.start(&format!("{PATIENT}{}", instead(&responder)));
    agent.wait_for_metric("staplegun_fetches_total 1");
    assert!(store.served(&leaf).is_ok());
}

#[test]
fn what_a_delegate_signs_by_rsa_is_served() {
    let root = Identity::self_signed(&Spec::ca("Root").key(KeyKind::Rsa2048));
    let ca = root.issue(&Spec::ca("CA").key(KeyKind::Rsa2048));
    let leaf = ca.issue(&Spec::server().ocsp_url(NAMED));
    let delegate = ca.issue(&Spec::responder().key(KeyKind::Rsa2048));
    let responder = OpensslResponder::start(&ca, &delegate, &[(&leaf, Status::Good)]);
    let store = Store::new();
    store.list(&leaf, &[&ca, &root]);
    let agent = store.start(&format!("{PATIENT}{}", instead(&responder)));
    agent.wait_for_metric("staplegun_fetches_total 1");
    assert!(store.served(&leaf).is_ok());
}

#[test]
fn what_openssl_revokes_or_does_not_know_is_not_served() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let spec = Spec::server().ocsp_url(NAMED);
    let (revoked, unknown) = (ca.issue(&spec), ca.issue(&spec));
    let responder = OpensslResponder::start(&ca, &ca, &[(&revoked, Status::Revoked)]);
    let store = Store::new();
    store.list(&revoked, &[&ca]);
    store.list(&unknown, &[&ca]);
    let agent = store.start(&format!("{QUICK}{}", instead(&responder)));
    agent.wait_until_missed(&revoked, Miss::Withdrawn);
    let notes = agent.wait_until_failed(&unknown);
    assert_eq!(notes.last_cause.as_deref(), Some("unknown"));
    assert_eq!(store.served(&unknown), Err(Miss::Absent));
}

#[test]
fn an_https_responder_must_show_a_certificate_that_the_machine_trusts() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let server = ca.issue(&Spec::server());
    let store = Store::new();
    let certificate = store.directory.write("server.pem", server.pem());
    let key = store.directory.write("server.key", server.key.pem());
    let anchors = store.directory.write("anchors.pem", ca.pem());
    // It answers with a page, which is enough to see that it was spoken to.
    let page = Program::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert"])
        .arg(certificate)
        .arg("-key")
        .arg(key)
        .start();
    let url = format!("https://localhost:{}/", page.port());
    let leaf = ca.issue(&Spec::server().ocsp_url(&url));
    store.list(&leaf, &[&ca]);
    let agent = store.start(QUICK);
    let notes = agent.wait_until_failed(&leaf);
    assert_eq!(
        notes.last_cause.as_deref(),
        Some("tls"),
        "{:?}",
        notes.last_error
    );
    drop(agent);
    let agent = store.adopt(store.program(QUICK).env("SSL_CERT_FILE", anchors).start());
    wait::until("it is spoken to", || {
        (store.notes(&leaf)?.last_cause.as_deref() == Some("html")).then_some(())
    });
    drop(agent);
}

/// `make check-musl` does it with a Redis and a library that are on musl.
#[test]
fn redis_is_stapled_for_the_certificate_that_it_leaves_in_the_spool() {
    let site = Site::with(&Spec::server().ocsp_url(NAMED));
    let (ca, leaf) = (site.issuer(), &site.leaf);
    let responder = OpensslResponder::start(ca, ca, &[(leaf, Status::Good)]);
    let store = Store::new();
    // Redis runs as another user.
    set_mode(store.directory.path(), 0o755);
    let trusted = format!("trusted-issuers = ['{}']\n", site.path("ca.pem").display());
    let _agent = store.start(&format!("{trusted}{QUICK}{}", instead(&responder)));
    let server = Redis.start(
        &site,
        &Shim::preloaded().env("STAPLEGUN_DIR", store.directory.path()),
    );
    let client = Client::new(server.port(), &site.path("ca.pem"));
    wait::until("it is stapled", || {
        let shown = client.handshake();
        (shown.shown("Cert Status") == Some("good")).then_some(())
    });
}
