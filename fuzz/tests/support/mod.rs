//! Replays a corpus, and a bounded number of mutations of it that are the same in
//! each run: the part of fuzzing that every test run can afford.

use std::path::Path;
use std::time::{Duration, Instant};

/// A target by its name, which is also that of its directory in the corpus.
pub type Target = (&'static str, fn(&[u8]));

/// xorshift64*: good enough to pick places, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % limit.max(1)
    }
}

/// One small change, as libFuzzer makes them.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let count = 1 + random.below(8);
    let end = (at + count).min(bytes.len());
    match random.below(7) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        3 => {
            let new: Vec<u8> = (0..count).map(|_| random.next().to_le_bytes()[7]).collect();
            bytes.splice(at..end, new);
        }
        4 => {
            let from = random.below(other.len() + 1);
            let to = (from + 8 * count).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        5 => {
            for byte in &mut bytes[at..end] {
                *byte = [0, 1, 0x7f, 0x80, 0xff][random.below(5)];
            }
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
    }
}

/// The inputs in the corpus of a target, in the order of their names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let entries = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("it is listed").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", directory.display());
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("it can be read"))
        .collect()
}

/// Runs each target on its corpus and then on mutations, until `each` has passed
/// or `most` were run. Ends the process at the first panic, also at one that the
/// code under test would have caught, and says with which input.
pub fn replay(targets: &[Target], each: Duration, most: usize) {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        usual(info);
        CURRENT.with_borrow(|(target, input)| {
            eprintln!("the target {target} failed; its input in hexadecimal:");
            let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("{hex}");
        });
        std::process::abort();
    }));
    for (target, run) in targets {
        let seeds = corpus(target);
        let mut random = Random(0x5eed_5eed_5eed_5eed);
        let started = Instant::now();
        let mut count = 0;
        let mut one = |input: Vec<u8>| {
            CURRENT.set((target, input.clone()));
            run(&input);
            count += 1;
        };
        seeds.iter().cloned().for_each(&mut one);
        for _ in 0..most {
            if started.elapsed() > each {
                break;
            }
            let mut input = seeds[random.below(seeds.len())].clone();
            let other = &seeds[random.below(seeds.len())];
            for _ in 0..=random.below(5) {
                mutate(&mut input, other, &mut random);
            }
            one(input);
        }
        println!(
            "{target}: {count} inputs in {} ms",
            started.elapsed().as_millis()
        );
    }
}

thread_local! {
    static CURRENT: std::cell::RefCell<(&'static str, Vec<u8>)> =
        const { std::cell::RefCell::new(("", Vec::new())) };
}
