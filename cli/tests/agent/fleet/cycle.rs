//! What may happen to agents and store in the middle of a refresh: whoever has a lease is killed at
//! each step of its way, the store is killed, and cables are pulled.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::crowd::{Crowd, LIMIT};
use super::network::Network;
use super::redis::Redis;
use super::relay::{Relay, Step};
use super::with_fleet;

const CERTIFICATES: usize = 60;
/// In seconds: from 40 to 60 of them they are refreshed.
const LIFE: i64 = 100;
/// Nobody waits for the dead for long.
const SETTINGS: &str = "[timing]\nfetch = 2.0\nlongest-retry = 2.0\n";

/// Own questions come on top.
fn settings(address: Ipv4Addr, port: u16) -> String {
    let url = format!("url = 'redis://{address}:{port}'");
    with_fleet(SETTINGS, &format!("{url}\nown-question = 1000000"))
}

fn wait_until(what: &str, is_it: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_it() {
        assert!(begun.elapsed() < LIMIT, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
#[ignore = "long: make check-fleet"]
fn holders_that_are_killed_at_each_step_of_a_refresh_leave_nobody_without_a_newer_response() {
    let redis = Redis::start(&[]);
    let steps = [Step::Leased, Step::Asking, Step::Fetched, Step::Stored];
    let relays = steps.map(|step| Relay::start(redis.port(), step));
    let others = [(); 4].map(|()| redis.port());
    let ports = relays.iter().map(|relay| relay.port).chain(others);
    let fleets: Vec<String> = ports
        .map(|port| settings(Ipv4Addr::LOCALHOST, port))
        .collect();
    let plans: Vec<_> = relays.iter().map(|it| Arc::clone(&it.plan)).collect();
    let mut crowd = Crowd::with(&fleets, CERTIFICATES, LIFE, Vec::new(), move |sha256| {
        plans.iter().any(|plan| plan.asked(sha256))
    });
    crowd.name_them();
    crowd.wait_for_newer(None);
    let (filled, before) = (Instant::now(), crowd.requests());
    assert!(before * 100 <= CERTIFICATES * 102, "{before}");
    for (relay, agent) in relays.iter().zip(&crowd.agents) {
        relay
            .plan
            .aim(agent.as_ref().expect("it runs").server.pid());
    }
    for (relay, agent) in relays.iter().zip(0..) {
        let step = format!("one is killed at {:?}", steps[agent]);
        wait_until(&step, || relay.plan.is_done());
        crowd.agents[agent].take().expect("it is there").kill();
    }
    println!("all four were killed {:?} after the fill", filled.elapsed());
    crowd.wait_for_newer(Some(filled));
    let asked = crowd.requests() - before;
    println!("{asked} requests for {CERTIFICATES}; {}", crowd.told());
    // What the dead had under way is asked for again, by one.
    assert!(asked <= CERTIFICATES + 2 * steps.len(), "{asked}");
}

#[test]
#[ignore = "long: make check-fleet"]
fn a_store_that_is_killed_in_the_middle_of_a_refresh_leaves_nobody_without_a_newer_response() {
    let mut redis = Redis::start(&[]);
    let fleets = vec![settings(Ipv4Addr::LOCALHOST, redis.port()); 8];
    let crowd = Crowd::with(&fleets, CERTIFICATES, LIFE, Vec::new(), |_| false);
    crowd.name_them();
    crowd.wait_for_newer(None);
    let filled = Instant::now();
    let asked_since = |before: usize, more: usize| {
        wait_until("some are asked for", || crowd.requests() >= before + more);
        crowd.requests()
    };
    let before = asked_since(crowd.requests(), CERTIFICATES / 6);
    redis.kill();
    asked_since(before, CERTIFICATES / 6);
    redis.revive();
    crowd.wait_for_newer(Some(filled));
    println!("{} requests in all; {}", crowd.requests(), crowd.told());
    let responses = ["KEYS", "sg:1:*:r"];
    redis.wait_until("all are in the store again", &responses, |keys| {
        keys.lines().count() == CERTIFICATES
    });
}

#[test]
#[ignore = "long, and changes the network: make check-fleet"]
fn agents_that_are_cut_off_in_a_refresh_have_what_is_newer_when_they_are_back() {
    let networks: Vec<Network> = (0..4).map(|_| Network::new()).collect();
    let redis = Redis::start_for(&networks);
    let fleets = vec![settings(networks[0].here, redis.port()); 8];
    let crowd = Crowd::with(&fleets, CERTIFICATES, LIFE, networks, |_| false);
    crowd.name_them();
    crowd.wait_for_newer(None);
    let (filled, before) = (Instant::now(), crowd.requests());
    assert!(before * 100 <= CERTIFICATES * 102, "{before}");
    // The address of responder and store is that of the first, which stays.
    let cut = &crowd.networks[1..];
    cut.iter().for_each(Network::cut);
    let asked = || crowd.requests() - before;
    wait_until("all are asked for", || asked() >= CERTIFICATES);
    let asked_by_others = asked();
    cut.iter().for_each(Network::join);
    let joined = Instant::now();
    crowd.wait_for_newer(Some(filled));
    println!(
        "{asked_by_others} requests for {CERTIFICATES} without those that were cut off, {} more with \
         them; they had all {:?} later; {}",
        asked() - asked_by_others,
        joined.elapsed(),
        crowd.told()
    );
    assert!(asked_by_others * 100 <= CERTIFICATES * 102);
}
