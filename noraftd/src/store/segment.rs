//! A segment file: its name, its pages, its header.
//!
//! Invariant: a header is written and synced, in both copies, before the first batch of its segment; so
//! a segment with two broken headers and anything in it is damaged, not interrupted.
//!
//! All numbers are little-endian. Page 0 and the last page of the file hold the same header:
//!
//! | bytes | field |
//! |-|-|
//! | 0..8 | magic `nraftseg` |
//! | 8..12 | format version, 1 |
//! | 12..16 | flags; bit 0: the node was abstaining when the segment was begun |
//! | 16..24 | cluster id |
//! | 24..32 | node id |
//! | 32..40 | incarnation id |
//! | 40..48 | segment number, from 1 |
//! | 48..56 | salt |
//! | 56..64 | bytes of the file |
//! | 64..72 | first index: that of the first entry that is appended here |
//! | 72..80 | term of the entry before it |
//! | 80..88 | LSN of the last batch before this segment |
//! | 88..92 | crc of that batch's header |
//! | 92..96 | crc of bytes 0..92 |
//!
//! The rest of both pages is zero. Between them lie batches (`batch.rs`), each from a page boundary on.

use noraft::{LogIndex, LogPosition, NodeId, Term};

use super::codec::{Fields, crc, put};
use super::{Identity, Owner};

/// The unit of placement, and the least that a sync writes.
pub(super) const PAGE: usize = 4096;

/// A blank page.
pub(super) static ZEROS: [u8; PAGE] = [0; PAGE];

/// The least that a disk writes as a whole: an interrupted write leaves each sector old or new.
pub(super) const SECTOR: usize = 512;

/// Segments have at least a header, a batch, a SEAL and a second header, and some room.
pub(super) const SEGMENT_BYTES_MIN: u64 = 8 * PAGE as u64;

/// Offsets within a segment are stored in 32 bits, in units of eight bytes.
pub(super) const SEGMENT_BYTES_MAX: u64 = 1 << 34;

/// The version that this code writes.
pub(super) const FORMAT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"nraftseg";
const HEADER_BYTES: usize = 96;
const FLAG_ABSTAINING: u32 = 1;

/// The place of a batch in the chain of all batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Link {
    /// Log sequence number: counts batches up, with gaps, and is never used twice.
    pub(super) lsn: u64,
    /// The crc of the batch's header.
    pub(super) crc: u32,
}

/// What page 0 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) identity: Identity,
    pub(super) number: u64,
    /// Mixed into the crc of every batch and record header here, so bytes of another segment never validate.
    pub(super) salt: u64,
    pub(super) segment_bytes: u64,
    /// The position before the first entry that is appended here.
    pub(super) prev: LogPosition,
    /// The last batch before this segment.
    pub(super) link: Link,
    pub(super) abstaining: bool,
}

/// Why 4096 bytes are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// Only zeros: never written.
    Blank,
    /// Not what was written.
    Damaged,
    /// Intact, but of this other version.
    Version(u32),
}

impl SegmentHeader {
    /// The header as a page.
    pub(super) fn encode(&self) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        put(&mut page, 0, &MAGIC);
        put(&mut page, 8, &FORMAT_VERSION.to_le_bytes());
        put(&mut page, 12, &u32::from(self.abstaining).to_le_bytes());
        put(&mut page, 16, &self.identity.owner.cluster_id.to_le_bytes());
        put(&mut page, 24, &self.identity.owner.node_id.get().to_le_bytes());
        put(&mut page, 32, &self.identity.incarnation.to_le_bytes());
        put(&mut page, 40, &self.number.to_le_bytes());
        put(&mut page, 48, &self.salt.to_le_bytes());
        put(&mut page, 56, &self.segment_bytes.to_le_bytes());
        put(
            &mut page,
            64,
            &self.prev.index.get().wrapping_add(1).to_le_bytes(),
        );
        put(&mut page, 72, &self.prev.term.get().to_le_bytes());
        put(&mut page, 80, &self.link.lsn.to_le_bytes());
        put(&mut page, 88, &self.link.crc.to_le_bytes());
        let sum = crc(0, &page[..HEADER_BYTES - 4]);
        put(&mut page, HEADER_BYTES - 4, &sum.to_le_bytes());
        page
    }

    /// Reads a header page.
    pub(super) fn decode(page: &[u8]) -> Result<Self, HeaderFault> {
        let head = page.get(..HEADER_BYTES).ok_or(HeaderFault::Damaged)?;
        if is_zero(page) {
            return Err(HeaderFault::Blank);
        }
        let fields = Fields(head);
        if head[..8] != MAGIC || fields.u32(HEADER_BYTES - 4) != crc(0, &head[..HEADER_BYTES - 4]) {
            return Err(HeaderFault::Damaged);
        }
        if fields.u32(8) != FORMAT_VERSION {
            return Err(HeaderFault::Version(fields.u32(8)));
        }
        let owner = Owner {
            cluster_id: fields.u64(16),
            node_id: NodeId::new(fields.u64(24)),
        };
        Ok(Self {
            identity: Identity {
                owner,
                incarnation: fields.u64(32),
            },
            number: fields.u64(40),
            salt: fields.u64(48),
            segment_bytes: fields.u64(56),
            prev: LogPosition {
                index: LogIndex::new(fields.u64(64).wrapping_sub(1)),
                term: Term::new(fields.u64(72)),
            },
            link: Link {
                lsn: fields.u64(80),
                crc: fields.u32(88),
            },
            abstaining: fields.u32(12) & FLAG_ABSTAINING != 0,
        })
    }

    /// The byte after the last that a batch may take: where the second header begins.
    pub(super) fn batches_end(&self) -> u64 {
        self.segment_bytes - PAGE as u64
    }
}

/// The size of file that is made for a wish of `bytes`.
pub(super) fn rounded_size(bytes: u64) -> u64 {
    bytes
        .clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
        .next_multiple_of(PAGE as u64)
}

/// True for the size of a segment that was made completely.
pub(super) fn is_whole(size: u64) -> bool {
    size >= SEGMENT_BYTES_MIN && size.is_multiple_of(PAGE as u64)
}

/// The file name of segment `number`.
pub(super) fn file_name(number: u64) -> String {
    format!("{PREFIX}{number:016}")
}

/// The name of segment `number` while it is being made.
pub(super) fn temporary_name(number: u64) -> String {
    format!("{}{TEMPORARY_SUFFIX}", file_name(number))
}

/// True for a file that a crash left half made.
pub(super) fn is_temporary(name: &str) -> bool {
    name.ends_with(TEMPORARY_SUFFIX)
}

/// The number of the segment in file `name`, if it is one.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let number = name.strip_prefix(PREFIX)?.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

/// True when every byte is zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    // Folding a page at a time lets the compiler use wide registers; an early exit a byte would not.
    bytes
        .chunks(PAGE)
        .all(|page| page.iter().fold(0, |all, byte| all | byte) == 0)
}

const PREFIX: &str = "segment-";
const TEMPORARY_SUFFIX: &str = ".tmp";

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        let owner = Owner {
            cluster_id: 1,
            node_id: NodeId::new(2),
        };
        SegmentHeader {
            identity: Identity {
                owner,
                incarnation: 3,
            },
            number: 4,
            salt: 5,
            segment_bytes: SEGMENT_BYTES_MIN,
            prev: LogPosition {
                term: Term::new(6),
                index: LogIndex::new(7),
            },
            link: Link { lsn: 8, crc: 9 },
            abstaining: true,
        }
    }

    #[test]
    fn a_header_survives_encoding() {
        assert_eq!(SegmentHeader::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_seen() {
        for bit in 0..HEADER_BYTES * 8 {
            let mut page = header().encode();
            page[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                SegmentHeader::decode(&page),
                Err(HeaderFault::Damaged),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_blank_page_and_a_later_version_are_told_apart_from_damage() {
        assert_eq!(SegmentHeader::decode(&[0; PAGE]), Err(HeaderFault::Blank));
        let mut page = header().encode();
        put(&mut page, 8, &2u32.to_le_bytes());
        let sum = crc(0, &page[..HEADER_BYTES - 4]);
        put(&mut page, HEADER_BYTES - 4, &sum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&page), Err(HeaderFault::Version(2)));
    }

    #[test]
    fn only_names_that_we_give_are_segments() {
        assert_eq!(parse_name(&file_name(17)), Some(17));
        for name in [
            "segment-17",
            "segment-+000000000000017",
            "hard_state",
            "segment-0000000000000001.tmp",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
