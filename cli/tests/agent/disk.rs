//! The disk hangs, or forgets: what is served does not wait for it, and a
//! revocation outlasts it.

use std::path::PathBuf;
use std::process::Command;

use staplegun_store::slots::Miss;
use staplegun_testkit::program::Program;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Directory, Identity, Response, Spec, wait};

use crate::support::{Agent, PATIENT, QUICK, Store};

const HUNG_DISK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agent/hung_disk.c");

struct Scene {
    ca: Identity,
    leaf: Identity,
    good: Vec<u8>,
    revoked: Vec<u8>,
    responder: FaultyResponder,
    store: Store,
    directory: Directory,
}

fn scene() -> Scene {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    Scene {
        // Two hours old: the revocation is an hour old, and newer.
        good: Response::good(&leaf, &ca).this_update(-7200).der(),
        revoked: {
            let revoked = Response::good(&leaf, &ca).revoked();
            revoked.this_update(-1800).der()
        },
        ca,
        leaf,
        responder,
        store,
        directory: Directory::new(),
    }
}

impl Scene {
    fn in_file(&self) -> Option<Vec<u8>> {
        std::fs::read(self.store.file("staples", &self.leaf, "der")).ok()
    }

    fn wait_until_in_file(&self, der: &[u8]) {
        wait::until("the response is in its file", || {
            (self.in_file()? == der).then_some(())
        });
    }

    fn wait_until_noted_revoked(&self) {
        wait::until("the notes tell the revocation", || {
            self.store.notes(&self.leaf)?.revoked_since
        });
    }

    /// The disk hangs while this file is there.
    fn hang(&self) -> PathBuf {
        self.directory.join("hang")
    }

    fn program_with_a_disk_that_can_hang(&self, settings: &str) -> Program {
        let program = self.directory.join("hung_disk");
        let compiled = Command::new("cc")
            .args(["-O1", "-Wall", "-Werror", "-o"])
            .arg(&program)
            .arg(HUNG_DISK)
            .status();
        assert!(compiled.expect("cc runs").success());
        let store = self.store.directory.path();
        let agent = self.store.program(settings);
        agent.under([program.as_path(), &self.hang(), store])
    }

    /// An agent whose disk can hang, with the good response on it.
    fn start_on_a_disk_that_can_hang(&self, settings: &str) -> Agent {
        let good = self.good.clone();
        self.responder.set(Behaviour::Answer(good.clone()));
        let agent = self.program_with_a_disk_that_can_hang(settings);
        let agent = self.store.adopt(agent.start());
        agent.wait_until_served(&self.leaf, &good);
        self.wait_until_in_file(&good);
        agent
    }

    fn status(&self) -> (serde_json::Value, String) {
        let json = self.store.staplegun(&["status", "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
        let table = self.store.staplegun(&["status"]);
        let table = String::from_utf8_lossy(&table.stdout).into_owned();
        // Others have the same name, so that their order is anybody's guess.
        let mut all = json["certificates"].as_array().expect("a list").iter();
        let one = all.find(|one| one["sha256"] == self.leaf.sha256_hex());
        (one.expect("it is told").clone(), table)
    }

    /// As a restart of the machine leaves it: the map is gone.
    fn reboot(&self) {
        std::fs::remove_file(self.store.layout().map()).expect("there was a map");
    }
}

#[test]
fn a_revocation_is_withdrawn_while_the_disk_hangs_and_its_evidence_written_when_it_goes_on() {
    let scene = scene();
    let other = scene
        .ca
        .issue(&Spec::server().ocsp_url(&scene.responder.url()));
    scene.store.list(&other, &[&scene.ca]);
    let agent = scene.start_on_a_disk_that_can_hang(QUICK);
    scene.directory.write("hang", b"");
    let (revoked, newer) = (
        scene.revoked.clone(),
        Response::good(&other, &scene.ca).der(),
    );
    // A responder that answers about both certificates at once.
    let both = (revoked.clone(), newer.clone());
    let serial = scene.leaf.serial().to_vec();
    scene
        .responder
        .set(Behaviour::Call(std::sync::Arc::new(move |request| {
            let is_first = request.der().is_some_and(|der| contains(&der, &serial));
            Behaviour::Answer(if is_first {
                both.0.clone()
            } else {
                both.1.clone()
            })
        })));
    agent.wait_until_missed(&scene.leaf, Miss::Withdrawn);
    // And the main thread goes on.
    agent.wait_until_served(&other, &newer);
    assert_eq!(scene.in_file(), Some(scene.good.clone()), "the disk hangs");
    let (one, table) = scene.status();
    assert_eq!(one["evidence_on_disk"], false, "{table}");
    assert!(table.contains("evidence not yet on disk"), "{table}");
    std::fs::remove_file(scene.hang()).expect("it is there");
    scene.wait_until_in_file(&revoked);
    scene.wait_until_noted_revoked();
    let (one, table) = scene.status();
    assert_eq!(one["evidence_on_disk"], true, "{table}");
    assert!(!table.contains("not yet on disk"), "{table}");
}

#[test]
fn what_was_done_to_the_files_waits_for_a_disk_that_hangs_and_a_revocation_does_not() {
    let scene = scene();
    let spec = Spec::server().ocsp_url(&scene.responder.url());
    let (other, named) = (scene.ca.issue(&spec), scene.ca.issue(&spec));
    scene.store.list(&other, &[&scene.ca]);
    // The responder knows nothing of the other one: what it gets is brought.
    let mut agent = scene.start_on_a_disk_that_can_hang(QUICK);
    scene.directory.write("hang", b"");
    let brought = Response::good(&other, &scene.ca).der();
    scene.store.bring(&other, &brought);
    scene.store.list(&named, &[&scene.ca]);
    std::fs::remove_dir_all(scene.store.layout().spool()).expect("it was there");
    // As long as notices are gathered, and longer.
    std::thread::sleep(std::time::Duration::from_millis(300));
    scene
        .responder
        .set(Behaviour::Answer(scene.revoked.clone()));
    agent.wait_until_missed(&scene.leaf, Miss::Withdrawn);
    assert!(agent.metrics().contains("staplegun_revocations_total 1"));
    std::fs::remove_file(scene.hang()).expect("it is there");
    agent.wait_until_served(&other, &brought);
    agent.wait_until_logged(&named.sha256_hex());
    assert!(agent.server.stop().success());
}

#[test]
fn once_ends_when_what_was_fetched_is_on_the_disk_however_slow_that_is() {
    let scene = scene();
    let (hang, good) = (scene.hang(), scene.good.clone());
    scene
        .responder
        .set(Behaviour::Call(std::sync::Arc::new(move |_| {
            std::fs::write(&hang, b"").expect("it can be written");
            Behaviour::Answer(good.clone())
        })));
    let program = scene.program_with_a_disk_that_can_hang(PATIENT);
    let agent = scene.store.adopt(program.arg("--once").start());
    agent.wait_until_served(&scene.leaf, &scene.good);
    // Longer than the end waits for a disk when somebody wants the agent to end.
    std::thread::sleep(std::time::Duration::from_secs(6));
    assert_eq!(scene.in_file(), None, "the disk hangs");
    std::fs::remove_file(scene.hang()).expect("it is there");
    scene.wait_until_in_file(&scene.good);
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|part| part == needle)
}

#[test]
fn after_an_unclean_end_it_asks_at_once_for_what_was_brought_back() {
    let scene = scene();
    // Asked once, and again in hours; then told by hand.
    let agent = scene.start_on_a_disk_that_can_hang(PATIENT);
    wait::until("the notes are written", || {
        scene.store.notes(&scene.leaf)?.next_refresh
    });
    scene.directory.write("hang", b"");
    scene
        .responder
        .set(Behaviour::Answer(scene.revoked.clone()));
    agent.kill();
    std::fs::remove_file(scene.hang()).expect("it is there");
    scene.reboot();
    let filled = scene.store.staplegun(&["agent", "--fill"]);
    assert!(filled.status.success());
    assert_eq!(scene.store.served(&scene.leaf), Ok(scene.good.clone()));
    let agent = scene.store.start(PATIENT);
    agent.wait_until_missed(&scene.leaf, Miss::Withdrawn);
}

#[test]
fn after_a_clean_end_what_is_fresh_is_not_asked_for_again() {
    let scene = scene();
    scene.responder.set(Behaviour::Answer(scene.good.clone()));
    let mut agent = scene.store.start(PATIENT);
    agent.wait_until_served(&scene.leaf, &scene.good);
    assert!(agent.server.stop().success());
    scene.reboot();
    let asked = scene.responder.requests().len();
    let agent = scene.store.start(PATIENT);
    assert_eq!(scene.store.served(&scene.leaf), Ok(scene.good.clone()));
    // What is due at its start it has begun with when its metrics answer.
    agent.wait_for_metric("staplegun_fetches_total 0");
    assert_eq!(scene.responder.requests().len(), asked);
}

#[test]
fn a_hung_disk_keeps_nobody_from_ending_the_agent() {
    let scene = scene();
    let mut agent = scene.start_on_a_disk_that_can_hang(QUICK);
    scene.directory.write("hang", b"");
    scene
        .responder
        .set(Behaviour::Answer(scene.revoked.clone()));
    agent.wait_until_missed(&scene.leaf, Miss::Withdrawn);
    let told = std::time::Instant::now();
    assert!(agent.server.stop().success());
    // It waits for the disk, but for seconds only.
    assert!(told.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn with_its_evidence_lost_a_revocation_is_undone_by_no_older_good_response() {
    let scene = scene();
    let good = scene.good.clone();
    scene.responder.set(Behaviour::Answer(good.clone()));
    let agent = scene.store.start(QUICK);
    agent.wait_until_served(&scene.leaf, &good);
    scene
        .responder
        .set(Behaviour::Answer(scene.revoked.clone()));
    agent.wait_until_missed(&scene.leaf, Miss::Withdrawn);
    scene.wait_until_in_file(&scene.revoked);
    scene.wait_until_noted_revoked();
    agent.kill();
    std::fs::remove_file(scene.store.file("staples", &scene.leaf, "der")).expect("it was there");
    // Older than the revocation, and lasting longer than what was known.
    let old = Response::good(&scene.leaf, &scene.ca).this_update(-3600);
    let old = old.next_update(90 * 3600).der();
    scene.responder.set(Behaviour::Answer(old));
    // With the map, and as after a restart of the machine without it.
    for is_rebooted in [false, true] {
        if is_rebooted {
            scene.reboot();
        }
        let agent = scene.store.start(QUICK);
        agent.wait_until_logged("older than the revocation");
        assert_eq!(scene.store.served(&scene.leaf), Err(Miss::Withdrawn));
        assert_eq!(scene.in_file(), None, "no good one lies there");
        let (one, table) = scene.status();
        assert_eq!(one["status"], "revoked");
        assert_eq!(one["evidence_on_disk"], false, "{table}");
        agent.kill();
    }
    // Nor by `fetch` where no agent runs.
    let path = scene
        .directory
        .write("leaf.pem", scene.leaf.pem() + &scene.ca.pem());
    let told = scene
        .store
        .staplegun(&["fetch", path.to_str().expect("UTF-8")]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("not kept"), "{told}");
    assert_eq!(scene.store.served(&scene.leaf), Err(Miss::Withdrawn));
}
