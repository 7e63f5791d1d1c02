//! Every certificate that is not stapled has a sentence in `staplegun status`, and
//! its exit status says whether somebody has to do something. These tests act as
//! other users, so they need root, as the tests of the servers do.

use std::os::unix::fs::chown;

use serde_json::Value;
use staplegun_store::spool::publish;
use staplegun_testkit::directory::set_mode;
use staplegun_testkit::pki::CLIENT_AUTH;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Directory, Identity, Response, Spec, wait};

use crate::support::{PATIENT, STAPLEGUN, Store, key};

/// nobody's number on every Debian.
const NOBODY: u32 = 65534;

fn ca() -> Identity {
    Identity::self_signed(&Spec::ca("CA"))
}

/// Leaves a certificate in the spool as a program of root does.
fn leave(store: &Store, leaf: &Identity, issuers: &[&Identity]) {
    let ders: Vec<Vec<u8>> = [leaf]
        .into_iter()
        .chain(issuers.iter().copied())
        .map(Identity::der)
        .collect();
    let ders: Vec<&[u8]> = ders.iter().map(Vec::as_slice).collect();
    publish(&store.layout().spool(), &key(leaf), &ders).expect("published");
}

/// Leaves a certificate in the spool as a program of nobody does.
fn leave_as_nobody(store: &Store, leaf: &Identity, issuers: &[&Identity]) {
    let mut bytes = leaf.der();
    bytes.extend(issuers.iter().flat_map(|issuer| issuer.der()));
    let name = format!("{}.{NOBODY}.{:016x}", leaf.sha256_hex(), 7);
    let hidden = store.layout().spool().join(format!(".{name}"));
    std::fs::write(&hidden, bytes).expect("it can be written");
    chown(&hidden, Some(NOBODY), Some(NOBODY)).expect("the test runs as root");
    std::fs::rename(&hidden, store.layout().spool().join(name)).expect("it can be renamed");
}

fn status(store: &Store) -> (Option<i32>, Value) {
    let output = store.staplegun(&["status", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), json)
}

/// Waits until the status has a line with that cause, and returns it with the exit
/// status.
fn wait_for(store: &Store, cause: &str) -> (Option<i32>, Value) {
    wait::until(&format!("the status tells of {cause}"), || {
        let (code, json) = status(store);
        let all = json["certificates"].as_array().expect("a list").iter();
        let mut fitting = all.filter(|one| one["cause"] == cause);
        Some((code, fitting.next()?.clone()))
    })
}

#[track_caller]
fn assert_says(one: &Value, words: &[&str]) {
    let sentence = one["sentence"].as_str().unwrap_or_else(|| panic!("{one}"));
    for word in words {
        assert!(sentence.contains(word), "{word:?}: {sentence}");
    }
}

#[test]
fn a_certificate_without_a_responder_has_a_sentence_and_nothing_is_to_be_done() {
    let (ca, store) = (ca(), Store::new());
    let _agent = store.start(PATIENT);
    let leaf = ca.issue(&Spec::server());
    leave(&store, &leaf, &[&ca]);
    let (code, one) = wait_for(&store, "no_responder");
    assert_says(
        &one,
        &["names no OCSP responder", "Let's Encrypt", "nothing to do"],
    );
    assert_eq!(one["status"], "no-responder");
    assert_eq!(one["sha256"], leaf.sha256_hex());
    assert_eq!(code, Some(0), "{one}");
    let output = store.staplegun(&["status"]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("names no OCSP responder"), "{table}");
}

#[test]
fn must_staple_without_a_responder_needs_the_operator() {
    let (ca, store) = (ca(), Store::new());
    let agent = store.start(PATIENT);
    leave(&store, &ca.issue(&Spec::server().must_staple()), &[&ca]);
    let (code, one) = wait_for(&store, "must_staple");
    assert_says(
        &one,
        &["must-staple, and no responder: clients will refuse it"],
    );
    assert_eq!(code, Some(1), "{one}");
    agent.wait_until_logged("clients will refuse it");
}

#[test]
fn what_programs_load_that_is_not_for_servers_or_expired_is_told() {
    let (ca, store) = (ca(), Store::new());
    let _agent = store.start(PATIENT);
    let url = "http://127.0.0.1:9/";
    let client = Spec::server().extended_key_usage(&[CLIENT_AUTH]);
    leave(&store, &ca.issue(&client.ocsp_url(url)), &[&ca]);
    let (code, one) = wait_for(&store, "not_server");
    assert_says(&one, &["not for servers", "nothing to do"]);
    assert_eq!(code, Some(0), "{one}");
    leave(
        &store,
        &ca.issue(&Spec::server().ocsp_url(url).expired()),
        &[&ca],
    );
    let (code, one) = wait_for(&store, "certificate_expired");
    assert_says(&one, &["expired at", "replace it"]);
    assert_eq!(code, Some(1), "{one}");
}

#[test]
fn a_missing_issuer_names_the_file_to_append_it_to() {
    let (ca, store) = (ca(), Store::new());
    let leaf = ca.issue(&Spec::server().ocsp_url("http://127.0.0.1:9/"));
    let path = store.list(&leaf, &[]);
    let _agent = store.start(PATIENT);
    let (code, one) = wait_for(&store, "no_issuer");
    assert_says(&one, &["append it to", &path.display().to_string()]);
    assert_eq!(code, Some(1), "{one}");
}

#[test]
fn what_was_refused_from_the_spool_is_told_with_whose_and_why() {
    let (ca, store) = (ca(), Store::new());
    let agent = store.start(PATIENT);
    let leaf = ca.issue(&Spec::server().ocsp_url("http://127.0.0.1:9/"));
    leave_as_nobody(&store, &leaf, &[&ca]);
    let (code, one) = wait_for(&store, "untrusted_issuer");
    assert_says(&one, &["refused", "nobody", "65534", "trusted-issuers"]);
    assert_eq!(one["left_by"], NOBODY);
    assert_eq!(code, Some(1), "{one}");
    // Still told after a restart, and without an agent.
    agent.kill();
    wait_for(&store, "untrusted_issuer");
    let _agent = store.start(PATIENT);
    wait_for(&store, "untrusted_issuer");
}

#[test]
fn what_strangers_leave_is_told_up_to_a_limit() {
    let (ca, store) = (ca(), Store::new());
    let agent = store.start(PATIENT);
    for _ in 0..80 {
        let leaf = ca.issue(&Spec::server().ocsp_url("http://127.0.0.1:9/"));
        leave_as_nobody(&store, &leaf, &[&ca]);
    }
    wait::until("the spool is empty", || {
        let mut entries = std::fs::read_dir(store.layout().spool()).expect("there is a spool");
        entries.next().is_none().then_some(())
    });
    // Root's is told all the same.
    leave(&store, &ca.issue(&Spec::server()), &[&ca]);
    wait_for(&store, "no_responder");
    drop(agent);
    let kept = std::fs::read_dir(store.directory.join("certs")).expect("a directory");
    assert_eq!(kept.count(), 32 + 1);
}

#[test]
fn a_responder_that_is_named_later_serves_what_names_none() {
    let (ca, store) = (ca(), Store::new());
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server());
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    let agent = store.start(PATIENT);
    leave(&store, &leaf, &[&ca]);
    wait_for(&store, "no_responder");
    let by_issuer = format!(
        "{PATIENT}[[responder]]\nissuer = '{}'\nurl = '{}'\n",
        ca.sha256_hex(),
        responder.url()
    );
    store.directory.write("agent.toml", &by_issuer);
    agent.server.hang_up();
    agent.wait_until_served(&leaf, &good);
    wait::until("nothing is the matter any more", || {
        let (code, json) = status(&store);
        (code == Some(0) && json["certificates"][0]["status"] == "stapled").then_some(())
    });
    // Nobody has to leave it again after a restart with another configuration.
    drop(agent);
    let other = ca.issue(&Spec::server());
    let agent = store.start(PATIENT);
    leave(&store, &other, &[&ca]);
    wait_for(&store, "no_responder");
    drop(agent);
    let good = Response::good(&other, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    store.start(&by_issuer).wait_until_served(&other, &good);
}

#[test]
fn a_refusal_for_want_of_trust_ends_with_the_configuration() {
    let (ca, store) = (ca(), Store::new());
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    let agent = store.start(PATIENT);
    leave_as_nobody(&store, &leaf, &[&ca]);
    wait_for(&store, "untrusted_issuer");
    assert!(responder.requests().is_empty());
    let anchors = store.directory.write("anchors.pem", ca.pem());
    let trusting = format!("trusted-issuers = ['{}']\n{PATIENT}", anchors.display());
    store.directory.write("agent.toml", trusting);
    agent.server.hang_up();
    agent.wait_until_served(&leaf, &good);
}

#[test]
fn what_the_agents_user_cannot_read_is_told_with_the_command_that_helps() {
    let (ca, store) = (ca(), Store::new());
    let leaf = ca.issue(&Spec::server().ocsp_url("http://127.0.0.1:9/"));
    let path = store.list(&leaf, &[&ca]);
    set_mode(&path, 0o600);
    let hidden = Directory::new();
    set_mode(hidden.path(), 0o700);
    let mut list = std::fs::read_to_string(store.directory.join("certificates")).expect("a list");
    list += &format!("{}\n", hidden.path().display());
    store.directory.write("certificates", list);
    let _agent = store.adopt(store.program(PATIENT).args(["--user", "nobody"]).start());
    let (code, one) = wait_for(&store, "unreadable");
    let paths = [&path, hidden.path()].map(|path| path.display().to_string());
    let (_, json) = status(&store);
    for path in &paths {
        let all = json["certificates"].as_array().expect("a list");
        let one = all.iter().find(|one| one["path"] == *path).expect("told");
        assert_says(one, &[&format!("as root, staplegun add {path}")]);
    }
    assert_eq!(code, Some(1), "{one}");
    // It can be read now: nothing is said any more, and it is looked after.
    set_mode(&path, 0o644);
    set_mode(hidden.path(), 0o755);
    wait::until("it is no longer told", || {
        let (_, json) = status(&store);
        let all = json["certificates"].as_array().expect("a list").clone();
        all.iter()
            .all(|one| one["cause"] != "unreadable")
            .then_some(())
    });
}

#[test]
fn an_agent_that_does_not_run_is_no_success() {
    let (ca, store) = (ca(), Store::new());
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    store.list(&leaf, &[&ca]);
    let mut agent = store.start(PATIENT);
    agent.wait_until_served(&leaf, &good);
    assert!(agent.server.stop().success());
    let (code, json) = status(&store);
    assert_eq!(json["certificates"][0]["status"], "stapled");
    assert_eq!(json["agent_running"], false);
    assert_eq!(code, Some(1), "{json}");
}

#[test]
fn a_store_that_cannot_be_read_is_no_answer() {
    let empty = Directory::new();
    let dir = empty.path().to_str().expect("UTF-8");
    let output = Store::new().staplegun(&["status", "--dir", dir]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let (ca, store) = (ca(), Store::new());
    let agent = store.start(PATIENT);
    leave(&store, &ca.issue(&Spec::server()), &[&ca]);
    wait_for(&store, "no_responder");
    let file = store
        .directory
        .join(&format!("certs/{}.pem", "ab".repeat(32)));
    std::fs::create_dir(&file).expect("a directory in a file's place");
    let output = store.staplegun(&["status"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(why.contains("abab") && why.contains("cannot read"), "{why}");
    drop(agent);
}

#[test]
fn a_closed_pipe_ends_a_command_without_a_panic() {
    let (ca, store) = (ca(), Store::new());
    let path = store.list(&ca.issue(&Spec::server()), &[&ca]);
    let _agent = store.start(PATIENT);
    wait_for(&store, "no_responder");
    let file = path.to_str().expect("UTF-8");
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["add", file],
        &["fetch", "--no-store", file],
        &["fetch", "--no-store", "--json", file],
        &["check", "--lib", STAPLEGUN, "--json", "/bin/sh"],
        &["agent", "--help"],
    ] {
        // Both ends closed: standard output has no reader from the start.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = std::process::Command::new(STAPLEGUN)
            .args(words)
            .env("STAPLEGUN_DIR", store.directory.path())
            .stdout(writer)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{words:?}: {said}");
        assert!(
            !said.contains("pipe"),
            "who has read enough is no error: {said}"
        );
        assert_ne!(output.status.code(), Some(101), "{words:?}");
    }
}

#[test]
fn what_the_operator_has_replaced_is_told_no_more() {
    let (ca, store) = (ca(), Store::new());
    let responder = FaultyResponder::start(Behaviour::Close);
    let spec = || Spec::server().ocsp_url(&responder.url());
    let path = store.list(&ca.issue(&spec().expired()), &[&ca]);
    let agent = store.start(PATIENT);
    let (code, one) = wait_for(&store, "certificate_expired");
    assert_says(&one, &["expired at", "replace it"]);
    assert_eq!(one["path"], path.display().to_string());
    assert_eq!(code, Some(1));
    let leaf = ca.issue(&spec());
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    let new = path.with_extension("new");
    std::fs::write(&new, leaf.pem() + &ca.pem()).expect("it can be written");
    std::fs::rename(new, &path).expect("it can be renamed");
    agent.wait_until_served(&leaf, &good);
    wait::until("the old one is told no more", || {
        let (code, json) = status(&store);
        let all = json["certificates"].as_array().expect("a list");
        (code == Some(0) && all.len() == 1).then_some(())
    });
}

#[test]
fn what_is_passed_over_and_expires_is_told_no_more() {
    let (ca, store) = (ca(), Store::new());
    let _agent = store.start(PATIENT);
    let shortly = Spec::server().validity(-60, 15);
    leave(&store, &ca.issue(&shortly), &[&ca]);
    wait_for(&store, "no_responder");
    wait::until("it is told no more", || {
        let (code, json) = status(&store);
        let is_empty = json["certificates"].as_array().is_some_and(Vec::is_empty);
        (code == Some(0) && is_empty).then_some(())
    });
}

#[test]
fn a_list_that_the_agent_cannot_read_is_told() {
    let (ca, store) = (ca(), Store::new());
    store.list(&ca.issue(&Spec::server()), &[&ca]);
    let list = store.directory.join("certificates");
    set_mode(&list, 0o600);
    let _agent = store.adopt(store.program(PATIENT).args(["--user", "nobody"]).start());
    let (code, one) = wait_for(&store, "unreadable");
    assert_says(&one, &["cannot read the list", &list.display().to_string()]);
    assert_eq!(code, Some(1), "{one}");
}

#[test]
fn what_is_passed_over_is_logged_once_and_not_at_each_start() {
    let (ca, store) = (ca(), Store::new());
    store.list(&ca.issue(&Spec::server()), &[&ca]);
    let mut agent = store.start(PATIENT);
    agent.wait_until_logged("names no OCSP responder");
    wait_for(&store, "no_responder");
    assert!(agent.server.stop().success());
    let agent = store.start(PATIENT);
    // What comes later was looked at later.
    leave(&store, &ca.issue(&Spec::server().must_staple()), &[&ca]);
    agent.wait_until_logged("must-staple, and no responder");
    let log = agent.server.stderr();
    assert!(!log.contains("names no OCSP responder"), "{log}");
}
