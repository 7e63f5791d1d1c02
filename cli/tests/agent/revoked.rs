//! A revocation: told at once, never served as good again, and not to be undone
//! by what is older.

use staplegun_store::slots::Miss;
use staplegun_testkit::responder::Behaviour;
use staplegun_testkit::{Response, wait};

use crate::scene::Scene;
use crate::support::{Agent, QUICK};

impl Scene {
    /// Two hours old: the revocation is an hour old, and newer.
    fn good_before(&self) -> Vec<u8> {
        self.good().this_update(-7200).der()
    }

    fn revoked(&self) -> Vec<u8> {
        self.good().revoked().this_update(-1800).der()
    }

    /// An agent that served the good response and then met the revocation.
    fn revoke(&self) -> Agent {
        let good = self.good_before();
        self.responder.set(Behaviour::Answer(good.clone()));
        let agent = self.store.start(QUICK);
        agent.wait_until_served(&self.leaf, &good);
        self.responder.set(Behaviour::Answer(self.revoked()));
        agent.wait_until_missed(&self.leaf, Miss::Withdrawn);
        agent
    }
}

#[test]
fn a_revoked_certificate_is_shown_as_such_whatever_failed_later() {
    let scene = Scene::new();
    let good = scene.good_before();
    scene.responder.set(Behaviour::Answer(good.clone()));
    // Stapled all the same: the map alone does not tell.
    let settings = format!("staple-revoked = true\n{QUICK}");
    let agent = scene.store.start(&settings);
    agent.wait_until_served(&scene.leaf, &good);
    let revoked = scene.revoked();
    scene.responder.set(Behaviour::Answer(revoked.clone()));
    agent.wait_until_served(&scene.leaf, &revoked);
    scene.responder.set(Behaviour::status(500, &[]));
    let notes = agent.wait_until_failed(&scene.leaf);
    assert_eq!(notes.last_cause.as_deref(), Some("http_status"));
    let since = notes.revoked_since.expect("it is noted");
    let output = scene.store.staplegun(&["status", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let status: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(status["certificates"][0]["status"], "revoked");
    assert_eq!(status["certificates"][0]["revoked_since"], since);
    let output = scene.store.staplegun(&["status"]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    for text in ["REVOKED", "revoked since", "HTTP status 500"] {
        assert!(table.contains(text), "{text}: {table}");
    }
    // Released: the note goes.
    let released = Response::good(&scene.leaf, &scene.ca)
        .this_update(-60)
        .der();
    scene.responder.set(Behaviour::Answer(released.clone()));
    agent.wait_until_served(&scene.leaf, &released);
    wait::until("the note has gone", || {
        let notes = scene.store.notes(&scene.leaf)?;
        notes.revoked_since.is_none().then_some(())
    });
}

#[test]
fn a_revocation_stops_the_good_response_and_raises_the_alarm() {
    let scene = Scene::new();
    let agent = scene.revoke();
    agent.wait_until_logged("IS REVOKED");
    let log = agent.server.stderr();
    let alarm = log.lines().find(|line| line.contains("IS REVOKED"));
    assert!(alarm.is_some_and(|line| line.contains("ERROR")), "{log}");
    let subject = format!(
        "staplegun_certificate_revoked{{sha256=\"{}\",subject=\"localhost\"}} 1",
        scene.leaf.sha256_hex()
    );
    agent.wait_for_metric(&subject);
    wait::until("the notes tell it", || {
        let notes = scene.store.notes(&scene.leaf)?;
        (notes.last_cause.as_deref() == Some("revoked")).then_some(())
    });
    let output = scene.store.staplegun(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("REVOKED"));
}

#[test]
fn an_old_good_response_played_back_does_not_undo_a_revocation() {
    let scene = Scene::new();
    let agent = scene.revoke();
    let longer = Response::good(&scene.leaf, &scene.ca).this_update(-7200);
    let played_back = longer.next_update(90 * 3600).der();
    scene.responder.set(Behaviour::Answer(played_back));
    agent.wait_until_logged("older than the revocation");
    assert_eq!(scene.store.served(&scene.leaf), Err(Miss::Withdrawn));
}

#[test]
fn a_newer_good_response_ends_a_hold() {
    let scene = Scene::new();
    let agent = scene.revoke();
    let released = Response::good(&scene.leaf, &scene.ca)
        .this_update(-60)
        .der();
    scene.responder.set(Behaviour::Answer(released.clone()));
    agent.wait_until_served(&scene.leaf, &released);
}

#[test]
fn a_revocation_outlasts_a_restart_though_the_responder_is_gone() {
    let scene = Scene::new();
    let agent = scene.revoke();
    wait::until(
        "the revocation is noted, and so its evidence on the disk",
        || scene.store.notes(&scene.leaf)?.revoked_since,
    );
    agent.kill();
    scene.responder.set(Behaviour::Close);
    // Even if the map is lost, as after a reboot.
    std::fs::remove_file(scene.store.layout().map()).expect("there was a map");
    let agent = scene.store.start(QUICK);
    assert_eq!(scene.store.served(&scene.leaf), Err(Miss::Withdrawn));
    drop(agent);
}

#[test]
fn what_the_map_withdrew_is_not_filled_again_from_a_file_that_was_not_replaced() {
    let scene = Scene::new();
    scene.revoke().kill();
    scene.responder.set(Behaviour::Close);
    // As if the agent was killed between the map and the file.
    let file = scene.store.file("staples", &scene.leaf, "der");
    std::fs::write(file, scene.good_before()).expect("it can be written");
    let agent = scene.store.start(QUICK);
    agent.wait_until_failed(&scene.leaf);
    assert_eq!(scene.store.served(&scene.leaf), Err(Miss::Withdrawn));
}

#[test]
fn the_revoked_response_is_stapled_where_the_operator_wants_it() {
    let scene = Scene::new();
    let good = scene.good_before();
    scene.responder.set(Behaviour::Answer(good.clone()));
    let agent = scene
        .store
        .start(&format!("staple-revoked = true\n{QUICK}"));
    agent.wait_until_served(&scene.leaf, &good);
    let revoked = scene.revoked();
    scene.responder.set(Behaviour::Answer(revoked.clone()));
    agent.wait_until_served(&scene.leaf, &revoked);
    agent.wait_until_logged("IS REVOKED");
}

#[test]
fn a_revoked_response_that_is_stapled_leaves_the_record_withdrawn_when_it_ends() {
    let scene = Scene::new();
    let good = scene.good_before();
    scene.responder.set(Behaviour::Answer(good.clone()));
    let agent = scene
        .store
        .start(&format!("staple-revoked = true\n{QUICK}"));
    agent.wait_until_served(&scene.leaf, &good);
    let revoked = Response::good(&scene.leaf, &scene.ca)
        .revoked()
        .this_update(-60)
        .next_update(15)
        .der();
    scene.responder.set(Behaviour::Answer(revoked.clone()));
    agent.wait_until_served(&scene.leaf, &revoked);
    wait::until("the revoked response has ended", || {
        let served = scene.store.served(&scene.leaf);
        (served.as_ref() != Ok(&revoked)).then_some(served)
    })
    .expect_err("nothing else comes");
    assert_eq!(scene.store.served(&scene.leaf), Err(Miss::Withdrawn));
}

#[test]
fn a_revocation_without_a_signature_that_counts_is_none() {
    let scene = Scene::new();
    let good = scene.good_before();
    scene.responder.set(Behaviour::Answer(good.clone()));
    let agent = scene.store.start(QUICK);
    agent.wait_until_served(&scene.leaf, &good);
    let forged = Response::good(&scene.leaf, &scene.ca)
        .revoked()
        .corrupt_signature();
    scene.responder.set(Behaviour::Answer(forged.der()));
    let notes = agent.wait_until_failed(&scene.leaf);
    assert_eq!(notes.last_cause.as_deref(), Some("bad_signature"));
    assert_eq!(scene.store.served(&scene.leaf), Ok(good));
}
