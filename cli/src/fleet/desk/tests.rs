//! All courses together, step by step.

use std::sync::atomic::Ordering;

use super::*;
use crate::fleet::breaker::{FIRST, News};

const RULES: Rules = Rules {
    fetch: Duration::from_secs(15),
    only_takes: false,
};
const SITUATION: Situation = Situation {
    is_stapled: false,
    asks_itself: false,
    same_until: Duration::ZERO,
};

const LIMITS: Limits = Limits {
    per_lane: 2,
    ours: 3,
    users: 1,
};

fn desk() -> Desk<()> {
    Desk::new(RULES, LIMITS, Arc::default(), 7)
}

fn connected(millis: u64) -> Desk<()> {
    let mut desk = desk();
    desk.connected(at(millis));
    desk.orders.clear();
    desk
}

fn at(millis: u64) -> At {
    Duration::from_millis(millis)
}

fn orders(desk: &mut Desk<()>) -> Vec<Do<()>> {
    std::iter::from_fn(|| desk.order()).collect()
}

fn due(desk: &mut Desk<()>, number: u8, millis: u64) {
    due_at(desk, (Side::Ours, "responder"), number, millis);
}

fn due_at(desk: &mut Desk<()>, lane: (Side, &str), number: u8, millis: u64) {
    desk.due([number; 32], lane, SITUATION, None, (), at(millis));
}

/// What is to be done; what is to be looked for is on its way then.
fn sent(desk: &mut Desk<()>, millis: u64) -> Vec<Do<()>> {
    let all = orders(desk);
    keys(&all).iter().for_each(|key| desk.sent(key, at(millis)));
    all
}

/// What is looked for.
fn keys(orders: &[Do<()>]) -> Vec<Key> {
    let key = |order: &Do<()>| match order {
        Do::Look { key, .. } => Some(*key),
        _ => None,
    };
    orders.iter().filter_map(key).collect()
}

fn tick(desk: &mut Desk<()>, millis: u64) -> Vec<Do<()>> {
    desk.tick(at(millis), at(millis));
    orders(desk)
}

fn looks(orders: &[Do<()>]) -> usize {
    let is_look = |order: &&Do<()>| matches!(order, Do::Look { .. });
    orders.iter().filter(is_look).count()
}

fn asks(orders: &[Do<()>]) -> usize {
    let is_ask = |order: &&Do<()>| matches!(order, Do::Ask(..));
    orders.iter().filter(is_ask).count()
}

#[test]
fn what_is_due_at_the_start_waits_half_a_second_for_the_first_connection_and_no_longer() {
    let mut desk = desk();
    assert_eq!(orders(&mut desk), [Do::Connect]);
    due(&mut desk, 1, 1);
    assert_eq!(orders(&mut desk), []);
    assert_eq!(desk.next(), Some(FIRST));
    desk.tick(FIRST, FIRST);
    assert_eq!(asks(&orders(&mut desk)), 1);
    assert_eq!(desk.next(), None, "there is nothing to be waited for");
    // It comes after all.
    desk.connected(at(700));
    due(&mut desk, 2, 800);
    assert_eq!(looks(&orders(&mut desk)), 1);
}

#[test]
fn only_so_many_are_under_way_as_can_be_fetched_and_waiting_and_hanging_ones_do_not_count() {
    let mut desk = connected(0);
    (1..=5).for_each(|number| due(&mut desk, number, 0));
    let first = sent(&mut desk, 0);
    assert_eq!(looks(&first), 2);
    desk.answered(&keys(&first)[0], Answer::Held(None), at(1));
    let second = sent(&mut desk, 1);
    assert_eq!(looks(&second), 1, "another one has its place");
    let leased = [keys(&first)[1], keys(&second)[0]];
    for key in &leased {
        desk.answered(key, Answer::Leased, at(2));
    }
    assert_eq!(asks(&orders(&mut desk)), 2);
    // Nobody has begun to fetch them: more leases would have to wait as well.
    assert_eq!(tick(&mut desk, 1_900), []);
    leased.iter().for_each(|key| desk.begun(key, at(2_000)));
    assert_eq!(looks(&tick(&mut desk, 2_999)), 0, "the one that waits, too");
    assert_eq!(looks(&tick(&mut desk, 3_000)), 2, "both hang");
}

#[test]
fn of_all_together_only_so_many_are_under_way_by_turns_and_users_keep_ours_from_nothing() {
    let mut desk = connected(0);
    let ours = |responder| (Side::Ours, responder);
    (1..=4).for_each(|number| due_at(&mut desk, ours("a"), number, 0));
    (5..=8).for_each(|number| due_at(&mut desk, ours("b"), number, 0));
    (9..=12).for_each(|number| due_at(&mut desk, (Side::Users, "a"), number, 0));
    let of = |orders: &[Do<()>]| {
        let which = |key: &Key| match key[0] {
            ..=4 => 'a',
            5..=8 => 'b',
            _ => 'u',
        };
        keys(orders).iter().map(which).collect::<String>()
    };
    let mut first = orders(&mut desk);
    assert_eq!(of(&first), "aabu");
    // One ends after the other: the lanes take turns.
    let mut next = String::new();
    for _ in 0..5 {
        let key = keys(&first)[0];
        desk.forget(&key, at(1));
        first.remove(0);
        let begun = orders(&mut desk);
        next += &of(&begun);
        first.retain(|order| keys(std::slice::from_ref(order))[0][0] <= 8);
        first.extend(begun);
    }
    assert_eq!(next, "baabb");
}

#[test]
fn a_place_goes_to_whoever_is_left_where_those_before_need_it_no_more() {
    let mut desk = connected(0);
    for (lane, number) in [("a", 1), ("b", 2), ("c", 3)] {
        due_at(&mut desk, (Side::Users, lane), number, 0);
    }
    assert_eq!(keys(&orders(&mut desk)), [[1; 32]], "there is one place");
    desk.forget(&[2; 32], at(1));
    desk.forget(&[1; 32], at(2));
    assert_eq!(keys(&orders(&mut desk)), [[3; 32]]);
}

#[test]
fn a_store_that_takes_too_long_is_dropped_and_everybody_goes_on_alone_at_once_and_once() {
    let mut desk = connected(0);
    (1..=5).for_each(|number| due(&mut desk, number, 0));
    sent(&mut desk, 0);
    assert_eq!(tick(&mut desk, 899), []);
    let dropped = tick(&mut desk, 900).into_iter();
    let dropped = dropped.filter(|order| *order == Do::Drop).count();
    assert_eq!(dropped, 1, "one failure of the store, whoever waits for it");
    assert_eq!(desk.lost(at(900)), News::New);
    assert_eq!(asks(&orders(&mut desk)), 2);
    assert!(tick(&mut desk, 1_000).contains(&Do::Connect));
    assert!(!desk.counters.is_passed_by.load(Ordering::Relaxed));
    desk.lost(at(1_001));
    assert_eq!(asks(&orders(&mut desk)), 3, "all that were left");
    assert!(desk.counters.is_passed_by.load(Ordering::Relaxed));
    assert!((1..=5).all(|number| !desk.has(&[number; 32])));
    due_at(&mut desk, (Side::Ours, "another"), 7, 1_002);
    assert_eq!(asks(&orders(&mut desk)), 1, "the breaker is open");
    assert!(tick(&mut desk, 2_002).contains(&Do::Connect));
    due_at(&mut desk, (Side::Ours, "another"), 8, 2_003);
    assert_eq!(asks(&orders(&mut desk)), 1, "nobody waits for the attempt");
}

#[test]
fn an_agent_that_is_late_itself_does_not_take_the_store_for_slow() {
    let mut desk = connected(0);
    due(&mut desk, 1, 0);
    // It was sent late, and read late.
    let look = sent(&mut desk, 2_000);
    desk.tick(at(5_000), at(2_899));
    assert_eq!(orders(&mut desk), []);
    assert!(desk.next() <= Some(at(5_000)), "it reads first");
    desk.answered(&keys(&look)[0], Answer::Leased, at(5_000));
    assert_eq!(asks(&orders(&mut desk)), 1);
    // And there was nothing to be read.
    due(&mut desk, 2, 6_000);
    sent(&mut desk, 6_000);
    desk.tick(at(9_000), at(8_000));
    assert_eq!(orders(&mut desk), [Do::Drop]);
}

#[test]
fn who_waits_for_another_goes_on_waiting_for_a_store_that_is_back_in_a_moment() {
    let mut desk = connected(0);
    due(&mut desk, 1, 10_000);
    sent(&mut desk, 10_000);
    desk.answered(&[1; 32], Answer::Held(None), at(10_000));
    (2..=6).for_each(|number| due(&mut desk, number, 10_000));
    let looking = sent(&mut desk, 10_000);
    desk.lost(at(10_100));
    assert_eq!(asks(&orders(&mut desk)), 0);
    assert_eq!(tick(&mut desk, 10_200), [Do::Connect]);
    // Who was asking it asks the responder, as if it were slow.
    let alone = tick(&mut desk, 10_900);
    assert_eq!(asks(&alone), 2, "{alone:?}");
    for key in keys(&looking) {
        desk.fail(&key, Duration::ZERO, at(10_950));
    }
    desk.connected(at(10_960));
    let looking = sent(&mut desk, 10_960);
    assert_eq!((looks(&looking), asks(&looking)), (2, 0));
    assert!(keys(&looking).contains(&[1; 32]), "it was under way");
    for key in keys(&looking) {
        desk.answered(&key, Answer::Held(None), at(10_970));
    }
    assert_eq!(looks(&sent(&mut desk, 10_970)), 2);
    // It is lost again, which is waited for no more.
    desk.lost(at(11_000));
    assert_eq!(asks(&orders(&mut desk)), 4);
}

#[test]
fn a_store_that_is_lost_keeps_nobody_from_asking_for_a_second() {
    let mut desk = connected(0);
    due(&mut desk, 1, 10_000);
    sent(&mut desk, 10_000);
    desk.answered(&[1; 32], Answer::Held(None), at(10_000));
    desk.lost(at(10_100));
    due(&mut desk, 2, 10_100);
    // It hangs when it is connected to.
    assert_eq!(asks(&tick(&mut desk, 10_999)), 0);
    assert_eq!(asks(&tick(&mut desk, 11_000)), 2);
    due(&mut desk, 3, 11_001);
    assert_eq!(asks(&orders(&mut desk)), 1, "it is waited for once");
    // Or there is none.
    desk.connected(at(12_000));
    desk.forget(&[3; 32], at(12_000));
    due(&mut desk, 4, 20_000);
    sent(&mut desk, 20_000);
    desk.lost(at(20_000));
    assert_eq!(asks(&orders(&mut desk)), 0);
    desk.lost(at(20_001));
    assert_eq!(asks(&orders(&mut desk)), 1);
}

#[test]
fn who_waits_is_settled_by_a_notice_and_a_lease_that_comes_too_late_is_given_back() {
    let mut desk = connected(0);
    due(&mut desk, 1, 0);
    orders(&mut desk);
    assert!(desk.settle(&[1; 32], at(1)));
    assert!(!desk.expects(&[1; 32], true));
    assert_eq!(orders(&mut desk), [Do::Fail([1; 32], Duration::ZERO)]);
    due(&mut desk, 2, 3);
    desk.answered(&[2; 32], Answer::Leased, at(4));
    assert!(!desk.settle(&[2; 32], at(5)), "it is being asked for");
    orders(&mut desk);
    desk.fail(&[2; 32], Duration::from_secs(9), at(6));
    assert_eq!(
        orders(&mut desk),
        [Do::Fail([2; 32], Duration::from_secs(9))]
    );
    assert!(!desk.has(&[2; 32]));
    assert_eq!(desk.next(), None);
}

#[test]
fn what_was_asked_before_it_was_settled_gives_no_lease_back_that_was_taken_since() {
    let mut desk = connected(0);
    due(&mut desk, 1, 0);
    desk.settle(&[1; 32], at(1));
    due(&mut desk, 1, 1);
    desk.settle(&[1; 32], at(2));
    // Two are under way, for nobody: the second one has the lease as well.
    assert_eq!(looks(&orders(&mut desk)), 2);
    assert!(!desk.expects(&[1; 32], true));
    due(&mut desk, 1, 3);
    assert_eq!(looks(&orders(&mut desk)), 1);
    assert!(!desk.expects(&[1; 32], true));
    assert_eq!(orders(&mut desk), []);
    assert!(desk.expects(&[1; 32], true));
    desk.answered(&[1; 32], Answer::Leased, at(4));
    assert_eq!(asks(&orders(&mut desk)), 1);
}

#[test]
fn a_lease_that_comes_too_late_while_the_responder_is_asked_is_given_back_by_its_failure() {
    let mut desk = connected(0);
    due(&mut desk, 1, 0);
    orders(&mut desk);
    desk.passed_over(&[1; 32], at(1));
    assert_eq!(asks(&orders(&mut desk)), 1);
    assert!(!desk.expects(&[1; 32], true));
    desk.fail(&[1; 32], Duration::from_secs(9), at(2));
    let given_back = Do::Fail([1; 32], Duration::from_secs(9));
    assert_eq!(orders(&mut desk), [given_back]);
}

#[test]
fn what_was_refused_may_be_overwritten_by_what_the_responder_said() {
    let mut desk = connected(0);
    due(&mut desk, 1, 0);
    orders(&mut desk);
    desk.answered(&[1; 32], Answer::Refused("bad".to_owned()), at(1));
    desk.answered(&[1; 32], Answer::Leased, at(2));
    orders(&mut desk);
    let stored = Stored {
        rank: Rank::default(),
        der: vec![1],
        refused: None,
        same_for: None,
    };
    desk.store(&[1; 32], stored.clone(), at(3));
    let refused = Some("bad".to_owned());
    let stored = Stored { refused, ..stored };
    assert_eq!(orders(&mut desk), [Do::Store([1; 32], stored)]);
}
