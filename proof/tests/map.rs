//! The live map whole: one process looks something up while the agent changes the map, in every
//! order.

mod orders;

use std::mem::MaybeUninit;
use std::path::PathBuf;

use loom::sync::Arc;
use loom::thread;
use orders::in_every_order;
use staplegun_proof::map::{Reader, Writer, WriterLock, home, with_memory};
use staplegun_proof::slots::Miss;

const SIZE: usize = 1024;
const NOW: i64 = 1 << 40;

/// A directory of this test's own; its map is made anew in each execution.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("staplegun-proof.{}.{name}", std::process::id()));
        std::fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    fn map(&self) -> PathBuf {
        self.0.join("map")
    }

    fn writer(&self) -> Writer {
        let lock = WriterLock::try_take(&self.map()).expect("nobody else writes");
        Writer::open(&self.map(), SIZE, lock).expect("a map")
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.map(), SIZE).expect("the map")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The key of that number. All of them begin their probe at the same bucket.
fn key(number: u8) -> [u8; 32] {
    let keys = (1..=u8::MAX).map(|byte| [byte; 32]);
    let mut alike = keys.filter(|key| home(key) == home(&[1; 32]));
    alike.nth(number.into()).expect("an eighth of them")
}

/// A response for a key, in which everything tells both, of one word or of two.
fn response(number: u8, version: u8, words: usize) -> Vec<u8> {
    [number, version, 1, 1, 1, 1, 1, 1].repeat(words)
}

fn put(writer: &mut Writer, number: u8, version: u8, words: usize) {
    let der = response(number, version, words);
    writer
        .put(&key(number), &der, 0, i64::MAX)
        .expect("there is room");
}

fn read(reader: &Reader, number: u8) -> Result<Vec<u8>, Miss> {
    let buffer = |length| Some(vec![MaybeUninit::new(0); length]);
    let copied = reader.read(&key(number), NOW, buffer)?;
    let bytes = copied.buffer.into_iter();
    // SAFETY: the buffer was initialised when it was made.
    Ok(bytes.map(|byte| unsafe { byte.assume_init() }).collect())
}

/// One execution: a map is `made`, and then `change`d while another process looks, of whose
/// result `allowed` judges; after the change, of what a look gives then, `after` does.
fn beside_a_reader(
    name: &str,
    bound: Option<usize>,
    number: u8,
    made: fn(&mut Writer),
    change: fn(&mut Writer),
    allowed: fn(&Result<Vec<u8>, Miss>) -> bool,
    after: fn(&Result<Vec<u8>, Miss>) -> bool,
) {
    let scratch = std::sync::Arc::new(Scratch::new(name));
    in_every_order(bound, move || {
        let _ = std::fs::remove_file(scratch.map());
        with_memory(SIZE, || {
            let mut writer = scratch.writer();
            made(&mut writer);
            let reader = Arc::new(scratch.reader());
            let shared = reader.clone();
            let looks = thread::spawn(move || {
                let found = read(&shared, number);
                assert!(allowed(&found), "{found:?}");
            });
            change(&mut writer);
            looks.join().expect("the reader ends");
            let found = read(&reader, number);
            assert!(after(&found), "after: {found:?}");
        });
    });
}

fn is(found: &Result<Vec<u8>, Miss>, allowed: &[Result<Vec<u8>, Miss>]) -> bool {
    // As said in slots.rs, what only the checksum would have told does not count.
    *found == Err(Miss::Torn) || allowed.contains(found)
}

#[test]
fn a_first_response_is_absent_or_whole_also_where_the_map_grows_for_it() {
    beside_a_reader(
        "first",
        None,
        2,
        |writer| put(writer, 1, 1, 1),
        |writer| put(writer, 2, 1, 1),
        |found| is(found, &[Err(Miss::Absent), Ok(response(2, 1, 1))]),
        |found| *found == Ok(response(2, 1, 1)),
    );
}

#[test]
fn a_response_that_outgrows_its_record_is_never_missed() {
    beside_a_reader(
        "outgrown",
        None,
        1,
        |writer| put(writer, 1, 1, 1),
        |writer| put(writer, 1, 2, 2),
        |found| is(found, &[Ok(response(1, 1, 1)), Ok(response(1, 2, 2))]),
        |found| *found == Ok(response(1, 2, 2)),
    );
}

#[test]
fn a_place_that_becomes_another_keys_gives_nobody_the_others_response() {
    beside_a_reader(
        "reused",
        Some(3),
        1,
        |writer| put(writer, 1, 1, 1),
        |writer| {
            writer.remove(&key(1));
            put(writer, 2, 1, 1);
        },
        |found| is(found, &[Ok(response(1, 1, 1)), Err(Miss::Absent)]),
        |found| *found == Err(Miss::Absent),
    );
}

#[test]
fn who_comes_into_a_place_that_was_anothers_is_absent_or_whole() {
    beside_a_reader(
        "reused-by",
        Some(3),
        2,
        |writer| put(writer, 1, 1, 1),
        |writer| {
            writer.remove(&key(1));
            put(writer, 2, 1, 1);
        },
        |found| is(found, &[Ok(response(2, 1, 1)), Err(Miss::Absent)]),
        |found| *found == Ok(response(2, 1, 1)),
    );
}

#[test]
fn a_removal_hides_no_key_that_stands_behind() {
    beside_a_reader(
        "behind",
        None,
        2,
        |writer| {
            put(writer, 1, 1, 1);
            put(writer, 2, 1, 1);
        },
        |writer| {
            writer.remove(&key(1));
        },
        |found| is(found, &[Ok(response(2, 1, 1))]),
        |found| *found == Ok(response(2, 1, 1)),
    );
}

#[test]
fn what_is_withdrawn_is_served_or_withdrawn() {
    beside_a_reader(
        "withdrawn",
        None,
        1,
        |writer| put(writer, 1, 1, 1),
        |writer| writer.withdraw(&key(1)).expect("it is there"),
        |found| is(found, &[Ok(response(1, 1, 1)), Err(Miss::Withdrawn)]),
        |found| *found == Err(Miss::Withdrawn),
    );
}

#[test]
fn an_agent_that_takes_over_disturbs_nobody() {
    let scratch = std::sync::Arc::new(Scratch::new("taken-over"));
    in_every_order(None, move || {
        let _ = std::fs::remove_file(scratch.map());
        with_memory(SIZE, || {
            let mut first = scratch.writer();
            put(&mut first, 1, 1, 1);
            drop(first);
            let reader = Arc::new(scratch.reader());
            let shared = reader.clone();
            let looks = thread::spawn(move || {
                let found = read(&shared, 1);
                assert!(
                    is(&found, &[Ok(response(1, 1, 1)), Ok(response(1, 2, 1))]),
                    "{found:?}"
                );
            });
            let mut second = scratch.writer();
            assert_eq!((second.opened().kept, second.opened().dropped), (1, 0));
            put(&mut second, 1, 2, 1);
            looks.join().expect("the reader ends");
            assert_eq!(read(&reader, 1), Ok(response(1, 2, 1)));
        });
    });
}
