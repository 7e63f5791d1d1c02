//! Lookups in a live map of any size, for counting instructions.
//!
//!     lookup fill DIRECTORY CERTIFICATES
//!     lookup read DIRECTORY CERTIFICATES COUNT
//!
//! `fill` makes the map of a store with so many responses and prints how many
//! milliseconds that took and how many bytes are allocated. `read` opens it as a
//! host process does, looks up COUNT leaves spread over all and copies their
//! responses; it prints how many KiB of the map are in the process's memory after
//! opening and at the end.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs;
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::Instant;

use staplegun_store::Key;
use staplegun_store::layout::Layout;
use staplegun_store::map::{Reader, Writer, WriterLock};

/// The length of a response about one certificate, signed with P-256 and without
/// the signer's certificate.
const RESPONSE: [u8; 300] = [0x30; 300];
const NOW: i64 = 1_800_000_000;
const MIB: usize = 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["fill", directory, certificates] => fill(&map(directory), certificates.parse()?),
        ["read", directory, certificates, count] => {
            read(&map(directory), certificates.parse()?, count.parse()?)
        }
        _ => Err(
            "usage: lookup fill DIRECTORY CERTIFICATES | read DIRECTORY CERTIFICATES COUNT".into(),
        ),
    }
}

fn map(directory: &str) -> std::path::PathBuf {
    Layout::at(Path::new(directory)).map()
}

fn fill(map: &Path, certificates: u64) -> Result<(), Box<dyn Error>> {
    let size = if certificates > 10_000 {
        512 * MIB
    } else {
        16 * MIB
    };
    let start = Instant::now();
    let mut writer = Writer::open(map, size, WriterLock::try_take(map)?)?;
    for number in 0..certificates {
        writer.put(&key(number), &RESPONSE, NOW - 60, NOW + 60)?;
    }
    println!("{} {}", start.elapsed().as_millis(), writer.allocated());
    Ok(())
}

fn read(map: &Path, certificates: u64, count: u64) -> Result<(), Box<dyn Error>> {
    let reader = Reader::open(map, 512 * MIB)?;
    let opened = resident(map)?;
    let space = |length| (length <= RESPONSE.len()).then_some([MaybeUninit::uninit(); 304]);
    for number in 0..count {
        // A step that shares no factor with the number of certificates.
        let key = key(number * 7_919 % certificates);
        reader
            .read(&key, NOW, space)
            .map_err(|miss| format!("certificate {number}: {miss:?}"))?;
    }
    println!("{opened} {}", resident(map)?);
    Ok(())
}

/// Different for each number, and as evenly spread as a SHA-256 is.
fn key(number: u64) -> Key {
    let mut key = [0; 32];
    for (word, bytes) in (0_u64..).zip(key.chunks_exact_mut(8)) {
        // The finaliser of SplitMix64.
        let mut mixed = (number * 4 + word + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.copy_from_slice(&(mixed ^ mixed >> 31).to_le_bytes());
    }
    key
}

/// How many KiB of the map this process has touched.
fn resident(map: &Path) -> Result<u64, Box<dyn Error>> {
    let name = map.to_str().ok_or("the path is not UTF-8")?;
    let maps = fs::read_to_string("/proc/self/smaps")?;
    let lines = maps.lines().skip_while(|line| !line.ends_with(name));
    let line = lines.into_iter().find(|line| line.starts_with("Rss:"));
    let size = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(size.ok_or("the map is not mapped")?.parse()?)
}
