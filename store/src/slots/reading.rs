//! What a look-up found, and copying it out: the rest of the reader's half.

use super::{ATTEMPTS, Head, Miss, Slots};
use crate::Key;
use crate::words::{load_block, load_whole, put_block, put_whole};
use std::mem::MaybeUninit;

/// A response that may be sent, not yet copied.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    pub(super) slots: Slots<'a>,
    pub(super) key: Key,
    pub(super) head: Head,
}

impl Found<'_> {
    /// The length of the response in bytes: never 0.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.head.length()
    }

    /// thisUpdate of the response, in seconds since 1970.
    pub fn this_update(&self) -> i64 {
        self.head.this_update
    }

    /// The end of the response's validity, in seconds since 1970.
    pub fn until(&self) -> i64 {
        self.head.until
    }

    /// Copies the response to the start of `buffer`. On an error the buffer holds
    /// anything: [`Miss::Torn`] asks for another lookup, [`Miss::Damaged`] is
    /// final, [`Miss::NoBuffer`] means shorter than [`len`](Self::len).
    #[inline]
    pub fn copy_to(&self, buffer: &mut [MaybeUninit<u8>]) -> Result<(), Miss> {
        let buffer = buffer.get_mut(..self.len()).ok_or(Miss::NoBuffer)?;
        let words = self.slots.bytes[(self.head.generation & 1) as usize];
        let mut sum = self.head.seeded(&self.key);
        let (blocks, tail) = buffer.as_chunks_mut::<32>();
        let (whole, rest) = words
            .split_at_checked(4 * blocks.len())
            .ok_or(Miss::Damaged)?;
        for (words, bytes) in whole.as_chunks::<4>().0.iter().zip(blocks) {
            let block = load_whole(words);
            sum.absorb(&block);
            put_whole(bytes, &block);
        }
        if !tail.is_empty() {
            let rest = rest.get(..tail.len().div_ceil(8)).ok_or(Miss::Damaged)?;
            let block = load_block(rest);
            sum.absorb(&block);
            put_block(tail, &block);
        }
        if !self.slots.still(self.head.generation) {
            return Err(Miss::Torn);
        }
        if sum.finish() != self.head.checksum {
            return Err(Miss::Damaged);
        }
        Ok(())
    }
}

/// A response that was copied.
#[derive(Clone, Copy, Debug)]
pub struct Copied<B> {
    /// The buffer that the caller gave; its first `length` bytes are the response.
    pub buffer: B,
    /// The length of the response in bytes.
    pub length: usize,
    /// thisUpdate, in seconds since 1970.
    pub this_update: i64,
    /// The end of its validity, in seconds since 1970.
    pub until: i64,
}

/// Looks up and copies until the writer did not come between.
#[inline]
pub(crate) fn read<'a, B: AsMut<[MaybeUninit<u8>]>>(
    lookup: impl Fn() -> Result<Found<'a>, Miss>,
    mut buffer: impl FnMut(usize) -> Option<B>,
) -> Result<Copied<B>, Miss> {
    for _ in 0..ATTEMPTS {
        let found = lookup()?;
        let mut buffer = buffer(found.len()).ok_or(Miss::NoBuffer)?;
        match found.copy_to(buffer.as_mut()) {
            Ok(()) => {
                return Ok(Copied {
                    buffer,
                    length: found.len(),
                    this_update: found.this_update(),
                    until: found.until(),
                });
            }
            Err(Miss::Torn) => {}
            Err(miss) => return Err(miss),
        }
    }
    Err(Miss::Torn)
}
