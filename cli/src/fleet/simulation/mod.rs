//! A large fleet by simulation: the same desk and courses as in the program, with a network,
//! a store, responders and a clock that are simulated. It gives the figures of docs/fleet.md.

mod counts;
mod events;
mod fleet;

use std::time::{Duration, Instant};

use counts::{Counts, merge, tell};
use fleet::{BEGIN, Fleet, LIFE, Machines, QUICK};

/// A fill and one refresh of all, in groups of certificates, since they have nothing to do
/// with each other but the load: that is added up.
fn simulate(agents: usize, certificates: u32, group: u32) -> (Counts, Counts) {
    let (mut fill, mut cycle) = (Counts::default(), Counts::default());
    for first in (0..certificates).step_by(usize::try_from(group).expect("fits")) {
        let last = (first + group).min(certificates);
        let seed = u64::from(first) * 7_919 + 1;
        let mut fleet = Fleet::new(agents, first..last, seed, QUICK);
        fleet.run(Duration::from_secs(86_400));
        merge(&mut fill, std::mem::take(&mut fleet.counts));
        for agent in &fleet.agents {
            assert_eq!(agent.known.len(), fleet.shelves.len(), "everybody has all");
        }
        // By then every response was refreshed, some by an own question, which comes early.
        fleet.run(Duration::from_secs(
            u64::try_from(LIFE).expect("fits") * 62 / 100,
        ));
        merge(&mut cycle, std::mem::take(&mut fleet.counts));
        for (key, shelf) in &fleet.shelves {
            let (rank, _) = shelf.response.expect("stored");
            assert!(rank.from > BEGIN + LIFE / 6, "{key:?} was refreshed");
            for agent in &fleet.agents {
                assert_eq!(agent.known[key].0, rank, "everybody has the newest");
            }
        }
    }
    (fill, cycle)
}

#[test]
fn twenty_agents_ask_for_each_of_two_hundred_certificates_once_in_a_fill_and_in_a_cycle() {
    let (fill, cycle) = simulate(20, 200, 200);
    assert!(tell("fill", &fill, 20, 200) <= 1.02);
    assert!(tell("cycle", &cycle, 20, 200) <= 1.02);
    for counts in [&fill, &cycle] {
        assert_eq!((counts.unheeded, counts.lost), (0, 0));
        assert!(counts.keys <= 6 * 20 * 200, "{}", counts.keys);
        assert!(counts.slowest < Duration::from_millis(200));
    }
}

/// For `make check-fleet`: by a build with optimizations.
#[test]
#[ignore = "long: make check-fleet"]
fn a_hundred_agents_and_a_hundred_thousand_certificates() {
    let begun = Instant::now();
    let (fill, cycle) = simulate(100, 100_000, 1_000);
    tell("fill", &fill, 100, 100_000);
    tell("cycle", &cycle, 100, 100_000);
    println!("simulated in {:?}", begun.elapsed());
    for counts in [&fill, &cycle] {
        assert!(counts.requests as f64 <= 1.02 * counts.stored as f64);
    }
}

/// The fill of a fleet whose machines are of that kind, and how long it took.
fn fill(machines: Machines) -> Counts {
    let mut fleet = Fleet::new(20, 0..200, 1, machines);
    fleet.run(Duration::from_secs(3_600));
    for agent in &fleet.agents {
        assert_eq!(agent.known.len(), 200, "everybody has all");
    }
    tell("fill", &fleet.counts, 20, 200);
    fleet.counts
}

#[test]
fn where_each_fetch_takes_nearly_two_seconds_nobody_asks_who_sees_that_another_does() {
    let counts = fill(Machines {
        responder: (1_400_000, 1_700_000),
        start: 100_000,
        ..QUICK
    });
    assert!(counts.requests <= 204, "{} requests", counts.requests);
}

#[test]
fn a_store_that_answers_nobody_for_a_moment_costs_a_fill_nothing_and_then_what_was_being_looked_for()
 {
    for (length, most) in [(400, 0), (800, 0), (1_200, 40), (1_700, 40)] {
        let counts = fill(Machines {
            start: 100_000,
            stall: 150_000..150_000 + length * 1_000,
            ..QUICK
        });
        println!(
            "{length} ms: {} requests, lost {} times",
            counts.requests, counts.lost
        );
        assert_eq!(counts.lost > 0, most > 0);
        assert!(
            counts.requests <= 200 + most,
            "{} requests",
            counts.requests
        );
    }
}
