//! Little-endian fields at fixed places, and the crc of all headers.
//!
//! Invariant: callers hold a slice of the full fixed size before they read a field of it.

use std::io;

/// The last index, LSN or segment number that bytes on disk may name: nothing that begins at one comes close, and what
/// is added to one of them later does not overflow. A larger one is not what was written, whatever its crc says.
pub(in crate::store) const NUMBER_MAX: u64 = 1 << 62;

/// See [`NUMBER_MAX`].
pub(in crate::store) const INDEX_MAX: u64 = NUMBER_MAX;

/// A header's bytes.
#[derive(Clone, Copy)]
pub(in crate::store) struct Fields<'a>(pub(in crate::store) &'a [u8]);

impl Fields<'_> {
    /// The number in bytes `at..at + 4`.
    pub(in crate::store) fn u32(self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    /// The number in bytes `at..at + 8`.
    pub(in crate::store) fn u64(self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }

    fn array<const N: usize>(self, at: usize) -> [u8; N] {
        self.0[at..at + N]
            .try_into()
            .expect("a range of N bytes has N bytes")
    }
}

/// The error of a file in a version of its format that this code does not know.
pub(in crate::store) fn unknown_version(file: &str, found: u32, known: u32) -> io::Error {
    let text = format!(
        "{file}: format version {found}, this code knows {known}; start the version that wrote it, or a later one"
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Stores `bytes` at `at`.
pub(in crate::store) fn put(page: &mut [u8], at: usize, bytes: &[u8]) {
    page[at..at + bytes.len()].copy_from_slice(bytes);
}

/// CRC-32 (IEEE) of `bytes`, begun from `seed` instead of zero: another seed always gives another crc.
pub(in crate::store) fn crc(seed: u32, bytes: &[u8]) -> u32 {
    if bytes.len() < SHORT_BYTES {
        return crc_of_few(seed, bytes);
    }
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// The same, eight bytes a step: below [`SHORT_BYTES`] the library goes byte by byte, and the headers of a large
/// batch would cost more than the copying of its payloads.
fn crc_of_few(seed: u32, bytes: &[u8]) -> u32 {
    let mut sum = !seed;
    let (eights, rest) = bytes.as_chunks::<8>();
    for eight in eights {
        sum = over_eight(sum, *eight);
    }
    let (fours, rest) = rest.as_chunks::<4>();
    for four in fours {
        sum = over_four(sum, *four);
    }
    for byte in rest {
        sum = TABLES[0][usize::from(sum as u8 ^ byte)] ^ (sum >> 8);
    }
    !sum
}

/// The crcs of `LANES` pieces of 36 bytes. Each step of a crc waits for the one before it; those of others need not.
pub(in crate::store) fn crcs<const LANES: usize>(seed: u32, pieces: [&[u8; 36]; LANES]) -> [u32; LANES] {
    let mut sums = [!seed; LANES];
    for at in 0..4 {
        for (sum, piece) in sums.iter_mut().zip(&pieces) {
            *sum = over_eight(*sum, piece.as_chunks::<8>().0[at]);
        }
    }
    for (sum, piece) in sums.iter_mut().zip(&pieces) {
        *sum = !over_four(*sum, piece.as_chunks::<4>().0[8]);
    }
    sums
}

fn over_eight(sum: u32, eight: [u8; 8]) -> u32 {
    let [a, b, c, d, e, f, g, h] = (u64::from_le_bytes(eight) ^ u64::from(sum)).to_le_bytes();
    TABLES[7][usize::from(a)]
        ^ TABLES[6][usize::from(b)]
        ^ TABLES[5][usize::from(c)]
        ^ TABLES[4][usize::from(d)]
        ^ TABLES[3][usize::from(e)]
        ^ TABLES[2][usize::from(f)]
        ^ TABLES[1][usize::from(g)]
        ^ TABLES[0][usize::from(h)]
}

fn over_four(sum: u32, four: [u8; 4]) -> u32 {
    let [a, b, c, d] = (u32::from_le_bytes(four) ^ sum).to_le_bytes();
    TABLES[3][usize::from(a)]
        ^ TABLES[2][usize::from(b)]
        ^ TABLES[1][usize::from(c)]
        ^ TABLES[0][usize::from(d)]
}

/// `TABLES[k][b]`: what a byte `b` with `k` zeros after it adds to a crc.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 {
                POLYNOMIAL ^ (sum >> 1)
            } else {
                sum >> 1
            };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[zeros - 1][byte];
            tables[zeros][byte] = tables[0][(before & 0xff) as usize] ^ (before >> 8);
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

/// CRC-32's polynomial, bits reversed.
const POLYNOMIAL: u32 = 0xedb8_8320;
/// From here on the library uses wide instructions.
const SHORT_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prng::Prng;

    #[test]
    fn few_bytes_have_the_crc_that_many_have() {
        let mut prng = Prng::new(1);
        for length in 0..2 * SHORT_BYTES {
            let bytes: Vec<u8> = (0..length).map(|_| prng.next_u64() as u8).collect();
            for seed in [0, 1, u32::MAX, prng.next_u64() as u32] {
                let mut library = crc32fast::Hasher::new_with_initial(seed);
                library.update(&bytes);
                assert_eq!(
                    crc_of_few(seed, &bytes),
                    library.clone().finalize(),
                    "{length} bytes, seed {seed}"
                );
                assert_eq!(crc(seed, &bytes), library.finalize());
            }
        }
    }

    #[test]
    fn pieces_side_by_side_have_the_crcs_that_they_have_alone() {
        let mut prng = Prng::new(2);
        for _ in 0..100 {
            let pieces: [[u8; 36]; 4] =
                std::array::from_fn(|_| std::array::from_fn(|_| prng.next_u64() as u8));
            let seed = prng.next_u64() as u32;
            let sums = crcs(seed, pieces.each_ref());
            assert_eq!(sums, pieces.map(|piece| crc(seed, &piece)));
        }
    }
}
