//! Readers in eight processes against a writer that never rests, and against one
//! whose map is damaged all the time.
#![cfg(feature = "agent")]

mod support;

use staplegun_store::map::{Reader, Writer, WriterLock};
use staplegun_store::slots::Miss;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Child;
use support::{Noise, SIZE, Scratch, buffer, bytes, child, heavy, key, response, role};

const PROCESSES: usize = 8;
/// Keys that always have a response, and keys that come and go.
const STEADY: u64 = 16;
const KEYS: u64 = 32;
const NOW: i64 = 1 << 40;

fn length(version: u64) -> usize {
    1 + (version.wrapping_mul(131) % 700) as usize
}

/// The version of a response is its thisUpdate.
fn put(writer: &mut Writer, number: u64, version: u64) {
    let der = response(number, version, length(version));
    writer
        .put(&key(number), &der, version as i64, i64::MAX)
        .unwrap();
}

fn open(map: &Path) -> Writer {
    Writer::open(map, SIZE, WriterLock::try_take(map).unwrap()).unwrap()
}

/// One verified read: the version.
fn read(reader: &Reader, number: u64) -> Result<u64, Miss> {
    let copied = reader.read(&key(number), NOW, buffer)?;
    let version = copied.this_update as u64;
    assert_eq!(
        bytes(copied),
        response(number, version, length(version)),
        "version {version}"
    );
    Ok(version)
}

/// One test at a time: a child just forked for the other one would hold this one's
/// lock on the map until it executes the test program.
fn alone() -> impl Drop {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn start(test: &str, map: &Path) -> Vec<Child> {
    (0..PROCESSES)
        .map(|_| child(test, map).spawn().unwrap())
        .collect()
}

/// True once all have ended; panics if one has failed.
fn ended(children: &mut Vec<Child>) -> bool {
    children.retain_mut(|child| match child.try_wait().unwrap() {
        Some(status) => {
            assert!(status.success(), "a reader failed: {status}");
            false
        }
        None => true,
    });
    children.is_empty()
}

#[test]
fn no_reader_sees_a_torn_an_older_or_no_response() {
    if let Some(map) = role() {
        let reader = Reader::open(&map, SIZE).unwrap();
        let mut noise = Noise(u64::from(std::process::id()));
        let mut newest = [0; KEYS as usize];
        let mut good = 0;
        while good < heavy(40_000) {
            let number = noise.below(KEYS);
            match read(&reader, number) {
                Ok(version) => {
                    let newest = &mut newest[number as usize];
                    assert!(version >= *newest, "{version} after {newest}");
                    *newest = version;
                    good += 1;
                }
                Err(Miss::Torn) => assert!(map.exists(), "the test has failed"),
                Err(Miss::Absent | Miss::Withdrawn) if number >= STEADY => {}
                Err(miss) => panic!("{miss:?} for key {number}"),
            }
        }
        return;
    }
    let _alone = alone();
    let scratch = Scratch::new();
    let mut writer = open(&scratch.map());
    for number in 0..STEADY {
        put(&mut writer, number, 1);
    }
    let mut children = start(
        "no_reader_sees_a_torn_an_older_or_no_response",
        &scratch.map(),
    );
    let mut noise = Noise(1);
    for version in 2.. {
        let number = noise.below(KEYS);
        match noise.below(8) {
            0 if number >= STEADY => writer.withdraw(&key(number)).unwrap(),
            1 if number >= STEADY => drop(writer.remove(&key(number))),
            _ => put(&mut writer, number, version),
        }
        // The map is found again as it was left, readers and all.
        if version % 100_000 == 0 {
            drop(writer);
            writer = open(&scratch.map());
            assert_eq!(writer.opened().dropped, 0);
        }
        if version % 1024 == 0 && ended(&mut children) {
            break;
        }
    }
}

/// One random fault somewhere in the first `extent` bytes.
fn damage(file: &std::fs::File, noise: &mut Noise, extent: u64) {
    let at = match noise.below(4) {
        0 => noise.below(64),
        1 => 4096 + noise.below(extent / 64),
        _ => noise.below(extent),
    };
    let mut bytes = vec![0; 1 << noise.below(8)];
    match noise.below(4) {
        0 => {}
        1 => bytes.fill_with(|| noise.next() as u8),
        2 => {
            // What stands elsewhere: a bucket, a record's head, a checksum.
            file.read_at(&mut bytes, noise.below(extent / 8) * 8)
                .unwrap();
        }
        _ => {
            file.read_at(&mut bytes, at).unwrap();
            let bit = noise.below(8 * bytes.len() as u64) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
    file.write_all_at(&bytes, at.min(extent - bytes.len() as u64))
        .unwrap();
}

#[test]
fn a_damaged_map_gives_intact_responses_or_none_and_is_mended() {
    if let Some(map) = role() {
        let reader = Reader::open(&map, SIZE).unwrap();
        let mut noise = Noise(u64::from(std::process::id()));
        let stop = map.with_file_name("stop");
        for round in 0_u64.. {
            // Every kind of miss may come; a wrong response may not.
            let _ = read(&reader, noise.below(KEYS));
            if round % 256 == 0 {
                assert!(reader.entries().count() < SIZE);
                let _ = Reader::open(&map, SIZE).map(|reader| read(&reader, 0));
                if stop.exists() {
                    break;
                }
                assert!(map.exists(), "the test has failed");
            }
        }
        // A new writer has put everything right: the old mapping shows it.
        for number in 0..KEYS {
            read(&reader, number).unwrap();
        }
        return;
    }
    let _alone = alone();
    let scratch = Scratch::new();
    let map = scratch.map();
    let mut writer = open(&map);
    for number in 0..KEYS {
        put(&mut writer, number, 1);
    }
    let test = "a_damaged_map_gives_intact_responses_or_none_and_is_mended";
    let mut children = start(test, &map);
    let early = Reader::open(&map, SIZE).unwrap();
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&map)
        .unwrap();
    let mut noise = Noise(2);
    let mut dropped = 0;
    for round in 2..heavy(4_000) {
        damage(&file, &mut noise, writer.allocated() as u64);
        let number = noise.below(KEYS);
        put(&mut writer, number, round);
        let _ = read(&early, number);
        if round % 100 == 0 {
            drop(writer);
            writer = open(&map);
            dropped += writer.opened().dropped;
            for number in 0..KEYS {
                put(&mut writer, number, round);
                assert_eq!(
                    read(&early, number),
                    Ok(round),
                    "round {round}, key {number}"
                );
            }
        }
        if children
            .iter_mut()
            .any(|child| child.try_wait().unwrap().is_some())
        {
            break;
        }
    }
    assert!(dropped > 0);
    drop(writer);
    let mut writer = open(&map);
    for number in 0..KEYS {
        put(&mut writer, number, 1 << 30);
    }
    std::fs::write(map.with_file_name("stop"), "").unwrap();
    for mut child in children.drain(..) {
        assert!(child.wait().unwrap().success(), "a reader failed");
    }
}
