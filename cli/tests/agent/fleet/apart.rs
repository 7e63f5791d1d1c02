//! Machines that disagree about the time, and a network that is cut.

use std::process::{Command, Stdio};

use staplegun_store::slots::Miss;
use staplegun_testkit::{Directory, Response, wait};

use super::redis::{Redis, server};
use super::{Scene, metric, wait_until_connected, with_fleet};
use crate::clock::MOVED_CLOCK;
use crate::support::{Agent, Guard, PATIENT, Store};

/// An agent whose clock is so many seconds ahead.
fn start_ahead(machine: &Store, settings: &str, library: &Directory, ahead: i64) -> Agent {
    let file = machine.directory.write("offset", ahead.to_string());
    let program = machine.program(settings).preload(&library.join("clock.so"));
    machine.adopt(program.env("CLOCK_OFFSET", file).start())
}

#[test]
fn with_clocks_two_minutes_apart_all_share_what_is_new_and_what_is_revoked() {
    let library = Directory::new();
    let source = library.write("clock.c", MOVED_CLOCK);
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([library.join("clock.so"), source])
        .status();
    assert!(compiled.expect("cc runs").success());
    let scene = Scene::new(3);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).this_update(0).der());
    let redis = Redis::start(&[]);
    let settings = with_fleet(PATIENT, &redis.url());
    let machines = [Store::new(), Store::new(), Store::new()];
    let agents: Vec<Agent> = machines
        .iter()
        .zip([120, -120, 0])
        .map(|(machine, ahead)| start_ahead(machine, &settings, &library, ahead))
        .collect();
    agents.iter().for_each(wait_until_connected);
    machines.iter().for_each(|machine| scene.list_all(machine));
    agents
        .iter()
        .for_each(|agent| scene.wait_until_served(agent));
    assert_eq!(scene.requests(), 3);
    // Whoever brings it: who is behind takes what is of tomorrow to it.
    for (at, machine) in machines.iter().enumerate() {
        let leaf = &scene.leaves[at];
        let revoked = Response::good(leaf, &scene.ca)
            .this_update(1)
            .revoked()
            .der();
        scene.bring(machine, leaf, &revoked);
    }
    for agent in &agents {
        for leaf in &scene.leaves {
            agent.wait_until_missed(leaf, Miss::Withdrawn);
        }
    }
}

/// A Redis in a network of its own, which can be cut off.
struct Far {
    _redis: Guard,
    pid: String,
    address: String,
}

impl Far {
    fn start() -> Self {
        let child = Command::new("unshare")
            .args(["-n", &server(), "--port", "6379", "--save", ""])
            .args(["--protected-mode", "no", "--bind", "0.0.0.0"])
            .stdout(Stdio::null())
            .spawn();
        let redis = Guard(child.expect("unshare runs"));
        let pid = redis.0.id();
        wait::until("it is in its network", || {
            let network = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
            (network(&pid.to_string()) != network("self")).then_some(())
        });
        // Others that run at the same time have other numbers.
        let (x, y) = ((pid >> 6) & 0xff, (pid << 2) & 0xfc);
        let (here, there) = (format!("10.{x}.{y}.1"), format!("10.{x}.{y}.2"));
        let (near, pid) = (format!("sg{pid}"), pid.to_string());
        let far = Self {
            _redis: redis,
            address: there.clone(),
            pid: pid.clone(),
        };
        run(&[
            "ip", "link", "add", &near, "type", "veth", "peer", "name", "far", "netns", &pid,
        ]);
        run(&["ip", "addr", "add", &format!("{here}/30"), "dev", &near]);
        run(&["ip", "link", "set", &near, "up"]);
        far.inside(&["ip", "addr", "add", &format!("{there}/30"), "dev", "far"]);
        far.inside(&["ip", "link", "set", "far", "up"]);
        far
    }

    fn inside(&self, words: &[&str]) {
        run(&[&["nsenter", "-t", &self.pid, "-n"], words].concat());
    }
}

fn run(words: &[&str]) {
    let status = Command::new(words[0]).args(&words[1..]).status();
    assert!(status.expect("it runs").success(), "{words:?}");
}

#[test]
#[ignore = "long, and changes the network: make check-fleet"]
fn cut_off_from_the_store_each_goes_on_alone_and_they_find_each_other_again() {
    let scene = Scene::new(2);
    let (first, second) = (&scene.leaves[0], &scene.leaves[1]);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let far = Far::start();
    let settings = with_fleet(PATIENT, &format!("url = 'redis://{}'", far.address));
    let machines = [scene.machine(), scene.machine()];
    let agents = machines.each_ref().map(|machine| machine.start(&settings));
    agents.iter().for_each(wait_until_connected);
    agents
        .iter()
        .for_each(|agent| scene.wait_until_served(agent));
    // Packets go nowhere, and nothing says so.
    far.inside(&["ip", "link", "set", "far", "down"]);
    let newer = Response::good(first, &scene.ca).this_update(-60).der();
    scene.answer(first, newer.clone());
    // The first one is told by its operator, and goes on though the store is gone.
    let before = scene.requests();
    machines[0].unlist(first);
    machines[0].list(first, &[&scene.ca]);
    agents[0].wait_until_served(first, &newer);
    assert_eq!(scene.requests(), before + 1);
    let revoked = Response::good(second, &scene.ca)
        .this_update(-30)
        .revoked()
        .der();
    scene.answer(second, revoked);
    machines[0].unlist(second);
    machines[0].list(second, &[&scene.ca]);
    agents[0].wait_until_missed(second, Miss::Withdrawn);
    assert_eq!(metric(&agents[0], "staplegun_fleet_connected"), 0);
    far.inside(&["ip", "link", "set", "far", "up"]);
    agents[1].wait_until_served(first, &newer);
    agents[1].wait_until_missed(second, Miss::Withdrawn);
    assert_eq!(scene.requests(), before + 2);
}
