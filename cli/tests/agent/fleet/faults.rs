//! The store is gone, hangs, is full, read-only or somebody else's: each agent goes on by
//! itself, says so once, and comes back by itself.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Instant;

use staplegun_testkit::{Response, wait};

use super::redis::{Redis, response_of};
use super::{Scene, metric, wait_until_connected, with_fleet};
use crate::support::{Agent, PATIENT};

/// The words with which it is said.
const SAID: &str = "the fleet's store cannot be used";

fn times_said(agent: &Agent) -> usize {
    agent.server.stderr().matches(SAID).count()
}

#[test]
fn gone_at_the_start_each_asks_for_itself_and_comes_back_when_it_is_there() {
    let scene = Scene::new(2);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let mut redis = Redis::not_yet();
    let settings = with_fleet(PATIENT, &redis.url());
    let machines = [scene.machine(), scene.machine()];
    let agents = machines.each_ref().map(|machine| machine.start(&settings));
    agents
        .iter()
        .for_each(|agent| scene.wait_until_served(agent));
    assert_eq!(scene.requests(), 4);
    agents
        .iter()
        .for_each(|agent| agent.wait_until_logged(SAID));
    redis.revive();
    agents.iter().for_each(wait_until_connected);
    // What they know is there for others.
    redis.wait_until("both are there", &["DBSIZE"], |size| {
        size.parse::<u32>().is_ok_and(|size| size >= 2)
    });
    assert!(agents.iter().all(|agent| times_said(agent) == 1));
    assert_eq!(scene.requests(), 4);
}

#[test]
fn hanging_it_keeps_nobody_from_asking_and_is_said_once() {
    let scene = Scene::new(3);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let redis = Redis::start(&[]);
    let machine = scene.machine();
    // None of them has an answer yet.
    let asked = |scene: &Scene| scene.requests();
    let agent = {
        let empty = with_fleet(PATIENT, &redis.url());
        let agent = machine.start(&empty);
        scene.wait_until_served(&agent);
        wait_until_connected(&agent);
        agent
    };
    redis.freeze();
    // Each in turn is to be asked at once, as the operator may want it after a removal.
    let mut delays = Vec::new();
    for leaf in &scene.leaves {
        let before = asked(&scene);
        machine.unlist(leaf);
        let begun = Instant::now();
        machine.list(leaf, &[&scene.ca]);
        wait::until("its responder is asked", || {
            (asked(&scene) > before).then_some(())
        });
        delays.push(begun.elapsed());
    }
    println!("from named to asked: {delays:?}");
    assert_eq!(times_said(&agent), 1);
    redis.thaw();
    wait_until_connected(&agent);
}

#[test]
fn what_no_thread_had_begun_to_ask_is_taken_from_the_store_when_it_is_back() {
    let scene = Scene::new(40);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let redis = Redis::start(&[]);
    let settings = with_fleet(PATIENT, &redis.url());
    let (_machines, agents) = scene.connected_machines(1, &settings);
    scene.wait_until_served(&agents[0]);
    drop(agents);
    // It hangs, and so does the responder, until the threads have what they can have.
    redis.freeze();
    let held = scene.hold();
    let before = scene.requests();
    let machine = scene.machine();
    let agent = machine.start(&settings);
    wait::until("the responder is asked", || {
        (metric(&agent, "staplegun_fleet_fetches_alone_total") > 0).then_some(())
    });
    redis.thaw();
    wait_until_connected(&agent);
    wait::until("the others are taken from the store", || {
        let fetches = metric(&agent, "staplegun_fleet_fetches_alone_total");
        let taken = metric(&agent, "staplegun_fleet_taken_total");
        (taken > 0 && taken + fetches >= 40).then_some(())
    });
    drop(held);
    scene.wait_until_served(&agent);
    let asked = scene.requests() - before;
    println!("{asked} were asked for meanwhile");
    assert!(asked < 40, "{asked}");
}

#[test]
fn of_no_use_it_is_said_why_once_and_everything_is_stapled_all_the_same() {
    let scene = Scene::new(1);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let locked = Redis::start(&["--requirepass", "secret"]);
    let full = Redis::start(&["--maxmemory", "1", "--maxmemory-policy", "noeviction"]);
    let main = Redis::start(&[]);
    let port = main.port().to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]);
    let cluster = Redis::start(&["--cluster-enabled", "yes"]);
    let sentinel = "password-file = '/nonexistent'".to_owned();
    let wrong = scene.machine();
    let file = wrong.directory.write("wrong", "not it");
    let wrong = format!("{}\npassword-file = '{}'", locked.url(), file.display());
    for (fleet, words) in [
        (locked.url(), ["because=\"password\"", "password-file"]),
        (wrong, ["because=\"password\"", "password-file"]),
        (full.url(), ["because=\"full\"", "maxmemory"]),
        (replica.url(), ["because=\"read_only\"", "replica"]),
        (cluster.url(), ["because=\"cluster\"", "Redis Cluster"]),
        (
            talking(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            ["because=\"protocol\"", "RESP"],
        ),
        (
            talking(b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"),
            ["because=\"protocol\"", "RESP"],
        ),
        (talking(b""), ["because=\"timeout\"", "too long"]),
        (
            format!("{}\n{sentinel}", main.url()),
            ["cause=\"configuration\"", "/nonexistent"],
        ),
    ] {
        let machine = scene.machine();
        let agent = machine.start(&with_fleet(PATIENT, &fleet));
        scene.wait_until_served(&agent);
        words.iter().for_each(|word| agent.wait_until_logged(word));
        assert!(times_said(&agent) <= 1, "{}", agent.server.stderr());
    }
}

/// A server that says that to everybody, and then nothing.
fn talking(words: &'static [u8]) -> String {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        // It ends with the test's process.
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.write_all(words);
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    format!("url = 'redis://127.0.0.1:{port}'")
}

#[test]
fn other_peoples_keys_in_its_place_cost_one_certificate_its_sharing_and_no_other() {
    let scene = Scene::new(2);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let redis = Redis::start(&[]);
    redis.ask(&["RPUSH", &response_of(&scene.leaves[0]), "a", "list"]);
    for _ in 0..2 {
        let settings = with_fleet(PATIENT, &redis.url());
        let (_machines, agents) = scene.connected_machines(1, &settings);
        let agent = &agents[0];
        scene.wait_until_served(agent);
        assert_eq!(metric(agent, "staplegun_fleet_connected"), 1);
        let name = "staplegun_fleet_refused_total{cause=\"other_keys\"}";
        assert!(metric(agent, name) > 0);
        assert_eq!(times_said(agent), 0);
    }
    assert_eq!(scene.requests(), 3);
}

#[test]
fn a_store_that_forgets_everything_is_filled_again_and_nothing_is_lost() {
    let scene = Scene::new(3);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let redis = Redis::start(&[]);
    let settings = with_fleet(PATIENT, &redis.url());
    let machine = scene.machine();
    let agent = machine.start(&settings);
    scene.wait_until_served(&agent);
    redis.ask(&["FLUSHALL"]);
    let other = scene.machine();
    let other_agent = other.start(&settings);
    scene.wait_until_served(&other_agent);
    assert_eq!(
        scene.requests(),
        6,
        "what was forgotten was asked for again"
    );
}
