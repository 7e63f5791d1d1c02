//! `store`: a damaged live map, read as the library reads it, then opened by the
//! agent's writer.
//!
//! Input: eight bytes for the clock, then changes of a sound map: an offset of
//! three bytes, a count, and that many bytes to put there. The map has 256 KiB and
//! three records; an offset beyond its end cuts the file there.

use std::fs;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::LazyLock;

use staplegun_store::Key;
use staplegun_store::map::format::MIN_SIZE;
use staplegun_store::map::{Reader, Writer, WriterLock};
use staplegun_store::slots::{CLOCK_SKEW, MAX_RESPONSE};

use crate::scratch;
use crate::take::Take;

const THIS_UPDATE: i64 = 1_700_000_000;
const UNTIL: i64 = THIS_UPDATE + 86_400;

/// A sound map, and where the damaged ones are put.
struct Sound {
    path: PathBuf,
    bytes: Vec<u8>,
}

fn key(number: u8) -> Key {
    let mut key = [number; 32];
    key[0] = 7; // One home for all: they are found by probing.
    key
}

static SOUND: LazyLock<Sound> = LazyLock::new(|| {
    let path = scratch::directory("map").join("map");
    let mut writer = open(&path).expect("a new map can be made");
    for number in 1..=3 {
        let response = vec![number; 200 * usize::from(number)];
        let put = writer.put(&key(number), &response, THIS_UPDATE, UNTIL);
        put.expect("there is room");
    }
    writer.withdraw(&key(3)).expect("it is there");
    drop(writer);
    Sound {
        bytes: fs::read(&path).expect("the map can be read"),
        path,
    }
});

fn open(path: &std::path::Path) -> Result<Writer, staplegun_store::map::MapError> {
    Writer::open(path, MIN_SIZE, WriterLock::try_take(path)?)
}

/// A reader takes nothing that is out of its time or too long for a record, and
/// an agent that accepts the file can serve from it.
pub fn run(data: &[u8]) {
    let mut input = Take(data);
    let now = input.time();
    let mut bytes = SOUND.bytes.clone();
    while !input.0.is_empty() {
        let [low, middle, high] = [input.byte(), input.byte(), input.byte()];
        let at = u32::from_le_bytes([low, middle, high, 0]) as usize;
        let count = usize::from(input.byte());
        let change = input.bytes(count);
        if at >= SOUND.bytes.len() {
            bytes.truncate(at - SOUND.bytes.len());
        } else if let Some(place) = bytes.get_mut(at..at + change.len()) {
            place.copy_from_slice(change);
        }
    }
    fs::write(&SOUND.path, &bytes).expect("the map can be written");

    match Reader::open(&SOUND.path, 1 << 30) {
        Ok(reader) => read(&reader, now),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match open(&SOUND.path) {
        Ok(mut writer) => {
            let kept = writer
                .entries()
                .filter(|entry| entry.summary.is_none())
                .count();
            assert_eq!(kept, 0, "the writer keeps what is damaged");
            serve(&mut writer);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn read(reader: &Reader, now: i64) {
    let listed: Vec<Key> = reader.entries().map(|entry| entry.key).collect();
    for key in (0..5).map(key).chain(listed) {
        for now in [now, THIS_UPDATE + 60] {
            let mut asked = 0;
            let read = reader.read(&key, now, |length| {
                asked = length;
                (length <= MAX_SLOT).then(|| vec![MaybeUninit::uninit(); length])
            });
            if let Ok(copied) = read {
                assert!(copied.length == asked && copied.length > 0);
                assert!(now <= copied.until);
                assert!(copied.this_update <= now.saturating_add(CLOCK_SKEW));
            }
        }
    }
}

/// No slot is longer than the map.
const MAX_SLOT: usize = MIN_SIZE;

/// Records come and go until every place was used.
fn serve(writer: &mut Writer) {
    let reader = Reader::open(&SOUND.path, 1 << 30).expect("a reader follows the writer");
    for round in 0..3_u8 {
        for number in 0..5 {
            let key = key(number);
            let response = vec![round; 300 << number];
            assert!(response.len() <= MAX_RESPONSE);
            match writer.put(&key, &response, THIS_UPDATE, UNTIL) {
                Ok(()) => {
                    let buffer = |length| Some(vec![MaybeUninit::new(!round); length]);
                    let copied = reader.read(&key, THIS_UPDATE, buffer);
                    let copied = copied.expect("what was put is read");
                    assert_eq!(copied.length, response.len());
                    for byte in copied.buffer {
                        // SAFETY: every byte of the buffer was given a value above.
                        assert_eq!(unsafe { byte.assume_init() }, round);
                    }
                }
                Err(error) => assert!(error.is_full(), "{error}"),
            }
            if number == round {
                writer.remove(&key);
                assert!(reader.lookup(&key, THIS_UPDATE).is_err());
            }
        }
    }
}
