//! What the writer tells of its map: what it holds, what there is room for, what was damaged.

use super::format::{MIN_SIZE, PAGE, capacity_for, record_words};
use super::sizes::GROWTH_WORDS;
use super::{Writer, WriterLock};
use crate::slots::{MAX_RESPONSE, State};
use crate::steps::count::alone;
use crate::testing::{NOW, Scratch, key, response};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

const SIZE: usize = 4 * MIN_SIZE;

fn open(map: &Path) -> Writer {
    Writer::open(map, SIZE, WriterLock::try_take(map).unwrap()).unwrap()
}

fn put(writer: &mut Writer, number: u64, length: usize) {
    let der = response(number, 1, length);
    writer.put(&key(number), &der, NOW, NOW + 10).unwrap();
}

/// What was never used is told by how full a map is from which nothing was removed.
#[test]
fn room_that_was_never_used_is_left_up_to_the_last_byte_that_is_reserved() {
    let scratch = Scratch::new();
    let mut writer = open(&scratch.map());
    let unused = |writer: &Writer| SIZE - writer.fill().used;
    for number in 0..5 {
        // Each is longer than the last.
        let length = 1000 * (number as usize + 1);
        let before = unused(&writer);
        put(&mut writer, number, length);
        let after = unused(&writer);
        let each = before - after;
        assert!(each > 2 * length);
        let another = key(100 + number);
        assert!(writer.leaves(&another, length, after - each));
        assert!(!writer.leaves(&another, length, after - each + 1));
    }
}

/// What a new record for a response of that length takes of the map, in bytes.
fn taken_by(length: usize) -> usize {
    8 * record_words(capacity_for(length))
}

#[test]
fn it_is_full_when_its_last_byte_is_used_and_not_before() {
    // Two steps of what the disk gives, and a page: the last record needs that.
    let size = 132 * PAGE;
    let scratch = Scratch::new();
    let open = || {
        let lock = WriterLock::try_take(&scratch.map()).unwrap();
        Writer::open(&scratch.map(), size, lock).unwrap()
    };
    let mut writer = open();
    let unused = |writer: &Writer| size - writer.fill().used;
    let mut number = 0;
    let mut try_next = |writer: &mut Writer, length| {
        number += 1;
        let der = response(number, 1, length);
        writer.put(&key(number), &der, NOW, NOW + 10)
    };
    while unused(&writer) > 16 * taken_by(1000) {
        try_next(&mut writer, 1000).unwrap();
    }
    let left = unused(&writer);
    let error = try_next(&mut writer, MAX_RESPONSE).unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!(unused(&writer), left, "it takes nothing");
    // So many of the smallest, and one more, take the rest.
    let fitting = (0..64).find_map(|small| {
        let rest = left.checked_sub(small * taken_by(1))?;
        let last = (PAGE / 2..=MAX_RESPONSE).find(|length| taken_by(*length) == rest)?;
        Some((small, last))
    });
    let (small, last) = fitting.expect("some lengths that take the rest");
    for _ in 0..small {
        try_next(&mut writer, 1).unwrap();
    }
    assert!(writer.allocated() < size);
    try_next(&mut writer, last).unwrap();
    assert_eq!(writer.allocated(), size);
    assert_eq!(unused(&writer), 0);
    assert!(try_next(&mut writer, 1).unwrap_err().is_full());
    drop(writer);
    assert_eq!(unused(&open()), 0);
}

#[test]
fn the_disk_gives_room_by_steps_and_what_is_told_is_taken_from_it() {
    let scratch = Scratch::new();
    let mut writer = open(&scratch.map());
    let before = writer.allocated();
    let mut number = 0;
    while writer.allocated() == before {
        number += 1;
        put(&mut writer, number, 1000);
    }
    let allocated = writer.allocated();
    let step = 8 * GROWTH_WORDS;
    assert!((step..step + PAGE).contains(&(allocated - before)));
    let taken = 512 * std::fs::metadata(scratch.map()).unwrap().blocks() as usize;
    // A file system may need some more for itself.
    assert!(
        (allocated..allocated + 16 * PAGE).contains(&taken),
        "{taken}"
    );
}

#[test]
fn what_fits_into_a_record_that_is_there_takes_none_of_the_room() {
    let scratch = Scratch::new();
    let mut writer = open(&scratch.map());
    put(&mut writer, 1, 1000);
    // All there is: nothing new leaves so much.
    let all = SIZE;
    assert!(writer.leaves(&key(1), 1000, all), "its own");
    assert!(!writer.leaves(&key(1), 3000, all), "it outgrows its own");
    assert!(!writer.leaves(&key(2), 1000, all));
    assert!(writer.remove(&key(1)));
    assert!(writer.leaves(&key(2), 1000, all), "what is free");
    assert!(!writer.leaves(&key(2), 3000, all));
    put(&mut writer, 2, 1000);
    assert!(!writer.leaves(&key(1), 1000, all), "it is free no more");
}

#[test]
fn a_free_record_is_given_to_what_needs_almost_so_much_and_to_nothing_that_needs_less() {
    let scratch = Scratch::new();
    let mut writer = open(&scratch.map());
    let none = writer.fill().used;
    put(&mut writer, 1, 6000);
    assert!(writer.remove(&key(1)));
    put(&mut writer, 2, 5900);
    let used = |writer: &Writer| writer.fill().used - none;
    assert_eq!(used(&writer), taken_by(6000), "in the place of the first");
    assert!(writer.remove(&key(2)));
    put(&mut writer, 3, 3000);
    assert_eq!(used(&writer), taken_by(3000));
    put(&mut writer, 4, 6000);
    assert_eq!(used(&writer), taken_by(3000) + taken_by(6000));
}

#[test]
fn it_knows_what_it_holds() {
    let scratch = Scratch::new();
    let mut writer = open(&scratch.map());
    put(&mut writer, 1, 300);
    writer.withdraw(&key(2)).unwrap();
    let holds = |writer: &Writer| [1, 2, 3].map(|number| writer.contains(&key(number)));
    assert_eq!(holds(&writer), [true, true, false]);
    assert!(writer.remove(&key(1)));
    assert_eq!(holds(&writer), [false, true, false]);
}

#[test]
fn a_revocation_may_be_as_long_as_any_response_and_no_longer() {
    let scratch = Scratch::new();
    let mut writer = open(&scratch.map());
    let mut revoke = |length| {
        let der = response(1, 1, length);
        writer.revoke(&key(1), &der, NOW, NOW + 10)
    };
    revoke(MAX_RESPONSE).unwrap();
    let error = revoke(MAX_RESPONSE + 1).unwrap_err();
    assert!(!error.is_full(), "{error}");
    let entry = writer.entries().next().unwrap().summary.unwrap();
    assert_eq!(
        (entry.state, entry.length),
        (State::Withdrawn, MAX_RESPONSE)
    );
}

#[test]
fn what_was_damaged_is_dropped_and_counted_and_the_others_are_kept() {
    let _alone = alone();
    let scratch = Scratch::new();
    let mut writer = open(&scratch.map());
    (0..5).for_each(|number| put(&mut writer, number, 300));
    drop(writer);
    let map = std::fs::read(scratch.map()).unwrap();
    let file = File::options().write(true).open(scratch.map()).unwrap();
    for number in [1, 3] {
        let der = response(number, 1, 300);
        let at = map.windows(300).position(|bytes| bytes == der).unwrap();
        file.write_all_at(&[!der[7]], at as u64 + 7).unwrap();
    }
    let writer = open(&scratch.map());
    let opened = writer.opened();
    assert_eq!((opened.kept, opened.dropped), (3, 2));
    let kept = (0..5).filter(|number| writer.contains(&key(*number)));
    assert_eq!(kept.collect::<Vec<_>>(), [0, 2, 4]);
}
