//! Which nodes belong to the cluster (Raft 6).
//!
//! While `new_voters` is not empty the configuration is joint: elections and commits need a
//! majority of `voters` and, separately, a majority of `new_voters`.

use alloc::collections::BTreeSet;

use crate::types::NodeId;

/// The members of the cluster, as an entry of the log says.
///
/// A configuration is in force on a node from the moment its entry is in that node's log,
/// committed or not, and stops being so when the entry is removed from the log.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub struct ClusterConfig {
    /// The nodes whose majority elects and commits.
    pub voters: BTreeSet<NodeId>,
    /// The voters after a change in progress; empty when there is none.
    pub new_voters: BTreeSet<NodeId>,
    /// The nodes that receive the log but neither vote nor count.
    pub non_voters: BTreeSet<NodeId>,
}

impl ClusterConfig {
    /// Makes a configuration without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns whether `id` is a member in any of the three sets.
    pub fn contains(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.non_voters.contains(&id)
    }

    /// Returns whether a change of the voters is in progress.
    pub fn is_joint_consensus(&self) -> bool {
        !self.new_voters.is_empty()
    }

    /// Iterates over all members in ascending order, each once.
    pub fn unique_nodes(&self) -> impl '_ + Iterator<Item = NodeId> {
        let mut sets = [self.voters.iter(), self.new_voters.iter(), self.non_voters.iter()];
        let mut heads = sets.each_mut().map(|set| set.next().copied());
        core::iter::from_fn(move || {
            let least = heads.iter().flatten().min().copied();
            for (head, set) in heads.iter_mut().zip(&mut sets) {
                if *head == least && least.is_some() {
                    *head = set.next().copied();
                }
            }
            least
        })
    }

    /// Returns the joint configuration that leads from these voters to others.
    ///
    /// The new voters are the present ones and `adding_voters`, without `removing_voters` (a node
    /// in both is removed). Non-voters that become voters leave `non_voters`. To make the change,
    /// pass the result to [`Node::propose_config`](crate::Node::propose_config); the leader appends
    /// the final configuration by itself once the joint one is committed.
    ///
    /// ```
    /// use noraft::{ClusterConfig, NodeId};
    ///
    /// let mut config = ClusterConfig::new();
    /// config.voters.extend([1, 2, 3].map(NodeId::new));
    /// let joint = config.to_joint_consensus(&[NodeId::new(4)], &[NodeId::new(1)]);
    /// assert!(joint.is_joint_consensus());
    /// assert_eq!(joint.voters, config.voters);
    /// assert!(joint.new_voters.into_iter().eq([2, 3, 4].map(NodeId::new)));
    /// ```
    pub fn to_joint_consensus(&self, adding_voters: &[NodeId], removing_voters: &[NodeId]) -> Self {
        let mut joint = self.clone();
        joint.new_voters = self.voters.iter().chain(adding_voters).copied().collect();
        joint.new_voters.retain(|id| !removing_voters.contains(id));
        joint.non_voters.retain(|id| !joint.new_voters.contains(id));
        joint
    }

    /// Returns whether `id` may vote and campaign.
    pub(crate) fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.new_voters.contains(&id)
    }

    /// Returns whether some node is a voter and a non-voter at once, which no configuration may say.
    pub(crate) fn is_contradictory(&self) -> bool {
        self.non_voters.iter().any(|id| self.is_voter(*id))
    }

    /// The configuration that ends the joint phase.
    pub(crate) fn to_final(&self) -> Self {
        Self {
            voters: self.new_voters.clone(),
            new_voters: BTreeSet::new(),
            non_voters: self.non_voters.clone(),
        }
    }

    /// Returns whether the nodes for which `granted` holds may decide for the cluster (Raft 6: in a
    /// joint configuration, majorities of both sets).
    pub(crate) fn is_quorum(&self, granted: impl Fn(NodeId) -> bool) -> bool {
        let majority = |set: &BTreeSet<NodeId>| {
            let count = set.iter().filter(|id| granted(**id)).count();
            count > set.len() / 2
        };
        majority(&self.voters) && (!self.is_joint_consensus() || majority(&self.new_voters))
    }
}
