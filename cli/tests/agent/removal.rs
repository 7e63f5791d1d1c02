//! `staplegun remove`: what the operator wants gone is gone from list, map and store,
//! and nobody else can have it removed. These tests act as other users, so they need
//! root.

use std::os::unix::fs::chown;

use staplegun_store::slots::Miss;
use staplegun_store::spool::{REMOVE, publish};
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Directory, Identity, Response, Spec, wait};

use crate::support::{Agent, PATIENT, Store, key};

const NOBODY: u32 = 65534;

struct Scene {
    ca: Identity,
    leaf: Identity,
    good: Vec<u8>,
    responder: FaultyResponder,
    store: Store,
}

fn scene() -> Scene {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    Scene {
        ca,
        leaf,
        good,
        responder,
        store: Store::new(),
    }
}

impl Scene {
    #[track_caller]
    fn remove(&self, which: &str, code: i32) -> String {
        let output = self.store.staplegun(&["remove", which]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn wait_until_noted(&self, agent: &Agent) {
        agent.wait_until_served(&self.leaf, &self.good);
        wait::until("the notes are written", || {
            self.store.notes(&self.leaf)?.last_success
        });
    }

    #[track_caller]
    fn assert_gone(&self) {
        assert_eq!(self.store.served(&self.leaf), Err(Miss::Absent));
        for (directory, suffix) in [("certs", "pem"), ("staples", "der"), ("state", "json")] {
            let file = self.store.file(directory, &self.leaf, suffix);
            wait::until("its files are gone", || (!file.exists()).then_some(()));
        }
    }
}

#[test]
fn what_was_named_is_gone_from_list_map_and_store_and_comes_back_when_named_again() {
    let scene = scene();
    let path = scene.store.list(&scene.leaf, &[&scene.ca]);
    let path = path.to_str().expect("UTF-8");
    let agent = scene.store.start(PATIENT);
    scene.wait_until_noted(&agent);
    scene.remove(path, 0);
    scene.assert_gone();
    let list = std::fs::read_to_string(scene.store.directory.join("certificates"));
    assert!(!list.expect("a list").contains(path));
    // A reload, which looks at everything, does not bring it back.
    agent.server.hang_up();
    agent.wait_until_logged("read the configuration again");
    scene.assert_gone();
    let output = scene.store.staplegun(&["add", path]);
    assert!(output.status.success(), "{output:?}");
    agent.wait_until_served(&scene.leaf, &scene.good);
}

#[test]
fn what_a_program_left_is_gone_by_its_sha256_whether_it_was_looked_after_or_passed_over() {
    let scene = scene();
    let agent = scene.store.start(PATIENT);
    let silent = scene.ca.issue(&Spec::server());
    for leaf in [&scene.leaf, &silent] {
        let ders = [leaf.der(), scene.ca.der()];
        publish(
            &scene.store.layout().spool(),
            &key(leaf),
            &[&ders[0], &ders[1]],
        )
        .expect("published");
    }
    scene.wait_until_noted(&agent);
    wait::until("the other is passed over", || {
        scene.store.notes(&silent)?.passed_over
    });
    scene.remove(&scene.leaf.sha256_hex(), 0);
    scene.assert_gone();
    scene.remove(&silent.sha256_hex(), 0);
    let output = scene.store.staplegun(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(status["certificates"], serde_json::json!([]));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_was_named_is_gone_by_its_sha256_too_and_the_file_goes_from_the_list() {
    let scene = scene();
    let path = scene.store.list(&scene.leaf, &[&scene.ca]);
    let agent = scene.store.start(PATIENT);
    scene.wait_until_noted(&agent);
    scene.remove(&scene.leaf.sha256_hex(), 0);
    scene.assert_gone();
    let list = std::fs::read_to_string(scene.store.directory.join("certificates"));
    let path = path.to_str().expect("UTF-8");
    assert!(!list.expect("a list").contains(path));
    agent.server.hang_up();
    agent.wait_until_logged("read the configuration again");
    scene.assert_gone();
}

#[test]
fn whatever_names_it_goes_from_the_list_and_what_brings_it_back_is_told() {
    let scene = scene();
    let path = scene.store.list(&scene.leaf, &[&scene.ca]);
    let directory = Directory::new();
    let chain = scene.leaf.pem() + &scene.ca.pem();
    let another = directory.write("another.pem", &chain);
    let list = scene.store.directory.join("certificates");
    let both = format!("{}\n{}\n", path.display(), another.display());
    std::fs::write(&list, both).expect("it can be written");
    let agent = scene.store.start(PATIENT);
    scene.wait_until_noted(&agent);
    scene.remove(&scene.leaf.sha256_hex(), 0);
    scene.assert_gone();
    let left = std::fs::read_to_string(&list).expect("a list");
    assert!(!left.contains(".pem"), "{left}");
    std::fs::write(&list, format!("{}\n", directory.path().display())).expect("written");
    agent.wait_until_served(&scene.leaf, &scene.good);
    wait::until("the notes tell where it lies", || {
        let named = scene.store.notes(&scene.leaf)?.path?;
        (named == another.display().to_string()).then_some(())
    });
    let said = scene.remove(&scene.leaf.sha256_hex(), 1);
    assert!(said.contains("the agent finds it there again"), "{said}");
}

#[test]
fn what_the_agent_has_not_written_yet_is_gone_by_its_file_its_directory_and_its_sha256() {
    let scene = scene();
    let (full, directory) = (Directory::new(), Directory::new());
    let spec = Spec::server().serial(&[7]).ocsp_url(&scene.responder.url());
    let [of_file, of_directory, of_program] = [(); 3].map(|()| scene.ca.issue(&spec));
    // One response is good for all of them.
    let good = Response::good(&of_file, &scene.ca).der();
    scene.responder.set(Behaviour::Answer(good.clone()));
    let file = scene.store.list(&of_file, &[&scene.ca]);
    directory.write("cert.pem", of_directory.pem() + &scene.ca.pem());
    let named = format!("{}\n{}\n", file.display(), directory.path().display());
    scene.store.directory.write("certificates", named);
    // It will never be written.
    let _agent = scene.store.start_on_full_disk(PATIENT, &full);
    let spool = scene.store.layout().spool();
    wait::until("there is a spool", || spool.is_dir().then_some(()));
    let ders = [of_program.der(), scene.ca.der()];
    publish(&spool, &key(&of_program), &[&ders[0], &ders[1]]).expect("published");
    for (leaf, which) in [
        (&of_file, file.display().to_string()),
        (&of_directory, directory.path().display().to_string()),
        (&of_program, of_program.sha256_hex()),
    ] {
        wait::until("it is stapled", || {
            (scene.store.served(leaf).as_ref() == Ok(&good)).then_some(())
        });
        assert!(!scene.store.file("certs", leaf, "pem").exists());
        scene.remove(&which, 0);
        assert_eq!(scene.store.served(leaf), Err(Miss::Absent), "{which}");
    }
}

#[test]
fn without_an_agent_it_is_gone_as_well() {
    let scene = scene();
    let path = scene.store.list(&scene.leaf, &[&scene.ca]);
    let mut agent = scene.store.start(&format!("live-files = true\n{PATIENT}"));
    scene.wait_until_noted(&agent);
    let shown = scene.store.file("live", &scene.leaf, "der");
    wait::until("it is shown", || shown.exists().then_some(()));
    assert!(agent.server.stop().success());
    scene.remove(path.to_str().expect("UTF-8"), 0);
    scene.assert_gone();
    assert!(!shown.exists(), "servers that read it would staple it");
}

#[test]
fn what_is_not_there_is_told_and_the_others_are_removed() {
    let scene = scene();
    let path = scene.store.list(&scene.leaf, &[&scene.ca]);
    let agent = scene.store.start(PATIENT);
    scene.wait_until_noted(&agent);
    let output = scene
        .store
        .staplegun(&["remove", "/no/such.pem", path.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("/no/such.pem is neither in the list nor"),
        "{said}"
    );
    scene.assert_gone();
}

#[test]
fn another_user_can_have_nothing_removed() {
    let scene = scene();
    let agent = scene.store.start(PATIENT);
    let ders = [scene.leaf.der(), scene.ca.der()];
    let spool = scene.store.layout().spool();
    publish(&spool, &key(&scene.leaf), &[&ders[0], &ders[1]]).expect("published");
    scene.wait_until_noted(&agent);
    let name = format!("{}.{NOBODY}.{:016x}", scene.leaf.sha256_hex(), 1);
    let hidden = spool.join(format!(".{name}"));
    std::fs::write(&hidden, REMOVE).expect("it can be written");
    chown(&hidden, Some(NOBODY), Some(NOBODY)).expect("the test runs as root");
    std::fs::rename(&hidden, spool.join(name)).expect("it can be renamed");
    agent.wait_until_logged("refused");
    assert_eq!(scene.store.served(&scene.leaf), Ok(scene.good.clone()));
    assert!(!scene.responder.requests().is_empty());
}
