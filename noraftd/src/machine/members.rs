//! The membership table: which nodes the cluster has, where they are reached, and which part each is to have.
//!
//! It says what is wanted; what is in force is the configuration in the log, which leaders make follow it
//! (`replica/members.rs`). Empty until a leader at level 1 has written down what there was.
//!
//! Invariant: an id that ever had a row has one still, or is among those that were removed; it is never given to another
//! node. There is a voter as long as there is a row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use noraft::NodeId;
use xxhash_rust::xxh3::xxh3_64;

use crate::protocol::command::{Addresses, Member, MemberChange, Part, read_rows, write_rows};
use crate::protocol::read::Reader;
use crate::protocol::resp::Reply;
use crate::record::MEMBERS_MAX;

/// The table; a clone shares it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members(Arc<Table>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Table {
    rows: BTreeMap<NodeId, Member>,
    removed: BTreeSet<NodeId>,
    /// The highest id that was ever used.
    highest: u64,
    /// What it contributes to the digest of the state: nothing while it is empty.
    digest: u64,
}

impl Members {
    /// True until the table has begun.
    pub fn is_empty(&self) -> bool {
        self.0.rows.is_empty()
    }

    /// True when nothing has changed since `other` was cloned.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The row of this node.
    pub fn get(&self, id: NodeId) -> Option<&Member> {
        self.0.rows.get(&id)
    }

    /// Every row, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.0.rows.values()
    }

    /// The data directory of each member that has one.
    pub fn directories(&self) -> impl Iterator<Item = (NodeId, u64)> {
        let there = self.iter().filter(|row| row.incarnation != 0);
        there.map(|row| (row.id, row.incarnation))
    }

    /// The nodes that were removed.
    pub fn removed(&self) -> &BTreeSet<NodeId> {
        &self.0.removed
    }

    /// The highest id that was ever used; 0 until the table has begun. A node with a higher one joined later.
    pub fn highest(&self) -> NodeId {
        NodeId::new(self.0.highest)
    }

    /// The nodes that are to vote.
    pub fn voters(&self) -> BTreeSet<NodeId> {
        let voters = self.iter().filter(|row| row.part == Part::Voter);
        voters.map(|row| row.id).collect()
    }

    /// The nodes that are to receive the log and not to vote. Those that are only expected are no part of the
    /// cluster yet.
    pub fn learners(&self) -> BTreeSet<NodeId> {
        let is_there = |row: &&Member| row.part != Part::Voter && row.incarnation != 0;
        self.iter().filter(is_there).map(|row| row.id).collect()
    }

    /// Carries out a change.
    pub fn apply(&mut self, change: MemberChange) -> Reply {
        let mut table = Table::clone(&self.0);
        let reply = match change {
            MemberChange::Begin(rows) => table.begin(rows),
            _ if table.rows.is_empty() => Err("the members are not written down yet".to_owned()),
            MemberChange::Join {
                id,
                incarnation,
                addresses,
                stays,
            } => table.join(id, incarnation, addresses, stays),
            MemberChange::Promote { id, .. } => table.promote(id),
            MemberChange::Remove { id, .. } => table.remove(id),
            MemberChange::Replace { old, new, .. } => table.replace(old, new),
            MemberChange::SetAddress { id, addresses } => table.set_address(id, addresses),
            MemberChange::Announce {
                id,
                incarnation,
                addresses,
            } => table.announce(id, incarnation, addresses),
        };
        match reply {
            Ok(reply) => {
                if table != *self.0 {
                    table.digest = xxh3_64(&table.encode());
                    self.0 = Arc::new(table);
                }
                reply
            }
            Err(reason) => Reply::Error(format!("ERR {reason}; nothing was done")),
        }
    }

    /// What the table contributes to the digest of the state.
    pub(super) fn digest(&self) -> u64 {
        self.0.digest
    }

    /// The table as a snapshot has it.
    pub(super) fn encode(&self) -> Bytes {
        self.0.encode()
    }

    /// Reads [`Self::encode`]; `None` for any other bytes, and for an empty table.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let rows = read_rows(&mut reader)?;
        let count = reader.u32()?;
        let removed: Vec<NodeId> = (0..count)
            .map(|_| reader.u64().map(NodeId::new))
            .collect::<Option<_>>()?;
        let highest = reader.u64()?;
        reader.end()?;
        let is_sorted = removed.is_sorted_by(|one, next| one < next);
        let mut table = Table {
            rows: rows.into_iter().map(|row| (row.id, row)).collect(),
            removed: removed.into_iter().collect(),
            highest,
            digest: 0,
        };
        table.digest = xxh3_64(bytes);
        (is_sorted && table.is_possible()).then(|| Self(Arc::new(table)))
    }
}

/// What a change says when it was carried out, or why it was not.
type Changed = Result<Reply, String>;

const DONE: Changed = Ok(Reply::Status("OK"));

impl Table {
    fn begin(&mut self, rows: Vec<Member>) -> Changed {
        if !self.rows.is_empty() {
            return Err("the members are written down already".to_owned());
        }
        self.highest = rows.iter().map(|row| row.id.get()).max().unwrap_or(0);
        self.rows = rows.into_iter().map(|row| (row.id, row)).collect();
        match self.has_voter() {
            true => DONE,
            false => Err("there would be no voter".to_owned()),
        }
    }

    /// One data directory has one row: who asks again is given the same id.
    fn join(&mut self, id: Option<NodeId>, incarnation: u64, addresses: Addresses, stays: bool) -> Changed {
        let known = self
            .rows
            .values()
            .find(|row| incarnation != 0 && row.incarnation == incarnation);
        if let Some(row) = known {
            return match id.is_none_or(|id| id == row.id) {
                true => Ok(integer(row.id)),
                false => Err(format!("this data directory is that of node {}", row.id.get())),
            };
        }
        let part = if stays { Part::Learner } else { Part::Joining };
        let Some(id) = id else {
            if self.rows.len() >= MEMBERS_MAX {
                return Err(format!("a cluster has at most {MEMBERS_MAX} members"));
            }
            self.highest = self.highest.checked_add(1).ok_or("there is no id left")?;
            let id = NodeId::new(self.highest);
            let member = Member {
                id,
                part,
                incarnation,
                addresses,
            };
            self.rows.insert(id, member);
            return Ok(integer(id));
        };
        let row = self.row(id)?;
        if row.incarnation != 0 {
            return Err(format!(
                "node {} has another data directory, {:016x}",
                id.get(),
                row.incarnation
            ));
        }
        row.incarnation = incarnation;
        row.addresses = addresses;
        Ok(integer(id))
    }

    fn promote(&mut self, id: NodeId) -> Changed {
        let row = self.row(id)?;
        if row.incarnation == 0 && row.part != Part::Voter {
            return Err(format!("node {} has not joined yet", id.get()));
        }
        row.part = Part::Voter;
        DONE
    }

    fn remove(&mut self, id: NodeId) -> Changed {
        if self.removed.contains(&id) {
            return DONE;
        }
        self.row(id)?;
        self.rows.remove(&id);
        self.removed.insert(id);
        match self.has_voter() {
            true => DONE,
            false => Err(format!("node {} is the last voter", id.get())),
        }
    }

    fn replace(&mut self, old: NodeId, new: NodeId) -> Changed {
        if old == new {
            return Err("a node does not take its own place".to_owned());
        }
        self.promote(new)?;
        self.remove(old)
    }

    fn set_address(&mut self, id: NodeId, addresses: Addresses) -> Changed {
        let row = self.row(id)?;
        if !addresses.peer.is_empty() {
            row.addresses.peer = addresses.peer;
        }
        if !addresses.client.is_empty() {
            row.addresses.client = addresses.client;
        }
        DONE
    }

    fn announce(&mut self, id: NodeId, incarnation: u64, addresses: Addresses) -> Changed {
        let row = self.row(id)?;
        row.incarnation = incarnation;
        if row.addresses.peer.is_empty() {
            row.addresses.peer = addresses.peer;
        }
        if row.addresses.client.is_empty() {
            row.addresses.client = addresses.client;
        }
        DONE
    }

    fn row(&mut self, id: NodeId) -> Result<&mut Member, String> {
        let was = self.removed.contains(&id);
        self.rows.get_mut(&id).ok_or_else(|| match was {
            true => format!("node {} was removed, and its id is never used again", id.get()),
            false => format!("node {} is no member", id.get()),
        })
    }

    fn has_voter(&self) -> bool {
        self.rows.values().any(|row| row.part == Part::Voter)
    }

    /// True for what changes can lead to.
    fn is_possible(&self) -> bool {
        let ids = self.rows.keys().chain(&self.removed);
        let is_below = ids.map(|id| id.get()).all(|id| id > 0 && id <= self.highest);
        self.has_voter() && is_below && self.rows.keys().all(|id| !self.removed.contains(id))
    }

    fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        write_rows(self.rows.values(), &mut out);
        out.put_u32_le(u32::try_from(self.removed.len()).expect("ids that were removed are fewer than 2^32"));
        self.removed.iter().for_each(|id| out.put_u64_le(id.get()));
        out.put_u64_le(self.highest);
        out.freeze()
    }
}

fn integer(id: NodeId) -> Reply {
    Reply::Integer(i64::try_from(id.get()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(of: u64) -> NodeId {
        NodeId::new(of)
    }

    fn row(of: u64, part: Part, incarnation: u64) -> Member {
        Member {
            id: id(of),
            part,
            incarnation,
            addresses: Addresses {
                peer: format!("10.0.0.{of}:7701"),
                client: String::new(),
            },
        }
    }

    fn three() -> Members {
        let mut members = Members::default();
        let rows = (1..=3).map(|of| row(of, Part::Voter, 100 + of)).collect();
        assert_eq!(members.apply(MemberChange::Begin(rows)), DONE.unwrap());
        members
    }

    fn join(members: &mut Members, wanted: Option<u64>, incarnation: u64) -> Reply {
        members.apply(MemberChange::Join {
            id: wanted.map(id),
            incarnation,
            addresses: Addresses::default(),
            stays: false,
        })
    }

    fn remove(members: &mut Members, of: u64) -> Reply {
        members.apply(MemberChange::Remove {
            id: id(of),
            force: false,
        })
    }

    #[track_caller]
    fn check_refused(reply: &Reply, reason: &str) {
        let Reply::Error(text) = reply else {
            panic!("{reply:?} is no refusal")
        };
        assert!(
            text.contains(reason) && text.ends_with("; nothing was done"),
            "{text}"
        );
    }

    #[test]
    fn nothing_changes_before_the_table_begins_and_it_begins_once() {
        let mut members = Members::default();
        check_refused(&join(&mut members, None, 7), "not written down yet");
        let learner = MemberChange::Begin(vec![row(1, Part::Learner, 1)]);
        check_refused(&members.apply(learner), "no voter");
        assert!(members.is_empty() && members.digest() == 0);
        let mut members = three();
        let again = MemberChange::Begin(vec![row(9, Part::Voter, 1)]);
        check_refused(&members.apply(again), "already");
        assert_eq!(members, three());
    }

    #[test]
    fn a_directory_that_asks_again_is_the_same_member() {
        let mut members = three();
        assert_eq!(join(&mut members, None, 7), Reply::Integer(4));
        let before = members.clone();
        assert_eq!(join(&mut members, None, 7), Reply::Integer(4));
        assert_eq!(join(&mut members, Some(4), 7), Reply::Integer(4));
        assert!(members.is_same(&before), "nothing has changed");
        check_refused(&join(&mut members, Some(4), 8), "another data directory");
        check_refused(&join(&mut members, Some(5), 7), "that of node 4");
        assert_eq!(members.learners(), [id(4)].into());
    }

    #[test]
    fn an_id_is_never_given_twice() {
        let mut members = three();
        assert_eq!(join(&mut members, None, 7), Reply::Integer(4));
        assert_eq!(remove(&mut members, 4), DONE.unwrap());
        assert_eq!(remove(&mut members, 4), DONE.unwrap(), "again");
        assert_eq!(join(&mut members, None, 7), Reply::Integer(5));
        check_refused(&join(&mut members, Some(4), 8), "never used again");
        check_refused(&join(&mut members, Some(6), 8), "no member");
        assert_eq!(members.removed(), &[id(4)].into());
    }

    #[test]
    fn a_node_that_is_only_expected_is_no_part_until_it_comes() {
        let mut members = three();
        assert_eq!(join(&mut members, None, 0), Reply::Integer(4));
        assert!(members.learners().is_empty());
        let promote = MemberChange::Promote {
            id: id(4),
            force: true,
        };
        check_refused(&members.apply(promote), "not joined");
        assert_eq!(join(&mut members, Some(4), 7), Reply::Integer(4));
        assert_eq!(members.learners(), [id(4)].into());
    }

    #[test]
    fn one_node_takes_the_place_of_another_at_once_or_not_at_all() {
        let mut members = three();
        join(&mut members, None, 7);
        let replace = |old, new| MemberChange::Replace {
            old: id(old),
            new: id(new),
            force: false,
        };
        for (old, new) in [(3, 9), (9, 4), (3, 3)] {
            let before = members.clone();
            assert!(matches!(members.apply(replace(old, new)), Reply::Error(_)));
            assert!(members.is_same(&before), "{old} by {new}");
        }
        assert_eq!(members.apply(replace(3, 4)), DONE.unwrap());
        assert_eq!(members.voters(), [1, 2, 4].map(id).into());
        assert_eq!(members.apply(replace(3, 4)), DONE.unwrap(), "again");
    }

    #[test]
    fn the_last_voter_stays() {
        let mut members = three();
        join(&mut members, None, 7);
        for of in [1, 2] {
            assert_eq!(remove(&mut members, of), DONE.unwrap());
        }
        check_refused(&remove(&mut members, 3), "the last voter");
        assert_eq!(members.voters(), [id(3)].into());
    }

    #[test]
    fn addresses_change_one_by_one() {
        let mut members = three();
        let change = |peer: &str, client: &str| MemberChange::SetAddress {
            id: id(2),
            addresses: Addresses {
                peer: peer.to_owned(),
                client: client.to_owned(),
            },
        };
        members.apply(change("host:1", ""));
        members.apply(change("", "host:2"));
        let announce = |client: &str| MemberChange::Announce {
            id: id(2),
            incarnation: 55,
            addresses: Addresses {
                peer: client.to_owned(),
                client: client.to_owned(),
            },
        };
        members.apply(announce("host:3"));
        let row = members.get(id(2)).expect("it is there");
        assert_eq!(
            (&*row.addresses.peer, &*row.addresses.client),
            ("host:1", "host:2")
        );
        assert_eq!(row.incarnation, 55);
    }

    #[test]
    fn a_table_survives_a_snapshot_and_no_other_bytes_are_one() {
        let mut members = three();
        join(&mut members, None, 7);
        remove(&mut members, 1);
        let bytes = members.encode();
        let back = Members::decode(&bytes).expect("its own bytes");
        assert_eq!((&back, back.digest()), (&members, members.digest()));
        for end in 0..bytes.len() {
            assert_eq!(Members::decode(&bytes[..end]), None, "cut at {end}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.to_vec();
            other[bit / 8] ^= 1 << (bit % 8);
            if let Some(table) = Members::decode(&other) {
                assert_eq!(table.encode(), other, "bit {bit}");
            }
        }
    }
}
