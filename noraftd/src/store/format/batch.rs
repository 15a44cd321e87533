//! A batch: what one sync makes durable, as bytes.
//!
//! Invariant: a batch is valid as a whole or not at all, and bytes of another batch never validate in it:
//! the crc of its header is seeded with the segment's salt, those of its records with salt and LSN. (The
//! payload crc is seeded with neither: an entry has the same identity on every node.)
//!
//! A batch begins on a page boundary and is padded with zeros to the next:
//!
//! | bytes | field |
//! |-|-|
//! | 0..4 | magic `nrb1` |
//! | 4..8 | number of records, at least 1 |
//! | 8..16 | LSN |
//! | 16..20 | bytes of all records |
//! | 20..24 | crc of the previous batch's header |
//! | 24..28 | zero |
//! | 28..32 | crc of bytes 0..28, seeded with crc(salt) |
//!
//! Each record begins on an 8-byte boundary:
//!
//! | bytes | field |
//! |-|-|
//! | 0..4 | bytes of the payload |
//! | 4 | kind |
//! | 5 | flags |
//! | 6..8 | zero |
//! | 8..16 | term |
//! | 16..24 | index |
//! | 24..32 | the leader's time, in milliseconds since the Unix epoch |
//! | 32..36 | crc of the payload, without seed |
//! | 36..40 | crc of bytes 0..36, seeded with crc(salt, LSN) |
//!
//! | kind | term, index | flags | payload |
//! |-|-|-|-|
//! | 1 ENTRY, first of a term | of the entry | | |
//! | 2 CONFIG | of the entry | | `record::encode_config` |
//! | 3 ENTRY, a command | of the entry | | the command |
//! | 4 HARD_STATE | term, vote | bit 0: there is a vote | |
//! | 5 TRUNCATE | of the last entry that stays | | |
//! | 6 SNAPSHOT | of the last entry that is covered; as time, the log's chain up to there, or zero | | the configuration there |
//! | 7 SEAL | zero, number of entries | bit 0: the index lacks entries that were damaged | the segment's index, see `seal.rs` |
//! | 8 MARK | see below, LSN it speaks of | 1 idle, 2 clean stop, 3 cut, 4 caught up, 5 lost | |
//! | 9 PATCH | of an entry that was damaged | the entry's kind | the entry's |
//!
//! In the place of the term, the mark of a cut has the byte up to which the cut goes, plus 1: a page begins there, so the
//! lowest bit is free, and says that nothing but a mark or a SEAL comes next, and only when the tail is blank. Earlier
//! versions do not write that bit, nor that mark, and do not read it.

use std::io::IoSlice;

use bytes::Bytes;
use noraft::{LogIndex, LogPosition, Term};

use crate::record::{Base, Record, RecordKind};
use crate::store::format::codec::{Fields, INDEX_MAX, NUMBER_MAX, crc, crcs, put};
use crate::store::format::layout::{BATCH_HEADER_BYTES, RECORD_HEADER_BYTES};
use crate::store::format::layout::{PAGE, ZEROS};
use crate::store::format::page_buffer::PageBuffer;
use crate::store::format::segment::Link;
use crate::time::Stamp;

/// What a record is, on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The first entry of a term.
    Term = 1,
    /// An entry with a configuration.
    Config = 2,
    /// An entry with a command.
    Command = 3,
    /// Term and vote.
    HardState = 4,
    /// Entries after a position are void.
    Truncate = 5,
    /// Entries up to a position are covered by a snapshot (or by the genesis).
    Snapshot = 6,
    /// The segment is full; an index of it.
    Seal = 7,
    /// A remark on the batches before.
    Mark = 8,
    /// An entry that is damaged further up, again.
    Patch = 9,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Term,
            2 => Self::Config,
            3 => Self::Command,
            4 => Self::HardState,
            5 => Self::Truncate,
            6 => Self::Snapshot,
            7 => Self::Seal,
            8 => Self::Mark,
            9 => Self::Patch,
            _ => return None,
        })
    }

    /// True when a record of this kind may have `index` in its field for that.
    fn takes_index(self, index: u64) -> bool {
        match self {
            Self::Term | Self::Config | Self::Command | Self::Patch => (1..=INDEX_MAX).contains(&index),
            Self::Truncate | Self::Snapshot => index <= INDEX_MAX,
            // A node's id, a number of entries, an LSN: nothing is counted from these.
            Self::HardState | Self::Seal | Self::Mark => true,
        }
    }

    /// The kind of log entry, if the record is one.
    pub(in crate::store) fn entry(self) -> Option<RecordKind> {
        match self {
            Self::Term => Some(RecordKind::Term),
            Self::Config => Some(RecordKind::Config),
            Self::Command => Some(RecordKind::Command),
            Self::HardState | Self::Truncate | Self::Snapshot | Self::Seal | Self::Mark | Self::Patch => None,
        }
    }
}

impl From<RecordKind> for Kind {
    fn from(kind: RecordKind) -> Self {
        match kind {
            RecordKind::Term => Self::Term,
            RecordKind::Config => Self::Config,
            RecordKind::Command => Self::Command,
        }
    }
}

/// What a mark says of the batches before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Mark {
    /// They were durable, and nothing was in flight.
    Idle = 1,
    /// The same, and the process stopped in good order.
    CleanStop = 2,
    /// A tail was cut here; from now on the node abstains.
    Cut = 3,
    /// The node has caught up with a leader; it abstains no more.
    CaughtUp = 4,
    /// As a cut, but damage took what had been durable.
    Lost = 5,
}

impl Mark {
    /// True for the mark of a cut.
    pub(in crate::store) fn is_cut(self) -> bool {
        match self {
            Self::Cut | Self::Lost => true,
            Self::Idle | Self::CleanStop | Self::CaughtUp => false,
        }
    }

    pub(in crate::store) fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Idle,
            2 => Self::CleanStop,
            3 => Self::Cut,
            4 => Self::CaughtUp,
            5 => Self::Lost,
            _ => return None,
        })
    }
}

/// Everything of a record but its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct RecordHeader {
    pub(in crate::store) length: usize,
    pub(in crate::store) kind: Kind,
    pub(in crate::store) flags: u8,
    pub(in crate::store) term: u64,
    pub(in crate::store) index: u64,
    pub(in crate::store) stamp: Stamp,
    pub(in crate::store) payload_crc: u32,
}

impl RecordHeader {
    /// A record that is no entry.
    pub(in crate::store) fn control(kind: Kind, flags: u8, term: u64, index: u64, payload: &[u8]) -> Self {
        let (stamp, payload_crc) = (Stamp::default(), crc(0, payload));
        Self {
            length: payload.len(),
            kind,
            flags,
            term,
            index,
            stamp,
            payload_crc,
        }
    }

    /// Where the log begins; `config` is the payload. The place of the time, which earlier versions write as zero and
    /// do not read, holds the chain of the log up to there, or zero where it is not known.
    pub(in crate::store) fn of_base(base: &Base, config: &[u8]) -> Self {
        let (term, index) = (base.position.term.get(), base.position.index.get());
        Self {
            stamp: Stamp::from_millis(base.chain.unwrap_or(0)),
            ..Self::control(Kind::Snapshot, 0, term, index, config)
        }
    }

    /// The chain that a record of [`Self::of_base`] holds.
    pub(in crate::store) fn chain(&self) -> Option<u64> {
        Some(self.stamp.as_millis()).filter(|chain| *chain != 0)
    }

    fn of(record: &Record) -> Self {
        Self {
            length: record.payload.len(),
            kind: record.kind.into(),
            flags: 0,
            term: record.position.term.get(),
            index: record.position.index.get(),
            stamp: record.stamp,
            payload_crc: record.payload_crc,
        }
    }

    /// The header of a PATCH with `record`.
    fn of_patch(record: &Record) -> Self {
        Self {
            kind: Kind::Patch,
            flags: Kind::from(record.kind) as u8,
            ..Self::of(record)
        }
    }

    /// The kind of log entry that the record holds: as an entry, or as a patch of one.
    pub(in crate::store) fn held_entry(&self) -> Option<RecordKind> {
        match self.kind {
            Kind::Patch => Kind::from_byte(self.flags)?.entry(),
            kind => kind.entry(),
        }
    }

    /// All but the crc, which [`BatchWriter::finish`] fills in.
    fn encode(&self) -> [u8; RECORD_HEADER_BYTES] {
        let mut head = [0; RECORD_HEADER_BYTES];
        let length = u32::try_from(self.length).expect("a payload has at most PAYLOAD_BYTES_MAX bytes");
        put(&mut head, 0, &length.to_le_bytes());
        head[4] = self.kind as u8;
        head[5] = self.flags;
        put(&mut head, 8, &self.term.to_le_bytes());
        put(&mut head, 16, &self.index.to_le_bytes());
        put(&mut head, 24, &self.stamp.as_millis().to_le_bytes());
        put(&mut head, 32, &self.payload_crc.to_le_bytes());
        head
    }

    /// Reads the record header at the front of `bytes`.
    pub(in crate::store) fn decode(bytes: &[u8], seed: u32) -> Result<Self, &'static str> {
        let head = bytes.get(..RECORD_HEADER_BYTES).ok_or("a record is cut short")?;
        let fields = Fields(head);
        if fields.u32(HEAD_SUMMED_BYTES) != crc(seed, &head[..HEAD_SUMMED_BYTES]) {
            return Err("a record's header is not what was written");
        }
        let kind = Kind::from_byte(head[4]).ok_or("a record is of a kind that this version does not know")?;
        let index = fields.u64(16);
        if !kind.takes_index(index) {
            return Err("a record has an index that no log has");
        }
        Ok(Self {
            length: fields.u32(0) as usize,
            kind,
            flags: head[5],
            term: fields.u64(8),
            index,
            stamp: Stamp::from_millis(fields.u64(24)),
            payload_crc: fields.u32(32),
        })
    }

    /// Term and index.
    pub(in crate::store) fn position(&self) -> LogPosition {
        LogPosition {
            term: Term::new(self.term),
            index: LogIndex::new(self.index),
        }
    }

    /// Bytes that the record takes, with its padding.
    pub(in crate::store) fn span(&self) -> usize {
        record_span(self.length)
    }
}

/// Bytes that a record with a payload of `length` bytes takes, with its padding.
pub(in crate::store) fn record_span(length: usize) -> usize {
    (RECORD_HEADER_BYTES + length).next_multiple_of(8)
}

/// Bytes on disk of a batch whose records take `length` bytes.
pub(in crate::store) fn batch_span(length: usize) -> u64 {
    (BATCH_HEADER_BYTES + length).next_multiple_of(PAGE) as u64
}

/// What a batch says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct BatchHeader {
    /// Its own place in the chain.
    pub(in crate::store) link: Link,
    pub(in crate::store) prev_crc: u32,
    pub(in crate::store) records: u32,
    /// Bytes of all records.
    pub(in crate::store) length: usize,
}

impl BatchHeader {
    /// Reads the batch header at the front of `page`.
    pub(in crate::store) fn decode(page: &[u8], salt: u64) -> Result<Self, &'static str> {
        let head = page.get(..BATCH_HEADER_BYTES).ok_or("a batch is cut short")?;
        let fields = Fields(head);
        if fields.u32(0) != MAGIC {
            return Err("no batch begins here");
        }
        let sum = crc(batch_seed(salt), &head[..28]);
        if fields.u32(28) != sum {
            return Err("a batch's header is not what was written");
        }
        let lsn = fields.u64(8);
        if lsn > NUMBER_MAX {
            return Err("a batch has a number that none has");
        }
        Ok(Self {
            link: Link { lsn, crc: sum },
            prev_crc: fields.u32(20),
            records: fields.u32(4),
            length: fields.u32(16) as usize,
        })
    }

    /// Bytes on disk.
    pub(in crate::store) fn span(&self) -> u64 {
        batch_span(self.length)
    }
}

/// What seeds the crc of batch headers.
fn batch_seed(salt: u64) -> u32 {
    crc(0, &salt.to_le_bytes())
}

/// What seeds the crc of the record headers of one batch.
pub(in crate::store) fn record_seed(salt: u64, lsn: u64) -> u32 {
    crc(batch_seed(salt), &lsn.to_le_bytes())
}

/// The part of the record's header at `at` that its crc is of.
fn summed(bytes: &[u8], at: usize) -> &[u8; HEAD_SUMMED_BYTES] {
    bytes[at..].first_chunk().expect("a header was written there")
}

/// Builds one batch after another in one buffer.
#[derive(Debug, Default)]
pub(in crate::store) struct BatchWriter {
    /// Headers and small payloads.
    bytes: PageBuffer,
    /// Large payloads, each with the number of `bytes` that come before it.
    large: Vec<(usize, Bytes)>,
    /// Where in `bytes` the headers of records are.
    heads: Vec<usize>,
    seed: u32,
    length: usize,
    span: u64,
}

impl BatchWriter {
    /// Begins the batch `lsn`.
    pub(in crate::store) fn begin(&mut self, salt: u64, lsn: u64) {
        self.bytes.clear();
        self.large.clear();
        self.heads.clear();
        self.bytes.extend_from_slice(&[0; BATCH_HEADER_BYTES]);
        put(&mut self.bytes, 0, &MAGIC.to_le_bytes());
        put(&mut self.bytes, 8, &lsn.to_le_bytes());
        self.seed = record_seed(salt, lsn);
        self.length = 0;
    }

    /// Adds a record that is no entry.
    pub(in crate::store) fn control(&mut self, head: &RecordHeader, payload: &[u8]) {
        assert_eq!(
            head.length,
            payload.len(),
            "a record's header has its payload's length"
        );
        self.heads.push(self.bytes.len());
        self.bytes.extend_from_slice(&head.encode());
        self.bytes.extend_from_slice(payload);
        self.pad(head);
    }

    /// Adds an entry.
    pub(in crate::store) fn entry(&mut self, record: &Record) {
        self.add(&RecordHeader::of(record), record);
    }

    /// Adds an entry that is damaged further up.
    pub(in crate::store) fn patch(&mut self, record: &Record) {
        self.add(&RecordHeader::of_patch(record), record);
    }

    fn add(&mut self, head: &RecordHeader, record: &Record) {
        self.heads.push(self.bytes.len());
        self.bytes.extend_from_slice(&head.encode());
        if record.payload.len() <= COPY_BYTES_MAX {
            self.bytes.extend_from_slice(&record.payload);
        } else {
            self.large.push((self.bytes.len(), record.payload.clone()));
        }
        self.pad(head);
    }

    fn pad(&mut self, head: &RecordHeader) {
        let padding = head.span() - RECORD_HEADER_BYTES - head.length;
        self.bytes.extend_from_slice(&[0; 8][..padding]);
        self.length += head.span();
    }

    /// Fills in the crcs of the records' headers.
    fn seal_heads(&mut self) {
        let (fours, rest) = self.heads.as_chunks::<4>();
        for four in fours {
            let sums = crcs(self.seed, four.map(|at| summed(&self.bytes, at)));
            for (at, sum) in four.iter().zip(sums) {
                put(&mut self.bytes, at + HEAD_SUMMED_BYTES, &sum.to_le_bytes());
            }
        }
        for at in rest {
            let [sum] = crcs(self.seed, [summed(&self.bytes, *at)]);
            put(&mut self.bytes, at + HEAD_SUMMED_BYTES, &sum.to_le_bytes());
        }
    }

    /// Completes the batch that comes after `prev`, and returns its link. Without `padded`, the rest of the
    /// last page is left as it is on disk.
    pub(in crate::store) fn finish(&mut self, salt: u64, prev: Link, padded: bool) -> Link {
        assert!(!self.heads.is_empty(), "a batch holds at least one record");
        self.seal_heads();
        let records = u32::try_from(self.heads.len()).expect("a batch fits a segment");
        let length = u32::try_from(self.length).expect("a batch fits a segment");
        put(&mut self.bytes, 4, &records.to_le_bytes());
        put(&mut self.bytes, 16, &length.to_le_bytes());
        put(&mut self.bytes, 20, &prev.crc.to_le_bytes());
        let sum = crc(batch_seed(salt), &self.bytes[..28]);
        put(&mut self.bytes, 28, &sum.to_le_bytes());
        self.span = batch_span(self.length);
        if padded {
            let padding = self.span as usize - BATCH_HEADER_BYTES - self.length;
            self.bytes.extend_from_slice(&ZEROS[..padding]);
        }
        Link {
            lsn: Fields(&self.bytes).u64(8),
            crc: sum,
        }
    }

    /// Bytes on disk of the finished batch.
    pub(in crate::store) fn span(&self) -> u64 {
        self.span
    }

    /// The finished batch, piece by piece.
    pub(in crate::store) fn pieces(&self) -> Vec<IoSlice<'_>> {
        let mut pieces = Vec::with_capacity(2 * self.large.len() + 1);
        let mut from = 0;
        for (at, payload) in &self.large {
            pieces.push(IoSlice::new(&self.bytes[from..*at]));
            pieces.push(IoSlice::new(payload));
            from = *at;
        }
        pieces.push(IoSlice::new(&self.bytes[from..]));
        pieces
    }
}

/// In the mark of a cut, see above.
pub(in crate::store) const CUT_IS_CLOSED_LATER: u64 = 1;
const MAGIC: u32 = u32::from_le_bytes(*b"nrb1");
/// Payloads from this size on are written from where they are; below, a copy is cheaper than a piece.
const COPY_BYTES_MAX: usize = 8 << 10;
/// What the crc of a record's header, which comes after it, is of.
const HEAD_SUMMED_BYTES: usize = 36;
