//! What entries say of the members that are in the log and not applied yet.
//!
//! A node that starts has applied what its newest snapshot has; what is committed behind it, the others say. It may need the rest of
//! its log to find them, and to know them: where they are, and which directories they have. An entry that is never committed
//! does no harm here. A connection to a wrong address comes to nothing, for a hello names both ends; and a leader appended
//! what the entry says of a directory, after the node with that directory had been admitted.
//!
//! Invariant: by index, none of them applied, each one the log's as long as it was not cut before it.

use std::collections::BTreeMap;

use noraft::{LogIndex, NodeId};

use super::Replica;
use crate::machine::Members;
use crate::protocol::command::{Addresses, MemberChange, Request};
use crate::protocol::resp::Reply;
use crate::record::{Record, RecordKind};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ahead(BTreeMap<LogIndex, MemberChange>);

/// What an entry says of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'a> {
    /// The member.
    pub id: NodeId,
    /// Its directory, if the entry says it.
    pub incarnation: Option<u64>,
    /// Where it is reached, as far as the entry says it.
    pub addresses: &'a Addresses,
}

impl Ahead {
    /// The log has this record, and nothing yet that follows it.
    pub fn keep(&mut self, record: &Record) {
        let index = record.position.index;
        if self.0.last_key_value().is_some_and(|(last, _)| *last >= index) {
            self.0.split_off(&index);
        }
        if record.kind == RecordKind::Command
            && let Some(change) = Request::member_change(&record.payload)
        {
            self.0.insert(index, change);
            if self.0.len() > CHANGES_MAX {
                self.0.pop_first();
            }
        }
    }

    /// Everything up to this is applied.
    pub(super) fn forget_until(&mut self, applied: LogIndex) {
        while self
            .0
            .first_key_value()
            .is_some_and(|(first, _)| *first <= applied)
        {
            self.0.pop_first();
        }
    }

    /// What is said, in the order of the log, where `applied` is the table in the state. A member that joined under a new id has the one that the
    /// state will give it; of its directory nothing is said, for an entry before may not be readable, and then it is another id.
    pub fn said(&self, applied: &Members) -> Vec<Said<'_>> {
        let (mut table, mut all) = (applied.clone(), Vec::new());
        for change in self.0.values() {
            all.extend(said_by(change));
            let reply = table.apply(change.clone());
            if let (
                MemberChange::Join {
                    id: None, addresses, ..
                },
                Reply::Integer(id),
            ) = (change, reply)
            {
                let id = u64::try_from(id).ok().map(NodeId::new);
                all.extend(id.map(|id| Said {
                    id,
                    incarnation: None,
                    addresses,
                }));
            }
        }
        all
    }
}

fn said_by(change: &MemberChange) -> Vec<Said<'_>> {
    let said = |id: &NodeId, incarnation: u64, addresses| Said {
        id: *id,
        incarnation: (incarnation != 0).then_some(incarnation),
        addresses,
    };
    match change {
        MemberChange::Begin(rows) => {
            let rows = rows.iter();
            rows.map(|row| said(&row.id, row.incarnation, &row.addresses))
                .collect()
        }
        MemberChange::Join {
            id: Some(id),
            incarnation,
            addresses,
            ..
        }
        | MemberChange::Announce {
            id,
            incarnation,
            addresses,
        } => vec![said(id, *incarnation, addresses)],
        MemberChange::SetAddress { id, addresses } => vec![said(id, 0, addresses)],
        // The state gives the id: [`Ahead::said`].
        MemberChange::Join { id: None, .. }
        | MemberChange::Promote { .. }
        | MemberChange::Remove { .. }
        | MemberChange::Replace { .. } => Vec::new(),
    }
}

impl Replica {
    /// What entries say of the members that are not applied yet.
    pub fn members_ahead(&self) -> &Ahead {
        &self.content.ahead
    }

    /// The log had this in it when its directory was opened.
    pub fn look_ahead(&mut self, mut ahead: Ahead) {
        ahead.forget_until(self.applied.index());
        self.content.ahead = ahead;
    }
}

/// Changes that are remembered: of more, the latest. Members change by hand, and a log goes back to the last snapshot.
const CHANGES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use noraft::{LogPosition, Term};

    use super::*;
    use crate::protocol::command::{Member, Part};
    use crate::time::Stamp;

    fn record(index: u64, payload: Bytes) -> Record {
        let position = LogPosition::new(Term::new(1), LogIndex::new(index));
        Record::new(position, RecordKind::Command, Stamp::default(), payload)
    }

    fn moves(index: u64, id: u64, peer: &str) -> Record {
        let change = MemberChange::SetAddress {
            id: NodeId::new(id),
            addresses: Addresses {
                peer: peer.to_owned(),
                client: String::new(),
            },
        };
        record(index, Request::to_change_members(&change).body)
    }

    #[track_caller]
    fn check(ahead: &Ahead, expected: &[(u64, &str)]) {
        let said = ahead.said(&Members::default());
        let said = said
            .iter()
            .map(|said| (said.id.get(), said.addresses.peer.as_str()));
        assert_eq!(said.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_the_log_says_last_counts_until_it_is_applied_or_cut() {
        let mut ahead = Ahead::default();
        ahead.keep(&moves(4, 1, "h:1"));
        ahead.keep(&record(5, Bytes::from_static(b"\x01 something else")));
        ahead.keep(&moves(6, 2, "h:2"));
        ahead.keep(&moves(7, 1, "h:3"));
        check(&ahead, &[(1, "h:1"), (2, "h:2"), (1, "h:3")]);
        // Another leader's log has something else there.
        ahead.keep(&record(6, Bytes::from_static(b"\x01 something else")));
        check(&ahead, &[(1, "h:1")]);
        ahead.keep(&moves(9, 2, "h:4"));
        ahead.forget_until(LogIndex::new(4));
        check(&ahead, &[(2, "h:4")]);
    }

    #[test]
    fn a_directory_is_said_with_the_id_that_it_joins_or_goes_on_with() {
        let join = |id| MemberChange::Join {
            id,
            incarnation: 7,
            addresses: Addresses::default(),
            stays: false,
        };
        let announce = MemberChange::Announce {
            id: NodeId::new(5),
            incarnation: 8,
            addresses: Addresses::default(),
        };
        let mut ahead = Ahead::default();
        for (at, change) in [join(None), join(Some(NodeId::new(4))), announce]
            .iter()
            .enumerate()
        {
            ahead.keep(&record(at as u64 + 1, Request::to_change_members(change).body));
        }
        let of = |table: &Members| {
            let said = ahead.said(table);
            said.iter()
                .map(|said| (said.id.get(), said.incarnation))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&Members::default()), [(4, Some(7)), (5, Some(8))]);
        let row = Member {
            id: NodeId::new(2),
            part: Part::Voter,
            addresses: Addresses::default(),
            incarnation: 1,
        };
        let mut table = Members::default();
        table.apply(MemberChange::Begin(vec![row]));
        assert_eq!(
            of(&table),
            [(3, None), (4, Some(7)), (5, Some(8))],
            "the state gives the next id"
        );
    }

    #[test]
    fn of_very_many_changes_the_latest_are_remembered() {
        let mut ahead = Ahead::default();
        for index in 1..=CHANGES_MAX as u64 + 5 {
            ahead.keep(&moves(index, index, "h:1"));
        }
        let said = ahead.said(&Members::default());
        assert_eq!((said.len(), said[0].id.get()), (CHANGES_MAX, 6));
    }
}
