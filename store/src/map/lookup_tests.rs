//! Which record a reader finds when keys are alike, and when the writer moves what it looks for.

use super::format::{Geometry, HEADER_WORDS, MAX_PROBE, MIN_SIZE};
use super::table::REREADS;
use super::{Reader, Writer, WriterLock};
use crate::Key;
use crate::slots::{MAX_RESPONSE, Miss};
use crate::steps::between::overtaken_by;
use crate::testing::{NOW, Scratch, buffer, bytes, key, response};
use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

const SIZE: usize = 4 * MIN_SIZE;

/// A map, with the one who looks things up in it.
fn map() -> (Scratch, Writer, Reader) {
    let scratch = Scratch::new();
    let map = scratch.map();
    let writer = open(&scratch);
    let reader = Reader::open(&map, SIZE).unwrap();
    (scratch, writer, reader)
}

/// Two keys that look for their records in the same places.
fn alike() -> (Key, Key) {
    let (one, mut other) = (key(1), key(1));
    other[31] ^= 1;
    (one, other)
}

fn open(scratch: &Scratch) -> Writer {
    let lock = WriterLock::try_take(&scratch.map()).unwrap();
    Writer::open(&scratch.map(), SIZE, lock).unwrap()
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
    let (one, other) = alike();
    put(&mut writer, &one, 1, 300);
    assert_eq!(read(&reader, &other), Err(Miss::Absent));
    put(&mut writer, &other, 2, 300);
    assert_eq!(read(&reader, &one), Ok(response(1, 1, 300)));
    assert_eq!(read(&reader, &other), Ok(response(1, 2, 300)));
}

#[test]
fn a_bucket_that_was_damaged_to_one_never_used_hides_no_other_for_long() {
    let (scratch, mut writer, reader) = map();
    let (one, other) = alike();
    put(&mut writer, &one, 1, 300);
    put(&mut writer, &other, 2, 300);
    drop(writer);
    let index = Index::of(&scratch);
    // That of the first, behind which the other was put.
    let (first, _) = index.used()[0];
    index.set(first, 0);
    assert_eq!(read(&reader, &other), Err(Miss::Absent));
    let writer = open(&scratch);
    assert_eq!(read(&reader, &other), Ok(response(1, 2, 300)));
    assert!(writer.contains(&other) && !writer.contains(&one));
}

#[test]
fn a_bucket_is_as_if_never_used_when_no_probe_has_to_go_on_behind_it() {
    let (scratch, mut writer, reader) = map();
    let (one, other) = alike();
    put(&mut writer, &one, 1, 300);
    put(&mut writer, &other, 2, 300);
    assert!(writer.remove(&one));
    assert_eq!(read(&reader, &other), Ok(response(1, 2, 300)));
    let index = Index::of(&scratch);
    assert_eq!(index.used().len(), 2, "the other lies behind it");
    assert!(writer.remove(&other));
    assert_eq!(index.used(), []);
}

#[test]
fn a_record_that_lies_too_far_for_readers_to_find_is_given_another_bucket() {
    let (scratch, mut writer, reader) = map();
    put(&mut writer, &key(1), 1, 300);
    drop(writer);
    let index = Index::of(&scratch);
    let (home, bucket) = index.used()[0];
    index.set(home, 0);
    index.set((home + MAX_PROBE) & (index.buckets - 1), bucket);
    let mut writer = open(&scratch);
    put(&mut writer, &key(1), 2, 300);
    assert_eq!(read(&reader, &key(1)), Ok(response(1, 2, 300)));
}

#[test]
fn of_a_record_whose_shape_was_damaged_no_other_suffers() {
    let (scratch, mut writer, reader) = map();
    for number in 1..=3 {
        put(&mut writer, &key(number), 1, 300);
    }
    drop(writer);
    let records = 8 * Geometry::of(SIZE).unwrap().records as u64;
    let file = Index::of(&scratch).file;
    file.write_all_at(&[0; 8], records).unwrap();
    let mut writer = open(&scratch);
    assert_eq!((writer.opened().kept, writer.opened().dropped), (2, 1));
    // These take the room behind the others.
    for number in 4..=6 {
        put(&mut writer, &key(number), 1, 300);
    }
    for number in 2..=6 {
        assert_eq!(read(&reader, &key(number)), Ok(response(1, 1, 300)));
    }
}

/// The index of a map as it stands in its file.
struct Index {
    file: File,
    buckets: usize,
}

impl Index {
    fn of(scratch: &Scratch) -> Self {
        let file = File::options().read(true).write(true).open(scratch.map());
        Self {
            file: file.unwrap(),
            buckets: Geometry::of(SIZE).unwrap().buckets,
        }
    }

    /// The buckets that are not as if never used: their numbers, and what stands there.
    fn used(&self) -> Vec<(usize, u64)> {
        let mut bytes = vec![0; 8 * self.buckets];
        let at = 8 * HEADER_WORDS as u64;
        self.file.read_exact_at(&mut bytes, at).unwrap();
        let words = bytes.chunks(8).map(|word| word.try_into().unwrap());
        let words = words.map(u64::from_ne_bytes).enumerate();
        words.filter(|(_, bucket)| *bucket != 0).collect()
    }

    fn set(&self, number: usize, bucket: u64) {
        let at = 8 * (HEADER_WORDS + number) as u64;
        self.file.write_all_at(&bucket.to_ne_bytes(), at).unwrap();
    }
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
