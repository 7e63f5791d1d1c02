//! All leaves of the process, found by the SHA-256 of their certificate.
//!
//! Handshakes only read. A load adds a leaf, by claims that nobody waits for; a leaf that
//! no context uses any more gives its place to another one. The memory is never freed, so
//! that a handshake may hold a leaf for as long as it likes.

use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};

use once_cell::race::OnceBox;
use staplegun_store::Key;

use crate::host::memory::{try_box, try_vec};
use crate::host::process::Origin;
use crate::log;

use super::leaf::{Leaf, Work};

/// How many leaves each part of the table has room for. A part is made when those before
/// it have no place for a leaf.
const SIZES: [usize; 6] = [16, 64, 256, 1024, 4096, 16_384];

/// Before this part is made or searched, leaves that no context uses make room.
const MAKES_ROOM_FROM: usize = 4;

/// A leaf stands in one of so many places of a part, from its home on.
const WINDOW: usize = 16;

/// The parts of the table.
static PARTS: [OnceBox<Vec<Leaf>>; SIZES.len()] = [const { OnceBox::new() }; SIZES.len()];

/// The leaf `key`, if it is known.
pub fn find(key: &Key) -> Option<&'static Leaf> {
    let parts = PARTS.iter().map_while(OnceBox::get);
    let mut places = parts.flat_map(|part| window(part, key));
    places.find(|leaf| leaf.is(key))
}

/// A leaf that a load is about.
pub struct Loaded {
    /// The leaf.
    pub leaf: &'static Leaf,
    /// What is to be found out about it: no other thread has it.
    pub work: MutexGuard<'static, Work>,
    /// Whether it was not known before.
    pub new: bool,
}

/// The leaf `key`, which the process `origin` loads. One that another thread is at work on
/// gets a second place, since nobody waits. None, with a line in the log, if there is no
/// place for it.
pub fn load(key: &Key, origin: Origin) -> Option<Loaded> {
    let parts = PARTS.iter().map_while(OnceBox::get);
    let mut known = parts.flat_map(|part| window(part, key));
    let known = known.find_map(|leaf| {
        let work = leaf.work(key)?;
        let new = false;
        Some(Loaded { leaf, work, new })
    });
    known.or_else(|| add(key, origin))
}

/// Adds the leaf `key`, loaded by the process `origin`.
pub fn add(key: &Key, origin: Origin) -> Option<Loaded> {
    for (number, (part, &size)) in PARTS.iter().zip(&SIZES).enumerate() {
        // A program that makes a certificate for each connection is not to fill it all.
        if number == MAKES_ROOM_FROM
            && let Some(added) = in_place_of_another(key, origin)
        {
            return Some(added);
        }
        let Ok(part) = part.get_or_try_init(|| new_part(size).and_then(try_box).ok_or(())) else {
            break;
        };
        let mut places = window(part, key).filter(|leaf| leaf.is_new());
        let added = places.find_map(|leaf| become_leaf(leaf, key, origin));
        if added.is_some() {
            return added;
        }
    }
    in_place_of_another(key, origin).or_else(|| {
        static SAID: AtomicBool = AtomicBool::new(false);
        if !SAID.swap(true, Ordering::Relaxed) {
            log::warning!(
                "there is no place for more certificates: further ones are stapled from the \
                 live map only, and are hashed in each handshake"
            );
        }
        None
    })
}

/// In the place of a leaf that no context uses.
fn in_place_of_another(key: &Key, origin: Origin) -> Option<Loaded> {
    let parts = PARTS.iter().map_while(OnceBox::get);
    let places = parts.flat_map(|part| window(part, key));
    let mut unused = places.filter(|leaf| leaf.is_idle());
    unused.find_map(|leaf| become_leaf(leaf, key, origin))
}

fn become_leaf(leaf: &'static Leaf, key: &Key, origin: Origin) -> Option<Loaded> {
    let work = leaf.become_leaf(key, origin)?;
    let new = true;
    Some(Loaded { leaf, work, new })
}

/// The places of a part in which a leaf may stand.
fn window(part: &'static [Leaf], key: &Key) -> impl Iterator<Item = &'static Leaf> {
    let (word, _) = key.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    let home = u64::from_ne_bytes(*word) as usize;
    // The sizes are powers of two.
    let mask = part.len().wrapping_sub(1);
    (0..WINDOW).filter_map(move |step| part.get(home.wrapping_add(step) & mask))
}

/// Makes a part of so many places, empty ones. None for want of memory.
fn new_part(size: usize) -> Option<Vec<Leaf>> {
    let mut places = try_vec(size)?;
    places.resize_with(size, Leaf::default);
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        let mut key = [7; 32];
        // Not in the first word alone, so that many share a home.
        key[..4].copy_from_slice(&(number % 251).to_ne_bytes());
        key[16..20].copy_from_slice(&number.to_ne_bytes());
        key
    }

    fn load(number: u32) -> Option<(&'static Leaf, bool)> {
        super::load(&key(number), Origin::NOWHERE).map(|loaded| (loaded.leaf, loaded.new))
    }

    /// One test, since the table is one for the process.
    #[test]
    fn a_leaf_is_one_thing_and_gives_its_place_only_when_nobody_uses_it() {
        let (used, new) = load(0).expect("a place");
        assert!(new && used.is(&key(0)) && used.begin_use(&key(0)));
        let (again, new) = load(0).expect("the same place");
        assert!(std::ptr::eq(used, again) && !new);

        // So many that the unused ones must make room.
        for number in 1..60_000 {
            if let Some((leaf, true)) = load(number) {
                assert!(leaf.is(&key(number)));
                assert!(leaf.work(&key(number)).is_some() && leaf.work(&key(0)).is_none());
            }
        }
        assert!(used.is(&key(0)) && std::ptr::eq(find(&key(0)).expect("it is used"), used));
        assert!(find(&key(1)).is_none(), "an unused leaf kept its place");
        assert!(!used.begin_use(&key(1)));

        // Another thread is at work on it: who loads it now gets a place of its own, and
        // the next one that same place.
        let busy = used.work(&key(0)).expect("nobody is at work on it");
        let (second, new) = load(0).expect("a second place");
        assert!(new && !std::ptr::eq(second, used));
        assert!(std::ptr::eq(load(0).expect("it is not busy").0, second));
        drop(busy);

        used.end_use();
        for number in 60_000..120_000 {
            load(number);
        }
        assert!(
            find(&key(0)).is_none(),
            "a leaf that nobody uses kept its place"
        );
        assert!(used.work(&key(0)).is_none() && !used.begin_use(&key(0)));

        // There is an end to it, where all are in use.
        let places: usize = SIZES.iter().sum();
        let in_use = (120_000..180_000)
            .filter_map(|number| load(number)?.0.begin_use(&key(number)).then_some(()))
            .count();
        assert!((1..=places).contains(&in_use));
        assert!((180_000..190_000).all(|number| load(number).is_none()));
    }
}
