//! What stands at the head of a slot, and what a reader makes of it.

use crate::Key;
use crate::atomic::{AtomicU64, Ordering, fence};
use crate::checksum::Checksum;
use crate::words::key_words;

/// How far thisUpdate may lie in the future, in seconds: the host's clock and the
/// responder's are not one. OpenSSL's own tools and most clients allow as much.
pub const CLOCK_SKEW: i64 = 300;

/// The longest response that is kept, in bytes.
pub const MAX_RESPONSE: usize = 64 * 1024;

/// How often a reader that met the writer begins again.
pub(super) const ATTEMPTS: usize = 8;

/// Why there is no response to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// Nothing is kept under this key.
    Absent,
    /// thisUpdate is more than [`CLOCK_SKEW`] ahead of the clock.
    NotYetValid,
    /// The clock is past the end of the response's validity.
    Expired,
    /// The writer stopped this response: the certificate was revoked, say.
    Withdrawn,
    /// The writer changed the record at every attempt to read it.
    Torn,
    /// What stands there is not what the writer wrote.
    Damaged,
    /// The caller gave no buffer, or one that is too short.
    NoBuffer,
}

/// What the published slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing, on purpose: the record is free.
    Empty,
    /// A response to be stapled.
    Good,
    /// No good response may be stapled, nor one from elsewhere. There may be bytes:
    /// the response that tells the revocation, which is stapled while it is valid.
    Withdrawn,
}

impl State {
    /// Codes far apart, so that no flipped bit makes one state of another.
    pub(super) fn code(self) -> u32 {
        match self {
            State::Empty => 0,
            State::Good => 0x676f_6f64,
            State::Withdrawn => 0x7374_6f70,
        }
    }

    pub(super) fn of(code: u32) -> Option<Self> {
        [State::Empty, State::Good, State::Withdrawn]
            .into_iter()
            .find(|state| state.code() == code)
    }
}

/// What stands at the head of a slot, and the generation it was read under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub generation: u64,
    pub state_and_length: u64,
    pub this_update: i64,
    pub until: i64,
    pub checksum: u64,
}

impl Head {
    pub fn length(&self) -> usize {
        (self.state_and_length & u64::from(u32::MAX)) as usize
    }

    pub fn state(&self) -> Option<State> {
        State::of((self.state_and_length >> 32) as u32)
    }

    pub fn seeded(&self, key: &Key) -> Checksum {
        let mut sum = Checksum::new(&key_words(key));
        sum.absorb(&[
            self.generation,
            self.state_and_length,
            self.this_update as u64,
            self.until as u64,
        ]);
        sum
    }
}

/// Whether all that was read since `generation` was read belongs to it.
#[inline(always)]
pub(super) fn still(word: &AtomicU64, generation: u64) -> bool {
    fence(Ordering::Acquire);
    word.load(Ordering::Relaxed) == generation
}
