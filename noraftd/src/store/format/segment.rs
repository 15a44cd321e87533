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
//! | 12..16 | flags; bit 0: the node was abstaining when the segment was begun; bit 1: bytes 96.. are in use; bit 2: it was, for a loss |
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
//! | 96..104 | index of the log's base when the segment was begun |
//! | 104..112 | term of the base |
//! | 112..116 | length of the configuration at the base |
//! | 116.. | the configuration, and the crc of all from byte 96 on |
//!
//! A record in the stream says where the log begins; the header repeats it, so that no damage to one place takes
//! it away. Segments of earlier builds do not (bit 1 is not set), nor do those whose configuration has no room.
//!
//! The rest of both pages is zero. Between them lie batches (`batch.rs`), each from a page boundary on.

use std::io;

use noraft::{LogIndex, LogPosition, NodeId, Term};

use crate::record::{Abstain, Base, decode_config, encode_config};
use crate::store::format::codec::{Fields, INDEX_MAX, NUMBER_MAX, crc, put};
use crate::store::format::layout::{
    FORMAT_VERSION, PAGE, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENT_CONFIG_AT, SEGMENT_HEADER_BYTES,
    SEGMENT_MAGIC, is_zero,
};
use crate::store::types::{Identity, Owner};

/// The place of a batch in the chain of all batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct Link {
    /// Log sequence number: counts batches up, with gaps, and is never used twice.
    pub(in crate::store) lsn: u64,
    /// The crc of the batch's header.
    pub(in crate::store) crc: u32,
}

/// What page 0 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct SegmentHeader {
    pub(in crate::store) identity: Identity,
    pub(in crate::store) number: u64,
    /// Mixed into the crc of every batch and record header here, so bytes of another segment never validate.
    pub(in crate::store) salt: u64,
    pub(in crate::store) segment_bytes: u64,
    /// The position before the first entry that is appended here.
    pub(in crate::store) prev: LogPosition,
    /// The last batch before this segment.
    pub(in crate::store) link: Link,
    pub(in crate::store) abstain: Abstain,
}

/// Why 4096 bytes are not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum HeaderFault {
    /// Only zeros: never written.
    Blank,
    /// Not what was written.
    Damaged,
    /// Intact, but of this other version.
    Version(u32),
}

impl SegmentHeader {
    /// The header as a page, in a log that begins at `base`; earlier builds did not say where.
    pub(in crate::store) fn encode(&self, base: Option<&Base>) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        let has_base = base.is_some_and(|base| put_base(&mut page, base));
        put(&mut page, 0, &SEGMENT_MAGIC);
        put(&mut page, 8, &FORMAT_VERSION.to_le_bytes());
        let abstain = match self.abstain {
            Abstain::No => 0,
            Abstain::Tail => FLAG_ABSTAINING,
            Abstain::Loss => FLAG_ABSTAINING | FLAG_LOSS,
        };
        let flags = abstain | if has_base { FLAG_BASE } else { 0 };
        put(&mut page, 12, &flags.to_le_bytes());
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
        let sum = crc(0, &page[..SEGMENT_HEADER_BYTES - 4]);
        put(&mut page, SEGMENT_HEADER_BYTES - 4, &sum.to_le_bytes());
        page
    }

    /// Reads a header page.
    pub(in crate::store) fn decode(page: &[u8]) -> Result<Self, HeaderFault> {
        let head = page.get(..SEGMENT_HEADER_BYTES).ok_or(HeaderFault::Damaged)?;
        if is_zero(page) {
            return Err(HeaderFault::Blank);
        }
        let fields = Fields(head);
        if head[..8] != SEGMENT_MAGIC
            || fields.u32(SEGMENT_HEADER_BYTES - 4) != crc(0, &head[..SEGMENT_HEADER_BYTES - 4])
        {
            return Err(HeaderFault::Damaged);
        }
        if fields.u32(8) != FORMAT_VERSION {
            return Err(HeaderFault::Version(fields.u32(8)));
        }
        let owner = Owner {
            cluster_id: fields.u64(16),
            node_id: NodeId::new(fields.u64(24)),
        };
        let link = Link {
            lsn: fields.u64(80),
            crc: fields.u32(88),
        };
        let (number, segment_bytes) = (fields.u64(40), fields.u64(56));
        let prev = fields.u64(64).checked_sub(1).ok_or(HeaderFault::Damaged)?;
        let is_possible = (1..=NUMBER_MAX).contains(&number)
            && is_whole(segment_bytes)
            && prev <= INDEX_MAX
            && link.lsn <= NUMBER_MAX;
        if !is_possible {
            return Err(HeaderFault::Damaged);
        }
        Ok(Self {
            identity: Identity {
                owner,
                incarnation: fields.u64(32),
            },
            number,
            salt: fields.u64(48),
            segment_bytes,
            prev: LogPosition {
                index: LogIndex::new(prev),
                term: Term::new(fields.u64(72)),
            },
            link,
            abstain: match fields.u32(12) & (FLAG_ABSTAINING | FLAG_LOSS) {
                0 => Abstain::No,
                FLAG_ABSTAINING => Abstain::Tail,
                _ => Abstain::Loss,
            },
        })
    }

    /// Where the log began, if this header page says so and says what was written.
    pub(in crate::store) fn decode_base(page: &[u8]) -> Option<Base> {
        let fields = Fields(page.get(..SEGMENT_CONFIG_AT)?);
        if fields.u32(12) & FLAG_BASE == 0 {
            return None;
        }
        let end = SEGMENT_CONFIG_AT.checked_add(fields.u32(112) as usize)?;
        let sum = Fields(page.get(end..end.checked_add(4)?)?).u32(0);
        let config = page.get(SEGMENT_CONFIG_AT..end)?;
        if sum != crc(0, &page[SEGMENT_HEADER_BYTES..end]) || fields.u64(96) > INDEX_MAX {
            return None;
        }
        Some(Base {
            position: LogPosition {
                index: LogIndex::new(fields.u64(96)),
                term: Term::new(fields.u64(104)),
            },
            config: decode_config(config)?,
            chain: None,
        })
    }

    /// The byte after the last that a batch may take: where the second header begins.
    pub(in crate::store) fn batches_end(&self) -> u64 {
        self.segment_bytes - PAGE as u64
    }
}

/// Puts the base into a header page, if there is room.
fn put_base(page: &mut [u8; PAGE], base: &Base) -> bool {
    let config = encode_config(&base.config);
    let end = SEGMENT_CONFIG_AT + config.len();
    if end + 4 > PAGE {
        return false;
    }
    let length = u32::try_from(config.len()).expect("it fits a page");
    put(page, 96, &base.position.index.get().to_le_bytes());
    put(page, 104, &base.position.term.get().to_le_bytes());
    put(page, 112, &length.to_le_bytes());
    put(page, SEGMENT_CONFIG_AT, &config);
    let sum = crc(0, &page[SEGMENT_HEADER_BYTES..end]);
    put(page, end, &sum.to_le_bytes());
    true
}

/// The size of file that is made for a wish of `bytes`.
pub(in crate::store) fn rounded_size(bytes: u64) -> u64 {
    bytes
        .clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
        .next_multiple_of(PAGE as u64)
}

/// True for the size of a segment that was made completely.
pub(in crate::store) fn is_whole(size: u64) -> bool {
    (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&size) && size.is_multiple_of(PAGE as u64)
}

/// Refuses a file that is larger than any segment before it is read into memory.
pub(in crate::store) fn check_size(size: u64) -> io::Result<()> {
    if size <= SEGMENT_BYTES_MAX {
        return Ok(());
    }
    let text = format!("it has {size} bytes, and no segment has more than {SEGMENT_BYTES_MAX}");
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

/// The file name of segment `number`.
pub(in crate::store) fn file_name(number: u64) -> String {
    format!("{PREFIX}{number:016}")
}

/// The name of segment `number` while it is being made.
pub(in crate::store) fn temporary_name(number: u64) -> String {
    format!("{}{TEMPORARY_SUFFIX}", file_name(number))
}

/// True for a file that a crash left half made.
pub(in crate::store) fn is_temporary(name: &str) -> bool {
    name.ends_with(TEMPORARY_SUFFIX)
}

/// The number of the segment in file `name`, if it is one.
pub(in crate::store) fn parse_name(name: &str) -> Option<u64> {
    let number = name.strip_prefix(PREFIX)?.parse().ok()?;
    (number <= NUMBER_MAX && file_name(number) == name).then_some(number)
}

const PREFIX: &str = "segment-";
const TEMPORARY_SUFFIX: &str = ".tmp";

const FLAG_ABSTAINING: u32 = 1;
const FLAG_BASE: u32 = 2;
const FLAG_LOSS: u32 = 4;

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
            abstain: Abstain::Loss,
        }
    }

    fn base(members: u64) -> Base {
        Base {
            position: LogPosition {
                term: Term::new(4),
                index: LogIndex::new(5),
            },
            config: crate::record::genesis_config((1..=members).map(NodeId::new)),
            chain: None,
        }
    }

    #[test]
    fn a_header_survives_encoding() {
        let page = header().encode(Some(&base(3)));
        assert_eq!(SegmentHeader::decode(&page), Ok(header()));
        assert_eq!(SegmentHeader::decode_base(&page), Some(base(3)));
    }

    #[test]
    fn a_base_that_has_no_room_is_left_out() {
        let page = header().encode(Some(&base(1000)));
        assert_eq!(SegmentHeader::decode(&page), Ok(header()));
        assert_eq!(SegmentHeader::decode_base(&page), None);
    }

    #[test]
    fn every_flipped_bit_of_a_base_is_seen() {
        let page = header().encode(Some(&base(3)));
        let end = page.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for bit in SEGMENT_HEADER_BYTES * 8..end * 8 {
            let mut page = page;
            page[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&page), Ok(header()), "bit {bit}");
            assert_eq!(SegmentHeader::decode_base(&page), None, "bit {bit}");
        }
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_seen() {
        for bit in 0..SEGMENT_HEADER_BYTES * 8 {
            let mut page = header().encode(Some(&base(3)));
            page[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                SegmentHeader::decode(&page),
                Err(HeaderFault::Damaged),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_blank_page_and_a_later_version_are_distinguished_from_damage() {
        assert_eq!(SegmentHeader::decode(&[0; PAGE]), Err(HeaderFault::Blank));
        let mut page = header().encode(Some(&base(3)));
        put(&mut page, 8, &2u32.to_le_bytes());
        let sum = crc(0, &page[..SEGMENT_HEADER_BYTES - 4]);
        put(&mut page, SEGMENT_HEADER_BYTES - 4, &sum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&page), Err(HeaderFault::Version(2)));
    }

    #[test]
    fn numbers_that_no_segment_has_are_damage_whatever_the_crc_says() {
        for (at, number) in [
            (40, 0),
            (40, u64::MAX),
            (56, 0),
            (56, SEGMENT_BYTES_MIN + 1),
            (56, SEGMENT_BYTES_MAX + PAGE as u64),
            (56, u64::MAX),
            (64, 0),
            (64, u64::MAX),
            (80, u64::MAX),
        ] {
            let mut page = header().encode(Some(&base(3)));
            put(&mut page, at, &number.to_le_bytes());
            let sum = crc(0, &page[..SEGMENT_HEADER_BYTES - 4]);
            put(&mut page, SEGMENT_HEADER_BYTES - 4, &sum.to_le_bytes());
            let decoded = SegmentHeader::decode(&page);
            assert_eq!(decoded, Err(HeaderFault::Damaged), "{number} at byte {at}");
        }
    }

    #[test]
    fn only_names_that_we_give_are_segments() {
        assert_eq!(parse_name(&file_name(17)), Some(17));
        for name in [
            "segment-17",
            "segment-+000000000000017",
            "hard_state",
            "segment-0000000000000001.tmp",
            "segment-18446744073709551615",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
