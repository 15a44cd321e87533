//! What a leader knows of its followers, and the index a majority has reached (Raft 5.3, 5.4.2, 6).
//!
//! The leader itself counts with its whole log, so it is left out of the sorted match indices:
//! a proposal costs nothing here, and an acknowledgement a binary search and a short move.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::config::ClusterConfig;
use crate::types::{LogIndex, NodeGeneration, NodeId};

/// The volatile state of a leader.
#[derive(Debug, Clone)]
pub(crate) struct Leadership {
    /// Every other member of the latest configuration, by rising id.
    followers: Vec<Follower>,
    /// The majority of `voters`.
    voters: Majority,
    /// The majority of `new_voters`, while the configuration is joint.
    new_voters: Option<Majority>,
    /// Whether this node is among `voters`.
    self_is_voter: bool,
}

/// What the leader knows of one follower.
#[derive(Debug, Clone)]
struct Follower {
    id: NodeId,
    generation: NodeGeneration,
    /// The last index up to which the follower's log is known to be the leader's.
    match_index: LogIndex,
    in_voters: bool,
    in_new_voters: bool,
}

/// What a reply says of its sender, before its position is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Not a member that is replicated to.
    Unknown,
    /// An older generation, or less than the same generation has acknowledged before.
    Delayed,
    /// News from the follower in this slot.
    Current(usize),
}

impl Leadership {
    pub(crate) fn new(own_id: NodeId, config: &ClusterConfig) -> Self {
        Self::build(own_id, config, &[])
    }

    /// Follows a change of the configuration: a node that stays keeps its match index.
    pub(crate) fn reconfigure(&mut self, own_id: NodeId, config: &ClusterConfig) {
        *self = Self::build(own_id, config, &self.followers);
    }

    fn build(own_id: NodeId, config: &ClusterConfig, known: &[Follower]) -> Self {
        let others = config.unique_nodes().filter(|id| *id != own_id);
        let followers: Vec<_> = others.map(|id| Follower::new(id, config, known)).collect();
        let majority = |set: &BTreeSet<NodeId>, counts: fn(&Follower) -> bool| {
            let matches = followers
                .iter()
                .filter(|f| counts(f))
                .map(|f| f.match_index)
                .collect();
            Majority::new(set.len(), set.contains(&own_id), matches)
        };
        Self {
            voters: majority(&config.voters, |f| f.in_voters),
            new_voters: config
                .is_joint_consensus()
                .then(|| majority(&config.new_voters, |f| f.in_new_voters)),
            self_is_voter: config.voters.contains(&own_id),
            followers,
        }
    }

    /// Returns whether there is any node to replicate to.
    pub(crate) fn has_followers(&self) -> bool {
        !self.followers.is_empty()
    }

    /// Returns whether the leader decides alone.
    pub(crate) fn is_solo(&self) -> bool {
        self.voters.needed == 0
            && self
                .new_voters
                .as_ref()
                .is_none_or(|majority| majority.needed == 0)
    }

    pub(crate) fn is_joint(&self) -> bool {
        self.new_voters.is_some()
    }

    pub(crate) fn self_is_voter(&self) -> bool {
        self.self_is_voter
    }

    /// The last index that a quorum has, if the leader's log ends at `tail`.
    pub(crate) fn agreed_index(&self, tail: LogIndex) -> LogIndex {
        let agreed = self.voters.agreed_index(tail);
        match &self.new_voters {
            Some(majority) => agreed.min(majority.agreed_index(tail)),
            None => agreed,
        }
    }

    pub(crate) fn match_index(&self, id: NodeId) -> Option<LogIndex> {
        let slot = self.slot(id)?;
        self.followers.get(slot).map(|follower| follower.match_index)
    }

    /// Judges a reply of `id` that reports a log up to `reported`.
    ///
    /// A follower of a newer generation may have lost what it acknowledged, so its match index
    /// falls to zero until a position of it has been found in the log.
    pub(crate) fn receive(&mut self, id: NodeId, generation: NodeGeneration, reported: LogIndex) -> Sender {
        let Some(slot) = self.slot(id) else {
            return Sender::Unknown;
        };
        let Some(follower) = self.followers.get_mut(slot) else {
            return Sender::Unknown;
        };
        if generation < follower.generation {
            return Sender::Delayed;
        }
        if generation > follower.generation {
            follower.generation = generation;
            self.set_match_index(slot, LogIndex::ZERO);
        } else if reported < follower.match_index {
            return Sender::Delayed;
        }
        Sender::Current(slot)
    }

    /// Raises the match index of a slot to a position found in the log; returns whether it moved.
    pub(crate) fn advance(&mut self, slot: usize, index: LogIndex) -> bool {
        let news = self
            .followers
            .get(slot)
            .is_some_and(|follower| follower.match_index < index);
        if news {
            self.set_match_index(slot, index);
        }
        news
    }

    fn set_match_index(&mut self, slot: usize, to: LogIndex) {
        let Some(follower) = self.followers.get_mut(slot) else {
            return;
        };
        let from = core::mem::replace(&mut follower.match_index, to);
        if follower.in_voters {
            self.voters.replace(from, to);
        }
        if follower.in_new_voters
            && let Some(majority) = &mut self.new_voters
        {
            majority.replace(from, to);
        }
    }

    fn slot(&self, id: NodeId) -> Option<usize> {
        self.followers
            .binary_search_by_key(&id, |follower| follower.id)
            .ok()
    }
}

impl Follower {
    fn new(id: NodeId, config: &ClusterConfig, known: &[Self]) -> Self {
        let before = known
            .binary_search_by_key(&id, |follower| follower.id)
            .ok()
            .and_then(|slot| known.get(slot));
        Self {
            id,
            generation: before.map_or(NodeGeneration::ZERO, |follower| follower.generation),
            match_index: before.map_or(LogIndex::ZERO, |follower| follower.match_index),
            in_voters: config.voters.contains(&id),
            in_new_voters: config.new_voters.contains(&id),
        }
    }
}

/// One set of voters, the leader left out.
#[derive(Debug, Clone)]
struct Majority {
    /// The match indices of the others, rising.
    matches: Vec<LogIndex>,
    /// How many of the others make a majority, the leader counted if it is in the set.
    needed: usize,
}

impl Majority {
    fn new(voters: usize, with_self: bool, mut matches: Vec<LogIndex>) -> Self {
        matches.sort_unstable();
        Self {
            matches,
            needed: (voters / 2 + 1).saturating_sub(usize::from(with_self)),
        }
    }

    /// The last index that `needed` of the others have; an empty set never agrees.
    fn agreed_index(&self, tail: LogIndex) -> LogIndex {
        if self.needed == 0 {
            return tail;
        }
        let slot = self.matches.len().checked_sub(self.needed);
        slot.and_then(|slot| self.matches.get(slot))
            .copied()
            .unwrap_or(LogIndex::ZERO)
    }

    /// Moves one of the match indices, keeping the order: a search, and a step past each index that
    /// is overtaken.
    fn replace(&mut self, from: LogIndex, to: LogIndex) {
        let matches = &mut self.matches;
        let Some(mut slot) = matches.partition_point(|index| *index <= from).checked_sub(1) else {
            return;
        };
        while let Some(next) = matches.get(slot + 1).copied().filter(|next| *next < to) {
            matches[slot] = next;
            slot += 1;
        }
        while let Some(before) = slot
            .checked_sub(1)
            .map(|before| matches[before])
            .filter(|before| *before > to)
        {
            matches[slot] = before;
            slot -= 1;
        }
        matches[slot] = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn match_indices_that_rise_and_fall_stay_sorted() {
        let index = LogIndex::new;
        let mut each = alloc::vec![index(2), index(4), index(4), index(7)];
        let mut majority = Majority::new(5, true, each.clone());
        // Of each follower in turn; a fall is one whose disk was replaced.
        let moves = [(1, 9), (3, 0), (0, 4), (2, 0), (2, 4), (1, 4), (0, 1), (3, 8)];
        for (slot, to) in moves {
            let from = core::mem::replace(&mut each[slot], index(to));
            majority.replace(from, index(to));
            let mut sorted = each.clone();
            sorted.sort_unstable();
            assert_eq!(majority.matches, sorted, "after {from:?} became {to}");
            assert_eq!(majority.agreed_index(index(10)), sorted[2]);
        }
    }
}
