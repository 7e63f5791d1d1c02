//! Telling the agent which certificates are in use: each is left in the spool
//! once per process, when it is loaded, never within a handshake. One whose response
//! the live map has is known to the agent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use staplegun_ocsp::Certificate;
use staplegun_store::{Key, spool};

use crate::config;
use crate::host::output;
use crate::host::x509::{OwnedX509, X509Ref};
use crate::log;

use super::map;

/// At most so many certificates are published by one process.
const MAX_PUBLISHED: usize = 1000;

/// How often the map is looked at while a load waits for it.
const POLL: Duration = Duration::from_millis(10);

/// The certificates that were published, by their keys' first words. It only
/// grows; a child goes on with its parent's.
static PUBLISHED: [AtomicU64; MAX_PUBLISHED] = [const { AtomicU64::new(0) }; MAX_PUBLISHED];

/// Leaves a leaf, and its issuer if that is known, for the agent, unless the map
/// serves it. Only leaves that name a responder and that a server may use. A leaf
/// that was left without its issuer is left again with it. Then waits, if the
/// operator wants that (STAPLEGUN_WAIT), until the map has its response.
pub fn certificate(x509: X509Ref<'_>, key: &Key, find_issuer: &dyn Fn() -> Option<OwnedX509>) {
    if is_done(key) || map::is_kept_fresh(key, output::seconds()) {
        return;
    }
    let Some(der) = x509.to_der(spool::MAX_FILE) else {
        return;
    };
    let leaf = match Certificate::from_der(&der) {
        Ok(leaf) => leaf,
        Err(error) => {
            log::debug!("a certificate is not left for the agent: {error}");
            return;
        }
    };
    if leaf.responders().is_empty() || !leaf.fit_for_server() || leaf.is_ca() {
        return;
    }
    let issuer = find_issuer().and_then(|issuer| issuer.as_ref().to_der(spool::MAX_FILE));
    if !is_first(key, issuer.is_some()) {
        return;
    }
    let directory = map::layout(config::get()).spool();
    let certificates = [Some(der.as_slice()), issuer.as_deref()];
    let count = certificates.iter().flatten().count();
    let certificates: [&[u8]; 2] = certificates.map(Option::unwrap_or_default);
    match spool::publish(
        &directory,
        key,
        certificates.get(..count).unwrap_or_default(),
    ) {
        Ok(()) => {
            log::debug!("{} was left for the agent", leaf.display_subject());
            // Without the issuer the agent can ask nobody: the chain may follow.
            if issuer.is_some() || !leaf.ca_issuers().is_empty() {
                wait_for_response(key);
            }
        }
        Err(reason) => {
            log::debug!(
                "{} is not left for the agent: {reason}",
                leaf.display_subject()
            );
        }
    }
}

/// What stands for a leaf in the table: its lowest bit tells whether the issuer
/// went with it, the next one that the place is taken.
fn entry_of(key: &Key, with_issuer: bool) -> u64 {
    let (word, _) = key.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    (u64::from_ne_bytes(*word) | 2) & !1 | u64::from(with_issuer)
}

/// Whether nothing is left to do for this leaf: it was published with its issuer,
/// or has no place in the table, so that nothing need be found out about it.
fn is_done(key: &Key) -> bool {
    let entry = entry_of(key, true);
    let there = PUBLISHED.iter().map(|place| place.load(Ordering::Relaxed));
    let mut of_leaf = there.filter(|&there| there == 0 || there | 1 == entry);
    of_leaf.next().is_none_or(|there| there == entry)
}

/// Whether this leaf has not been published before, with its issuer or at all.
fn is_first(key: &Key, with_issuer: bool) -> bool {
    let entry = entry_of(key, with_issuer);
    for place in &PUBLISHED {
        let swap = |from| place.compare_exchange(from, entry, Ordering::Relaxed, Ordering::Relaxed);
        match swap(0) {
            Ok(_) => return true,
            Err(there) if there | 1 == entry | 1 => return there < entry && swap(there).is_ok(),
            Err(_) => {}
        }
    }
    false
}

/// Waits, for all of the process's certificates together as long as the operator
/// allows: a responder that is down holds a start up once, not once per
/// certificate, and a later reload not at all.
fn wait_for_response(key: &Key) {
    static ROUNDS: AtomicU64 = AtomicU64::new(0);
    let rounds = config::get().wait.as_millis() / POLL.as_millis();
    while !map_knows(key) && u128::from(ROUNDS.fetch_add(1, Ordering::Relaxed)) < rounds {
        std::thread::sleep(POLL);
    }
}

fn map_knows(key: &Key) -> bool {
    map::open();
    map::knows(key, output::seconds())
}
