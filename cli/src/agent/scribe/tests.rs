//! What is written last, first, again, and together.

use super::*;
use crate::agent::testing::logged;
use staplegun_testkit::Directory;

fn write(number: u8) -> What {
    What::Write(vec![number; 100])
}

fn scribe(directory: &Directory) -> Scribe {
    Scribe::start(Files::open(directory.path()).unwrap(), true).unwrap()
}

#[test]
fn what_was_added_last_is_what_stands_when_it_has_ended() {
    let directory = Directory::new();
    let scribe = scribe(&directory);
    for round in 0..50 {
        for key in 0..20 {
            scribe.add(Which::Staple, &[key; 32], write(round));
            scribe.add(Which::Notes, &[key; 32], write(round));
        }
    }
    scribe.add(Which::Staple, &[0; 32], What::Remove);
    scribe.add_evidence(&[1; 32], b"revoked");
    drop(scribe);
    let files = Files::open(directory.path()).unwrap();
    assert_eq!(files.staples.read(&[0; 32]).unwrap(), None);
    let evidence = files.staples.read(&[1; 32]).unwrap();
    assert_eq!(evidence.as_deref(), Some(&b"revoked"[..]));
    for key in 2..20 {
        assert_eq!(files.staples.read(&[key; 32]).unwrap(), Some(vec![49; 100]));
        assert_eq!(files.state.read(&[key; 32]).unwrap(), Some(vec![49; 100]));
    }
    assert!(files.ended_cleanly());
}

#[test]
fn evidence_is_made_before_what_waits_longer() {
    let mut queue = Queue::default();
    let name = |key| (Which::Staple, [key; 32]);
    queue.add(name(1), write(1), false);
    queue.add(name(2), write(1), false);
    queue.add(name(2), write(2), true);
    let keys = |changes: Vec<Change>| -> Vec<u8> { changes.iter().map(|it| it.key[0]).collect() };
    assert_eq!(keys(queue.take()), [2]);
    assert_eq!(keys(queue.take()), [1]);
    assert!(queue.take().is_empty());
}

#[test]
fn what_may_wait_gathers_until_it_is_enough_or_something_may_not() {
    let queue = |others: usize| {
        let mut queue = Queue::default();
        for number in 0..others {
            let key = std::array::from_fn(|at| number.to_le_bytes()[at % 8]);
            queue.add((Which::Staple, key), write(1), false);
        }
        queue
    };
    assert!(!queue(0).may_gather());
    assert!(queue(1).may_gather());
    assert!(queue(AT_ONCE - 1).may_gather());
    assert!(!queue(AT_ONCE).may_gather());
    let mut pressing = queue(1);
    pressing.add((Which::Staple, [9; 32]), write(2), true);
    assert!(!pressing.may_gather());
    let mut ending = queue(1);
    ending.is_ending = true;
    assert!(!ending.may_gather());
}

#[test]
fn what_could_not_be_written_is_written_when_that_is_possible_again() {
    let directory = Directory::new();
    let scribe = scribe(&directory);
    let path = scribe.shared.files.state.path_of(&[1; 32]);
    // In the way of the file.
    std::fs::create_dir_all(path.join("x")).unwrap();
    scribe.add(Which::Notes, &[1; 32], write(7));
    staplegun_testkit::wait::until("it has failed", || {
        (!scribe.is_pending(Which::Notes, &[1; 32])).then_some(())
    });
    std::fs::remove_dir_all(&path).unwrap();
    staplegun_testkit::wait::until("it is there", || std::fs::read(&path).ok());
    drop(scribe);
    assert!(Files::open(directory.path()).unwrap().ended_cleanly());
}

#[test]
fn an_end_that_left_something_unwritten_is_not_clean() {
    let directory = Directory::new();
    drop(scribe(&directory));
    let scribe = scribe(&directory);
    std::fs::create_dir_all(scribe.shared.files.staples.path_of(&[1; 32]).join("x")).unwrap();
    scribe.add_evidence(&[1; 32], b"revoked");
    drop(scribe);
    assert!(!Files::open(directory.path()).unwrap().ended_cleanly());
}

#[test]
fn the_room_that_very_many_took_is_let_go() {
    let directory = Directory::new();
    let scribe = scribe(&directory);
    for number in 0..4_000_u16 {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        scribe.add(Which::Notes, &key, write(1));
    }
    let done = || (!scribe.is_busy()).then_some(());
    staplegun_testkit::wait::until("all is written", done);
    let queue = scribe.shared.queue();
    let room = queue.waiting.capacity().max(queue.others.capacity());
    assert!(room <= 4 * AT_ONCE, "{room}");
}

#[test]
fn what_fails_is_told_once_and_tried_again_after_ever_longer_pauses() {
    let directory = Directory::new();
    let files = Files::open(directory.path()).unwrap();
    let mut queue = Queue::default();
    let attempt = |queue: &mut Queue, key: u8| {
        let path = files.state.path_of(&[key; 32]);
        // In the way of the file.
        std::fs::create_dir_all(path.join("x")).unwrap();
        queue.add((Which::Notes, [key; 32]), write(1), false);
        let changes = queue.take();
        let failed = files.apply(&changes).failed;
        assert_eq!(failed.len(), 1);
        logged(|| queue.done(changes, &failed)).len()
    };
    assert_eq!(attempt(&mut queue, 1), 1);
    let again = queue.again.expect("it is tried again");
    assert_eq!(attempt(&mut queue, 2), 0);
    assert_eq!(queue.again, Some(again), "no later for another one");
    for times in [2, 4] {
        let now = Instant::now();
        queue.again = Some(now);
        assert_eq!(attempt(&mut queue, 1), 0);
        let pause = FIRST_PAUSE * times;
        assert!(queue.again.is_some_and(|again| again >= now + pause));
        assert_eq!(queue.pause, pause);
    }
}
