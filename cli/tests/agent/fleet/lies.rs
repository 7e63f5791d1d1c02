//! Who can write to the store: what an agent believes of it, and for how long.

use std::time::{Duration, Instant};

use staplegun_store::slots::Miss;
use staplegun_testkit::{Identity, Response, Spec, wait};

use super::redis::{Redis, response_of};
use super::{Scene, metric, with_fleet};
use crate::support::{PATIENT, now};

/// Makes what lies in the store.
type Value<'a> = Box<dyn Fn(&Scene) -> Vec<u8> + 'a>;

/// What stands before a response.
fn digits(from: i64, is_revoked: bool, until: i64) -> String {
    format!("{from:012}{}{from:012}{until:012}", u8::from(is_revoked))
}

/// What `make` makes of the time, if it has not changed meanwhile.
fn within_a_second<T>(make: impl Fn(i64) -> T) -> T {
    loop {
        let begun = now();
        let made = make(begun);
        if now() == begun {
            return made;
        }
    }
}

fn lease_of(leaf: &Identity) -> String {
    response_of(leaf).replace(":r", ":l")
}

fn back_off_of(leaf: &Identity) -> String {
    response_of(leaf).replace(":r", ":f")
}

#[test]
fn what_does_not_count_is_passed_over_and_what_the_responder_says_takes_its_place() {
    let now = now();
    let other_ca = Identity::self_signed(&Spec::ca("CA"));
    let forged = |leaf: &Identity| Response::good(leaf, &other_ca).this_update(-10).der();
    let fresh = digits(now - 10, false, now + 86_400);
    let values: Vec<(&str, Value)> = vec![
        ("damaged", Box::new(|_| b"other people's".to_vec())),
        ("damaged", Box::new(|_| vec![b'z'; 40_000])),
        (
            "not_accepted",
            Box::new(|_| [digits(now - 10, false, now + 9).as_bytes(), b"no DER"].concat()),
        ),
        (
            "not_accepted",
            Box::new(|scene| [fresh.as_bytes(), &forged(&scene.leaves[0])].concat()),
        ),
        (
            // Rightly signed, and of another certificate.
            "not_accepted",
            Box::new(|scene| {
                let other = scene.ca.issue(&Spec::server());
                let der = Response::good(&other, &scene.ca).this_update(-10).der();
                [fresh.as_bytes(), &der].concat()
            }),
        ),
        (
            // An old one under a time that is new: as a fence it would stand for a day.
            "mismatch",
            Box::new(|scene| {
                let old = Response::good(&scene.leaves[0], &scene.ca)
                    .this_update(-7_200)
                    .der();
                [fresh.as_bytes(), &old].concat()
            }),
        ),
        (
            "not_accepted",
            Box::new(|scene| {
                let expired = Response::good(&scene.leaves[0], &scene.ca).expired().der();
                [fresh.as_bytes(), &expired].concat()
            }),
        ),
    ];
    for (at, (cause, value)) in values.iter().enumerate() {
        let scene = Scene::new(1);
        let leaf = &scene.leaves[0];
        scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
        let redis = Redis::start(&[]);
        let key = response_of(leaf);
        redis.set(&key, &value(&scene));
        let settings = with_fleet(PATIENT, &redis.url());
        let (_machines, agents) = scene.connected_machines(1, &settings);
        let agent = &agents[0];
        scene.wait_until_served(agent);
        // What begins as none of ours is not even looked at by who only wants the lease.
        if *cause != "damaged" {
            let name = format!("staplegun_fleet_refused_total{{cause=\"{cause}\"}}");
            assert!(metric(agent, &name) > 0, "{at}: {cause}");
        }
        redis.wait_until("it lies there", &["STRLEN", &key], |length| {
            length.parse::<usize>() == Ok(37 + scene.answer_of(leaf).len())
        });
    }
}

#[test]
fn a_time_beyond_the_tolerance_is_no_fence() {
    let scene = Scene::new(1);
    let leaf = &scene.leaves[0];
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let redis = Redis::start(&[]);
    let key = response_of(leaf);
    for ahead in [
        "zzz".to_owned(),
        digits(now() + 3_600, true, now() + 86_400),
    ] {
        redis.set(&key, ahead.as_bytes());
        let machine = scene.machine();
        let agent = machine.start(&with_fleet(PATIENT, &redis.url()));
        scene.wait_until_served(&agent);
        redis.wait_until("the true one lies there", &["STRLEN", &key], |length| {
            length.parse::<usize>() == Ok(37 + scene.answer_of(leaf).len())
        });
    }
}

#[test]
fn nobody_goes_back_in_this_update_and_no_old_good_undoes_a_revocation() {
    let scene = Scene::new(2);
    let (good, revoked) = (&scene.leaves[0], &scene.leaves[1]);
    scene.answer(good, Response::good(good, &scene.ca).this_update(-60).der());
    scene.answer(
        revoked,
        Response::good(revoked, &scene.ca)
            .this_update(-60)
            .revoked()
            .der(),
    );
    let redis = Redis::start(&[]);
    let machine = scene.machine();
    let settings = with_fleet(PATIENT, &redis.url());
    let agent = machine.start(&settings);
    agent.wait_until_served(good, &scene.answer_of(good));
    agent.wait_until_missed(revoked, Miss::Withdrawn);
    // Replayed, and told: as who can write there may.
    for leaf in [good, revoked] {
        let old = Response::good(leaf, &scene.ca).der();
        let rank = digits(now() - 3_600, false, now() + 86_400);
        redis.set(&response_of(leaf), &[rank.as_bytes(), &old].concat());
        let lie = digits(now(), false, now() + 86_400);
        redis.ask(&["PUBLISH", "sg:1:n", &format!("{}{lie}", leaf.sha256_hex())]);
    }
    // It was looked at, and what is true lies there again or is kept for it.
    wait::until("both were looked at", || {
        (redis.calls("get") >= 4).then_some(())
    });
    assert_eq!(machine.served(good), Ok(scene.answer_of(good)));
    assert_eq!(machine.served(revoked), Err(Miss::Withdrawn));
    for leaf in [good, revoked] {
        let length = 37 + scene.answer_of(leaf).len();
        redis.wait_until(
            "what is newer lies there",
            &["STRLEN", &response_of(leaf)],
            |there| there.parse() == Ok(length),
        );
    }
    drop(agent);
    let agent = machine.start(&settings);
    agent.wait_until_logged("sharing with the fleet");
    assert_eq!(machine.served(revoked), Err(Miss::Withdrawn));
}

#[test]
fn what_is_past_60_percent_of_its_life_is_stapled_and_the_responder_is_asked_all_the_same() {
    let scene = Scene::new(1);
    let leaf = &scene.leaves[0];
    let settings_of = |redis: &Redis| with_fleet(PATIENT, &redis.url());
    // Signed before the certificate was revoked, and kept by somebody.
    for (kept, requests) in [(5_000, 0), (7_000, 1)] {
        let (rank, old) = within_a_second(|now| {
            let response = Response::good(leaf, &scene.ca).this_update(-kept);
            let rank = digits(now - kept, false, now - kept + 10_000);
            (rank, response.next_update(10_000 - kept).der())
        });
        let newer = Response::good(leaf, &scene.ca).this_update(-100).der();
        scene.answer(leaf, newer.clone());
        let redis = Redis::start(&[]);
        redis.set(&response_of(leaf), &[rank.as_bytes(), &old].concat());
        let (_machines, agents) = scene.connected_machines(1, &settings_of(&redis));
        let agent = &agents[0];
        agent.wait_until_served(leaf, if requests == 0 { &old } else { &newer });
        assert_eq!(scene.requests(), requests);
        agent.wait_until_logged("from=\"the fleet\"");
    }
}

#[test]
fn a_lease_or_back_off_that_never_ends_keeps_nobody_from_asking_for_more_than_two_seconds() {
    for key_of in [lease_of, back_off_of] {
        let scene = Scene::new(1);
        let leaf = &scene.leaves[0];
        scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
        let redis = Redis::start(&[]);
        redis.set(&key_of(leaf), b"mine for ever");
        let settings = with_fleet(PATIENT, &redis.url());
        let (machines, agents) = scene.connected(1, &settings);
        let begun = Instant::now();
        scene.list_all(&machines[0]);
        scene.wait_until_served(&agents[0]);
        let took = begun.elapsed();
        assert!(
            took > Duration::from_millis(1_900),
            "{took:?}: it was believed"
        );
        assert_eq!(scene.requests(), 1);
    }
}

#[test]
fn a_value_or_a_reply_that_is_too_long_ends_the_connection_and_costs_no_memory() {
    let scene = Scene::new(1);
    scene.answer_all(|leaf, ca| Response::good(leaf, ca).der());
    let redis = Redis::start(&[]);
    redis.set(&response_of(&scene.leaves[0]), &vec![b'0'; 1 << 20]);
    let machine = scene.machine();
    let agent = machine.start(&with_fleet(PATIENT, &redis.url()));
    scene.wait_until_served(&agent);
    agent.wait_until_logged("longer than 64 KiB");
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.server.pid()));
    let peak = status.expect("it runs");
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = peak
        .and_then(|text| text.trim().trim_end_matches(" kB").parse().ok())
        .expect("a number");
    assert!(kib < 64 << 10, "{kib} KiB");
}
