//! Which nodes decide: the configuration in force, and the majorities that hold a committed entry.

use std::collections::BTreeSet;

use noraft::{LogIndex, Node, NodeId};

use super::Checks;
use crate::sim::parts::rule::{Checked, Rule, ensure};

impl Checks {
    /// Raft 6: a node uses the last configuration in its log, committed or not, of those that it can read.
    pub(crate) fn config_in_force(&self, at: usize, node: &Node, unread: &[LogIndex]) -> Checked {
        let (log, base) = (node.log(), node.log().snapshot_position().index.get());
        let up_to_last = self
            .configs
            .range((base, u64::MAX)..=(log.last_position().index.get(), u64::MAX));
        let is_held = |(index, term): &(u64, u64)| {
            let index = LogIndex::new(*index);
            let held = log.entries().get_term(index);
            held.map(noraft::Term::get) == Some(*term) && !unread.contains(&index)
        };
        let last = up_to_last.rev().find(|(position, _)| is_held(position));
        let expected = last.map_or(log.snapshot_config(), |(_, config)| config);
        ensure(expected == node.config(), Rule::ConfigurationInForce, || {
            format!(
                "n{} goes by {:?}; the last in its log is {expected:?}",
                at + 1,
                node.config()
            )
        })
    }

    /// The sets of voters of which majorities may have to decide from now on: both halves of the last configuration that
    /// is committed, and of every one that was written behind it.
    pub(crate) fn deciding_sets(&self) -> BTreeSet<BTreeSet<NodeId>> {
        let is_committed = |(index, term): &(u64, u64)| {
            let entry = self.committed.get((*index as usize).wrapping_sub(1));
            entry.is_some_and(|entry| entry.term == *term)
        };
        let last = self
            .configs
            .iter()
            .rev()
            .find(|(position, _)| is_committed(position));
        let from = last.map_or((0, 0), |(position, _)| *position);
        let later = self.configs.range(from..).map(|(_, config)| config);
        let genesis = last.is_none().then_some(&self.genesis);
        let all = later.chain(genesis);
        let halves = all.flat_map(|config| [config.voters.clone(), config.new_voters.clone()]);
        halves.filter(|half| !half.is_empty()).collect()
    }

    pub(super) fn check_majority(&self, at: usize, node: &Node) -> Checked {
        let index = node.commit_index();
        let sets = deciding(node, index);
        if let [voters] = sets[..]
            && voters.len() < 2
        {
            // A lone voter commits in memory what it is about to write, and applies it only then.
            return Ok(());
        }
        let term = node.log().entries().get_term(index).map(noraft::Term::get);
        let holds = |id: &NodeId| {
            let disk = self.disks.get(id.get() as usize - 1);
            let entry = disk.and_then(|disk| disk.get(index.get() as usize - 1));
            let taken = self.taken.get(id.get() as usize - 1);
            let taken = taken.and_then(|taken| taken.get(&index.get()).copied());
            entry.map(|entry| entry.term) == term || taken == term
        };
        for voters in sets {
            let holders = voters.iter().filter(|id| holds(id)).count();
            ensure(holders > voters.len() / 2, Rule::CommittedOnMajority, || {
                format!(
                    "n{} takes entry {} as committed while {holders} of {} disks hold it",
                    at + 1,
                    index.get(),
                    voters.len()
                )
            })?;
        }
        Ok(())
    }
}

/// The sets of voters of which majorities have decided on the entry at `index`.
///
/// Entries before a joint configuration are decided by the old voters at least, it itself by both; those after it by
/// both, or, when the final one has followed meanwhile, by the new voters.
fn deciding(node: &Node, index: LogIndex) -> Vec<&BTreeSet<NodeId>> {
    let Some((_, there)) = node.log().get_position_and_config(index) else {
        return Vec::new();
    };
    if !there.is_joint_consensus() {
        return vec![&there.voters];
    }
    let before = index.get().checked_sub(1).map(LogIndex::new);
    let before = before.and_then(|index| node.log().get_position_and_config(index));
    let begins_here = before.is_some_and(|(_, config)| config != there);
    let is_last = node.role().is_leader() && node.config() == there;
    if begins_here || is_last {
        vec![&there.voters, &there.new_voters]
    } else {
        vec![&there.new_voters]
    }
}
