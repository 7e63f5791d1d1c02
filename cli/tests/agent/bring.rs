//! Responses that other tools bring: files in `staples/`.

use staplegun_testkit::responder::{Behaviour, FaultyResponder, OpensslResponder, Status};
use staplegun_testkit::{Identity, Response, Spec};

use crate::support::{PATIENT, Store};

struct Scene {
    ca: Identity,
    leaf: Identity,
    store: Store,
    _responder: FaultyResponder,
}

/// A responder that is always down.
fn scene() -> Scene {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::status(500, &[]));
    let leaf = ca.issue(&Spec::server().ocsp_url(&responder.url()));
    let store = Store::new();
    store.list(&leaf, &[&ca]);
    Scene {
        ca,
        leaf,
        store,
        _responder: responder,
    }
}

#[test]
fn a_good_response_is_taken_in_though_the_responder_is_down() {
    let scene = scene();
    let agent = scene.store.start(PATIENT);
    agent.wait_until_failed(&scene.leaf);
    let good = Response::good(&scene.leaf, &scene.ca).der();
    scene.store.bring(&scene.leaf, &good);
    agent.wait_until_served(&scene.leaf, &good);
}

#[test]
fn what_is_worse_is_refused_and_the_good_one_put_back() {
    let scene = scene();
    let agent = scene.store.start(PATIENT);
    agent.wait_until_failed(&scene.leaf);
    let good = Response::good(&scene.leaf, &scene.ca).der();
    scene.store.bring(&scene.leaf, &good);
    agent.wait_until_served(&scene.leaf, &good);
    for worse in [
        b"garbage".to_vec(),
        Response::good(&scene.leaf, &scene.ca)
            .corrupt_signature()
            .der(),
        Response::good(&scene.leaf, &scene.ca).expired().der(),
        // Older, whatever the second in which it is made.
        Response::good(&scene.leaf, &scene.ca)
            .this_update(-7200)
            .next_update(3600)
            .der(),
    ] {
        scene.store.bring(&scene.leaf, &worse);
        let file = scene.store.file("staples", &scene.leaf, "der");
        staplegun_testkit::wait::until("the good one is put back", || {
            (std::fs::read(&file).ok().as_ref() == Some(&good)).then_some(())
        });
        assert_eq!(scene.store.served(&scene.leaf), Ok(good.clone()));
    }
}

#[test]
fn a_revocation_that_is_brought_stops_the_good_response() {
    let scene = scene();
    let agent = scene.store.start(PATIENT);
    agent.wait_until_failed(&scene.leaf);
    let good = Response::good(&scene.leaf, &scene.ca)
        .this_update(-7200)
        .der();
    scene.store.bring(&scene.leaf, &good);
    agent.wait_until_served(&scene.leaf, &good);
    let revoked = Response::good(&scene.leaf, &scene.ca).revoked().der();
    scene.store.bring(&scene.leaf, &revoked);
    agent.wait_until_missed(&scene.leaf, staplegun_store::slots::Miss::Withdrawn);
}

#[test]
fn staplegun_fetch_hands_what_it_fetched_to_the_agent() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let leaf = ca.issue(&Spec::server().ocsp_url("http://responder.invalid/"));
    let responder = OpensslResponder::start(&ca, &ca, &[(&leaf, Status::Good)]);
    let store = Store::new();
    let path = store.directory.write("leaf.pem", leaf.pem() + &ca.pem());
    let path = path.to_str().expect("UTF-8");
    // Asks for nothing by itself: what is served can only come from fetch.
    let agent = store.start("[timing]\nfetch = 0.01\n");
    let instead = format!("http://responder.invalid/={}", responder.url());
    let output = store.staplegun(&["fetch", "--json", "--responder", &instead, path]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told[0]["status"], "good");
    assert_eq!(told[0]["stored"], "handed_over");
    // It has acted when it is told that it has.
    assert!(store.served(&leaf).is_ok());
    drop(agent);
}

#[test]
fn one_of_tomorrow_is_kept_and_stapled_when_its_time_has_come() {
    let scene = scene();
    let agent = scene.store.start(PATIENT);
    agent.wait_until_failed(&scene.leaf);
    let good = Response::good(&scene.leaf, &scene.ca).der();
    scene.store.bring(&scene.leaf, &good);
    agent.wait_until_served(&scene.leaf, &good);
    // Not for the skew alone.
    let early = Response::good(&scene.leaf, &scene.ca)
        .this_update(300 + 15)
        .der();
    scene.store.bring(&scene.leaf, &early);
    agent.wait_until_logged("kept until its time comes");
    assert_eq!(scene.store.served(&scene.leaf), Ok(good));
    // It is kept by the next agent as well.
    drop(agent);
    let agent = scene.store.start(PATIENT);
    agent.wait_until_served(&scene.leaf, &early);
}

#[test]
fn staplegun_fetch_tells_what_the_agent_did_and_that_it_did_nothing() {
    let scene = scene();
    let agent = scene.store.start(PATIENT);
    agent.wait_until_failed(&scene.leaf);
    let path = scene
        .store
        .directory
        .write("leaf.pem", scene.leaf.pem() + &scene.ca.pem());
    let path = path.to_str().expect("UTF-8");
    let responder = FaultyResponder::start(Behaviour::Close);
    let instead = format!("{}={}", scene._responder.url(), responder.url());
    let fetch = |response: Response| {
        responder.set(Behaviour::Answer(response.der()));
        let words = ["fetch", "--json", "--responder", &instead, path];
        let output = scene.store.staplegun(&words);
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let stored = told[0]["stored"].as_str().expect("a word").to_owned();
        (output.status.code(), stored)
    };
    let good = |at| Response::good(&scene.leaf, &scene.ca).this_update(at);
    assert_eq!(fetch(good(-600)), (Some(0), "handed_over".into()));
    assert!(scene.store.served(&scene.leaf).is_ok());
    assert_eq!(fetch(good(-900)), (Some(0), "outweighed".into()));
    let revoked = || good(-300).revoked();
    assert_eq!(fetch(revoked()), (Some(3), "handed_over".into()));
    let withdrawn = Err(staplegun_store::slots::Miss::Withdrawn);
    assert_eq!(scene.store.served(&scene.leaf), withdrawn);
    // It holds the store, and does nothing.
    let pid = rustix::process::Pid::from_raw(agent.server.pid().cast_signed());
    let signal = |signal| rustix::process::kill_process(pid.expect("not zero"), signal);
    signal(rustix::process::Signal::STOP).expect("it runs");
    assert_eq!(fetch(good(-60)), (Some(1), "unanswered".into()));
    signal(rustix::process::Signal::CONT).expect("it runs");
    assert_eq!(fetch(good(-30)), (Some(0), "handed_over".into()));
}

#[test]
fn a_response_that_came_before_its_certificates_issuer_is_taken_in_once_he_is_known() {
    let ca = Identity::self_signed(&Spec::ca("CA"));
    let responder = FaultyResponder::start(Behaviour::status(500, &[]));
    let spec = Spec::server().ocsp_url(&responder.url());
    let (alone, complete) = (ca.issue(&spec), ca.issue(&spec));
    let store = Store::new();
    store.list(&alone, &[]);
    let mut agent = store.start(PATIENT);
    agent.wait_until_failed(&alone);
    assert!(agent.server.stop().success());
    let good = Response::good(&alone, &ca).der();
    store.bring(&alone, &good);
    let agent = store.start(PATIENT);
    let (spool, key) = (store.layout().spool(), crate::support::key(&complete));
    staplegun_store::spool::publish(&spool, &key, &[&complete.der(), &ca.der()])
        .expect("published");
    agent.wait_until_served(&alone, &good);
}
