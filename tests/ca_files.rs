//! The commonest layout of a one-level private PKI: the certificate's file holds the
//! leaf alone, and its issuer stands in the CA file that the server has for its
//! clients. Each server then staples from a file, and tells the agent of the issuer.

use std::path::{Path, PathBuf};

use staplegun_store::layout::Layout;
use staplegun_store::map::{Writer, WriterLock};
use staplegun_testkit::directory::set_mode;
use staplegun_testkit::hosts::{Lighttpd, Nginx, Postgres, Python, Redis, Stunnel};
use staplegun_testkit::{Directory, Host, Shim, Site, Spec};

/// A site whose chain.pem holds the leaf alone, which names a responder.
fn leaf_alone() -> Site {
    let site = Site::with(&Spec::server().ocsp_url("http://127.0.0.1:9/"));
    site.write("chain.pem", site.leaf.pem());
    site
}

/// With a response in a file, the server staples.
fn staples_from_a_file(host: &impl Host, site: &Site, shim: Shim) {
    let good = site.good().der();
    let shim = shim.responses(&[&site.write("response.der", &good)]);
    let server = host.start(site, &shim);
    host.client(&server, site).handshake().assert_stapled(&good);
}

/// A store whose agent has done nothing yet, and its spool.
fn store() -> (Directory, PathBuf) {
    let store = Directory::new();
    set_mode(store.path(), 0o755);
    let spool = Layout::at(store.path()).spool();
    std::fs::create_dir(&spool).expect("a new directory");
    set_mode(&spool, 0o1733);
    (store, spool)
}

fn assert_left_with_issuer(spool: &Path, site: &Site) {
    let left = std::fs::read_dir(spool).expect("the spool is there");
    let left: Vec<Vec<u8>> = left
        .map(|entry| std::fs::read(entry.expect("an entry").path()).expect("we are root"))
        .collect();
    let whole = [site.leaf.der(), site.root.der()].concat();
    let sizes: Vec<usize> = left.iter().map(Vec::len).collect();
    assert!(left.contains(&whole), "{sizes:?}, not {}", whole.len());
}

/// What the server leaves for the agent when it starts has the issuer.
fn tells_the_agent(host: &impl Host, site: &Site, shim: Shim) {
    let (store, spool) = store();
    drop(host.start(site, &shim.env("STAPLEGUN_DIR", store.path())));
    assert_left_with_issuer(&spool, site);
}

fn finds_its_issuer(host: &impl Host) {
    let site = leaf_alone();
    staples_from_a_file(host, &site, Shim::preloaded());
    tells_the_agent(host, &site, Shim::preloaded());
}

#[test]
fn postgres_by_ssl_ca_file() {
    finds_its_issuer(&Postgres::new().ca_file("ca.pem"));
}

#[test]
fn redis_by_tls_ca_cert_file() {
    finds_its_issuer(&Redis);
}

#[test]
fn nginx_by_ssl_trusted_certificate() {
    finds_its_issuer(&Nginx::new().ca_file("ssl_trusted_certificate", "ca.pem"));
}

#[test]
fn nginx_by_ssl_client_certificate() {
    finds_its_issuer(&Nginx::new().ca_file("ssl_client_certificate", "ca.pem"));
}

#[test]
fn stunnel_by_ca_file() {
    finds_its_issuer(&Stunnel::new().ca_file("ca.pem"));
}

/// It gives certificate and CA file to each connection: the agent is told at the second, and
/// only where there is one.
#[test]
fn lighttpd_by_ssl_ca_file() {
    let (host, site) = (Lighttpd::new().ca_file("ca.pem"), leaf_alone());
    staples_from_a_file(&host, &site, Shim::preloaded());
    let (store, spool) = store();
    let map = Layout::at(store.path()).map();
    let lock = WriterLock::try_take(&map).expect("nobody else writes here");
    let _agent = Writer::open(&map, 256 * 1024, lock).expect("a map");
    let shim = Shim::preloaded().env("STAPLEGUN_DIR", store.path());
    let server = host.start(&site, &shim);
    for _ in 0..2 {
        host.client(&server, &site).handshake();
    }
    drop(server);
    assert_left_with_issuer(&spool, &site);
}

#[test]
fn python_by_load_verify_locations() {
    finds_its_issuer(&Python::new().verify_locations("ca.pem"));
}

#[test]
fn python_by_load_default_certs() {
    let (host, site) = (Python::new().default_certs(), leaf_alone());
    let shim = || Shim::preloaded().env("SSL_CERT_FILE", site.path("ca.pem"));
    staples_from_a_file(&host, &site, shim());
    tells_the_agent(&host, &site, shim());
}

/// Which puts it into the store directly, where it is found in memory at the handshake.
#[test]
fn python_by_its_own_data() {
    let (host, site) = (Python::new().verify_data("ca.pem"), leaf_alone());
    staples_from_a_file(&host, &site, Shim::preloaded());
}
