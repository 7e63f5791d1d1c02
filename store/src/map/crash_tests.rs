//! The writer is killed before each change that it makes to the file, one after
//! the other: readers must see the old or the new, and the next writer must go on.

use super::{Opened, Reader, Writer, WriterLock};
use crate::slots::Miss;
use crate::steps::count::{alone, killed_at};
use crate::testing::{NOW, Scratch, buffer, bytes, key, response};
use std::path::Path;

const SIZE: usize = super::format::MIN_SIZE * 4;

fn open(map: &Path) -> Writer {
    Writer::open(map, SIZE, WriterLock::try_take(map).unwrap()).unwrap()
}

fn put(writer: &mut Writer, number: u64, version: u64, length: usize) {
    let der = response(number, version, length);
    writer.put(&key(number), &der, NOW, NOW + 10).unwrap();
}

fn read(reader: &Reader, number: u64) -> Result<Vec<u8>, Miss> {
    reader.read(&key(number), NOW, buffer).map(bytes)
}

/// Kills a writer at every step of `change`, which turns key 1 from `old` to
/// `new`. Keys 0 and 2 are bystanders.
fn at_every_step(
    old: impl Fn(&mut Writer),
    change: impl Fn(&mut Writer),
    allowed: impl Fn(Result<Vec<u8>, Miss>) -> bool,
    new: impl Fn(Result<Vec<u8>, Miss>) -> bool,
) {
    let _alone = alone();
    let mut steps = 0;
    loop {
        let scratch = Scratch::new();
        let map = scratch.map();
        let mut writer = open(&map);
        put(&mut writer, 0, 0, 1500);
        put(&mut writer, 2, 0, 1500);
        old(&mut writer);
        drop(writer);
        let reader = Reader::open(&map, SIZE).unwrap();
        steps += 1;
        let killed = killed_at(steps, || change(&mut open(&map)));
        assert!(allowed(read(&reader, 1)), "after step {steps}");
        let mut writer = open(&map);
        assert_eq!(writer.opened().dropped, 0, "after step {steps}");
        assert!(
            allowed(read(&reader, 1)),
            "after step {steps} and a restart"
        );
        let of_it = reader.entries().filter(|entry| entry.key == key(1));
        assert!(of_it.count() <= 1, "after step {steps}, twice in the index");
        change(&mut writer);
        assert!(new(read(&reader, 1)), "after step {steps}, done again");
        for number in [0, 2] {
            assert_eq!(read(&reader, number), Ok(response(number, 0, 1500)));
        }
        if !killed {
            break;
        }
    }
    assert!(steps > 1);
}

#[test]
fn a_first_response() {
    at_every_step(
        |_| {},
        |writer| put(writer, 1, 1, 300),
        |read| [Err(Miss::Absent), Ok(response(1, 1, 300))].contains(&read),
        |read| read == Ok(response(1, 1, 300)),
    );
}

#[test]
fn a_newer_response_in_the_same_record() {
    at_every_step(
        |writer| {
            put(writer, 1, 1, 300);
            put(writer, 1, 2, 310);
        },
        |writer| put(writer, 1, 3, 290),
        |read| [Ok(response(1, 2, 310)), Ok(response(1, 3, 290))].contains(&read),
        |read| read == Ok(response(1, 3, 290)),
    );
}

#[test]
fn a_response_that_outgrows_its_record() {
    at_every_step(
        |writer| put(writer, 1, 1, 100),
        |writer| put(writer, 1, 2, 900),
        |read| [Ok(response(1, 1, 100)), Ok(response(1, 2, 900))].contains(&read),
        |read| read == Ok(response(1, 2, 900)),
    );
}

#[test]
fn a_record_used_again_for_another_key() {
    at_every_step(
        |writer| {
            put(writer, 5, 1, 300);
            writer.remove(&key(5));
        },
        |writer| put(writer, 1, 1, 300),
        |read| [Err(Miss::Absent), Ok(response(1, 1, 300))].contains(&read),
        |read| read == Ok(response(1, 1, 300)),
    );
}

#[test]
fn growth() {
    // So many records that the next one does not fit into the first extent.
    let fill = |writer: &mut Writer, count: u64| {
        for number in 100..100 + count {
            put(writer, number, 0, 1500);
        }
    };
    let scratch = Scratch::new();
    let alone = alone();
    let mut writer = open(&scratch.map());
    let first = writer.allocated();
    let mut count = 0;
    while writer.allocated() == first {
        count += 1;
        put(&mut writer, 100 + count, 0, 1500);
    }
    drop(writer);
    drop(alone);
    at_every_step(
        // Two of them are the bystanders.
        |writer| fill(writer, count - 3),
        |writer| put(writer, 1, 1, 1500),
        |read| [Err(Miss::Absent), Ok(response(1, 1, 1500))].contains(&read),
        |read| read == Ok(response(1, 1, 1500)),
    );
}

#[test]
fn a_withdrawal() {
    at_every_step(
        |writer| put(writer, 1, 1, 300),
        |writer| writer.withdraw(&key(1)).unwrap(),
        |read| [Ok(response(1, 1, 300)), Err(Miss::Withdrawn)].contains(&read),
        |read| read == Err(Miss::Withdrawn),
    );
}

#[test]
fn a_removal() {
    at_every_step(
        |writer| put(writer, 1, 1, 300),
        |writer| {
            writer.remove(&key(1));
        },
        |read| [Ok(response(1, 1, 300)), Err(Miss::Absent)].contains(&read),
        |read| read == Err(Miss::Absent),
    );
}

#[test]
fn creation() {
    let _alone = alone();
    let mut steps = 0;
    loop {
        let scratch = Scratch::new();
        let map = scratch.map();
        steps += 1;
        let killed = killed_at(steps, || drop(open(&map)));
        // There is a whole map, or none.
        match Reader::open(&map, SIZE) {
            Ok(reader) => assert_eq!(reader.size(), SIZE),
            Err(error) => assert!(error.is_absent(), "after step {steps}: {error}"),
        }
        let mut writer = open(&map);
        assert_eq!(writer.opened().dropped, 0);
        put(&mut writer, 1, 1, 300);
        assert_eq!(
            read(&Reader::open(&map, SIZE).unwrap(), 1),
            Ok(response(1, 1, 300))
        );
        drop(writer);
        let found = open(&map).opened();
        let expected = Opened {
            created: false,
            kept: 1,
            dropped: 0,
        };
        assert_eq!(found, expected);
        let mut names: Vec<_> = std::fs::read_dir(scratch.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["map.v1", "map.v1.lock"], "after step {steps}");
        if !killed {
            break;
        }
    }
    assert!(steps > 8);
}
