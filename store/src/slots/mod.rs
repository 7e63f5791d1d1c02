//! Two response slots and a generation: the one lock-free primitive.
//!
//! It lives in words of memory that the caller provides, shared or private. One
//! writer at a time fills the idle slot and then publishes it with a release
//! store of the generation. Readers, any number of them, in any process, copy
//! the other slot and look at the generation again. Killed at any step, the
//! writer leaves the old response or the new one, never none, never a torn one.
//!
//! | word       | what                                                        |
//! |------------|-------------------------------------------------------------|
//! | 0          | generation; its lowest bit names the slot that is published; 0: nothing yet |
//! | 1 to 4     | slot 0: state and length, thisUpdate, until, checksum       |
//! | 5 to 8     | slot 1: the same                                            |
//! | 9 and on   | bytes of slot 0, then of slot 1, each half of what is left  |
//!
//! The checksum covers key, generation, state, length, times and bytes.
//!
//! Why a reader sees no torn record. It reads generation g, then slot g mod 2,
//! and then wants to read generation g again. That slot is written again only
//! for generation g + 2, after g + 1 was stored and after a release fence. If
//! the reader saw one word of g + 2, its acquire fence pairs with that release
//! fence, and it cannot read generation g any more. Readers use relaxed loads of
//! eight bytes and fences, since that is all that Rust defines on memory which
//! is mapped read-only.

use crate::Key;
use crate::atomic::{AtomicU64, Ordering, fence};
use crate::steps::step;
use crate::words::{block_of, load_block};
use std::mem::MaybeUninit;

use head::{ATTEMPTS, Head, still};
pub use head::{CLOCK_SKEW, MAX_RESPONSE, Miss, State};
pub(crate) use reading::read;
pub use reading::{Copied, Found};

/// The generation and the two slot headers.
const FIXED_WORDS: usize = 9;
const SLOT_HEADER_WORDS: usize = 4;

/// Two slots over words of memory that somebody else owns.
///
/// Reading is safe at any time, from any thread or process, whatever the words
/// hold. Writing ([`publish`](Self::publish), [`withdraw`](Self::withdraw),
/// [`revoke`](Self::revoke), [`clear`](Self::clear)) is for one writer at a time: two at once do no harm to
/// memory, but leave a record that fails its checksum.
#[derive(Clone, Copy)]
pub struct Slots<'a> {
    generation: &'a AtomicU64,
    heads: [&'a [AtomicU64; SLOT_HEADER_WORDS]; 2],
    bytes: [&'a [AtomicU64]; 2],
}

impl<'a> Slots<'a> {
    /// How many words two slots of `capacity` bytes take.
    pub const fn words_for(capacity: usize) -> usize {
        FIXED_WORDS + 2 * capacity.div_ceil(8)
    }

    /// The slots in `words`, which are all zero at first. None if there are too
    /// few words for any slot.
    #[inline]
    pub fn new(words: &'a [AtomicU64]) -> Option<Self> {
        let (generation, rest) = words.split_first()?;
        let (heads, bytes) = rest.split_at_checked(2 * SLOT_HEADER_WORDS)?;
        let [first_head, second_head] = heads.as_chunks().0 else {
            return None;
        };
        let half = bytes.len() / 2;
        let (first, second) = bytes.split_at_checked(half)?;
        Some(Self {
            generation,
            heads: [first_head, second_head],
            bytes: [first, second.get(..half)?],
        })
    }

    /// The longest response that fits, in bytes.
    pub fn capacity(&self) -> usize {
        8 * self.bytes[0].len()
    }

    /// What is published, if the writer leaves it alone for long enough.
    #[inline(always)]
    fn head(&self) -> Result<Head, Miss> {
        for _ in 0..ATTEMPTS {
            let generation = self.generation.load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            if generation == 0 {
                return Err(Miss::Absent);
            }
            let [state_and_length, this_update, until, checksum] =
                self.heads[(generation & 1) as usize];
            let head = Head {
                generation,
                state_and_length: state_and_length.load(Ordering::Relaxed),
                this_update: this_update.load(Ordering::Relaxed) as i64,
                until: until.load(Ordering::Relaxed) as i64,
                checksum: checksum.load(Ordering::Relaxed),
            };
            if still(self.generation, generation) {
                return Ok(head);
            }
        }
        Err(Miss::Torn)
    }

    /// Looks for a response that may be sent at the time `now` (seconds since
    /// 1970). The bytes are checked when they are copied.
    #[inline(always)]
    pub fn lookup(&self, key: &Key, now: i64) -> Result<Found<'a>, Miss> {
        let head = self.head()?;
        let withdrawn = match head.state() {
            Some(State::Good) => false,
            Some(State::Withdrawn) => true,
            Some(State::Empty) => return Err(Miss::Absent),
            None => return Err(Miss::Damaged),
        };
        // What is withdrawn stays so whatever the time.
        let missed = |why| Err(if withdrawn { Miss::Withdrawn } else { why });
        if head.length() == 0 {
            return missed(Miss::Damaged);
        }
        if head.length() > self.capacity() {
            return Err(Miss::Damaged);
        }
        if now > head.until {
            return missed(Miss::Expired);
        }
        if now.saturating_add(CLOCK_SKEW) < head.this_update {
            return missed(Miss::NotYetValid);
        }
        Ok(Found {
            generation: self.generation,
            words: self.bytes[(head.generation & 1) as usize],
            key: *key,
            head,
        })
    }

    /// Looks up and copies, and begins again when the writer came between.
    /// `buffer` is asked for a buffer of at least so many bytes, once for each
    /// attempt; buffers of failed attempts are dropped.
    pub fn read<B: AsMut<[MaybeUninit<u8>]>>(
        &self,
        key: &Key,
        now: i64,
        buffer: impl FnMut(usize) -> Option<B>,
    ) -> Result<Copied<B>, Miss> {
        read(|| self.lookup(key, now), buffer)
    }

    /// Publishes a response: readers get it from now on. False, and nothing
    /// changed, if it is empty or longer than the capacity.
    #[must_use]
    pub fn publish(&self, key: &Key, der: &[u8], this_update: i64, until: i64) -> bool {
        if der.is_empty() || der.len() > self.capacity() {
            return false;
        }
        self.fill(key, State::Good, der, this_update, until);
        true
    }

    /// Stops the response at once: readers get none until the next `publish`.
    pub fn withdraw(&self, key: &Key) {
        self.fill(key, State::Withdrawn, &[], 0, 0);
    }

    /// As [`withdraw`](Self::withdraw), for a revocation. The response that tells it is
    /// stapled while it is valid, unless it is empty; afterwards readers get none. Its
    /// thisUpdate stays in the [`Summary`], for the next writer. False, and nothing
    /// changed, if it is longer than the capacity.
    #[must_use]
    pub fn revoke(&self, key: &Key, der: &[u8], this_update: i64, until: i64) -> bool {
        if der.len() > self.capacity() {
            return false;
        }
        self.fill(key, State::Withdrawn, der, this_update, until);
        true
    }

    /// Empties the record.
    pub fn clear(&self, key: &Key) {
        self.fill(key, State::Empty, &[], 0, 0);
    }

    /// `bytes` fit, as the callers have seen.
    fn fill(&self, key: &Key, state: State, bytes: &[u8], this_update: i64, until: i64) {
        let current = self.generation.load(Ordering::Relaxed);
        let generation = next(current);
        let slot = (generation & 1) as usize;
        let mut head = Head {
            generation,
            state_and_length: u64::from(state.code()) << 32 | bytes.len() as u64,
            this_update,
            until,
            checksum: 0,
        };
        // The current generation, stored earlier, comes before all that follows.
        fence(Ordering::Release);
        let mut sum = head.seeded(key);
        for (words, bytes) in self.bytes[slot].chunks(4).zip(bytes.chunks(32)) {
            let block = block_of(bytes);
            sum.absorb(&block);
            for (word, value) in words.iter().zip(block) {
                store(word, value);
            }
        }
        head.checksum = sum.finish();
        let values = [
            head.state_and_length,
            this_update as u64,
            until as u64,
            head.checksum,
        ];
        for (word, value) in self.heads[slot].iter().zip(values) {
            store(word, value);
        }
        step();
        self.generation.store(generation, Ordering::Release);
    }

    /// What is published, checked against its checksum, at whatever time: for
    /// the writer and for showing it. None if it is damaged or never stops
    /// changing.
    pub fn inspect(&self, key: &Key) -> Option<Summary> {
        let head = match self.head() {
            Ok(head) => head,
            Err(Miss::Absent) => return Some(Summary::EMPTY),
            Err(_) => return None,
        };
        let words = self.bytes[(head.generation & 1) as usize];
        let words = words.get(..head.length().div_ceil(8))?;
        let mut sum = head.seeded(key);
        for words in words.chunks(4) {
            sum.absorb(&load_block(words));
        }
        let intact = still(self.generation, head.generation) && sum.finish() == head.checksum;
        intact.then_some(())?;
        Some(Summary {
            state: head.state()?,
            length: head.length(),
            this_update: head.this_update,
            until: head.until,
        })
    }
}

/// What a record holds, without the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Whether there is a response.
    pub state: State,
    /// The length of the response in bytes.
    pub length: usize,
    /// thisUpdate, in seconds since 1970.
    pub this_update: i64,
    /// The end of its validity, in seconds since 1970.
    pub until: i64,
}

impl Summary {
    const EMPTY: Self = Self {
        state: State::Empty,
        length: 0,
        this_update: 0,
        until: 0,
    };
}

/// The generation after `current`, with the other slot; never 0.
fn next(current: u64) -> u64 {
    match current.wrapping_add(1) {
        0 => 2,
        generation => generation,
    }
}

fn store(word: &AtomicU64, value: u64) {
    step();
    word.store(value, Ordering::Relaxed);
}

mod head;
mod reading;
#[cfg(test)]
mod tests;
