//! Which record a reader finds when keys are alike, and when the writer moves what it looks for.

use super::format::MIN_SIZE;
use super::table::REREADS;
use super::{Reader, Writer, WriterLock};
use crate::Key;
use crate::slots::{MAX_RESPONSE, Miss};
use crate::steps::between::overtaken_by;
use crate::testing::{NOW, Scratch, buffer, bytes, key, response};
use std::cell::Cell;
use std::rc::Rc;

const SIZE: usize = 4 * MIN_SIZE;

/// A map, with the one who looks things up in it.
fn map() -> (Scratch, Writer, Reader) {
    let scratch = Scratch::new();
    let map = scratch.map();
    let lock = WriterLock::try_take(&map).unwrap();
    let writer = Writer::open(&map, SIZE, lock).unwrap();
    let reader = Reader::open(&map, SIZE).unwrap();
    (scratch, writer, reader)
}

fn put(writer: &mut Writer, key: &Key, version: u64, length: usize) {
    let der = response(1, version, length);
    writer.put(key, &der, NOW, NOW + 10).unwrap();
}

fn read(reader: &Reader, key: &Key) -> Result<Vec<u8>, Miss> {
    reader.read(key, NOW, buffer).map(bytes)
}

#[test]
fn each_of_two_certificates_whose_hashes_begin_alike_has_its_own_response() {
    let (_scratch, mut writer, reader) = map();
    let (one, mut other) = (key(1), key(1));
    other[31] ^= 1;
    put(&mut writer, &one, 1, 300);
    assert_eq!(read(&reader, &other), Err(Miss::Absent));
    put(&mut writer, &other, 2, 300);
    assert_eq!(read(&reader, &one), Ok(response(1, 1, 300)));
    assert_eq!(read(&reader, &other), Ok(response(1, 2, 300)));
}

#[test]
fn a_response_that_is_moved_while_it_is_looked_for_is_found() {
    let (_scratch, mut writer, reader) = map();
    put(&mut writer, &key(1), 1, 300);
    let mut moved = false;
    let overtake = move || {
        if !std::mem::replace(&mut moved, true) {
            // It outgrows its record, and another takes the place that it had.
            put(&mut writer, &key(1), 2, 3000);
            put(&mut writer, &key(2), 3, 300);
        }
    };
    let found = overtaken_by(overtake, || read(&reader, &key(1)));
    assert_eq!(found, Ok(response(1, 2, 3000)));
}

#[test]
fn a_response_that_is_moved_and_moved_holds_no_reader() {
    let (_scratch, mut writer, reader) = map();
    put(&mut writer, &key(1), 0, 300);
    let looks = Rc::new(Cell::new(0));
    let count = looks.clone();
    let overtake = move || {
        let look = count.get() + 1;
        count.set(look);
        let length = 300 + 2000 * look;
        assert!(length < MAX_RESPONSE, "it looks on and on");
        put(&mut writer, &key(1), look as u64, length);
    };
    let found = overtaken_by(overtake, || read(&reader, &key(1)));
    assert_eq!(found, Err(Miss::Absent));
    assert_eq!(looks.get(), 1 + REREADS);
}
