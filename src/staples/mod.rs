//! The response for a certificate: from the live map, else from a file.
//!
//! | a file's response on its way | by |
//! |---|---|
//! | which files there are, and what is read of one | `source`, of a directory `directory`, before a chroot `ahead` |
//! | which may be about the certificate | `candidates` |
//! | what each is worth: its issuer's word is looked for once, and it waits for that and for its time | `file`, by `signatures` |
//! | where handshakes find the best of them | `published` |
//! | what may bring another one | `watch` |
//!
//! What is known of a certificate is its `leaf`, one of the process's `leaves`. `map` reads the live map, and
//! `publish` tells the agent which certificates are in use.

mod ahead;
mod candidates;
mod directory;
pub mod file;
pub mod leaf;
pub mod leaves;
pub mod map;
pub mod publish;
mod published;
mod signatures;
pub mod source;
mod watch;

use std::mem::MaybeUninit;

use staplegun_ocsp::Refusal;
use staplegun_ocsp::time::Rfc3339;
use staplegun_store::Key;
use staplegun_store::slots::{Copied, Miss};

use crate::config::Level;
use crate::host::buffer::{Buffer, Space};
use crate::host::guard;
use crate::host::output;
use crate::host::tables::Crypto;
use crate::host::x509::X509Ref;
use crate::log;

use file::Subject;

/// The program initialises its libssl: what it may not reach later is reached now.
pub fn program_starts() {
    map::open_first();
    ahead::read();
}

/// The response to be stapled now for a leaf, freshly allocated for libssl. `tell` is called if
/// there is more to tell the agent than it knows.
pub fn for_leaf(subject: &Subject<'_>, tell: impl FnOnce()) -> Option<Buffer> {
    let now = output::seconds();
    let space = |length| Space::in_handshake(subject.x509.crypto(), length);
    let found = match map::read(&subject.key, now, space) {
        // Only what the agent has withdrawn silences files. What expired in the map may
        // belong to an agent that is gone.
        Err(miss) if miss != Miss::Withdrawn => {
            if guard::errors_kept(subject.x509.crypto(), || subject.look_again(now)) {
                tell();
            }
            subject.read(now, space).map_err(|of_file| match of_file {
                Miss::Absent => miss,
                of_file => of_file,
            })
        }
        known => known,
    };
    if log::enabled(Level::Info) {
        let outcome = found.as_ref().map(|found| found.until);
        say(subject, outcome.map_err(|miss| *miss));
    }
    // SAFETY: a read that succeeds has written so many bytes.
    let response = found.map(|found| unsafe { found.buffer.assume_filled(found.length) });
    response.ok()
}

/// Says how a handshake ended, unless the one before ended alike.
fn say(subject: &Subject<'_>, outcome: Result<i64, Miss>) {
    let number = outcome.unwrap_or_else(|miss| i64::MIN + 1 + miss as i64);
    if !subject.leaf.outcome_changed(number) {
        return;
    }
    let work = subject.leaf.work(&subject.key);
    let name = work.as_ref().map_or("a certificate", |work| work.name());
    match outcome {
        Ok(until) => log::info!("stapled for {name}, valid until {}", Rfc3339(until)),
        Err(miss) => log::info!("no staple for {name}: {}", reason(miss)),
    }
}

/// The response that the live map has for `x509`, whose SHA-256 is `key`, without a word
/// in the log.
pub fn from_map(x509: X509Ref<'_>, key: &Key) -> Option<Buffer> {
    let space = |length| Space::in_handshake(x509.crypto(), length);
    let found = map::read(key, output::seconds(), space).ok()?;
    // SAFETY: a read that succeeds has written so many bytes.
    Some(unsafe { found.buffer.assume_filled(found.length) })
}

/// How many bytes of a response are read without asking for memory.
const ON_THE_STACK: usize = 4096;

/// Where a response is read to that is only looked at.
enum Room<'s> {
    Stack(&'s mut [MaybeUninit<u8>]),
    Heap(Space),
}

impl AsMut<[MaybeUninit<u8>]> for Room<'_> {
    fn as_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        match self {
            Room::Stack(bytes) => bytes,
            Room::Heap(space) => space.as_mut(),
        }
    }
}

/// Lends `with` the response that the live map has for the certificate `key` at `now`.
pub fn lend_from_map<R>(
    crypto: &'static Crypto,
    key: &Key,
    now: i64,
    with: impl FnOnce(&[u8]) -> R,
) -> Option<R> {
    let mut stack = [MaybeUninit::uninit(); ON_THE_STACK];
    let mut stack = Some(stack.as_mut_slice());
    // Asked again only where the agent was writing just then.
    let room = |length| match stack.take_if(|stack| length <= stack.len()) {
        Some(stack) => Some(Room::Stack(stack)),
        None => Space::in_handshake(crypto, length).map(Room::Heap),
    };
    let Copied {
        mut buffer, length, ..
    } = map::read(key, now, room).ok()?;
    let bytes = buffer.as_mut().get(..length)?;
    // SAFETY: a read that succeeds has written so many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<u8>(), bytes.len()) };
    Some(with(bytes))
}

/// Whether what the program staples by itself is worth judging: only a log that
/// is on would say so.
pub fn judges_the_programs() -> bool {
    log::enabled(Level::Warn)
}

/// Whether clients would reject `bytes`, which the program staples; said once in the log.
pub fn would_be_rejected(subject: &Subject<'_>, bytes: &[u8]) -> bool {
    let Err(refusal) = subject.judge(bytes, output::seconds()) else {
        return false;
    };
    let cause = match &refusal {
        Refusal::Response(fault) | Refusal::Early { fault, .. } => fault.cause(),
        Refusal::Signature(unverified) => unverified.cause(),
    };
    if subject.leaf.complaint_is_new(cause) {
        let work = subject.leaf.work(&subject.key);
        let name = work.as_ref().map_or("a certificate", |work| work.name());
        log::warning!(
            "the response that the program staples for {name} would be rejected: {refusal}"
        );
    }
    true
}

fn reason(miss: Miss) -> &'static str {
    match miss {
        Miss::Absent => "there is no response for it",
        Miss::NotYetValid => "its response is not yet valid",
        Miss::Expired => "its response has expired",
        Miss::Withdrawn => "it is revoked",
        Miss::Torn => "its response was being replaced",
        Miss::Damaged => "its response is damaged",
        Miss::NoBuffer => "there is no memory",
    }
}
