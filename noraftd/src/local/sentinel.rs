//! `SENTINEL`: which node leads and which others there are, in the words of Redis Sentinel, so that its clients fail over.
//!
//! Every node is a sentinel of its own cluster, whose name is the name of the master. Nothing here elects: a sentinel says
//! what its node knows. The election's term is the `config-epoch`.
//!
//! Invariant: only a node that is reached from here, at an address that it has said itself, is named as one that is up.

use bytes::Bytes;
use noraft::NodeId;

use super::facts::{ClientAddress, ServerFacts, bulk};
use crate::protocol::command::SentinelQuery;
use crate::protocol::resp::Reply;
use crate::replica::event::Status;

/// The channel on which a change of the leader is said.
pub const SWITCH_CHANNEL: &str = "+switch-master";

/// What is said on [`SWITCH_CHANNEL`] when `to` leads after `from`.
pub fn switch_text(cluster: &str, from: &ClientAddress, to: &ClientAddress) -> String {
    format!("{cluster} {} {} {} {}", from.host, from.port, to.host, to.port)
}

/// `SENTINEL`
pub(super) fn render_sentinel(query: &SentinelQuery, status: &Status, facts: &ServerFacts) -> Reply {
    let view = View { status, facts };
    match query {
        SentinelQuery::MyId => bulk(view.run_id(status.id)),
        SentinelQuery::Masters => Reply::Array(view.master().into_iter().collect()),
        SentinelQuery::Address(name) if !view.is_cluster(name) => Reply::NullArray,
        SentinelQuery::Address(_) => view.leader().map_or(Reply::NullArray, |(_, at)| {
            Reply::Array(vec![bulk(at.host.clone()), bulk(at.port.to_string())])
        }),
        SentinelQuery::Master(name)
        | SentinelQuery::Replicas(name)
        | SentinelQuery::Sentinels(name)
        | SentinelQuery::Quorum(name)
            if !view.is_cluster(name) =>
        {
            Reply::Error("ERR No such master with that name".to_owned())
        }
        SentinelQuery::Master(_) => view.master().unwrap_or_else(|| {
            Reply::Error("IDONTKNOW this node knows of no leader at the moment; ask another one".to_owned())
        }),
        SentinelQuery::Replicas(_) => Reply::Array(view.replicas().map(|id| view.replica(id)).collect()),
        SentinelQuery::Sentinels(_) => Reply::Array(view.others().map(|id| view.sentinel(id)).collect()),
        SentinelQuery::Quorum(_) => view.quorum(),
    }
}

/// What this node knows.
struct View<'a> {
    status: &'a Status,
    facts: &'a ServerFacts,
}

impl<'a> View<'a> {
    fn is_cluster(&self, name: &Bytes) -> bool {
        *name == self.facts.cluster.as_bytes()
    }

    /// The leader, when it is known and where.
    fn leader(&self) -> Option<(NodeId, &'a ClientAddress)> {
        let id = self.status.leader?;
        Some((id, self.facts.addresses.get(&id)?))
    }

    /// True when the node is there, as far as this one sees.
    fn is_up(&self, id: NodeId) -> bool {
        let reached = || match self.status.role.is_leader() {
            true => self.status.followers.heard.contains(&id),
            false => self.facts.connected.contains(&id),
        };
        id == self.status.id || reached()
    }

    /// The other nodes that are up and whose addresses are known.
    fn others(&self) -> impl Iterator<Item = NodeId> + '_ {
        let known = self.facts.addresses.keys().copied();
        known.filter(|id| *id != self.status.id && self.is_up(*id))
    }

    /// The nodes that follow.
    fn replicas(&self) -> impl Iterator<Item = NodeId> + '_ {
        let here = self
            .facts
            .addresses
            .contains_key(&self.status.id)
            .then_some(self.status.id);
        let all = here.into_iter().chain(self.others());
        all.filter(|id| Some(*id) != self.status.leader)
    }

    fn master(&self) -> Option<Reply> {
        let (id, at) = self.leader()?;
        let mut fields = self.node(self.facts.cluster.clone(), id, at, "master");
        fields.extend(rows(&[
            ("role-reported", "master"),
            ("config-epoch", &self.status.term.to_string()),
            ("num-slaves", &self.replicas().count().to_string()),
            ("num-other-sentinels", &self.others().count().to_string()),
            ("quorum", &self.majority().to_string()),
        ]));
        Some(Reply::Map(fields))
    }

    fn replica(&self, id: NodeId) -> Reply {
        let at = self.facts.addresses.get(&id).expect("it has an address");
        let mut fields = self.node(format!("{}:{}", at.host, at.port), id, at, "slave");
        let leader = self.leader();
        let link = if leader.is_some() { "ok" } else { "err" };
        let (host, port) = match leader {
            Some((_, at)) => (at.host.clone(), at.port),
            None => ("?".to_owned(), 0),
        };
        let mut offsets = self.status.followers.match_indexes.iter();
        let offset = match offsets.find(|(other, _)| *other == id) {
            Some((_, index)) => index.get(),
            None if id == self.status.id => self.status.log.applied_index.get(),
            None => 0,
        };
        fields.extend(rows(&[
            ("role-reported", "slave"),
            ("master-link-status", link),
            ("master-host", &host),
            ("master-port", &port.to_string()),
            ("slave-priority", "100"),
            ("slave-repl-offset", &offset.to_string()),
        ]));
        Reply::Map(fields)
    }

    fn sentinel(&self, id: NodeId) -> Reply {
        let at = self.facts.addresses.get(&id).expect("it has an address");
        Reply::Map(self.node(self.run_id(id), id, at, "sentinel"))
    }

    /// What is said of any node.
    fn node(&self, name: String, id: NodeId, at: &ClientAddress, flags: &str) -> Vec<(Reply, Reply)> {
        rows(&[
            ("name", &name),
            ("ip", &at.host),
            ("port", &at.port.to_string()),
            ("runid", &self.run_id(id)),
            ("flags", flags),
        ])
    }

    /// Forty digits that name a node, the same on all of them.
    fn run_id(&self, id: NodeId) -> String {
        format!("{:016x}{:024x}", self.facts.cluster_id, id.get())
    }

    fn quorum(&self) -> Reply {
        let voters = self.status.voters.iter();
        let usable = voters.filter(|id| self.is_up(**id)).count();
        if usable >= self.majority() {
            return bulk(format!(
                "OK {usable} usable Sentinels. Quorum and failover authorization can be reached"
            ));
        }
        Reply::Error(format!(
            "NOQUORUM {usable} usable Sentinels. Not enough available Sentinels to reach the majority and authorize a failover"
        ))
    }

    fn majority(&self) -> usize {
        self.status.voters.len() / 2 + 1
    }
}

fn rows(rows: &[(&'static str, &str)]) -> Vec<(Reply, Reply)> {
    let row = |(name, value): &(&'static str, &str)| (bulk(*name), bulk((*value).to_owned()));
    rows.iter().map(row).collect()
}
