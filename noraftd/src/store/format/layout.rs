//! Sizes that files are made of.

/// The unit of placement, and the least that a sync writes.
pub const PAGE: usize = 4096;

/// A blank page.
pub(in crate::store) static ZEROS: [u8; PAGE] = [0; PAGE];

/// The least that a disk writes as a whole: an interrupted write leaves each sector old or new.
pub const SECTOR: usize = 512;

/// Segments have at least a header, a batch, a SEAL and a second header, and some room.
pub(in crate::store) const SEGMENT_BYTES_MIN: u64 = 8 * PAGE as u64;

/// Offsets within a segment are stored in 32 bits, in units of eight bytes.
pub(in crate::store) const SEGMENT_BYTES_MAX: u64 = 1 << 34;

/// The version that this code writes.
pub(in crate::store) const FORMAT_VERSION: u32 = 1;

/// What a segment's header begins with.
pub const SEGMENT_MAGIC: [u8; 8] = *b"nraftseg";
/// Bytes of a segment's header that are not where the log begins.
pub const SEGMENT_HEADER_BYTES: usize = 96;
/// Where a segment's header has the configuration at the log's beginning; the four bytes before say how long it is.
pub const SEGMENT_CONFIG_AT: usize = SEGMENT_HEADER_BYTES + 20;

/// Bytes of a batch's header.
pub const BATCH_HEADER_BYTES: usize = 32;
/// Bytes of a record's header.
pub const RECORD_HEADER_BYTES: usize = 40;

/// From here on the copy into the page cache, and the writing back of each page, cost more than is won by having the bytes
/// there for the next reader.
pub(in crate::store) const DIRECT_BYTES_MIN: usize = 16 << 10;

/// True when every byte is zero.
pub(in crate::store) fn is_zero(bytes: &[u8]) -> bool {
    // Folding a page at a time lets the compiler use wide registers; an early exit a byte would not.
    bytes
        .chunks(PAGE)
        .all(|page| page.iter().fold(0, |all, byte| all | byte) == 0)
}
