//! Machines that disagree about the time, and a network that is cut.

use std::process::Command;

use staplegun_store::slots::Miss;
use staplegun_testkit::program::Program;
use staplegun_testkit::{Directory, Response};

use super::network::Network;
use super::redis::{Redis, server};
use super::{Scene, metric, wait_until_connected, with_fleet};
use crate::clock::MOVED_CLOCK;
use crate::support::{Agent, PATIENT, Store};

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

#[test]
#[ignore = "long, and changes the network: make check-fleet"]
fn cut_off_from_the_store_each_goes_on_alone_and_they_find_each_other_again() {
    let scene = Scene::new(2);
    let (first, second) = (&scene.leaves[0], &scene.leaves[1]);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let network = Network::new();
    let _redis = Program::new(server())
        .under(network.enter())
        .args(["--port", "6379", "--bind", "0.0.0.0"])
        .args(["--save", "", "--protected-mode", "no"])
        .start();
    let settings = with_fleet(PATIENT, &format!("url = 'redis://{}'", network.there));
    let machines = [scene.machine(), scene.machine()];
    let agents = machines.each_ref().map(|machine| machine.start(&settings));
    agents.iter().for_each(wait_until_connected);
    agents
        .iter()
        .for_each(|agent| scene.wait_until_served(agent));
    network.cut();
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
    network.join();
    agents[1].wait_until_served(first, &newer);
    agents[1].wait_until_missed(second, Miss::Withdrawn);
    assert_eq!(scene.requests(), before + 2);
}
