//! Telling the agent which certificates are in use: each leaf is left in the spool once
//! per process, when it is loaded; one that a handshake meets first, at the next SSL_new. One
//! whose response the live map keeps fresh is known to the agent.

use std::iter;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use staplegun_ocsp::unstapled::Unstapled;
use staplegun_store::Key;
use staplegun_store::spool::{self, MAX_FILE};

use crate::config;
use crate::host::output;
use crate::host::process;
use crate::log;

use super::file::Subject;
use super::leaf::{Leaf, Told, Work};
use super::map;

/// At most so many certificates are left by one process.
const MAX_LEFT: u32 = 1000;

/// At most so many certificates of a chain are left with a leaf, besides its issuer.
pub const MAX_CHAIN: usize = 8;

/// How often the map is looked at while a load waits for it.
const POLL: Duration = Duration::from_millis(10);

/// Leaves the leaf, and its issuer if that is known, for the agent, unless the map serves
/// it. Only leaves that a server may use. A leaf that was left without its issuer is left
/// again with it. Then waits, if the operator wants that (STAPLEGUN_WAIT) and the process
/// has not made an SSL yet, until the map has its response. `files` tells whether the
/// issuer may be looked for in files.
pub fn leaf(subject: &Subject<'_>, mut work: MutexGuard<'_, Work>, files: bool) {
    if !config::get().publishes || map::is_kept_fresh(&subject.key, output::seconds()) {
        return;
    }
    let told = subject.leaf.told();
    if told == Told::All || work.facts(subject.x509).is_none() {
        return;
    }
    subject.learn_issuer(&mut work, files);
    if told == Told::Leaf && work.issuer.is_none() {
        return;
    }
    let now = leave(subject.leaf, &subject.key, &work, &(subject.find_chain)());
    if now == Told::Leaf {
        subject.look_soon();
    }
    let waits = waits_for(&work, now);
    drop(work);
    if waits {
        wait_for_response(&subject.key);
    }
}

/// The same for a leaf that a handshake has met, at the next SSL_new: only where an agent
/// is known to be, and no file is looked at. False if another thread is at work on it.
pub fn deferred(leaf: &'static Leaf, key: &Key) -> bool {
    let Some(work) = leaf.work(key) else {
        return !leaf.is(key);
    };
    if map::is_kept_fresh(key, output::seconds()) {
        return true;
    }
    if map::is_mapped() && config::may_open() {
        leave(leaf, key, &work, &[]);
    } else {
        leaf.set_told(Told::Failed);
        let name = work.name();
        log::info!(
            "{name} was loaded in a handshake and is not left for the agent; name it with \
             'staplegun add FILE'"
        );
    }
    true
}

/// Leaves it, with what is known of the `chain`. What the agent was told then.
fn leave(leaf: &'static Leaf, key: &Key, work: &Work, chain: &[Vec<u8>]) -> Told {
    let told = try_to_leave(leaf, key, work, chain);
    leaf.set_told(told);
    told
}

fn try_to_leave(leaf: &'static Leaf, key: &Key, work: &Work, chain: &[Vec<u8>]) -> Told {
    /// How many were left.
    static LEFT: AtomicU32 = AtomicU32::new(0);
    let Some(facts) = work.known_facts() else {
        return Told::All;
    };
    let issuer = work.issuer.as_deref().map(|issuer| issuer.der.as_slice());
    let name = &facts.name;
    let has_responder = !facts.certificate.responders().is_empty();
    let unstapled = Unstapled::of(&facts.certificate, has_responder, output::seconds());
    if let Some(why) = unstapled.filter(|_| leaf.told() != Told::Leaf) {
        log::info!("{name} {why}");
    }
    if matches!(unstapled, Some(Unstapled::Authority | Unstapled::NotServer)) {
        return Told::All;
    }
    if LEFT.load(Ordering::Relaxed) >= MAX_LEFT {
        say_not_left(name, &"this process has left as many as it may");
        return Told::All;
    }
    let mut certificates: [&[u8]; 2 + MAX_CHAIN] = [&[]; 2 + MAX_CHAIN];
    let all = to_leave(&facts.der, issuer, chain);
    let count = (certificates.iter_mut().zip(all))
        .map(|(place, der)| *place = der)
        .count();
    let certificates = certificates.get(..count).unwrap_or_default();
    match spool::publish(&map::layout(config::get()).spool(), key, certificates) {
        Ok(_) => {
            LEFT.fetch_add(1, Ordering::Relaxed);
            log::debug!("{name} was left for the agent");
            issuer.map_or(Told::Leaf, |_| Told::All)
        }
        Err(reason) => {
            say_not_left(name, &reason);
            Told::Failed
        }
    }
}

/// The leaf, its issuer, and as much of the rest of the chain as the spool takes with them:
/// nothing of it without the issuer, which it is of no use without.
fn to_leave<'c>(
    leaf: &'c [u8],
    issuer: Option<&'c [u8]>,
    chain: &'c [Vec<u8>],
) -> impl Iterator<Item = &'c [u8]> {
    let rest = chain.iter().map(Vec::as_slice);
    let rest = rest.filter(move |der| issuer.is_some_and(|issuer| issuer != *der));
    let mut bytes = leaf.len() + issuer.map_or(0, <[u8]>::len);
    let rest = rest.take_while(move |der| {
        bytes += der.len();
        bytes <= MAX_FILE
    });
    iter::once(leaf).chain(issuer).chain(rest)
}

/// Where there is no agent, nothing is amiss; where there is one, it lacks a certificate.
fn say_not_left(name: &str, reason: &dyn std::fmt::Display) {
    if map::is_mapped() {
        log::warning!(
            "{name} cannot be left for the agent: {reason}; name it with 'staplegun add FILE'"
        );
    } else {
        log::debug!("{name} is not left for the agent: {reason}");
    }
}

/// Whether the agent can be expected to get a response: without the issuer it can ask
/// nobody, and the chain may follow.
fn waits_for(work: &Work, told: Told) -> bool {
    let Some(facts) = work.known_facts() else {
        return false;
    };
    let leaf = &facts.certificate;
    let can_ask = told == Told::All || told == Told::Leaf && !leaf.ca_issuers().is_empty();
    let has_responder = !leaf.responders().is_empty();
    can_ask && Unstapled::of(leaf, has_responder, output::seconds()).is_none()
}

/// Waits, for all of the process's certificates together as long as the operator allows:
/// a responder that is down holds a start up once, not once per certificate. When the
/// process has made its first SSL it serves, and waits no more: a load may come within
/// somebody's handshake.
fn wait_for_response(key: &Key) {
    static ROUNDS: AtomicU64 = AtomicU64::new(0);
    let rounds = config::get().wait.as_millis() / POLL.as_millis();
    while !process::has_started()
        && !map_knows(key)
        && u128::from(ROUNDS.fetch_add(1, Ordering::Relaxed)) < rounds
    {
        std::thread::sleep(POLL);
    }
}

fn map_knows(key: &Key) -> bool {
    map::open();
    map::knows(key, output::seconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_is_too_long_does_not_keep_leaf_and_issuer_from_the_agent() {
        let (leaf, issuer) = (&[1; 1000][..], &[2; 2000][..]);
        let left = |issuer, rest: &[usize]| {
            let rest = rest.iter().map(|length| vec![3; *length]);
            let chain: Vec<_> = iter::once(vec![2; 2000]).chain(rest).collect();
            let lengths = to_leave(leaf, issuer, &chain).map(<[u8]>::len);
            lengths.collect::<Vec<_>>()
        };
        let room = MAX_FILE - 3000;
        let known = Some(issuer);
        assert_eq!(left(known, &[700, 800]), [1000, 2000, 700, 800]);
        assert_eq!(left(known, &[room]), [1000, 2000, room]);
        assert_eq!(left(known, &[room + 1]), [1000, 2000]);
        assert_eq!(left(known, &[700, room - 699, 1]), [1000, 2000, 700]);
        assert_eq!(left(None, &[700]), [1000]);
    }
}
