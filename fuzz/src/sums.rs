//! The checksums of the formats on disk, made right after bytes were changed.
//!
//! Written from the tables in the module docs of `noraftd::store`, so a mistake here only makes inputs end earlier.

pub(crate) const PAGE: usize = 4096;

pub(crate) fn crc(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    four.try_into().ok().map(u32::from_le_bytes)
}

/// Writes the crc of `bytes[from..to]` at `at`, where all of that exists.
pub(crate) fn put_crc(bytes: &mut [u8], seed: u32, from: usize, to: usize, at: usize) {
    let Some(sum) = bytes.get(from..to).map(|covered| crc(seed, covered)) else {
        return;
    };
    if let Some(place) = at.checked_add(4).and_then(|end| bytes.get_mut(at..end)) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}
