//! Changes of the membership table, as entries have them (`machine/members.rs` says what they do).
//!
//! Behind the opcode of [`Command::Member`](super::Command::Member): a kind (u8) and its fields. `bytes` is a length (u32) and that
//! many bytes, an address is `bytes`, at most [`ADDRESS_BYTES_MAX`] of printable ASCII, none where it is unknown; a flag is one
//! byte; numbers are u64, little-endian; nothing may follow.
//!
//! | kind | change | fields |
//! |-|-|-|
//! | 0 | the table begins | count u32, rows |
//! | 1 | a node joins | id (0: a new one), incarnation (0: not known yet), peer address, client address, stays a learner |
//! | 2 | it becomes a voter | id, forced |
//! | 3 | it is removed | id, forced |
//! | 4 | one takes the place of another | old id, new id, forced |
//! | 5 | it has other addresses | id, peer address, client address; those that are empty stay |
//! | 6 | it says what is not known of it | id, incarnation, peer address, client address |
//!
//! A row is an id, its part (u8: [`Part`]), the incarnation, the peer address, the client address.
//!
//! Invariant: one change has one encoding; decoding is total and accepts nothing else.

use bytes::{BufMut, Bytes, BytesMut};
use noraft::NodeId;

use super::args::put_bytes;
use crate::protocol::read::Reader;
use crate::record::MEMBERS_MAX;

/// A row of the membership table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub id: NodeId,
    /// What it is to be.
    pub part: Part,
    /// Names its data directory; 0 while that is not known.
    pub incarnation: u64,
    /// Where it is reached.
    pub addresses: Addresses,
}

/// Where a node is reached; empty where that is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// By the other nodes.
    pub peer: String,
    /// By clients.
    pub client: String,
}

/// The part that a member is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Part {
    /// It receives the log, and does not vote.
    Learner = 0,
    /// The same, until it has caught up.
    Joining = 1,
    /// It votes.
    Voter = 2,
}

/// A change of the membership table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// These are the members.
    Begin(Vec<Member>),
    /// A node joins, or is expected.
    Join {
        /// The id that it was given before, if it was.
        id: Option<NodeId>,
        /// Its data directory; 0 while it is only expected.
        incarnation: u64,
        /// Where it is reached.
        addresses: Addresses,
        /// Whether it stays a learner.
        stays: bool,
    },
    /// A learner becomes a voter.
    Promote {
        /// The learner.
        id: NodeId,
        /// Whatever speaks against it.
        force: bool,
    },
    /// A member is removed, permanently.
    Remove {
        /// The member.
        id: NodeId,
        /// Whatever speaks against it.
        force: bool,
    },
    /// A learner becomes a voter, and a voter is removed, at once.
    Replace {
        /// The voter.
        old: NodeId,
        /// The learner.
        new: NodeId,
        /// Whatever speaks against it.
        force: bool,
    },
    /// A member has other addresses.
    SetAddress {
        /// The member.
        id: NodeId,
        /// Those that are empty stay.
        addresses: Addresses,
    },
    /// A member says what the table does not know of it.
    Announce {
        /// The member.
        id: NodeId,
        /// Its data directory.
        incarnation: u64,
        /// Where it is reached, as far as the table does not know.
        addresses: Addresses,
    },
}

impl Part {
    /// Every part.
    const ALL: [Self; 3] = [Self::Learner, Self::Joining, Self::Voter];

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Self::ALL.get(usize::from(reader.u8()?)).copied()
    }
}

impl Member {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            id: read_id(reader)?,
            part: Part::read(reader)?,
            incarnation: reader.u64()?,
            addresses: Addresses::read(reader)?,
        })
    }

    pub(crate) fn write(&self, out: &mut BytesMut) {
        out.put_u64_le(self.id.get());
        out.put_u8(self.part as u8);
        out.put_u64_le(self.incarnation);
        self.addresses.write(out);
    }
}

impl Addresses {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            peer: read_address(reader)?,
            client: read_address(reader)?,
        })
    }

    fn write(&self, out: &mut BytesMut) {
        put_bytes(self.peer.as_bytes(), out);
        put_bytes(self.client.as_bytes(), out);
    }
}

impl MemberChange {
    /// Decodes what stands behind the opcode; `None` when the bytes are no change.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let change = Self::read(&mut reader)?;
        reader.end()?;
        Some(change)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(match reader.u8()? {
            0 => Self::Begin(read_rows(reader)?),
            1 => Self::Join {
                id: Some(reader.u64()?).filter(|id| *id > 0).map(NodeId::new),
                incarnation: reader.u64()?,
                addresses: Addresses::read(reader)?,
                stays: reader.bool()?,
            },
            2 => Self::Promote {
                id: read_id(reader)?,
                force: reader.bool()?,
            },
            3 => Self::Remove {
                id: read_id(reader)?,
                force: reader.bool()?,
            },
            4 => Self::Replace {
                old: read_id(reader)?,
                new: read_id(reader)?,
                force: reader.bool()?,
            },
            5 => Self::SetAddress {
                id: read_id(reader)?,
                addresses: Addresses::read(reader)?,
            },
            6 => Self::Announce {
                id: read_id(reader)?,
                incarnation: reader.u64()?,
                addresses: Addresses::read(reader)?,
            },
            _ => return None,
        })
    }

    /// What stands behind the opcode.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Begin(rows) => {
                out.put_u8(0);
                write_rows(rows, &mut out);
            }
            Self::Join {
                id,
                incarnation,
                addresses,
                stays,
            } => {
                out.put_u8(1);
                out.put_u64_le(id.map_or(0, NodeId::get));
                out.put_u64_le(*incarnation);
                addresses.write(&mut out);
                out.put_u8(u8::from(*stays));
            }
            Self::Promote { id, force } => one(2, *id, *force, &mut out),
            Self::Remove { id, force } => one(3, *id, *force, &mut out),
            Self::Replace { old, new, force } => {
                out.put_u8(4);
                out.put_u64_le(old.get());
                out.put_u64_le(new.get());
                out.put_u8(u8::from(*force));
            }
            Self::SetAddress { id, addresses } => {
                out.put_u8(5);
                out.put_u64_le(id.get());
                addresses.write(&mut out);
            }
            Self::Announce {
                id,
                incarnation,
                addresses,
            } => {
                out.put_u8(6);
                out.put_u64_le(id.get());
                out.put_u64_le(*incarnation);
                addresses.write(&mut out);
            }
        }
        out.freeze()
    }
}

/// Appends rows, with their number.
pub(crate) fn write_rows<'a>(rows: impl IntoIterator<Item = &'a Member>, out: &mut BytesMut) {
    let at = out.len();
    out.put_u32_le(0);
    let mut count = 0_u32;
    for row in rows {
        row.write(out);
        count += 1;
    }
    out[at..at + 4].copy_from_slice(&count.to_le_bytes());
}

/// Reads rows in the order of their ids, at most as many as a cluster has members.
pub(crate) fn read_rows(reader: &mut Reader<'_>) -> Option<Vec<Member>> {
    let count = usize::try_from(reader.u32()?).ok()?;
    (count <= MEMBERS_MAX).then_some(())?;
    let rows: Vec<Member> = (0..count).map(|_| Member::read(reader)).collect::<Option<_>>()?;
    rows.is_sorted_by(|one, next| one.id < next.id).then_some(rows)
}

fn one(kind: u8, id: NodeId, force: bool, out: &mut BytesMut) {
    out.put_u8(kind);
    out.put_u64_le(id.get());
    out.put_u8(u8::from(force));
}

fn read_id(reader: &mut Reader<'_>) -> Option<NodeId> {
    Some(reader.u64()?).filter(|id| *id > 0).map(NodeId::new)
}

fn read_address(reader: &mut Reader<'_>) -> Option<String> {
    let text = std::str::from_utf8(reader.bytes()?).ok()?;
    is_address(text).then(|| text.to_owned())
}

/// True for what may stand in the table: it is shown in lines of text.
pub fn is_address(text: &str) -> bool {
    text.len() <= ADDRESS_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A host name has 253 bytes at most, a path of a Unix socket 107.
pub const ADDRESS_BYTES_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses {
            peer: "10.0.0.4:7701".to_owned(),
            client: "10.0.0.4:7601".to_owned(),
        }
    }

    fn every() -> Vec<MemberChange> {
        let (id, new, force) = (NodeId::new(4), NodeId::new(5), true);
        let member = |id, part| Member {
            id,
            part,
            incarnation: 7,
            addresses: addresses(),
        };
        vec![
            MemberChange::Begin(vec![member(id, Part::Voter), member(new, Part::Learner)]),
            MemberChange::Join {
                id: None,
                incarnation: 9,
                addresses: addresses(),
                stays: false,
            },
            MemberChange::Promote { id, force },
            MemberChange::Remove { id, force: false },
            MemberChange::Replace { old: id, new, force },
            MemberChange::SetAddress {
                id,
                addresses: Addresses::default(),
            },
            MemberChange::Announce {
                id,
                incarnation: 1,
                addresses: addresses(),
            },
        ]
    }

    #[test]
    fn a_change_survives_encoding_and_no_part_of_one_is_a_change() {
        for change in every() {
            let bytes = change.encode();
            assert_eq!(MemberChange::decode(&bytes), Some(change));
            for end in 0..bytes.len() {
                assert_eq!(MemberChange::decode(&bytes[..end]), None, "cut at {end}");
            }
            assert_eq!(MemberChange::decode(&[&bytes[..], &[0]].concat()), None);
        }
    }

    #[test]
    fn what_decodes_is_encoded_the_same_way() {
        for change in every() {
            let bytes = change.encode();
            for bit in 0..bytes.len() * 8 {
                let mut other = bytes.to_vec();
                other[bit / 8] ^= 1 << (bit % 8);
                if let Some(change) = MemberChange::decode(&other) {
                    assert_eq!(change.encode(), other, "bit {bit}");
                }
            }
        }
    }

    #[test]
    fn rows_rise_and_addresses_are_plain() {
        let row = |id| Member {
            id: NodeId::new(id),
            part: Part::Voter,
            incarnation: 0,
            addresses: Addresses::default(),
        };
        let twice = MemberChange::Begin(vec![row(2), row(2)]).encode();
        assert_eq!(MemberChange::decode(&twice), None);
        let many = MemberChange::Begin((1..=MEMBERS_MAX as u64 + 1).map(row).collect()).encode();
        assert_eq!(MemberChange::decode(&many), None);
        assert!(is_address("") && is_address("[::1]:7701") && is_address("unix:/run/p.sock"));
        assert!(!is_address("a b:1") && !is_address("a\n:1") && !is_address(&"x".repeat(301)));
    }
}
