//! One course, step by step.

use super::*;

const RULES: Rules = Rules {
    fetch: Duration::from_secs(15),
    only_takes: false,
};
const ZERO: Duration = Duration::ZERO;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn course(is_stapled: bool) -> Course {
    let mut course = Course::new(Situation {
        is_stapled,
        asks_itself: false,
        same_until: secs(1_000),
    });
    assert!(matches!(
        course.begin(&RULES, ZERO),
        Next::Look {
            refused: None,
            heeds: true
        }
    ));
    course
}

#[test]
fn others_are_believed_for_a_fetch_and_five_seconds_and_two_where_nothing_is_stapled() {
    for answer in [Answer::Held, Answer::BackOff] {
        for (is_stapled, belief) in [(true, 20), (false, 2)] {
            let mut course = course(is_stapled);
            // By a store that says that it lasts for ever.
            let mut wake = ZERO;
            let mut looks = 0;
            while wake < secs(belief) {
                let answer = answer(Some(secs(1_000_000)));
                let next = course.answered(answer, &RULES, wake, u64::MAX);
                let Next::Wait(until) = next else {
                    panic!("{next:?}");
                };
                assert!(until > wake && until <= secs(belief));
                wake = until;
                course.queue();
                course.begin(&RULES, wake);
                looks += 1;
            }
            assert_eq!(looks, 1, "it is told how long it lasts");
            let next = course.answered(answer(None), &RULES, wake, 0);
            assert_eq!(next, Next::Ask);
            assert!(!course.is_leased());
        }
    }
}

#[test]
fn a_back_off_that_is_believed_no_more_is_passed_over_and_leases_are_not() {
    let mut course = course(false);
    course.answered(Answer::BackOff(None), &RULES, ZERO, 0);
    course.queue();
    let next = course.begin(&RULES, secs(2));
    assert!(matches!(next, Next::Look { heeds: false, .. }), "{next:?}");
    assert_eq!(
        course.answered(Answer::Leased, &RULES, secs(2), 0),
        Next::Ask
    );
    assert!(course.is_leased());
}

#[test]
fn what_does_not_count_is_passed_over_once_and_then_the_store_is() {
    let mut course = course(true);
    let next = course.answered(Answer::Refused("a".to_owned()), &RULES, ZERO, 0);
    let refused = Some("a".to_owned());
    assert_eq!(
        next,
        Next::Look {
            refused,
            heeds: true
        }
    );
    let next = course.answered(Answer::Refused("b".to_owned()), &RULES, ZERO, 0);
    assert_eq!(next, Next::Ask);
    assert_eq!(course.refused().map(String::as_str), Some("b"));
}

#[test]
fn the_responder_having_nothing_newer_postpones_and_never_beyond_60_percent_of_the_life() {
    let mut course = course(true);
    let same = |left| Answer::Same(Some(secs(left)));
    let next = course.answered(same(100), &RULES, secs(10), u64::MAX);
    assert_eq!(next, Next::Postpone(secs(125)));
    let next = course.answered(same(10_000), &RULES, secs(10), 0);
    assert_eq!(next, Next::Postpone(secs(990)));
    // From then on it is a back-off.
    let next = course.answered(same(100), &RULES, secs(1_000), 0);
    assert_eq!(next, Next::Wait(secs(1_020)));
}

#[test]
fn who_is_to_ask_itself_asks_and_who_only_takes_never_does() {
    let mut situation = Situation {
        is_stapled: true,
        asks_itself: true,
        same_until: ZERO,
    };
    let mut course = Course::new(situation);
    assert_eq!(course.begin(&RULES, ZERO), Next::Ask);
    let rules = Rules {
        only_takes: true,
        ..RULES
    };
    let mut course = Course::new(situation);
    assert!(matches!(course.begin(&rules, ZERO), Next::Look { .. }));
    assert_eq!(course.alone(&rules), Next::Nothing);
    situation.asks_itself = false;
    let mut course = Course::new(situation);
    course.begin(&rules, ZERO);
    let next = course.answered(Answer::Refused("a".to_owned()), &rules, ZERO, 0);
    assert!(matches!(next, Next::Look { .. }));
    let next = course.answered(Answer::Refused("b".to_owned()), &rules, ZERO, 0);
    assert_eq!(next, Next::Nothing);
}

#[test]
fn the_store_may_take_less_than_a_second_in_all_its_steps_and_what_others_take_does_not_count() {
    let mut course = course(true);
    let half = secs(1) / 2;
    // The agent had something else to do.
    assert_eq!(course.sent(secs(7)), secs(7) + PATIENCE);
    assert!(!course.is_out_of_patience(secs(7)));
    course.answered(Answer::Refused("a".to_owned()), &RULES, secs(7) + half, 0);
    assert_eq!(course.sent(secs(7) + half), secs(7) + PATIENCE);
    assert!(course.is_out_of_patience(secs(7) + PATIENCE));
    assert!(!course.is_store_slow(secs(7) + PATIENCE), "in one of them");
    assert!(course.is_store_slow(secs(8)));
    course.answered(Answer::Held(Some(secs(1))), &RULES, secs(8), 0);
    course.queue();
    course.begin(&RULES, secs(9));
    assert!(!course.is_out_of_patience(secs(9)));
    assert_eq!(course.sent(secs(9)), secs(9) + PATIENCE);
}

#[test]
fn who_was_asking_a_store_that_is_lost_waits_for_no_longer_than_it_would_have_taken() {
    let mut course = course(true);
    course.sent(secs(1));
    assert_eq!(course.strand(secs(1) + SLOW), Some(secs(1) + PATIENCE));
    assert_eq!(course.waits_until(), Some(secs(1) + PATIENCE));
    assert_eq!(course.strand(secs(2)), None, "it only waits");
    course.queue();
    course.begin(&RULES, secs(2));
    assert_eq!(course.sent(secs(2)), secs(1) + PATIENCE);
}
