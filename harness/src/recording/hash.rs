//! A fast, fixed hash for tables of small keys.
//!
//! The histories come from our own machine or the user's, never from an attacker, so resistance to
//! crafted keys is not needed; a fixed function also makes every check repeatable to the byte.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A map that is only looked up, never iterated.
pub type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FoldHasher>>;
/// A set that is only looked up, never iterated.
pub type FastSet<K> = HashSet<K, BuildHasherDefault<FoldHasher>>;

/// Multiplies to 128 bits and folds the halves.
#[derive(Clone, Copy, Debug, Default)]
pub struct FoldHasher(u64);

/// An odd constant with well-spread bits (the fraction of the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl FoldHasher {
    #[inline]
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ (SPREAD >> 7)) * u128::from(SPREAD);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for FoldHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let rest = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        self.mix(rest ^ (bytes.len() as u64).rotate_left(56));
    }

    #[inline]
    fn write_u8(&mut self, word: u8) {
        self.mix(u64::from(word));
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.mix(u64::from(word));
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.mix(word as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
