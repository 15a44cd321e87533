//! What a majority is, for everything that a replica decides by one.

use std::collections::BTreeSet;

use noraft::{ClusterConfig, NodeId};

/// True when the nodes that `counts` accepts are a majority of the voters and, in a joint configuration,
/// also of the new voters (Raft 6).
pub(super) fn has_quorum(config: &ClusterConfig, counts: impl Fn(NodeId) -> bool) -> bool {
    is_majority(&config.voters, &counts)
        && (config.new_voters.is_empty() || is_majority(&config.new_voters, &counts))
}

/// True when those that `counts` accepts are more than half of `set`.
pub(super) fn is_majority(set: &BTreeSet<NodeId>, counts: impl Fn(NodeId) -> bool) -> bool {
    set.iter().filter(|id| counts(**id)).count() > set.len() / 2
}
