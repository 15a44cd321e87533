//! The answer to `NORAFT.MEMBERS`, gathered from the table, the configuration, the leader's view and the connections.
//!
//! Invariant: reading never changes anything.

use std::collections::BTreeSet;

use noraft::{ClusterConfig, NodeId};

use super::node_info::NodeInfo;
use crate::level::Level;
use crate::local::members::{MemberReport, MembersReport};
use crate::machine::Members;
use crate::protocol::command::{Addresses, Member, Part};

impl NodeInfo {
    /// The answer to `NORAFT.MEMBERS`.
    pub(super) fn members_json(&self) -> String {
        serde_json::to_string(&self.members_report()).expect("a report is plain data")
    }

    fn members_report(&self) -> MembersReport {
        let replica = self.replica.borrow();
        let (members, config) = (replica.members(), replica.node().config());
        let rows: Vec<Member> = match members.is_empty() {
            true => self.rows_of_settings(config),
            false => with_leaving(members, config),
        };
        MembersReport {
            id: self.config.id.get(),
            leader: replica.leader().map(NodeId::get),
            written: !members.is_empty(),
            changing: replica.settled_config().is_none() || !follows(members, config),
            members: rows.iter().map(|row| self.member_report(row, members)).collect(),
            removed: members.removed().iter().map(|id| id.get()).collect(),
        }
    }

    fn member_report(&self, row: &Member, members: &Members) -> MemberReport {
        let replica = self.replica.borrow();
        let (id, own) = (row.id, self.config.id);
        let last = replica.node().log().last_position().index.get();
        let leads = replica.node().role().is_leader();
        let progress = replica.progress_of(id);
        let matched = progress.map(|progress| progress.match_index.get());
        let matched = matched.or((leads && id == own).then_some(last));
        let contact =
            progress.map(|progress| u64::try_from(progress.silent_for.as_millis()).unwrap_or(u64::MAX));
        let level = self.peers.report().into_iter().find(|peer| peer.id == id.get());
        let is_own = id == own;
        MemberReport {
            id: id.get(),
            role: role_of(row, members, replica.node().config()).to_owned(),
            peer_address: row.addresses.peer.clone(),
            client_address: row.addresses.client.clone(),
            match_index: matched,
            lag: matched.map(|matched| last.saturating_sub(matched)),
            last_contact_ms: contact.or((leads && is_own).then_some(0)),
            level_supported: match is_own {
                true => Some(Level::SUPPORTED.get()),
                false => level.and_then(|peer| peer.level_supported),
            },
            version: match is_own {
                true => Some(env!("CARGO_PKG_VERSION").to_owned()),
                false => self.peers.versions().remove(&id),
            },
            incarnation: (row.incarnation != 0).then(|| format!("{:016x}", row.incarnation)),
        }
    }

    /// What the settings and the connections say, where there is no table.
    fn rows_of_settings(&self, config: &ClusterConfig) -> Vec<Member> {
        let flags = &self.config.peers;
        let ids: BTreeSet<NodeId> = config.unique_nodes().chain(self.config.members()).collect();
        let row = |id: NodeId| {
            let (address, incarnation) = match id == self.config.id {
                true => (flags.advertise.as_ref(), Some(self.incarnation)),
                false => (flags.others.get(&id), self.from_peers.incarnation_of(id)),
            };
            let client = match id == self.config.id {
                true => self.addresses.announced.clone(),
                false => self.peers.client_address(id),
            };
            Member {
                id,
                part: if config.voters.contains(&id) {
                    Part::Voter
                } else {
                    Part::Learner
                },
                incarnation: incarnation.unwrap_or(0),
                addresses: Addresses {
                    peer: address.map(ToString::to_string).unwrap_or_default(),
                    client: client.unwrap_or_default(),
                },
            }
        };
        ids.into_iter().map(row).collect()
    }
}

/// The rows, and the nodes that the configuration still has.
fn with_leaving(members: &Members, config: &ClusterConfig) -> Vec<Member> {
    let leaving = config.unique_nodes().filter(|id| members.get(*id).is_none());
    let leaving = leaving.map(|id| Member {
        id,
        part: Part::Voter,
        incarnation: 0,
        addresses: Addresses::default(),
    });
    let mut rows: Vec<Member> = members.iter().cloned().chain(leaving).collect();
    rows.sort_by_key(|row| row.id);
    rows
}

/// True when the configuration is what the table wants, or there is none.
fn follows(members: &Members, config: &ClusterConfig) -> bool {
    members.is_empty() || (config.voters == members.voters() && config.non_voters == members.learners())
}

fn role_of(row: &Member, members: &Members, config: &ClusterConfig) -> &'static str {
    let votes = config.voters.contains(&row.id) || config.new_voters.contains(&row.id);
    let is_row = members.is_empty() || members.get(row.id).is_some();
    match (votes, row.part) {
        _ if !is_row => "leaving",
        (true, _) => "voter",
        (false, _) if row.incarnation == 0 && !members.is_empty() => "expected",
        (false, Part::Joining | Part::Voter) => "joining",
        (false, Part::Learner) => "learner",
    }
}
