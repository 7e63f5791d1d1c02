//! What all agents have from one fetch, and from nobody else's.

use std::time::{Duration, Instant};

use staplegun_store::slots::Miss;
use staplegun_testkit::{Response, wait};

use super::redis::{Redis, response_of};
use super::{Scene, metric, with_fleet};
use crate::page::look;
use crate::support::{PATIENT, QUICK, Store};

#[test]
fn what_one_asked_for_all_staple_and_who_comes_later_asks_nobody() {
    let scene = Scene::new(8);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let redis = Redis::start(&[]);
    let settings = with_fleet(PATIENT, &redis.url());
    let (_machines, agents) = scene.connected_machines(3, &settings);
    agents
        .iter()
        .for_each(|agent| scene.wait_until_served(agent));
    assert_eq!(scene.requests(), 8);
    let (later, agents) = scene.connected_machines(1, &settings);
    let (later, agent) = (&later[0], &agents[0]);
    scene.wait_until_served(agent);
    assert_eq!(scene.requests(), 8);
    assert_eq!(metric(agent, "staplegun_fleet_taken_total"), 8);
    // It is told who fetched it.
    wait::until("status tells who fetched them", || {
        let told = later.staplegun(&["status"]);
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        (told.matches("the fleet since").count() == 8).then_some(())
    });
    // Nothing but what is documented lies there, and all of it ends.
    let keys = redis.ask(&["KEYS", "*"]);
    // A second after an agent has connected there is also what it wrote to see that it may.
    for key in keys.lines().filter(|key| *key != "sg:1:p") {
        assert!(key.starts_with("sg:1:{") && key.ends_with(":r"), "{keys}");
        let left: i64 = redis.ask(&["TTL", key]).parse().expect("a number");
        assert!((1..=86_400).contains(&left), "{left}");
    }
}

#[test]
fn the_page_shows_the_fleet_and_what_came_from_it() {
    let scene = Scene::new(2);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let redis = Redis::start(&[]);
    let settings = with_fleet(PATIENT, &redis.url());
    let (_first, agents) = scene.connected_machines(1, &settings);
    scene.wait_until_served(&agents[0]);
    let (_later, agents) = scene.connected_machines(1, &settings);
    scene.wait_until_served(&agents[0]);
    look(
        &agents[0],
        &serde_json::json!({
            "certificates": 2, "stapled": 2, "need": 0, "next": ["No renewal fails."],
            "sentences": [], "hostile": [], "responders": ["127.0.0.1:"],
            "fleet": ["connected", "2 responses taken from it"],
            "find": ["l", "o", "c", "a", "l"], "found": 2,
        }),
    );
}

#[test]
fn what_was_named_while_others_are_asked_for_lets_nobody_ask_without_the_fleet_later() {
    let scene = Scene::new(2);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let (first, second) = (&scene.leaves[0], &scene.leaves[1]);
    let redis = Redis::start(&[]);
    let machine = Store::new();
    machine.list(first, &[&scene.ca]);
    // Its answer comes only when the other one was named.
    let held = scene.hold();
    let agent = machine.start(&with_fleet(QUICK, &redis.url()));
    wait::until("the first is asked for", || {
        (metric(&agent, "staplegun_fleet_fetches_leased_total") == 1).then_some(())
    });
    machine.list(second, &[&scene.ca]);
    wait::until("the second is looked after", || {
        let log = agent.server.stderr();
        (log.matches("looking after it").count() == 2).then_some(())
    });
    drop(held);
    scene.wait_until_served(&agent);
    wait::until("both were asked for again", || {
        (metric(&agent, "staplegun_fleet_fetches_leased_total") >= 6).then_some(())
    });
    assert_eq!(metric(&agent, "staplegun_fleet_fetches_alone_total"), 0);
}

#[test]
fn once_fills_from_the_fleet_and_ends() {
    let scene = Scene::new(3);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let redis = Redis::start(&[]);
    for _ in 0..2 {
        let machine = scene.machine();
        let url = format!("redis://127.0.0.1:{}", redis.port());
        let output = machine.staplegun(&["agent", "--once", "--fleet", &url]);
        assert!(output.status.success(), "{output:?}");
        for leaf in &scene.leaves {
            assert_eq!(machine.served(leaf), Ok(scene.answer_of(leaf)));
        }
        assert_eq!(scene.requests(), 3);
    }
}

#[test]
fn a_revocation_that_one_met_all_withdraw_within_two_seconds_and_it_sticks() {
    let scene = Scene::new(1);
    let leaf = &scene.leaves[0];
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let redis = Redis::start(&[]);
    let patient = with_fleet(PATIENT, &redis.url());
    let (_machines, agents) = scene.sharing(4, &patient);
    scene.answer(
        leaf,
        Response::good(leaf, &scene.ca)
            .this_update(0)
            .revoked()
            .der(),
    );
    // One that asks all the time meets it.
    let quick = scene.machine();
    let before = scene.requests();
    let _asking = quick.start(&with_fleet(QUICK, &redis.url()));
    wait::until("the responder is asked", || {
        (scene.requests() > before).then_some(())
    });
    let begun = Instant::now();
    agents
        .iter()
        .for_each(|agent| agent.wait_until_missed(leaf, Miss::Withdrawn));
    let took = begun.elapsed();
    println!("withdrawn everywhere after {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    // Who is new learns it at once, and an older good response undoes it nowhere.
    let older = Response::good(leaf, &scene.ca).this_update(-7_200).der();
    scene.answer(leaf, older);
    let new = scene.machine();
    let agent = new.start(&patient);
    agent.wait_until_missed(leaf, Miss::Withdrawn);
    let known = redis.ask(&["GETRANGE", &response_of(leaf), "12", "12"]);
    assert_eq!(known, "1");
}

#[test]
fn a_newer_response_is_in_all_maps_as_soon_as_it_is_published() {
    let scene = Scene::new(5);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let redis = Redis::start(&[]);
    let patient = with_fleet(PATIENT, &redis.url());
    let (machines, agents) = scene.sharing(4, &patient);
    // Somebody brings one machine newer ones: that is shared, too.
    for leaf in &scene.leaves {
        let newer = Response::good(leaf, &scene.ca).this_update(-60).der();
        scene.bring(&machines[0], leaf, &newer);
        scene.answer(leaf, newer);
    }
    let requests = scene.requests();
    agents
        .iter()
        .for_each(|agent| scene.wait_until_served(agent));
    assert_eq!(scene.requests(), requests);
}

#[test]
fn a_machine_that_only_takes_asks_nobody_and_writes_nothing() {
    let scene = Scene::new(2);
    scene.answer(
        &scene.leaves[0],
        Response::good(&scene.leaves[0], &scene.ca).der(),
    );
    scene.answer(&scene.leaves[1], b"nothing of use".to_vec());
    let redis = Redis::start(&[]);
    let sharing = scene.machine();
    let agent = sharing.start(&with_fleet(PATIENT, &redis.url()));
    agent.wait_until_served(&scene.leaves[0], &scene.answer_of(&scene.leaves[0]));
    agent.wait_until_failed(&scene.leaves[1]);
    drop(agent);
    let requests = scene.requests();
    let writes = redis.calls("set");
    let taking = scene.machine();
    let fleet = format!("{}\nmode = 'read'", redis.url());
    let agent = taking.start(&with_fleet(PATIENT, &fleet));
    agent.wait_until_served(&scene.leaves[0], &scene.answer_of(&scene.leaves[0]));
    let notes = agent.wait_until_failed(&scene.leaves[1]);
    assert_eq!(notes.last_cause.as_deref(), Some("fleet"));
    assert_eq!((scene.requests(), redis.calls("set")), (requests, writes));
}

#[test]
fn an_agent_that_was_cut_off_tells_what_it_learned_meanwhile() {
    let scene = Scene::new(2);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let mut redis = Redis::start(&[]);
    let machine = scene.machine();
    let agent = machine.start(&with_fleet(PATIENT, &redis.url()));
    scene.wait_until_served(&agent);
    redis.kill();
    wait::until("it is noticed", || {
        (metric(&agent, "staplegun_fleet_connected") == 0).then_some(())
    });
    redis.revive();
    // Which has lost all: it is there again, though nothing was due.
    redis.wait_until("both are there", &["DBSIZE"], |size| {
        size.parse::<u32>().is_ok_and(|size| size >= 2)
    });
    let keys = redis.ask(&["KEYS", "*"]);
    for leaf in &scene.leaves {
        assert!(keys.contains(&response_of(leaf)), "{keys}");
    }
}
