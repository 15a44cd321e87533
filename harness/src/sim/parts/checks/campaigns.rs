//! Which node campaigns: one that a quorum granted the pre-vote (Raft thesis 9.6).
//!
//! A node that raises its term without it deposes a working leader: one that was removed, or one that a majority of only one
//! half of a joint configuration would follow, as often as its timer expires.
//!
//! Invariant: a grant is one that was sent; whether it arrived is not asked.

use std::collections::{BTreeMap, BTreeSet};

use noraft::{Node, NodeId};
use noraftd::protocol::peer::PeerMessage;

use crate::sim::parts::rule::{Checked, Rule, ensure};

/// The pre-votes that were granted, by candidate and term.
#[derive(Debug, Default)]
pub(super) struct Grants {
    list: BTreeMap<(NodeId, u64), BTreeSet<NodeId>>,
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
    }

    /// `node` has begun to campaign in its term.
    pub(super) fn check(&self, node: &Node) -> Checked {
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
