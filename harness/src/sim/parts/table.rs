//! What a simulated process makes of the membership table: the daemon's `shell/membership.rs` without its sockets.
//!
//! Invariant: as there: rows say where nodes are, or what they said themselves; without a table, the first nodes are where the
//! settings say.

use std::collections::{BTreeMap, BTreeSet};

use noraft::{ClusterConfig, NodeId};
use noraftd::admission::Roll;
use noraftd::machine::Members;
use noraftd::protocol::command::{Addresses, Member, MemberChange, Part};
use noraftd::replica::{Ahead, Replica};

use super::members::first_place;

/// See the module.
#[derive(Debug)]
pub(crate) struct Table {
    own: NodeId,
    incarnation: u64,
    /// The other nodes that the settings name.
    flags: BTreeSet<NodeId>,
    seen: Option<(Members, ClusterConfig, bool, Ahead)>,
    /// Where other nodes said that they are.
    heard: BTreeMap<NodeId, String>,
    gone: BTreeSet<NodeId>,
    /// When it last asked for what the table lacks.
    pub(crate) asked_at: Option<u64>,
}

impl Table {
    /// Of a process of `own`; `first` are the nodes that the cluster began with.
    pub(crate) fn new(own: NodeId, incarnation: u64, first: &BTreeSet<NodeId>) -> Self {
        let flags = if first.contains(&own) {
            first.iter().copied().filter(|id| *id != own).collect()
        } else {
            BTreeSet::new()
        };
        Self {
            own,
            incarnation,
            flags,
            seen: None,
            heard: BTreeMap::new(),
            gone: BTreeSet::new(),
            asked_at: None,
        }
    }

    /// Another node said where it is.
    pub(crate) fn hear(&mut self, node: NodeId, place: &str) {
        self.heard.insert(node, place.to_owned());
    }

    /// Takes over what is new; gives which nodes there are, and were, then.
    pub(crate) fn follow(&mut self, replica: &Replica) -> Option<Roll> {
        let (members, config) = (replica.members(), replica.node().config());
        let (is_settled, ahead) = (replica.settled_config().is_some(), replica.members_ahead());
        let is_same = self
            .seen
            .as_ref()
            .is_some_and(|(seen, before, was_settled, was_ahead)| {
                seen.is_same(members) && before == config && *was_settled == is_settled && was_ahead == ahead
            });
        if is_same {
            return None;
        }
        if self
            .seen
            .as_ref()
            .is_none_or(|(.., was_ahead)| was_ahead != ahead)
        {
            let said = ahead.said(members).into_iter();
            let places = said.filter(|said| !said.addresses.peer.is_empty());
            self.heard
                .extend(places.map(|said| (said.id, said.addresses.peer.clone())));
        }
        self.seen = Some((members.clone(), config.clone(), is_settled, ahead.clone()));
        let others: BTreeSet<NodeId> = config.unique_nodes().filter(|id| *id != self.own).collect();
        if is_settled {
            let is_out = |id: &&NodeId| !others.contains(id) && **id != self.own;
            self.gone = members.removed().iter().filter(is_out).copied().collect();
        }
        let known = members.iter().filter(|row| row.incarnation != 0);
        let known = known.map(|row| (row.id, row.incarnation));
        let ahead = ahead.said(members).into_iter();
        let ahead = ahead.filter_map(|said| Some((said.id, said.incarnation?)));
        let incarnations = known.chain(ahead).collect();
        let (has_table, settings) = (!members.is_empty(), self.flags.iter().chain(&others));
        let highest = match has_table {
            true => members.highest(),
            false => settings.copied().max().unwrap_or(self.own).max(self.own),
        };
        let members = match (members.is_empty(), self.flags.is_empty()) {
            (true, false) => self.flags.iter().copied().chain(others).collect(),
            (true, true) => others,
            (false, _) => {
                let rows = members.iter().map(|row| row.id);
                rows.chain(others).filter(|id| *id != self.own).collect()
            }
        };
        let gone = self.gone.clone();
        Some(Roll {
            members,
            gone,
            incarnations,
            highest: Some(highest),
            has_table,
        })
    }

    /// True when this node connects to `other`, which is at `place`.
    pub(crate) fn reaches(&self, other: NodeId, place: &str) -> bool {
        let members = self.seen.as_ref().map(|(members, ..)| members);
        let row = members.and_then(|members| members.get(other));
        let written = row.map(|row| row.addresses.peer.clone());
        let written = written.filter(|peer| !peer.is_empty());
        let by_flag = || self.flags.contains(&other).then(|| first_place(other));
        let known = written.or_else(by_flag);
        let is_heard = self.heard.get(&other).is_some_and(|heard| heard == place);
        known.is_some_and(|known| known == place) || is_heard
    }

    /// True once the log says that this node was removed, and nothing that it takes part in goes on.
    pub(crate) fn is_removed(&self, replica: &Replica) -> bool {
        let is_out = |config: &ClusterConfig| config.unique_nodes().all(|id| id != self.own);
        replica.members().removed().contains(&self.own)
            && !replica.node().role().is_leader()
            && replica.settled_config().is_some_and(is_out)
    }

    /// What has to be asked for: that the table begins, or what it does not know of this node, which is at `place`.
    pub(crate) fn missing(
        &self,
        replica: &Replica,
        place: &str,
        incarnation_of: impl Fn(NodeId) -> u64,
    ) -> Option<MemberChange> {
        if replica.wants_members() {
            return Some(MemberChange::Begin(self.first_rows(replica, incarnation_of)));
        }
        let row = replica.members().get(self.own)?;
        let is_missing = row.incarnation != self.incarnation || row.addresses.peer.is_empty();
        (is_missing && replica.leader().is_some()).then(|| MemberChange::Announce {
            id: self.own,
            incarnation: self.incarnation,
            addresses: addresses(place),
        })
    }

    fn first_rows(&self, replica: &Replica, incarnation_of: impl Fn(NodeId) -> u64) -> Vec<Member> {
        let config = replica.node().config();
        let ids: BTreeSet<NodeId> = config.unique_nodes().chain(self.flags.iter().copied()).collect();
        let row = |id: NodeId| Member {
            id,
            part: if config.voters.contains(&id) {
                Part::Voter
            } else {
                Part::Learner
            },
            incarnation: if id == self.own {
                self.incarnation
            } else {
                incarnation_of(id)
            },
            addresses: addresses(&first_place(id)),
        };
        ids.into_iter().map(row).collect()
    }
}

/// Clients find nodes without it.
pub(crate) fn addresses(place: &str) -> Addresses {
    Addresses {
        peer: place.to_owned(),
        client: String::new(),
    }
}
