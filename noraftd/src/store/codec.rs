//! Little-endian fields at fixed places, and the crc of all headers.
//!
//! Invariant: callers hold a slice of the full fixed size before they read a field of it.

/// A header's bytes.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    /// The number in bytes `at..at + 4`.
    pub(super) fn u32(self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    /// The number in bytes `at..at + 8`.
    pub(super) fn u64(self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }

    fn array<const N: usize>(self, at: usize) -> [u8; N] {
        self.0[at..at + N]
            .try_into()
            .expect("a range of N bytes has N bytes")
    }
}

/// Stores `bytes` at `at`.
pub(super) fn put(page: &mut [u8], at: usize, bytes: &[u8]) {
    page[at..at + bytes.len()].copy_from_slice(bytes);
}

/// CRC-32 (IEEE) of `bytes`, begun from `seed` instead of zero: another seed always gives another crc.
pub(super) fn crc(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}
