//! The checksum over a record: quick enough for a handshake, good enough to
//! notice torn or damaged bytes.
//!
//! It guards against accidents. Whoever may write the map may write a matching
//! checksum too, so nothing cryptographic is wanted here: the budget for looking
//! up, copying and checking a response of 1.5 KB is about 1,500 instructions.

/// Odd, with well spread bits: the fraction of the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// What the first word of each pair is combined with: odd numbers with as many
/// ones as zeros, as wyhash has them.
const SECRETS: [u64; 2] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db];

/// Two independent lanes, so that the multiplications overlap. Each takes two
/// words of a block of four by one folded multiplication of 64 by 64 bits, after
/// wyhash: every bit of both words reaches every bit of the lane.
#[derive(Clone, Copy)]
pub(crate) struct Checksum {
    lanes: [u64; 2],
}

impl Checksum {
    /// A checksum that also covers `seed`.
    #[inline]
    pub(crate) fn new(seed: &[u64; 4]) -> Self {
        let mut sum = Self { lanes: SECRETS };
        sum.absorb(seed);
        sum
    }

    /// Takes in the next four words.
    #[inline(always)]
    pub(crate) fn absorb(&mut self, block: &[u64; 4]) {
        self.lanes[0] = fold(block[0] ^ SECRETS[0], block[1] ^ self.lanes[0]);
        self.lanes[1] = fold(block[2] ^ SECRETS[1], block[3] ^ self.lanes[1]);
    }

    /// The checksum of all that was taken in.
    #[inline]
    pub(crate) fn finish(self) -> u64 {
        mix(mix(self.lanes[0]) ^ self.lanes[1])
    }
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Spreads every bit of `word` over all bits of the result. A bijection.
#[inline]
pub(crate) fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 32)).wrapping_mul(MULTIPLIER);
    let word = (word ^ (word >> 29)).wrapping_mul(MULTIPLIER);
    word ^ (word >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(words: &[u64; 12]) -> u64 {
        let mut sum = Checksum::new(&[0; 4]);
        for block in words.chunks_exact(4) {
            sum.absorb(block.try_into().unwrap());
        }
        sum.finish()
    }

    #[test]
    fn every_single_flipped_bit_changes_the_sum() {
        let words: [u64; 12] = std::array::from_fn(|i| i as u64 * 77);
        for word in 0..12 {
            for bit in 0..64 {
                let mut other = words;
                other[word] ^= 1 << bit;
                assert_ne!(sum(&words), sum(&other), "word {word}, bit {bit}");
            }
        }
    }

    /// Library and agent may be of different versions.
    #[test]
    fn a_map_that_another_version_wrote_has_the_same_sums() {
        let words: [u64; 12] = std::array::from_fn(|i| i as u64 * 77);
        assert_eq!(sum(&words), 15_259_674_519_643_504_365);
        assert_eq!(mix(0x0123_4567_89ab_cdef), 8_289_790_377_452_413_623);
    }

    #[test]
    fn every_pair_of_flipped_bits_changes_the_sum() {
        let words: [u64; 12] = std::array::from_fn(|i| i as u64 * 77);
        let expected = sum(&words);
        for first in 0..12 * 64 {
            for second in 0..first {
                let mut other = words;
                other[first / 64] ^= 1 << (first % 64);
                other[second / 64] ^= 1 << (second % 64);
                assert_ne!(expected, sum(&other), "bits {first} and {second}");
            }
        }
    }

    #[test]
    fn swapped_words_change_the_sum() {
        let words: [u64; 12] = std::array::from_fn(|i| i as u64 * 77);
        for first in 0..12 {
            for second in 0..first {
                let mut other = words;
                other.swap(first, second);
                assert_ne!(sum(&words), sum(&other), "words {first} and {second}");
            }
        }
    }
}
