//! Bytes as words and back: everything in the map is read and written by words.

use crate::Key;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};

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
    for (bytes, word) in bytes.chunks_mut(8).zip(block) {
        for (to, from) in bytes.iter_mut().zip(word.to_ne_bytes()) {
            to.write(from);
        }
    }
}
