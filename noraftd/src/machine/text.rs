//! A string value, with the digest of its bytes.
//!
//! Invariant: `sum` is what [`sum_of`] gives for `bytes`. It is a sum over words and their places, so what is appended
//! costs its own length, and no change reads the rest.

use bytes::{Bytes, BytesMut};

/// A string value.
#[derive(Debug, Clone)]
pub(super) struct Text {
    bytes: Bytes,
    sum: u64,
}

impl Text {
    pub(super) fn new(bytes: Bytes) -> Self {
        let sum = sum_of(&bytes, 0);
        Self { bytes, sum }
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// The digest of the bytes as they are now.
    pub(super) fn read_sum(&self) -> u64 {
        sum_of(&self.bytes, 0)
    }

    /// Appends in place when the bytes are not shared, so that many appends cost as much as what they append.
    pub(super) fn append(&mut self, suffix: &[u8]) {
        let cut = self.bytes.len() / WORD;
        let before = sum_of(&self.bytes[cut * WORD..], cut);
        let mut joined = std::mem::take(&mut self.bytes)
            .try_into_mut()
            .unwrap_or_else(|shared| {
                let mut copy = BytesMut::with_capacity(shared.len() + suffix.len());
                copy.extend_from_slice(&shared);
                copy
            });
        joined.extend_from_slice(suffix);
        self.bytes = joined.freeze();
        let after = sum_of(&self.bytes[cut * WORD..], cut);
        self.sum = self.sum.wrapping_sub(before).wrapping_add(after);
    }
}

/// What the words of `bytes` contribute, the first being the word at `place`. The last is filled up with zeros: a
/// comparison of sums has to compare lengths, too.
fn sum_of(bytes: &[u8], place: usize) -> u64 {
    let (words, rest) = bytes.as_chunks::<WORD>();
    let whole = words.iter().map(|word| u64::from_le_bytes(*word));
    let mut last = [0; WORD];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let last = (!rest.is_empty()).then(|| u64::from_le_bytes(last));
    let placed = (place as u64..).zip(whole.chain(last));
    placed.fold(0, |sum: u64, (place, word)| {
        sum.wrapping_add(scatter(place, word))
    })
}

/// Spreads a word over 64 bits, differently at each place: a product of 128 bits, folded.
fn scatter(place: u64, word: u64) -> u64 {
    let keyed = word ^ place.wrapping_mul(PLACES).wrapping_add(SEED);
    let product = u128::from(keyed) * u128::from(MULTIPLIER);
    (product as u64) ^ ((product >> 64) as u64)
}

const WORD: usize = 8;
const SEED: u64 = 0x6e6f_7261_6674_6432;
const PLACES: u64 = 0xbf58_476d_1ce4_e5b9;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_counts_as_if_it_had_always_been_there() {
        let whole: Vec<u8> = (0..100u8).collect();
        for cut in 0..=whole.len() {
            for end in cut..=whole.len() {
                let mut text = Text::new(Bytes::copy_from_slice(&whole[..cut]));
                text.append(&whole[cut..end]);
                assert_eq!(text.bytes(), &whole[..end]);
                assert_eq!(text.sum(), text.read_sum(), "{cut} bytes, then up to {end}");
            }
        }
    }

    #[test]
    fn every_bit_and_every_place_counts() {
        let whole: Vec<u8> = (0..40u8).collect();
        let sum = sum_of(&whole, 0);
        for bit in 0..whole.len() * 8 {
            let mut other = whole.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(sum_of(&other, 0), sum, "bit {bit}");
        }
        let mut swapped = whole.clone();
        swapped.rotate_left(WORD);
        assert_ne!(sum_of(&swapped, 0), sum);
    }
}
