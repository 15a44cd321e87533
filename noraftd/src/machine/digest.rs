//! A 64-bit digest that is the same on every platform and in every version; for comparing replicas, not
//! against an adversary.
//!
//! Each 8-byte word is mixed in by a multiplication and a shift; the end is SplitMix64's finaliser. Every
//! run of bytes is preceded by its length, so that no two different sequences of calls mix the same words.

/// A digest in the making.
#[derive(Debug)]
pub(super) struct Digest(u64);

impl Digest {
    pub(super) fn new() -> Self {
        Self(SEED)
    }

    pub(super) fn number(&mut self, n: u64) {
        let mixed = (self.0 ^ n).wrapping_mul(MULTIPLIER);
        self.0 = mixed ^ (mixed >> 29);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        words
            .iter()
            .for_each(|word| self.number(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.number(u64::from_le_bytes(last));
    }

    pub(super) fn finish(self) -> u64 {
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

const SEED: u64 = 0x6e6f_7261_6674_6431;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(parts: &[&[u8]]) -> u64 {
        let mut digest = Digest::new();
        parts.iter().for_each(|part| digest.bytes(part));
        digest.finish()
    }

    #[test]
    fn where_bytes_are_cut_matters() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_ne!(digest(&[b"a"]), digest(&[b"a\0"]));
        assert_ne!(digest(&[b""]), digest(&[b"", b""]));
    }

    #[test]
    fn the_digest_is_the_same_in_every_version() {
        assert_eq!(
            digest(&[b"key", b"a value of several words"]),
            8_744_324_236_595_524_125
        );
    }
}
