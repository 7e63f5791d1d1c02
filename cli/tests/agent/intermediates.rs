//! The intermediates of chains: with the setting, one fetch for each however many leaves,
//! judged as a leaf's response is, by its own issuer; and gone with the last leaf.
//! These tests act as other users, so they need root.

use std::os::unix::fs::chown;

use staplegun_store::slots::Miss;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Identity, Response, Spec, wait};

use crate::support::{Agent, PATIENT, QUICK, Store};

const NOBODY: u32 = 65534;

/// A root, an intermediate with a responder of its own, and two leaves.
struct Scene {
    root: Identity,
    ca: Identity,
    leaves: [Identity; 2],
    /// Who answers for the intermediate.
    roots: FaultyResponder,
    /// Who answers for the leaves: nothing.
    _cas: FaultyResponder,
    good: Vec<u8>,
    store: Store,
}

fn scene() -> Scene {
    let roots = FaultyResponder::start(Behaviour::Close);
    let cas = FaultyResponder::start(Behaviour::Close);
    let root = Identity::self_signed(&Spec::ca("Root"));
    let ca = root.issue(&Spec::ca("CA").ocsp_url(&roots.url()));
    let leaves = [(); 2].map(|()| ca.issue(&Spec::server().ocsp_url(&cas.url())));
    let good = Response::good(&ca, &root).this_update(-7200).der();
    roots.set(Behaviour::Answer(good.clone()));
    Scene {
        root,
        ca,
        leaves,
        roots,
        _cas: cas,
        good,
        store: Store::new(),
    }
}

impl Scene {
    /// The setting, and those.
    fn wanted(&self, settings: &str) -> String {
        let root = self.store.directory.write("root.pem", self.root.pem());
        let root = root.display();
        format!("intermediates = true\ntrusted-issuers = ['{root}']\n{settings}")
    }

    fn list_both(&self) {
        for leaf in &self.leaves {
            self.store.list(leaf, &[&self.ca]);
        }
    }

    /// Leaves the first leaf and the intermediate in the spool, as a process of `uid` does.
    fn leave_as(&self, uid: u32) {
        let name = format!("{}.{uid}.0123456789abcdef", self.leaves[0].sha256_hex());
        let hidden = self.store.layout().spool().join(format!(".{name}"));
        std::fs::write(&hidden, [self.leaves[0].der(), self.ca.der()].concat()).expect("written");
        chown(&hidden, Some(uid), Some(uid)).expect("the test runs as root");
        std::fs::rename(&hidden, hidden.with_file_name(name)).expect("renamed");
    }

    /// Until both leaves were asked for: the first one's chain was followed before that.
    fn wait_until_asked_for(&self, agent: &Agent) {
        for leaf in &self.leaves {
            agent.wait_until_failed(leaf);
        }
    }

    fn wait_until_gone(&self, agent: &Agent) {
        agent.wait_until_missed(&self.ca, Miss::Absent);
        let file = self.store.file("certs", &self.ca, "pem");
        wait::until("its files are gone", || (!file.exists()).then_some(()));
    }
}

#[test]
fn one_fetch_brings_what_is_served_for_an_intermediate_of_two_leaves() {
    let scene = scene();
    scene.list_both();
    let agent = scene.store.start(&scene.wanted(PATIENT));
    agent.wait_until_served(&scene.ca, &scene.good);
    scene.wait_until_asked_for(&agent);
    let requests = scene.roots.requests().len();
    assert_eq!(requests, 1, "one for each intermediate");
    let line = format!(
        "staplegun_intermediate_leaves{{sha256=\"{}\",subject=\"CA\"}} 2",
        scene.ca.sha256_hex()
    );
    agent.wait_for_metric(&line);
    // What `status` reads is brought to the disk after it is served.
    let one = wait::until("status shows the intermediate", || {
        let output = scene.store.staplegun(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let mut all = status["certificates"].as_array()?.iter();
        all.find(|one| one["subject"] == "CA").cloned()
    });
    assert_eq!(
        (&one["status"], &one["leaves"]),
        (&"stapled".into(), &2.into())
    );
    let output = scene.store.staplegun(&["status"]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("CA (intermediate)  stapled"), "{table}");
}

#[test]
fn without_the_setting_nobody_is_asked_for_an_intermediate() {
    let scene = scene();
    scene.list_both();
    let agent = scene.store.start(PATIENT);
    scene.wait_until_asked_for(&agent);
    drop(agent);
    assert_eq!(scene.roots.requests().len(), 0);
    assert_eq!(scene.store.served(&scene.ca), Err(Miss::Absent));
}

#[test]
fn a_reload_follows_the_setting_and_a_restart_keeps_what_was_there() {
    let scene = scene();
    scene.list_both();
    let agent = scene.store.start(PATIENT);
    scene.wait_until_asked_for(&agent);
    // One that no list names has its chain in the store alone.
    scene.store.directory.write("certificates", "");
    scene
        .store
        .directory
        .write("agent.toml", scene.wanted(PATIENT));
    agent.server.hang_up();
    agent.wait_until_served(&scene.ca, &scene.good);
    let on_disk = scene.store.file("staples", &scene.ca, "der");
    wait::until("it is on the disk", || on_disk.exists().then_some(()));
    agent.kill();
    scene.roots.set(Behaviour::Close);
    std::fs::remove_file(scene.store.layout().map()).expect("there was a map");
    let agent = scene.store.start(&scene.wanted(PATIENT));
    assert_eq!(scene.store.served(&scene.ca), Ok(scene.good.clone()));
    scene.store.directory.write("agent.toml", PATIENT);
    agent.server.hang_up();
    scene.wait_until_gone(&agent);
}

#[test]
fn an_intermediate_goes_with_the_last_leaf_that_hangs_on_it() {
    let scene = scene();
    let files = scene
        .leaves
        .iter()
        .map(|leaf| scene.store.list(leaf, &[&scene.ca]));
    let files: Vec<_> = files.collect();
    let agent = scene.store.start(&scene.wanted(PATIENT));
    agent.wait_until_served(&scene.ca, &scene.good);
    let remove = |file: &std::path::Path| {
        let done = scene
            .store
            .staplegun(&["remove", file.to_str().expect("a path")]);
        assert!(done.status.success(), "{done:?}");
    };
    remove(&files[0]);
    let line = format!(
        "staplegun_intermediate_leaves{{sha256=\"{}\",subject=\"CA\"}} 1",
        scene.ca.sha256_hex()
    );
    agent.wait_for_metric(&line);
    assert_eq!(scene.store.served(&scene.ca), Ok(scene.good.clone()));
    remove(&files[1]);
    scene.wait_until_gone(&agent);
    // And comes back with the next.
    scene.store.list(&scene.leaves[0], &[&scene.ca]);
    agent.wait_until_served(&scene.ca, &scene.good);
}

#[test]
fn a_revoked_intermediate_is_withdrawn_and_the_alarm_says_how_many_hang_on_it() {
    let scene = scene();
    scene.list_both();
    let agent = scene.store.start(&scene.wanted(QUICK));
    agent.wait_until_served(&scene.ca, &scene.good);
    scene.wait_until_asked_for(&agent);
    let revoked = Response::good(&scene.ca, &scene.root).revoked();
    scene
        .roots
        .set(Behaviour::Answer(revoked.this_update(-1800).der()));
    agent.wait_until_missed(&scene.ca, Miss::Withdrawn);
    agent.wait_until_logged("the intermediate IS REVOKED");
    let log = agent.server.stderr();
    let alarm = log.lines().find(|line| line.contains("IS REVOKED"));
    let is_told = |line: &str| line.contains("ERROR") && line.contains("2 certificates hang on it");
    assert!(alarm.is_some_and(is_told), "{log}");
    wait::until("it is noted", || {
        scene.store.notes(&scene.ca)?.revoked_since
    });
    let output = scene.store.staplegun(&["status"]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{table}");
    assert!(table.contains("2 certificates hang on it"), "{table}");
}

#[test]
fn its_response_counts_only_by_its_own_issuer() {
    let scene = scene();
    scene.list_both();
    // By the key that it certifies, and so whoever has that would clear himself.
    let own = Response::good(&scene.ca, &scene.root).signed_by(&scene.ca);
    scene.roots.set(Behaviour::Answer(own.der()));
    let agent = scene.store.start(&scene.wanted(PATIENT));
    agent.wait_until_failed(&scene.ca);
    assert_eq!(scene.store.served(&scene.ca), Err(Miss::Absent));
}

#[test]
fn a_strangers_chain_is_followed_as_far_as_it_is_trusted() {
    let scene = scene();
    let settings = scene.wanted(PATIENT);
    let trusted = scene.store.directory.write("ca.pem", scene.ca.pem());
    let root = scene.store.directory.join("root.pem");
    // The leaf's issuer alone: whoever certified that is a stranger's word.
    let narrow = settings.replace(
        root.to_str().expect("a path"),
        &trusted.display().to_string(),
    );
    let agent = scene.store.start(&narrow);
    scene.leave_as(NOBODY);
    agent.wait_until_failed(&scene.leaves[0]);
    assert_eq!(scene.roots.requests().len(), 0);
    scene.store.directory.write("agent.toml", &settings);
    agent.server.hang_up();
    agent.wait_until_logged("read the configuration again");
    scene.leave_as(NOBODY);
    drop(agent);
    let agent = scene.store.start(&settings);
    agent.wait_until_served(&scene.ca, &scene.good);
    let notes = wait::until("it is noted", || scene.store.notes(&scene.ca));
    assert_eq!((notes.left_by, notes.intermediate), (Some(NOBODY), true));
}
