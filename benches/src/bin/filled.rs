//! When an agent that was just started has filled its live map.
//!
//!     filled DIRECTORY COUNT
//!
//! Looks into the map of the store DIRECTORY, which need not be there yet, until COUNT
//! responses may be stapled. Prints when the first one was seen, and all of them, in
//! nanoseconds since 1970.
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use staplegun_store::layout::Layout;
use staplegun_store::map::Reader;
use staplegun_store::slots::State;

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Between two looks: a look at a map of many takes long itself.
const UNTIL_FIRST: Duration = Duration::from_millis(2);
const UNTIL_ALL: Duration = Duration::from_millis(50);

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [directory, count] = words.as_slice() else {
        return Err("usage: filled DIRECTORY COUNT".into());
    };
    let map = Layout::at(Path::new(directory)).map();
    let (count, deadline): (usize, _) = (count.parse()?, Instant::now() + LIMIT);
    let mut reader = None;
    let mut first = None;
    loop {
        reader = reader.or_else(|| Reader::open(&map, 1 << 30).ok());
        let good = reader.iter().flat_map(Reader::entries).filter(|entry| {
            let summary = entry.summary.as_ref();
            summary.is_some_and(|summary| summary.state == State::Good)
        });
        let wanted = if first.is_none() { 1 } else { count };
        if good.take(wanted).count() == wanted {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
            match first {
                None => first = Some(now),
                Some(first) => {
                    println!("{first} {now}");
                    return Ok(());
                }
            }
        }
        if Instant::now() > deadline {
            return Err("the map is not filled".into());
        }
        std::thread::sleep(match first {
            None => UNTIL_FIRST,
            Some(_) => UNTIL_ALL,
        });
    }
}
