//! A damaged entry that was never committed, and that no other node has: cut off, when the other voters' logs prove it.
//!
//! A node with a hole cannot campaign, and a candidate that lacks the entry is refused its vote, for the entry may be
//! committed.
//! Of three voters the two others then elect one of themselves. Of two, or of any even number with half of them
//! silent, no node can be elected without it, although the logs of those that lack the entry show that it was not
//! committed.
//!
//! **What proves it.** A voter says in its pre-vote request which term it is in (one less than it asks for, durably) and
//! where its log ends. Let it lack the entry, not abstain, and be in a later term than any in which this node may
//! have acknowledged the entry. Had it once acknowledged the entry in one of those terms, and had the entry been committed
//! there, it would have the entry still (Raft 5.4); and it acknowledges nothing of those terms any more. So a majority
//! of the voters that are left, without all that say so, would have to hold the entry; where there is none, it was
//! committed in none of those terms. In a later one this node has not acknowledged it, for it does not acknowledge a hole:
//! whatever became of the entry there, this node's copy did not count, and a log without it is a follower's that lags.
//!
//! Invariant: nothing at or below the commit index is cut, and nothing that a majority may have committed with this
//! node's acknowledgement.

use std::collections::BTreeMap;

use noraft::{ClusterConfig, LogIndex, LogPosition, NodeId, Term};

use crate::record::{Abstain, Hole};

use super::Replica;

/// What other nodes said that they lack.
#[derive(Debug)]
pub(super) struct Lacking {
    /// No hole was acknowledged in a later term.
    acknowledged_until: Term,
    /// The term and the end of the log of each node that was sure of them; known nodes only.
    said: BTreeMap<NodeId, (Term, LogPosition)>,
}

impl Lacking {
    /// For a node that starts in `term` with these holes.
    pub(super) fn new(holes: &[Hole], term: Term) -> Self {
        Self {
            acknowledged_until: if holes.is_empty() { Term::ZERO } else { term },
            said: BTreeMap::new(),
        }
    }

    /// An entry is found damaged in `term`; until now it could be acknowledged.
    pub(super) fn may_have_acknowledged(&mut self, term: Term) {
        self.acknowledged_until = self.acknowledged_until.max(term);
    }

    fn lacks(&self, id: NodeId, entry: LogPosition) -> bool {
        let said = self.said.get(&id);
        said.is_some_and(|(term, last)| *term > self.acknowledged_until && *last < entry)
    }

    /// True when no majority can hold `entry`: of a joint configuration, of either half.
    fn prove_void(&self, entry: LogPosition, config: &ClusterConfig) -> bool {
        let halves = [&config.voters, &config.new_voters];
        halves.into_iter().filter(|half| !half.is_empty()).any(|half| {
            let may_hold = half.iter().filter(|id| !self.lacks(**id, entry)).count();
            may_hold <= half.len() / 2
        })
    }
}

impl Replica {
    /// A node asks for pre-votes: that says what it has.
    pub(super) fn note_lacking(&mut self, from: NodeId, asked: Term, last: LogPosition, abstain: Abstain) {
        let is_known = self.config.members.contains(&from) || self.node.config().contains(from);
        if let Some(term) = asked.get().checked_sub(1).map(Term::new)
            && is_known
            && !abstain.abstains()
            && !self.repair.is_whole()
        {
            self.repair.lacking.said.insert(from, (term, last));
        }
    }

    /// The term to refuse a pre-vote with: a node that lacks a damaged entry has to be in a later term than those in
    /// which it was acknowledged, before that proves anything.
    pub(super) fn term_to_teach(&self, asked: Term, last: LogPosition) -> Term {
        let until = self.repair.lacking.acknowledged_until;
        let would_prove = self.first_open_hole().is_some_and(|hole| last < hole);
        let later = until.get().checked_add(1).map(Term::new);
        later
            .filter(|later| would_prove && asked <= *later)
            .unwrap_or(Term::ZERO)
    }

    /// The first damaged entry that may not be committed.
    fn first_open_hole(&self) -> Option<LogPosition> {
        let committed = self.node.commit_index().max(self.applied.index());
        self.repair.first_unfilled_after(committed)
    }

    /// Cuts the log before a damaged entry that was never committed. Only while no sync is in flight.
    pub(super) fn cut_void(&mut self) {
        if self.repair.is_whole() || self.is_leader() {
            return;
        }
        let Some(hole) = self.first_open_hole() else {
            return;
        };
        let before = LogIndex::new(hole.index.get() - 1);
        // Which voters decided on it is known only if every configuration before it is.
        let is_config_known = self.repair.may_be_configs(before).next().is_none();
        let config = self.node.log().get_position_and_config(before);
        let is_void =
            is_config_known && config.is_some_and(|(_, config)| self.repair.lacking.prove_void(hole, config));
        if is_void && self.node.give_up_after(before) {
            self.durability.cut(before);
            self.repair.forget_void(self.node.log());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::genesis_config;

    fn position(term: u64, index: u64) -> LogPosition {
        LogPosition::new(Term::new(term), LogIndex::new(index))
    }

    fn lacking(who: &[u64], term: u64, last: LogPosition) -> Lacking {
        Lacking {
            acknowledged_until: Term::new(4),
            said: who
                .iter()
                .map(|id| (NodeId::new(*id), (Term::new(term), last)))
                .collect(),
        }
    }

    #[test]
    fn only_those_who_may_hold_it_could_have_committed_it() {
        let proven = |voters: u64, who: &[u64]| {
            let config = genesis_config((1..=voters).map(NodeId::new));
            lacking(who, 5, position(3, 9)).prove_void(position(4, 7), &config)
        };
        assert!(proven(2, &[2]));
        assert!(!proven(3, &[2]) && proven(3, &[2, 3]));
        assert!(!proven(4, &[2]) && proven(4, &[2, 4]));
        assert!(!proven(5, &[2, 3]) && proven(5, &[2, 3, 5]));
        assert!(!proven(2, &[7]), "who does not vote decided nothing");
    }

    #[test]
    fn who_is_in_a_term_in_which_it_may_be_acknowledged_proves_nothing() {
        let config = genesis_config([1, 2].map(NodeId::new));
        assert!(!lacking(&[2], 4, position(3, 9)).prove_void(position(4, 7), &config));
        assert!(!lacking(&[2], 5, position(4, 7)).prove_void(position(4, 7), &config));
    }

    #[test]
    fn one_half_of_a_joint_configuration_is_enough() {
        let mut config = genesis_config([1, 2].map(NodeId::new));
        config.new_voters = [1, 3, 4].map(NodeId::new).into();
        let entry = position(4, 7);
        assert!(lacking(&[2], 5, position(3, 9)).prove_void(entry, &config));
        assert!(lacking(&[3, 4], 5, position(3, 9)).prove_void(entry, &config));
        assert!(!lacking(&[3], 5, position(3, 9)).prove_void(entry, &config));
    }
}
