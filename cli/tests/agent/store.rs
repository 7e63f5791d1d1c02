//! The store: what lasts, what is damaged, what cannot be written.

use std::os::unix::fs::chown;

use staplegun_store::slots::Miss;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Identity, Response, Spec, wait};

use crate::support::{PATIENT, QUICK, Store};

struct Scene {
    ca: Identity,
    leaf: Identity,
    good: Vec<u8>,
    responder: FaultyResponder,
    store: Store,
}

/// A store in which an agent has left a good response; then it was killed.
fn scene() -> Scene {
    let scene = new_scene();
    let agent = scene.store.start(PATIENT);
    agent.wait_until_served(&scene.leaf, &scene.good);
    wait::until("the response is in its file", || {
        std::fs::read(scene.store.file("staples", &scene.leaf, "der")).ok()
    });
    agent.kill();
    scene
}

fn new_scene() -> Scene {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    Scene {
        ca,
        leaf,
        good,
        responder,
        store,
    }
}

impl Scene {
    /// As a reboot leaves it: the map is gone.
    fn reboot(&self) {
        std::fs::remove_file(self.store.layout().map()).expect("there was a map");
    }

    fn fill(&self) {
        let output = self.store.staplegun(&["agent", "--fill"]);
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
    }
}

#[test]
fn after_a_reboot_the_early_unit_fills_the_map_without_asking_anybody() {
    let scene = scene();
    scene.reboot();
    let asked = scene.responder.requests().len();
    scene.fill();
    assert_eq!(scene.store.served(&scene.leaf), Ok(scene.good.clone()));
    assert_eq!(scene.responder.requests().len(), asked);
}

#[test]
fn a_killed_agents_map_goes_on_serving() {
    let scene = scene();
    assert_eq!(scene.store.served(&scene.leaf), Ok(scene.good));
}

#[test]
fn with_no_network_at_boot_what_is_stored_is_served_and_the_responder_asked_soon() {
    let scene = scene();
    scene.reboot();
    scene.responder.set(Behaviour::Close);
    let agent = scene.store.start(QUICK);
    // Filled before it is ready.
    assert_eq!(scene.store.served(&scene.leaf), Ok(scene.good.clone()));
    agent.wait_until_failed(&scene.leaf);
    let newer = Response::good(&scene.leaf, &scene.ca)
        .next_update(48 * 3600)
        .der();
    scene.responder.set(Behaviour::Answer(newer.clone()));
    agent.wait_until_served(&scene.leaf, &newer);
}

#[test]
fn what_lies_in_the_store_is_verified_again_and_fetched_anew() {
    let other = Identity::self_signed(&Spec::ca("Another"));
    let scene = scene();
    let file = scene.store.file("staples", &scene.leaf, "der");
    let good = || Response::good(&scene.leaf, &scene.ca);
    for bad in [
        scene.good[..scene.good.len() / 2].to_vec(),
        b"garbage".to_vec(),
        Vec::new(),
        vec![0; 100_000],
        good().expired().der(),
        good().corrupt_signature().der(),
        good().signed_by(&other).der(),
        good().serial(other.serial()).der(),
    ] {
        scene.reboot();
        std::fs::write(&file, &bad).expect("it can be written");
        scene.fill();
        assert_eq!(scene.store.served(&scene.leaf), Err(Miss::Absent));
    }
    scene
        .store
        .start(QUICK)
        .wait_until_served(&scene.leaf, &scene.good);
}

#[test]
fn a_certificates_file_that_holds_another_or_none_is_passed_over() {
    let scene = scene();
    scene.reboot();
    let other = scene.ca.issue(&Spec::server());
    for bad in [other.pem(), "garbage".to_owned(), String::new()] {
        let file = scene.store.file("certs", &scene.leaf, "pem");
        std::fs::write(file, bad).expect("it can be written");
        scene.fill();
    }
    // The operator's list still names it.
    scene
        .store
        .start(QUICK)
        .wait_until_served(&scene.leaf, &scene.good);
}

#[test]
fn a_link_in_the_store_is_not_followed() {
    let scene = scene();
    let victim = scene.store.directory.write("victim", b"precious");
    let file = scene.store.file("staples", &scene.leaf, "der");
    std::fs::remove_file(&file).expect("there was one");
    std::os::unix::fs::symlink(&victim, &file).expect("a link");
    let newer = Response::good(&scene.leaf, &scene.ca)
        .next_update(48 * 3600)
        .der();
    scene.responder.set(Behaviour::Answer(newer.clone()));
    let agent = scene.store.start(QUICK);
    agent.wait_until_served(&scene.leaf, &newer);
    wait::until("a file takes the link's place", || {
        (std::fs::read(&file).ok().as_ref() == Some(&newer)).then_some(())
    });
    assert_eq!(
        std::fs::read(victim).ok().as_deref(),
        Some(&b"precious"[..])
    );
}

#[test]
fn directories_that_cannot_be_written_cost_the_memory_and_not_the_service() {
    let scene = new_scene();
    for name in ["certs", "staples", "state"] {
        let path = scene.store.directory.join(name);
        std::fs::create_dir(&path).expect("a directory");
        chown(&path, Some(12_345), Some(12_345)).expect("the test runs as root");
    }
    let agent = scene.store.start(PATIENT);
    agent.wait_until_served(&scene.leaf, &scene.good);
    agent.wait_until_logged("will not survive a restart");
}

#[test]
fn a_full_disk_costs_the_memory_and_not_the_service() {
    let scene = new_scene();
    let full = staplegun_testkit::Directory::new();
    let agent = scene.store.start_on_full_disk(QUICK, &full);
    wait::until("the agent serves the response", || {
        (scene.store.served(&scene.leaf).as_ref() == Ok(&scene.good)).then_some(())
    });
    // A newer one is served as well: nothing depends on the disk.
    let newer = Response::good(&scene.leaf, &scene.ca)
        .next_update(48 * 3600)
        .der();
    scene.responder.set(Behaviour::Answer(newer.clone()));
    wait::until("the agent serves the newer response", || {
        (scene.store.served(&scene.leaf).as_ref() == Ok(&newer)).then_some(())
    });
    let log = scene.store.log();
    assert_eq!(log.matches("make room").count(), 1, "told, and once: {log}");
    drop(agent);
    assert!(!scene.store.file("staples", &scene.leaf, "der").exists());
}

#[test]
fn a_full_map_serves_what_is_in_it_and_tells_of_the_rest() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    // One response is good for all of them, and fills the smallest map soon.
    let spec = Spec::server().serial(&[7]).ocsp_url(&responder.url());
    let leaves: Vec<Identity> = (0..40).map(|_| ca.issue(&spec)).collect();
    let names = (0..80).map(|number| format!("{number:050}.example"));
    let delegate = names.fold(Spec::responder(), |spec, name| spec.dns_name(&name));
    let delegate = ca.issue(&delegate);
    let good = Response::good(&leaves[0], &ca).delegate(&delegate).der();
    assert!(good.len() > 3_000, "{} bytes", good.len());
    responder.set(Behaviour::Answer(good.clone()));
    let store = Store::new();
    for leaf in &leaves {
        store.list(leaf, &[&ca]);
    }
    let agent = store.start(&format!("map-size = 262144\n{QUICK}"));
    let is_full =
        |notes: &staplegun_store::files::Notes| notes.last_cause.as_deref() == Some("map");
    let full: Vec<&Identity> = wait::until("every certificate was asked for", || {
        let notes: Option<Vec<_>> = leaves.iter().map(|leaf| store.notes(leaf)).collect();
        let both = leaves.iter().zip(notes?);
        Some(
            both.filter(|(_, notes)| is_full(notes))
                .map(|(leaf, _)| leaf)
                .collect(),
        )
    });
    assert!(
        !full.is_empty() && full.len() < leaves.len(),
        "{}",
        full.len()
    );
    for leaf in &leaves {
        let expected = match full.iter().any(|one| one.sha256_hex() == leaf.sha256_hex()) {
            true => Err(Miss::Absent),
            false => Ok(good.clone()),
        };
        assert_eq!(store.served(leaf), expected);
    }
    agent.wait_until_logged("configure a larger map");
    // One attempt is one line.
    let log = agent.server.stderr();
    let told = |line: &&str| line.contains("configure a larger map");
    assert_eq!(
        log.lines()
            .filter(told)
            .find(|line| !line.contains(" WARN no new")),
        None
    );
    let stapling = log.matches("stapling a new response").count();
    assert_eq!(stapling, leaves.len() - full.len(), "{log}");
    let output = store.staplegun(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    // A revocation takes no room, and gives none back: but it is told.
    let served = leaves.iter().find(|leaf| store.served(leaf).is_ok());
    let revoked = Response::good(&leaves[0], &ca).revoked().this_update(-60);
    responder.set(Behaviour::Answer(revoked.der()));
    agent.wait_until_missed(served.expect("one is served"), Miss::Withdrawn);
}

#[test]
fn a_map_in_a_directory_that_others_may_write_is_refused_with_a_reason() {
    use std::os::unix::fs::PermissionsExt;
    let store = Store::new();
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(store.directory.path(), open).expect("it is ours");
    let output = store.staplegun(&["agent"]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(log.contains("can be written by others"), "{log}");
}
