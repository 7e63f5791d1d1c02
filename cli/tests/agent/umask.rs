//! What commands write with a narrow umask is for others all the same.

use std::os::unix::fs::{MetadataExt, chown};

use staplegun_store::slots::Miss;
use staplegun_testkit::program::Program;
use staplegun_testkit::responder::{Behaviour, FaultyResponder};
use staplegun_testkit::{Directory, Identity, Response, Spec};

use crate::support::{PATIENT, STAPLEGUN, Store};

/// Runs `staplegun` with these words as root with the umask 077.
fn narrowly(store: &Store, words: &[&str]) -> std::process::Output {
    Program::new("sh")
        .args(["-c", "umask 077; exec \"$0\" \"$@\"", STAPLEGUN])
        .args(words)
        .env("STAPLEGUN_DIR", store.directory.path())
        .run()
}

#[test]
fn the_agents_user_can_read_what_add_and_fetch_leave() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    let store = Store::new();
    let files = Directory::new();
    let path = files.write("leaf.pem", leaf.pem() + &ca.pem());
    let path = path.to_str().expect("UTF-8");
    let added = narrowly(&store, &["add", path]);
    assert!(added.status.success(), "{added:?}");
    let agent = store.program(PATIENT).args(["--user", "nobody"]);
    let agent = store.adopt(agent.start());
    agent.wait_until_served(&leaf, &good);
    let revoked = Response::good(&leaf, &ca).revoked().der();
    responder.set(Behaviour::Answer(revoked.clone()));
    let told = narrowly(&store, &["fetch", path]);
    assert_eq!(told.status.code(), Some(3), "{told:?}");
    agent.wait_until_missed(&leaf, Miss::Withdrawn);
    assert_eq!(
        std::fs::read(store.file("staples", &leaf, "der")).ok(),
        Some(revoked)
    );
}

#[test]
fn a_store_that_is_made_so_can_be_entered_by_others() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    responder.set(Behaviour::Answer(Response::good(&leaf, &ca).der()));
    let store = Store::new();
    let path = store.directory.write("leaf.pem", leaf.pem() + &ca.pem());
    let place = store.directory.join("deep/store");
    let (path, place) = (
        path.to_str().expect("UTF-8"),
        place.to_str().expect("UTF-8"),
    );
    for command in ["fetch", "add"] {
        let told = narrowly(&store, &[command, "--dir", place, path]);
        assert_eq!(told.status.code(), Some(0), "{told:?}");
    }
    for (name, mode) in [
        ("deep", 0o755),
        ("deep/store", 0o755),
        ("deep/store/staples", 0o755),
        ("deep/store/map.v1", 0o644),
        ("deep/store/certificates", 0o644),
    ] {
        let about = std::fs::metadata(store.directory.join(name)).expect(name);
        assert_eq!(about.mode() & 0o777, mode, "{name}");
    }
}

#[test]
fn a_response_that_the_agent_may_not_read_is_left_where_it_lies_until_it_may() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::Close);
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let good = Response::good(&leaf, &ca).der();
    responder.set(Behaviour::Answer(good.clone()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    let agent = store.program(PATIENT).args(["--user", "nobody"]);
    let agent = store.adopt(agent.start());
    agent.wait_until_served(&leaf, &good);
    let file = store.file("staples", &leaf, "der");
    staplegun_testkit::wait::until("the good one is in its file", || {
        (std::fs::read(&file).ok()? == good).then_some(())
    });
    // As another tool of root's might bring it.
    let revoked = Response::good(&leaf, &ca).revoked().der();
    let new = store.directory.write("brought", &revoked);
    staplegun_testkit::directory::set_mode(&new, 0o600);
    chown(&new, Some(0), Some(0)).expect("the test runs as root");
    std::fs::rename(new, &file).expect("it can be renamed");
    agent.wait_until_logged("Permission denied");
    assert_eq!(
        std::fs::read(&file).ok(),
        Some(revoked),
        "it was not replaced"
    );
    staplegun_testkit::directory::set_mode(&file, 0o644);
    agent.wait_until_missed(&leaf, Miss::Withdrawn);
}
