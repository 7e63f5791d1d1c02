//! What a look-up found, and copying it out: the rest of the reader's half.

use super::head::{ATTEMPTS, Head, Miss, still};
use crate::Key;
use crate::atomic::AtomicU64;
use crate::words::{load_block, load_whole, put_block, put_whole};
use std::mem::MaybeUninit;

/// A response that may be sent, not yet copied.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    /// Where its generation stands.
    pub(super) generation: &'a AtomicU64,
    /// The slot's words.
    pub(super) words: &'a [AtomicU64],
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
    #[inline(always)]
    pub fn copy_to(&self, buffer: &mut [MaybeUninit<u8>]) -> Result<(), Miss> {
        let buffer = buffer.get_mut(..self.len()).ok_or(Miss::NoBuffer)?;
        let mut sum = self.head.seeded(&self.key);
        let (blocks, tail) = buffer.as_chunks_mut::<32>();
        let (whole, rest) = self
            .words
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
        if !still(self.generation, self.head.generation) {
            return Err(Miss::Torn);
        }
        if sum.finish() != self.head.checksum {
            return Err(Miss::Damaged);
        }
        Ok(())
    }

    /// A copy of the response, for whoever need not count instructions. Errors as those of
    /// [`copy_to`](Self::copy_to).
    #[cfg(feature = "agent")]
    pub fn to_vec(&self) -> Result<Vec<u8>, Miss> {
        let words = self.words.get(..self.len().div_ceil(8));
        let words = words.ok_or(Miss::Damaged)?;
        let mut sum = self.head.seeded(&self.key);
        let mut bytes = Vec::with_capacity(8 * words.len());
        for words in words.chunks(4) {
            let block = load_block(words);
            sum.absorb(&block);
            let words = block.iter().take(words.len());
            bytes.extend(words.flat_map(|word| word.to_ne_bytes()));
        }
        bytes.truncate(self.len());
        match still(self.generation, self.head.generation) {
            false => Err(Miss::Torn),
            true if sum.finish() != self.head.checksum => Err(Miss::Damaged),
            true => Ok(bytes),
        }
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
