//! The protocol in every order: three agents, one certificate, and all that can happen in
//! between. The agents are run by the very `Course` that the program runs; the store is a
//! model of its three scripts, which a test holds against those scripts in a real Redis.
//!
//! Held in every state that can be reached:
//! - what lies in the store and counts is replaced only by what is newer;
//! - no agent goes back;
//! - without faults the responder is asked once for each of its responses;
//! - whoever dies, is cut off or lies, and whenever: once no more faults come, every agent
//!   that is left gets a response: no lease is lost for ever, and no certificate is without
//!   somebody who fetches it.

mod followers;
mod real;
mod shelf;
mod world;

use std::collections::HashSet;

use world::{Faults, World};

/// Every world that can be reached; each is settled. Their number.
fn explore(start: World) -> usize {
    let start = start.canonical();
    let mut seen = HashSet::from([start.clone()]);
    let mut waiting = vec![start];
    while let Some(world) = waiting.pop() {
        for next in world.followers() {
            for agent in next.agents.iter().filter(|agent| agent.id.is_some()) {
                assert!(agent.sent.len() <= 4, "{agent:?}");
            }
            if seen.insert(next.clone()) {
                next.clone().settle();
                waiting.push(next);
            }
        }
    }
    seen.len()
}

/// For whatever the responder gives, in how many cycles ever.
#[test]
fn without_faults_three_agents_ask_for_each_response_once_in_every_order() {
    for (versions, dues) in [(0, 1), (1, 2)] {
        let states = bounded(World::new(Faults::default(), versions, dues));
        println!("{} cycles: {states} states", versions + 1);
        assert!(states > 100);
    }
}

/// Every world that can be reached, in which nothing is asked for twice. Their number.
fn bounded(start: World) -> usize {
    let start = start.canonical();
    let mut seen = HashSet::from([start.clone()]);
    let mut waiting = vec![start];
    while let Some(world) = waiting.pop() {
        assert!(world.asked <= world.version, "{world:?}");
        for next in world.followers() {
            if seen.insert(next.clone()) {
                waiting.push(next);
            }
        }
    }
    seen.len()
}

#[test]
fn each_fault_in_every_order_overwrites_nothing_newer_and_leaves_nobody_without_a_response() {
    let none = Faults::default();
    for (what, faults, versions, dues) in [
        ("two die", Faults { deaths: 2, ..none }, 0, 1),
        (
            "a lease or back-off ends early",
            Faults {
                expiries: 2,
                ..none
            },
            1,
            1,
        ),
        (
            "fetches fail",
            Faults {
                failures: 2,
                ..none
            },
            0,
            1,
        ),
        ("the store is lost", Faults { losses: 2, ..none }, 0, 1),
        ("for a moment", Faults { moments: 2, ..none }, 0, 1),
        (
            "responses are evicted",
            Faults {
                evictions: 1,
                ..none
            },
            1,
            1,
        ),
        ("a lie", Faults { lies: 1, ..none }, 0, 1),
        ("clocks go on", Faults { late: 2, ..none }, 1, 1),
    ] {
        let states = explore(World::new(faults, versions, dues));
        println!("{what}: {states} states");
        assert!(states > 100, "{what}");
    }
}

/// For `make check-fleet`: by a build with optimizations.
#[test]
#[ignore = "long: make check-fleet"]
fn all_faults_together_in_every_order() {
    let faults = Faults {
        deaths: 1,
        failures: 1,
        losses: 1,
        moments: 1,
        evictions: 0,
        lies: 1,
        expiries: 1,
        late: 1,
    };
    let states = explore(World::new(faults, 1, 1));
    println!("all faults: {states} states");
    let states = bounded(World::new(Faults::default(), 2, 3));
    println!("3 cycles without faults: {states} states");
    let faults = Faults {
        expiries: 1,
        late: 1,
        evictions: 1,
        ..Faults::default()
    };
    let states = explore(World::new(faults, 2, 2));
    println!("two cycles: {states} states");
}
