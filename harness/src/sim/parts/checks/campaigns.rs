//! Which node campaigns: one that a quorum granted the pre-vote (Raft thesis 9.6).
//!
//! A node that raises its term without it deposes a working leader: one that was removed, or one that a majority of only one
//! half of a joint configuration would follow, as often as its timer expires.
//!
//! One that the leader of the term before ordered to campaign needs none (thesis 3.10).
//!
//! Invariant: a grant is one that was sent; whether it arrived is not asked.

use std::collections::{BTreeMap, BTreeSet};

use noraft::{ClusterConfig, LogEntry, LogIndex, Node, NodeId};
use noraftd::protocol::peer::PeerMessage;

use crate::sim::parts::rule::{Checked, Rule, ensure};

/// The pre-votes that were granted, by candidate and term.
#[derive(Debug, Default)]
pub(super) struct Grants {
    list: BTreeMap<(NodeId, u64), BTreeSet<NodeId>>,
    /// The nodes that were ordered to campaign, and in which term.
    ordered: BTreeSet<(NodeId, u64)>,
}

impl Grants {
    /// A message leaves.
    pub(super) fn note(&mut self, from: NodeId, to: NodeId, message: &PeerMessage) {
        if let PeerMessage::PreVoted {
            term, granted: true, ..
        } = message
        {
            self.list.entry((to, term.get())).or_default().insert(from);
        }
        if let PeerMessage::TimeoutNow { term, .. } = message {
            self.ordered.insert((to, term.get() + 1));
        }
    }

    /// `node` has begun to campaign in its term.
    pub(super) fn check(&self, node: &Node) -> Checked {
        ensure(may_be_voter(node), Rule::PreVote, || {
            let (id, term) = (node.id().get(), node.current_term().get());
            format!(
                "n{id} campaigns in term {term}, and votes in no configuration that may be the last one committed"
            )
        })?;
        if self.ordered.contains(&(node.id(), node.current_term().get())) {
            return Ok(());
        }
        let granted = self.list.get(&(node.id(), node.current_term().get()));
        let counts = |id: &NodeId| *id == node.id() || granted.is_some_and(|granted| granted.contains(id));
        let config = node.config();
        for voters in [&config.voters, &config.new_voters] {
            let grants = voters.iter().filter(|id| counts(id)).count();
            let is_majority = voters.is_empty() || grants > voters.len() / 2;
            ensure(is_majority, Rule::PreVote, || {
                format!(
                    "n{} campaigns in term {} with {grants} grants of the voters {voters:?}",
                    node.id().get(),
                    node.current_term().get()
                )
            })?;
        }
        Ok(())
    }
}

/// True when a configuration that may be the last one committed has `node` as a voter (Raft 6): one that was removed goes on until it
/// knows that this is committed, and no longer.
fn may_be_voter(node: &Node) -> bool {
    let votes =
        |config: &ClusterConfig| config.voters.contains(&node.id()) || config.new_voters.contains(&node.id());
    let latest = node.config();
    if latest.contains(node.id()) {
        return votes(latest);
    }
    let (entries, commit) = (node.log().entries(), node.commit_index());
    let at_commit = node.log().get_position_and_config(commit);
    let mut later = (commit.get() + 1..=entries.last_position().index.get()).map(LogIndex::new);
    at_commit.is_some_and(|(_, config)| votes(config))
        || later.any(|index| match entries.get_entry(index) {
            Some(LogEntry::ClusterConfig(config)) => votes(&config),
            Some(LogEntry::Term(_) | LogEntry::Command) | None => false,
        })
}
