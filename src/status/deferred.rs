//! What a handshake does about a certificate that no load has shown. The context holds it,
//! so that the next handshake need not hash it. The agent is told when the process makes
//! its next SSL: a handshake puts that down in memory, of which there is little, and waits
//! for nobody.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use staplegun_store::Key;

use crate::config;
use crate::host::library::Library;
use crate::host::memory::try_box;
use crate::host::process::{self, Origin};
use crate::host::route;
use crate::shared::pending::Pending;
use crate::staples::file::Subject;
use crate::staples::leaf::{Leaf, Told};
use crate::staples::{leaves, publish};

use super::context::Context;

/// At most so many certificates are taken in because a handshake met them first.
const MAX_MET: usize = 1024;
/// How many places of that table are looked at for one.
const WINDOW: usize = 16;
/// At most so much waits at a time.
const MAX_WAITING: usize = 64;
/// At most so many certificates of connections are held for a context: a program that
/// makes one for each connection gains nothing by it.
const MAX_HELD: u32 = 16;

/// The first words of the keys of certificates that a handshake met first.
static MET: [AtomicU64; MAX_MET] = [const { AtomicU64::new(0) }; MAX_MET];
/// What is to be done at the next SSL_new. The first one is noted.
static PENDING: Pending<Deferred, MAX_WAITING> = Pending::new(
    AtomicBool::new(true),
    [const { AtomicPtr::new(ptr::null_mut()) }; MAX_WAITING],
);

/// A leaf that the agent is to be told of.
struct Deferred {
    leaf: &'static Leaf,
    key: Key,
}

/// Whether SSL_new has more to do than to hand on.
pub fn is_pending() -> bool {
    PENDING.is_any()
}

/// SSL_new is handed on at once from now on, unless something waits.
pub fn hand_on_if_done(library: &'static Library) {
    PENDING.hand_on_if_done(|| route::hand_on_ssl_new(library), route::look_at_ssl_new);
}

/// A leaf that a handshake meets and no load has shown. None if it was met before and there
/// is no place for it, or if too many were.
pub fn first_met(key: &Key, origin: Origin) -> Option<&'static Leaf> {
    is_first(key)?;
    leaves::add(key, origin).map(|added| added.leaf)
}

/// Notes it; None if it was met before, or if too many were.
fn is_first(key: &Key) -> Option<()> {
    let (word, _) = key.split_first_chunk::<8>()?;
    let word = u64::from_ne_bytes(*word).max(1);
    let places = MET.iter().cycle().skip(word as usize % MAX_MET);
    let mut swaps = places
        .take(WINDOW)
        .map(|place| (place.compare_exchange(0, word, Ordering::Relaxed, Ordering::Relaxed)).err());
    let taken = swaps.find(|there| there.is_none_or(|there| there == word))?;
    taken.is_none().then_some(())
}

/// The agent is to be told of a leaf of which it has been told as much as `known`.
pub fn tell(leaf: &'static Leaf, key: &Key, known: Told) {
    if !config::get().publishes || !leaf.tell_soon(known) {
        return;
    }
    if !put(Deferred { leaf, key: *key }) {
        leaf.set_told(known);
    }
}

/// Whether anything is to be done about a leaf that comes in a certificate which the context
/// does not hold.
pub fn has_use_of(leaf: &Leaf, context: &Context) -> bool {
    leaf.told() == Told::Nothing || may_hold(context)
}

/// Whether the context may hold one more certificate of a connection. One that belongs to a
/// library context may not be held longer than that lives.
fn may_hold(context: &Context) -> bool {
    let held = context.held_for_connections.load(Ordering::Relaxed);
    context.library.is_default() && held < MAX_HELD
}

/// A handshake meets a certificate that its context does not hold: it is held from now on,
/// and the agent to be told of its leaf if it has not been.
pub fn met(subject: &Subject<'_>, context: &Context) {
    let Subject { leaf, key, .. } = subject;
    if leaf.told() == Told::Nothing && subject.learn_in_memory() {
        tell(leaf, key, Told::Nothing);
    }
    if may_hold(context) && context.certificates.add(subject.x509, leaf, key) {
        context.held_for_connections.fetch_add(1, Ordering::Relaxed);
    }
}

fn put(deferred: Deferred) -> bool {
    try_box(deferred).is_some_and(|deferred| PENDING.put(deferred, route::look_at_ssl_new))
}

/// The program makes an SSL: what waits is done now. The first one ends the time in which
/// a load may wait.
pub fn do_all() {
    if !PENDING.begin() {
        return;
    }
    process::starts();
    for waiting in PENDING.take() {
        // Another thread is at work on it: the next SSL finds it again.
        if !publish::deferred(waiting.leaf, &waiting.key) {
            put(*waiting);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_those_that_would_have_the_same_place_is_met_first_once() {
        let key = |number: u64| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&(1 + number * MAX_MET as u64).to_ne_bytes());
            key
        };
        for number in 0..WINDOW as u64 {
            assert!(is_first(&key(number)).is_some(), "{number}");
            assert!((0..=number).all(|met| is_first(&key(met)).is_none()));
        }
        assert!(is_first(&key(WINDOW as u64)).is_none(), "there is no room");
    }
}
