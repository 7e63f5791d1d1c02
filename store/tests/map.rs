//! The map as one process sees it: what is found, how it grows, what is no map.
#![cfg(feature = "agent")]

mod support;

use staplegun_store::map::format::{MAX_SIZE, MIN_SIZE};
use staplegun_store::map::{Reader, Writer, WriterLock};
use staplegun_store::slots::{MAX_RESPONSE, Miss, State};
use std::fs;
use std::path::Path;
use support::{NOW, SIZE, Scratch, buffer, bytes, key, response};

fn open(map: &Path) -> Writer {
    open_sized(map, SIZE)
}

fn open_sized(map: &Path, size: usize) -> Writer {
    Writer::open(map, size, WriterLock::try_take(map).unwrap()).unwrap()
}

fn put(writer: &mut Writer, number: u64, version: u64, length: usize) {
    let der = response(number, version, length);
    writer.put(&key(number), &der, NOW, NOW + 10).unwrap();
}

fn read(reader: &Reader, number: u64) -> Result<Vec<u8>, Miss> {
    reader.read(&key(number), NOW, buffer).map(bytes)
}

#[test]
fn how_full_it_is_follows_what_is_in_it() {
    let scratch = Scratch::new();
    let mut writer = open(&scratch.map());
    let empty = writer.fill();
    assert_eq!(empty.entries, 0);
    assert!(empty.used > 8 * empty.buckets, "{empty:?}");
    for number in 0..10 {
        put(&mut writer, number, 1, 1_000);
    }
    let ten = writer.fill();
    assert_eq!(ten.entries, 10);
    // Two responses fit into a record.
    assert!(
        (20_000..30_000).contains(&(ten.used - empty.used)),
        "{ten:?}"
    );
    drop(writer);
    let mut writer = open(&scratch.map());
    assert_eq!(writer.fill(), ten, "what an earlier writer left");
    assert!((0..10).all(|number| writer.remove(&key(number))));
    assert_eq!(writer.fill(), empty, "what is free is not in use");
}

#[test]
fn each_miss_has_its_reason() {
    let scratch = Scratch::new();
    let mut writer = open(&scratch.map());
    put(&mut writer, 1, 1, 300);
    put(&mut writer, 2, 1, 300);
    writer.withdraw(&key(2)).unwrap();
    writer.withdraw(&key(3)).unwrap();
    let reader = Reader::open(&scratch.map(), SIZE).unwrap();
    let at = |number, now| reader.lookup(&key(number), now).map(|found| found.len());
    assert_eq!(at(0, NOW), Err(Miss::Absent));
    assert_eq!(at(1, NOW), Ok(300));
    assert_eq!(at(1, NOW + 11), Err(Miss::Expired));
    assert_eq!(at(1, NOW - 1000), Err(Miss::NotYetValid));
    assert_eq!(at(2, NOW), Err(Miss::Withdrawn));
    assert_eq!(
        at(3, NOW),
        Err(Miss::Withdrawn),
        "a key that never had a response"
    );
    assert!(writer.remove(&key(1)));
    assert!(!writer.remove(&key(1)));
    assert_eq!(at(1, NOW), Err(Miss::Absent));
    // Longer than what it replaces: another record takes its place.
    let revoked = response(2, 2, 3000);
    writer.revoke(&key(2), &revoked, NOW, NOW + 10).unwrap();
    assert_eq!(at(2, NOW), Ok(3000));
    assert_eq!(at(2, NOW + 11), Err(Miss::Withdrawn));
    drop(writer);
    drop(open(&scratch.map()));
    assert_eq!(at(2, NOW + 11), Err(Miss::Withdrawn), "after a restart");
}

#[test]
fn a_mapping_made_before_sees_growth_and_restarts() {
    let scratch = Scratch::new();
    let map = scratch.map();
    let mut writer = open(&map);
    let before = writer.allocated();
    let reader = Reader::open(&map, SIZE).unwrap();
    for number in 0..1000 {
        put(&mut writer, number, 1, 1500);
        assert_eq!(read(&reader, number), Ok(response(number, 1, 1500)));
        if number == 500 {
            drop(writer);
            // Another size asked for changes nothing.
            writer = open_sized(&map, 2 * SIZE);
            assert_eq!((writer.opened().kept, writer.size()), (501, SIZE));
        }
    }
    assert!(writer.allocated() > before);
    assert_eq!(fs::metadata(&map).unwrap().len(), SIZE as u64);
}

#[test]
fn a_full_map_says_so_and_keeps_what_it_has() {
    let scratch = Scratch::new();
    let mut writer = open_sized(&scratch.map(), MIN_SIZE);
    let reader = Reader::open(&scratch.map(), SIZE).unwrap();
    let der = response(0, 0, MAX_RESPONSE);
    writer.put(&key(0), &der, NOW, NOW).unwrap();
    let error = writer.put(&key(1), &der, NOW, NOW).unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!(read(&reader, 0), Ok(der.clone()));
    // What was removed makes room.
    assert!(writer.remove(&key(0)));
    writer.put(&key(1), &der, NOW, NOW).unwrap();
    assert_eq!(read(&reader, 1), Ok(der));
    assert!(writer.put(&key(2), &[], NOW, NOW).is_err());
    assert!(
        writer
            .put(&key(2), &vec![0; MAX_RESPONSE + 1], NOW, NOW)
            .is_err()
    );
}

#[test]
fn removals_and_growing_responses_do_not_use_up_the_map() {
    let scratch = Scratch::new();
    let mut writer = open(&scratch.map());
    let reader = Reader::open(&scratch.map(), SIZE).unwrap();
    for round in 0..20_000 {
        let length = [100, 1500, 700][round as usize % 3];
        put(&mut writer, round, round, length);
        put(&mut writer, 1 << 40, round, length);
        assert_eq!(read(&reader, round), Ok(response(round, round, length)));
        assert!(writer.remove(&key(round)));
    }
    assert!(writer.allocated() < SIZE / 4, "{}", writer.allocated());
    assert_eq!(writer.entries().count(), 1);
}

#[test]
fn a_hundred_thousand_certificates() {
    let scratch = Scratch::new();
    let size = 128 * 1024 * 1024;
    let mut writer = open_sized(&scratch.map(), size);
    let reader = Reader::open(&scratch.map(), size).unwrap();
    for number in 0..100_000 {
        put(&mut writer, number, 1, 60);
    }
    for number in 0..100_000 {
        assert_eq!(read(&reader, number), Ok(response(number, 1, 60)));
    }
    assert_eq!(read(&reader, 100_000), Err(Miss::Absent));
    assert_eq!(reader.entries().count(), 100_000);
    // 2.5 × 60 + 512 bytes each, and the index.
    assert!(writer.allocated() <= 100_000 * 662 + size / 64 + 512 * 1024);
}

#[test]
fn entries_show_what_there_is() {
    let scratch = Scratch::new();
    let mut writer = open(&scratch.map());
    put(&mut writer, 1, 1, 300);
    writer.withdraw(&key(2)).unwrap();
    let reader = Reader::open(&scratch.map(), SIZE).unwrap();
    let mut states: Vec<_> = reader
        .entries()
        .map(|entry| (entry.key == key(1), entry.summary.unwrap().state))
        .collect();
    states.sort_by_key(|(first, _)| !first);
    assert_eq!(states, [(true, State::Good), (false, State::Withdrawn)]);
}

#[test]
fn one_writer_at_a_time() {
    let scratch = Scratch::new();
    let map = scratch.map();
    let lock = WriterLock::try_take(&map).unwrap();
    assert!(WriterLock::try_take(&map).unwrap_err().is_busy());
    drop(lock);
    WriterLock::try_take(&map).unwrap();
}

#[test]
fn the_lock_is_given_up_though_a_child_lives_that_was_forked_meanwhile() {
    let scratch = Scratch::new();
    let map = scratch.map();
    let lock = WriterLock::try_take(&map).unwrap();
    // SAFETY: the child does nothing but system calls.
    let child = match unsafe { libc::fork() } {
        0 => loop {
            // SAFETY: it has no preconditions.
            unsafe { libc::pause() };
        },
        child => child,
    };
    drop(lock);
    let again = WriterLock::try_take(&map);
    // SAFETY: the child is ours; no status is asked for.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    again.unwrap();
}

#[test]
fn without_its_descriptor_the_writer_still_grows_the_map() {
    let scratch = Scratch::new();
    let mut writer = open(&scratch.map());
    let reader = Reader::open(&scratch.map(), SIZE).unwrap();
    let before = writer.allocated();
    writer.close_descriptor().unwrap();
    let target = scratch.map();
    let held = fs::read_dir("/proc/self/fd")
        .unwrap()
        .any(|entry| fs::read_link(entry.unwrap().path()).is_ok_and(|path| path == target));
    assert!(!held, "the map is still open");
    for number in 0..200 {
        put(&mut writer, number, 1, 1500);
    }
    assert!(writer.allocated() > before);
    assert_eq!(read(&reader, 199), Ok(response(199, 1, 1500)));
}

#[test]
fn garbage_and_other_files_are_no_map() {
    let scratch = Scratch::new();
    let map = scratch.map();
    let refused = |bytes: &[u8]| {
        fs::write(&map, bytes).unwrap();
        Reader::open(&map, SIZE).unwrap_err().to_string()
    };
    assert!(refused(b"").contains("size"));
    assert!(refused(b"PNG").contains("size"));
    assert!(refused(&vec![0; MIN_SIZE]).contains("magic"));
    assert!(refused(&vec![0xff; MIN_SIZE]).contains("magic"));
    // A writer does not write over a file that cannot be a map either.
    fs::write(&map, b"PNG").unwrap();
    let lock = WriterLock::try_take(&map).unwrap();
    assert!(
        Writer::open(&map, SIZE, lock)
            .unwrap_err()
            .to_string()
            .contains("size")
    );
    // An empty one becomes a map.
    fs::write(&map, b"").unwrap();
    assert!(open(&map).opened().created);
    Reader::open(&map, SIZE).unwrap();
    let error = Reader::open(&map, SIZE - 1).unwrap_err().to_string();
    assert!(error.contains("limit"), "{error}");
    let lock = WriterLock::try_take(&scratch.path().join("other")).unwrap();
    assert!(Writer::open(&scratch.path().join("other"), MAX_SIZE + 4096, lock).is_err());
}

#[test]
fn every_flipped_bit_of_the_header_is_noticed_or_harmless_and_mended() {
    use std::os::unix::fs::FileExt;
    let scratch = Scratch::new();
    let map = scratch.map();
    let mut writer = open(&map);
    put(&mut writer, 1, 1, 300);
    drop(writer);
    let reader = Reader::open(&map, SIZE).unwrap();
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(&map)
        .unwrap();
    for bit in 0..56 * 8 {
        let mut byte = [0];
        file.read_exact_at(&mut byte, bit / 8).unwrap();
        file.write_all_at(&[byte[0] ^ 1 << (bit % 8)], bit / 8)
            .unwrap();
        assert_eq!(read(&reader, 1), Ok(response(1, 1, 300)), "bit {bit}");
        assert!(Reader::open(&map, SIZE).is_err(), "bit {bit}");
        let writer = open(&map);
        assert_eq!((writer.opened().kept, writer.opened().dropped), (1, 0));
        drop(writer);
        let again = Reader::open(&map, SIZE).unwrap();
        assert_eq!(read(&again, 1), Ok(response(1, 1, 300)), "bit {bit}");
    }
}
