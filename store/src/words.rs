//! Bytes as words and back: everything in the map is read and written by words.

use crate::Key;
use crate::atomic::{AtomicU64, Ordering};
use std::mem::MaybeUninit;

/// The key as words, in the machine's byte order.
#[inline]
pub(crate) fn key_words(key: &Key) -> [u64; 4] {
    block_of(key)
}

/// Up to 32 bytes as four words, padded with zeros.
#[inline]
pub(crate) fn block_of(bytes: &[u8]) -> [u64; 4] {
    let mut block = [0; 4];
    for (value, bytes) in block.iter_mut().zip(bytes.chunks(8)) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(bytes) {
            *to = *from;
        }
        *value = u64::from_ne_bytes(word);
    }
    block
}

/// Up to four words, padded with zeros.
#[inline(always)]
pub(crate) fn load_block(words: &[AtomicU64]) -> [u64; 4] {
    let mut block = [0; 4];
    for (value, word) in block.iter_mut().zip(words) {
        *value = word.load(Ordering::Relaxed);
    }
    block
}

/// Writes as many bytes of `block` as `bytes` takes.
#[inline(always)]
pub(crate) fn put_block(bytes: &mut [MaybeUninit<u8>], block: &[u64; 4]) {
    let (whole, tail) = bytes.as_chunks_mut::<8>();
    let mut words = block.iter();
    // The bytes first: a zip asks its second half only when the first has one more.
    for (bytes, word) in whole.iter_mut().zip(&mut words) {
        *bytes = word.to_ne_bytes().map(MaybeUninit::new);
    }
    if let Some(word) = words.next() {
        for (to, from) in tail.iter_mut().zip(word.to_ne_bytes()) {
            to.write(from);
        }
    }
}

/// Four words.
#[inline(always)]
pub(crate) fn load_whole(words: &[AtomicU64; 4]) -> [u64; 4] {
    let [a, b, c, d] = words;
    [a, b, c, d].map(|word| word.load(Ordering::Relaxed))
}

/// Writes all of `block`.
#[inline(always)]
pub(crate) fn put_whole(bytes: &mut [MaybeUninit<u8>; 32], block: &[u64; 4]) {
    for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(block) {
        *bytes = word.to_ne_bytes().map(MaybeUninit::new);
    }
}
