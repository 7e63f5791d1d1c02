//! Staples from the live map: what the agent publishes reaches a server that
//! started before, children that it forks, and nothing else reaches the agent
//! than the certificates that were loaded.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use staplegun_store::layout::Layout;
use staplegun_store::map::{Writer, WriterLock};
use staplegun_testkit::directory::set_mode;
use staplegun_testkit::hosts::{Postgres, Python};
use staplegun_testkit::{Client, Directory, Host, Program, Server, Shim, Site, Spec, wait};

/// The smallest map.
const SIZE: usize = 256 * 1024;

/// The agent's part, played by the test.
struct Store {
    directory: Directory,
    writer: Writer,
}

/// The directory of a store that has no map yet.
fn empty_store() -> Directory {
    let directory = Directory::new();
    set_mode(directory.path(), 0o755);
    directory
}

/// A server that another test starts in this moment has the descriptor of the agent before,
/// and thus its lock, from its fork until it executes.
fn wait_for_lock(map: &Path) -> WriterLock {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match WriterLock::try_take(map) {
            Err(error) if Instant::now() > end => panic!("nobody else writes here: {error}"),
            Err(_) => std::thread::yield_now(),
            Ok(lock) => return lock,
        }
    }
}

fn shim_for(store: &Directory) -> Shim {
    Shim::preloaded().env("STAPLEGUN_DIR", store.path())
}

impl Store {
    fn new() -> Store {
        Store::start_in(empty_store())
    }

    /// Starts an agent on a store.
    fn start_in(directory: Directory) -> Store {
        let map = Layout::at(directory.path()).map();
        let lock = wait_for_lock(&map);
        let writer = Writer::open(&map, SIZE, lock).expect("a map");
        Store { directory, writer }
    }

    /// The agent ends and another one takes over.
    fn restart(self) -> Store {
        drop(self.writer);
        Store::start_in(self.directory)
    }

    fn shim(&self) -> Shim {
        shim_for(&self.directory)
    }

    fn put(&mut self, site: &Site, der: &[u8], until: i64) {
        self.put_valid_from(site, der, 0, until);
    }

    fn put_valid_from(&mut self, site: &Site, der: &[u8], from: i64, until: i64) {
        self.writer
            .put(&key(site), der, from, until)
            .expect("there is room");
    }
}

fn key(site: &Site) -> [u8; 32] {
    let hex = site.leaf.sha256_hex();
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
}

fn client(host: &dyn Host, server: &Server, site: &Site) -> Client {
    host.client(server, site)
}

/// Publishes, renews, lets expire and withdraws under a running server.
fn assert_follows_the_map(host: &dyn Host) {
    let (site, mut store) = (Site::new(), Store::new());
    let server = host.start(&site, &store.shim());
    let client = client(host, &server, &site);
    client.handshake().assert_no_staple();

    let (first, renewed) = (site.good().der(), site.good().this_update(-60).der());
    for response in [&first, &renewed] {
        store.put(&site, response, i64::MAX);
        client.handshake().assert_stapled(response);
    }
    store.put(&site, &first, 1);
    client.handshake().assert_no_staple();
    store.put(&site, &renewed, i64::MAX);
    client.handshake().assert_stapled(&renewed);
    store.writer.withdraw(&key(&site)).expect("it is there");
    client.handshake().assert_no_staple();
}

#[test]
fn a_server_follows_what_the_agent_publishes() {
    assert_follows_the_map(&Python::new());
}

#[test]
fn children_forked_for_each_connection_follow_it_too() {
    assert_follows_the_map(&Postgres::new());
}

#[test]
fn an_agent_that_is_restarted_twice_still_reaches_children_of_a_server_from_before() {
    let (site, mut store) = (Site::new(), Store::new());
    let host = Postgres::new();
    let server = host.start(&site, &store.shim());
    let client = host.client(&server, &site);
    for ago in [180, 120, 60] {
        let response = site.good().this_update(-ago).der();
        store.put(&site, &response, i64::MAX);
        client.handshake().assert_stapled(&response);
        store = store.restart();
        client.handshake().assert_stapled(&response);
    }
}

#[test]
fn an_agent_that_starts_after_the_server_reaches_it_from_its_next_context_on() {
    let (site, store) = (Site::new(), empty_store());
    let host = Postgres::new();
    let server = host.start(&site, &shim_for(&store));
    let client = host.client(&server, &site);
    client.handshake().assert_no_staple();

    let mut store = Store::start_in(store);
    let response = site.good().der();
    store.put(&site, &response, i64::MAX);
    client.handshake().assert_no_staple();
    server.hang_up();
    wait::until("the reloaded server staples", || {
        (client.handshake().staple.as_deref() == Some(&response[..])).then_some(())
    });
}

#[test]
fn what_expired_in_the_map_or_is_early_there_hides_no_good_file() {
    let (site, mut store) = (Site::new(), Store::new());
    let good = site.good().der();
    let response = site.write("response.der", &good);
    let host = Python::new();
    let server = host.start(&site, &store.shim().responses(&[&response]));
    let client = host.client(&server, &site);
    let other = site.good().this_update(-60).der();
    store.put(&site, &other, 1);
    client.handshake().assert_stapled(&good);
    store.put_valid_from(&site, &other, i64::MAX, i64::MAX);
    client.handshake().assert_stapled(&good);
    store.put(&site, &other, i64::MAX);
    client.handshake().assert_stapled(&other);
}

#[test]
fn an_issuer_is_learnt_when_it_can_be_although_the_map_serves() {
    let (site, mut store) = (Site::new(), Store::new());
    let hashed = site.path("hashed");
    std::fs::create_dir(&hashed).expect("it is new");
    std::fs::write(hashed.join("ca.pem"), site.root.pem()).expect("it is ours");
    let done = Program::new("openssl").arg("rehash").arg(&hashed).run();
    assert!(done.status.success());
    let good = site.good().der();
    store.put(&site, &good, i64::MAX);
    let later = site.path("later.der");
    let host = Python::with("cert.pem", "key.pem").verify_directory("hashed");
    let server = host.start(&site, &store.shim().responses(&[&later]));
    let client = host.client(&server, &site);
    client.handshake().assert_stapled(&good);
    // The agent is gone, and the operator has a file instead.
    store.put(&site, &good, 1);
    let other = site.good().this_update(-60).der();
    site.write("later.der", &other);
    wait::until("the file is stapled", || {
        (client.handshake().staple.as_deref() == Some(&other[..])).then_some(())
    });
}

#[test]
fn a_revocation_that_is_stapled_silences_files_after_its_end_too() {
    let (site, mut store) = (Site::new(), Store::new());
    let response = site.write("response.der", site.good().der());
    let host = Python::new();
    let server = host.start(&site, &store.shim().responses(&[&response]));
    let client = host.client(&server, &site);
    let revoked = site.good().revoked().der();
    let revoke = |store: &mut Store, until| {
        let done = store.writer.revoke(&key(&site), &revoked, 0, until);
        done.expect("there is room");
    };
    revoke(&mut store, i64::MAX);
    client.handshake().assert_stapled(&revoked);
    revoke(&mut store, 1);
    client.handshake().assert_no_staple();
}

#[test]
fn what_the_agent_withdrew_is_not_taken_from_a_file() {
    let (site, mut store) = (Site::new(), Store::new());
    let good = site.good().der();
    let response = site.write("response.der", &good);
    let host = Python::new();
    let server = host.start(&site, &store.shim().responses(&[&response]));
    let client = host.client(&server, &site);
    client.handshake().assert_stapled(&good);
    store.writer.withdraw(&key(&site)).expect("there is room");
    client.handshake().assert_no_staple();
}

#[test]
fn a_map_that_others_may_write_is_not_used_and_the_log_says_so() {
    let (site, mut store) = (Site::new(), Store::new());
    store.put(&site, &site.good().der(), i64::MAX);
    set_mode(&Layout::at(store.directory.path()).map(), 0o666);
    let log = site.write_with_mode("log", "", 0o666);
    let host = Python::new();
    let server = host.start(&site, &store.shim().log(&log));
    host.client(&server, &site).handshake().assert_no_staple();
    let log = std::fs::read_to_string(&log).expect("the log can be read");
    assert_eq!(log.matches("the live map is not used").count(), 1, "{log}");
}

/// What was left in the spool, by the names' first parts.
fn spooled(spool: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(spool).expect("the spool is there");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("ASCII")
        })
        .map(|name| name.split('.').next().unwrap_or_default().to_owned())
        .collect();
    names.sort();
    names
}

fn spool_after_a_load(leaf: &Spec) -> (Site, Vec<String>) {
    let site = Site::with(leaf);
    let names = spool_after_a_load_with(&site, Store::new());
    (site, names)
}

fn spool_after_a_load_with(site: &Site, store: Store) -> Vec<String> {
    let spool = Layout::at(store.directory.path()).spool();
    std::fs::create_dir(&spool).expect("a new directory");
    set_mode(&spool, 0o1733);
    let server = Python::new().start(site, &store.shim());
    drop(server);
    spooled(&spool)
}

/// A store with a response for the site's certificate, which names a responder, whose
/// validity began and ends so many seconds from now.
fn store_with_response(from: i64, until: i64) -> (Site, Store) {
    let site = Site::with(&Spec::server().ocsp_url("http://127.0.0.1:9/"));
    let mut store = Store::new();
    let response = site.good().der();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("it is after 1970").as_secs().cast_signed();
    store.put_valid_from(&site, &response, now + from, now + until);
    (site, store)
}

#[test]
fn a_certificate_with_a_responder_is_left_for_the_agent_once() {
    let leaf = Spec::server().ocsp_url("http://127.0.0.1:9/");
    let (site, names) = spool_after_a_load(&leaf);
    assert_eq!(names, [site.leaf.sha256_hex()]);
}

/// A server that forks and loads for each connection would else leave a file for each.
#[test]
fn a_certificate_that_the_map_serves_is_not_left_for_the_agent() {
    let (site, store) = store_with_response(-1000, 3000);
    assert_eq!(spool_after_a_load_with(&site, store), [""; 0]);
}

/// The agent renews long before: it may not know the certificate any more.
#[test]
fn a_certificate_whose_response_in_the_map_is_near_its_end_is_left_again() {
    let (site, store) = store_with_response(-10_000, 100);
    let names = spool_after_a_load_with(&site, store);
    assert_eq!(names, [site.leaf.sha256_hex()]);
}

#[test]
fn a_certificate_that_the_agent_withdrew_is_left_again() {
    let (site, mut store) = store_with_response(-1000, 3000);
    store.writer.withdraw(&key(&site)).expect("it is there");
    let names = spool_after_a_load_with(&site, store);
    assert_eq!(names, [site.leaf.sha256_hex()]);
}

/// The agent says why nothing is stapled for it, and may be told of a responder.
#[test]
fn a_certificate_without_a_responder_is_left_too() {
    let (site, names) = spool_after_a_load(&Spec::server());
    assert_eq!(names, [site.leaf.sha256_hex()]);
}
