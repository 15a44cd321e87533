//! The vocabulary that replica and store share: an entry with its payload, and what is made durable
//! together.
//!
//! Invariant: a [`Record`] is built once, where its entry was appended or where its bytes were verified;
//! its payload crc travels with it to the log, to peers and to catch-up, and is never computed from
//! bytes that were not checked against it.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use noraft::{ClusterConfig, LogEntry, LogIndex, LogPosition, NodeId, Term};

use crate::time::Stamp;

/// Most bytes of one payload (one client command); larger requests are refused before they are proposed.
/// 16 MiB fits a batch into a quarter of a default segment.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// Most members of a cluster, in its settings and in a command: what a quorum over a network can bear. The core itself
/// has no limit.
pub const MEMBERS_MAX: usize = 64;

/// Most members that bytes may name, on disk and from peers: a limit on what they can make us allocate, and the room
/// that files have for them.
pub const ENCODED_MEMBERS_MAX: usize = 256;

/// Term and vote: what a node must never forget (Raft figure 2, persistent state).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HardState {
    /// The latest term this node has seen; zero before the first election.
    pub term: u64,
    /// The candidate that it voted for in that term.
    pub voted_for: Option<u64>,
}

impl HardState {
    /// The hard state of a node in `term` that voted for `voted_for`.
    pub fn new(term: Term, voted_for: Option<NodeId>) -> Self {
        Self {
            term: term.get(),
            voted_for: voted_for.map(NodeId::get),
        }
    }

    /// The term as the core counts it.
    pub fn term(self) -> Term {
        Term::new(self.term)
    }

    /// The vote as the core names it.
    pub fn voted_for(self) -> Option<NodeId> {
        self.voted_for.map(NodeId::new)
    }
}

/// What an entry is; the payload's meaning follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// The first entry of a leader's term (Raft 8); no payload.
    Term,
    /// A cluster configuration; the payload is [`encode_config`].
    Config,
    /// A client's command; the payload is [`crate::protocol::command`]'s encoding.
    Command,
}

/// One log entry with its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Term and index of the entry.
    pub position: LogPosition,
    /// What the entry is.
    pub kind: RecordKind,
    /// The leader's wall clock when it appended the entry.
    pub stamp: Stamp,
    /// The command's or configuration's bytes.
    pub payload: Bytes,
    /// CRC-32 (IEEE) of `payload`.
    pub payload_crc: u32,
}

impl Record {
    /// A record for bytes that originate here: computes the payload's crc.
    pub fn new(position: LogPosition, kind: RecordKind, stamp: Stamp, payload: Bytes) -> Self {
        let payload_crc = crc32fast::hash(&payload);
        Self {
            position,
            kind,
            stamp,
            payload,
            payload_crc,
        }
    }

    /// True when the payload still is what its crc says.
    pub fn is_intact(&self) -> bool {
        crc32fast::hash(&self.payload) == self.payload_crc
    }

    /// The entry as the core knows it, or `None` when the payload of a configuration does not parse.
    pub fn to_entry(&self) -> Option<LogEntry> {
        match self.kind {
            RecordKind::Term => Some(LogEntry::Term(self.position.term)),
            RecordKind::Config => decode_config(&self.payload).map(LogEntry::ClusterConfig),
            RecordKind::Command => Some(LogEntry::Command),
        }
    }
}

/// An entry whose place in the log is known and whose payload is not readable here: damage that another
/// node can repair.
///
/// Term and index name an entry for good (Raft 5.3, Log Matching), so any intact record at this position
/// is the one that was lost; kind and crc, where they survived, are compared as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// Term and index of the entry.
    pub position: LogPosition,
    /// What the entry is, where that is known.
    pub kind: Option<RecordKind>,
    /// CRC of the payload, where that is known.
    pub payload_crc: Option<u32>,
}

impl Hole {
    /// True when `record` is the entry that was lost.
    pub fn is_filled_by(&self, record: &Record) -> bool {
        record.position == self.position
            && self.kind.is_none_or(|kind| kind == record.kind)
            && self.payload_crc.is_none_or(|crc| crc == record.payload_crc)
            && record.is_intact()
            && record.to_entry().is_some()
    }
}

/// Names one [`Batch`]; they count up from 1 in the order of persisting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BatchId(pub u64);

/// Where a log begins: a snapshot has what comes before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The last entry that is in the snapshot.
    pub position: LogPosition,
    /// The configuration in force there.
    pub config: ClusterConfig,
    /// The chain of the log up to there, where it is known.
    pub chain: Option<u64>,
}

/// What a snapshot represents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The last entry that is in it, and the configuration at that place.
    pub base: Base,
    /// The greatest stamp of the entries in it.
    pub stamp: Stamp,
}

/// One snapshot file, as its receiver has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotId {
    /// The last entry that is in it.
    pub position: LogPosition,
    /// The bytes of the file.
    pub bytes: u64,
    /// Its hash.
    pub hash: u128,
}

/// What one sync makes durable, in this order: hard state, the log's new beginning, then the append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The batch's name, given back when it is durable.
    pub id: BatchId,
    /// New term and vote, when either changed.
    pub hard_state: Option<HardState>,
    /// The log begins here from now on. A snapshot of that position is durable. Where the log does not hold the
    /// position, everything in it is void (Raft 7).
    pub base: Option<Base>,
    /// Entries to write, when there are any.
    pub append: Option<Append>,
}

/// Entries to write after an anchor: whatever the log holds beyond `prev` is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The position before the first record; the log contains it.
    pub prev: LogPosition,
    /// Consecutive entries from `prev.index + 1` on. May repeat entries the log already holds.
    pub records: Vec<Record>,
}

/// Whether a node abstains, because it may have forgotten what it acknowledged, or certainly has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Abstain {
    /// It remembers everything.
    #[default]
    No = 0,
    /// Its tail was ambiguous: most likely what was cut was never acknowledged.
    Tail = 1,
    /// Damage took entries that had been durable. Where that happened to a majority, no comparison of logs shows what
    /// was committed.
    Loss = 2,
}

impl Abstain {
    /// The value that `byte` encodes.
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::No, Self::Tail, Self::Loss]
            .into_iter()
            .find(|abstain| *abstain as u8 == byte)
    }

    /// True unless it remembers everything.
    pub fn abstains(self) -> bool {
        self != Self::No
    }
}

/// The base that every node of a new cluster starts from: an empty log whose configuration is `voters`.
///
/// All nodes are started with the same list, so no bootstrap entry is needed and no node is special.
pub fn genesis_config(voters: impl IntoIterator<Item = NodeId>) -> ClusterConfig {
    let mut config = ClusterConfig::new();
    config.voters = voters.into_iter().collect();
    config
}

/// Encodes a configuration: for each of voters, new voters and non-voters a count (u32, little-endian) and
/// that many node ids (u64).
pub fn encode_config(config: &ClusterConfig) -> Bytes {
    let mut out = BytesMut::new();
    for set in [&config.voters, &config.new_voters, &config.non_voters] {
        out.put_u32_le(
            u32::try_from(set.len()).expect("a configuration has at most ENCODED_MEMBERS_MAX members"),
        );
        for id in set {
            out.put_u64_le(id.get());
        }
    }
    out.freeze()
}

/// Decodes [`encode_config`]; `None` on any other bytes.
pub fn decode_config(mut bytes: &[u8]) -> Option<ClusterConfig> {
    let voters = decode_members(&mut bytes)?;
    let new_voters = decode_members(&mut bytes)?;
    let non_voters = decode_members(&mut bytes)?;
    let mut config = ClusterConfig::new();
    (config.voters, config.new_voters, config.non_voters) = (voters, new_voters, non_voters);
    bytes.is_empty().then_some(config)
}

fn decode_members(bytes: &mut &[u8]) -> Option<BTreeSet<NodeId>> {
    let count = bytes.try_get_u32_le().ok()? as usize;
    if count > ENCODED_MEMBERS_MAX {
        return None;
    }
    let mut members = BTreeSet::new();
    for _ in 0..count {
        members.insert(NodeId::new(bytes.try_get_u64_le().ok()?));
    }
    (members.len() == count).then_some(members)
}

/// The index after `index`, or `None` at the end of the index space.
pub fn next_index(index: LogIndex) -> Option<LogIndex> {
    index.get().checked_add(1).map(LogIndex::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_survives_encoding() {
        let mut config = genesis_config([1, 2, 3].map(NodeId::new));
        config.new_voters = [NodeId::new(4)].into();
        config.non_voters = [NodeId::new(u64::MAX)].into();
        assert_eq!(decode_config(&encode_config(&config)), Some(config));
    }

    #[test]
    fn damaged_configurations_are_refused() {
        let bytes = encode_config(&genesis_config([1, 2, 3].map(NodeId::new)));
        for end in 0..bytes.len() {
            assert_eq!(decode_config(&bytes[..end]), None, "cut at {end}");
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert_eq!(decode_config(&longer), None);
        assert_eq!(decode_config(&u32::MAX.to_le_bytes()), None);
    }
}
