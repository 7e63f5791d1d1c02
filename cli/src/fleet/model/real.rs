//! The model's store is the real one: its scripts do in a Redis or Valkey what the model does.

use std::time::{Duration, Instant};

use staplegun_ocsp::UnixTime;
use staplegun_testkit::program::Program;

use super::shelf::{Command, LIE, Reply, Shelf};
use crate::fleet::address::Address;
use crate::fleet::ask::{Asker, Said, Stored, said};
use crate::fleet::course::Answer;
use crate::fleet::greeting::Way;
use crate::fleet::keys::{Keys, Part};
use crate::fleet::rank::{self, Rank};
use crate::fleet::resp::Value;
use crate::fleet::settings::FleetSettings;

const NOW: UnixTime = 1_700_000_000;
const KEY: [u8; 32] = [7; 32];

fn rank(number: u8) -> Rank {
    let from = NOW - 100 + i64::from(number);
    Rank {
        as_of: from,
        is_revoked: false,
        from,
        until: NOW + 1_000,
    }
}

/// By its rank the real store's value is one of the model's.
fn number(value: &[u8]) -> u8 {
    let (rank, _) = rank::split(value).expect("ours");
    u8::try_from(rank.as_of - NOW + 100).expect("one of ours")
}

#[test]
fn the_scripts_do_in_a_real_redis_what_the_model_of_them_does() {
    let server = Program::start_on_free_port(|port| {
        let port = port.to_string();
        let server = std::env::var("STAPLEGUN_REDIS");
        Program::new(server.unwrap_or_else(|_| "redis-server".to_owned())).args([
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
    });
    let address = Address::parse(&format!("redis://127.0.0.1:{}", server.port())).unwrap();
    let way = Way::new(address, &FleetSettings::default()).unwrap();
    let (mut talk, _) = way.connect(false).expect("it answers");
    talk.deadline = Instant::now() + Duration::from_secs(60);
    let asker = |who: u8| Asker {
        keys: Keys::new("sg:1:"),
        token: who.to_string(),
        lease: Duration::from_secs(20),
    };
    let keys = Keys::new("sg:1:");
    let digest = {
        let value = rank::value(rank(LIE), b"bytes");
        let bytes = openssl::sha::sha1(&value);
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let mut shelf = Shelf::default();
    let mut random = 1u64;
    let mut next = |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        u8::try_from((random >> 33) % below).expect("small")
    };
    for step in 0..4_000 {
        match next(12) {
            0 => {
                let part = [Part::Response, Part::Lease, Part::BackOff][usize::from(next(3))];
                talk.exchange(["DEL", &keys.of(&KEY, part)])
                    .expect("it is run");
                match part {
                    Part::Response => shelf.response = None,
                    Part::Lease => shelf.lease = None,
                    Part::BackOff => shelf.back_off = None,
                }
                continue;
            }
            1 => {
                let value = rank::value(rank(LIE), b"bytes");
                let key = keys.of(&KEY, Part::Response);
                talk.exchange([b"SET".as_slice(), key.as_bytes(), &value])
                    .expect("it is run");
                shelf.response = Some(LIE);
                continue;
            }
            _ => {}
        }
        let who = next(3);
        let (known, refuses) = (next(4), next(2) == 1);
        let refused = refuses.then_some(&digest);
        let (command, sent) = match next(3) {
            0 => {
                let heeds = next(2) == 1;
                let before = (known > 0).then(|| rank(known));
                let sent = asker(who).look(&KEY, before, refused, heeds, NOW);
                (
                    Command::Look {
                        known,
                        refuses,
                        heeds,
                    },
                    sent,
                )
            }
            1 => {
                let is_same = next(2) == 1;
                let stored = Stored {
                    rank: rank(known + 1),
                    der: b"bytes".to_vec(),
                    refused: refused.cloned(),
                    same_for: is_same.then_some(Duration::from_secs(60)),
                };
                let sent = asker(who)
                    .store(&KEY, &stored, NOW)
                    .expect("it has not ended");
                (
                    Command::Store {
                        rank: known + 1,
                        refuses,
                        is_same,
                    },
                    sent,
                )
            }
            _ => (
                Command::Fail,
                asker(who).fail(&KEY, Duration::from_secs(60)),
            ),
        };
        let expected = shelf.run(who, &command);
        let reply = talk.send(sent).expect("it is run");
        let reply = match (&command, reply) {
            (Command::Look { .. }, reply) => match said(reply).expect("it is understood") {
                Said::Value(value) => Reply::Value(number(&value)),
                Said::Answer(answer) => Reply::Answer(match answer {
                    Answer::Held(left) => Answer::Held(left.map(|_| Duration::ZERO)),
                    Answer::BackOff(_) => Answer::BackOff(None),
                    Answer::Same(_) => Answer::Same(None),
                    answer => answer,
                }),
            },
            (_, Value::Number(done)) => Reply::Done(done == 1),
            (_, other) => panic!("{other:?}"),
        };
        let expected = match expected {
            Reply::Answer(Answer::Held(_)) => Reply::Answer(Answer::Held(Some(Duration::ZERO))),
            expected => expected,
        };
        assert_eq!(reply, expected, "step {step}: {command:?} on {shelf:?}");
        assert!(matches!(
            shelf.back_off,
            None | Some(Answer::BackOff(None) | Answer::Same(None))
        ));
    }
}

#[test]
fn what_is_ahead_is_neither_stored_nor_a_fence_and_what_has_ended_is_not_stored() {
    let asker = Asker {
        keys: Keys::new("sg:1:"),
        token: "a".to_owned(),
        lease: Duration::from_secs(20),
    };
    let stored = |from: i64, until: i64| Stored {
        rank: Rank {
            as_of: from,
            is_revoked: false,
            from,
            until,
        },
        der: vec![1],
        refused: None,
        same_for: None,
    };
    let is_sent = |stored: &Stored| asker.store(&KEY, stored, NOW).is_some();
    assert!(is_sent(&stored(NOW + 300, NOW + 900)));
    assert!(!is_sent(&stored(NOW + 301, NOW + 900)));
    assert!(!is_sent(&stored(NOW - 10, NOW)));
}
