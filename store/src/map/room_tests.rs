//! What the writer tells of its map: what it holds, what there is room for, what was damaged.

use super::format::MIN_SIZE;
use super::{Writer, WriterLock};
use crate::slots::{MAX_RESPONSE, State};
use crate::steps::count::alone;
use crate::testing::{NOW, Scratch, key, response};
use std::fs::File;
use std::os::unix::fs::FileExt;
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
