//! Which nodes decide: the configuration in force, and the majorities that hold a committed entry.

use std::collections::BTreeSet;

use noraft::{ClusterConfig, LogIndex, Node, NodeId};

use super::Checks;
use crate::sim::parts::rule::{Checked, Rule, ensure};

impl Checks {
    /// Raft 6: a node uses the last configuration in its log, committed or not, of those that it can read.
    pub(crate) fn config_in_force(&self, at: usize, node: &Node, unread: &[LogIndex]) -> Checked {
        let last = node.log().last_position();
        // While a patch is being written, what a leader has appended since is not given to the disk yet.
        let is_known = last == node.log().snapshot_position()
            || self.entries.contains_key(&(last.term.get(), last.index.get()));
        let expected = self.config_held(node, last.index, unread);
        let is_in_force = !is_known || expected == node.config();
        ensure(is_in_force, Rule::ConfigurationInForce, || {
            format!(
                "n{} goes by {:?}; the last in its log is {expected:?}",
                at + 1,
                node.config()
            )
        })
    }

    /// The last configuration up to `index` that a node's log holds, whether or not the node can read it, but for the entries `without`.
    fn config_held<'a>(&'a self, node: &'a Node, index: LogIndex, without: &[LogIndex]) -> &'a ClusterConfig {
        let (log, base) = (node.log(), node.log().snapshot_position().index.get());
        let is_held = |(index, term): &(u64, u64)| {
            let index = LogIndex::new(*index);
            let held = log.entries().get_term(index);
            held.map(noraft::Term::get) == Some(*term) && !without.contains(&index)
        };
        let mut up_to = self
            .configs
            .range((base, u64::MAX)..=(index.get().max(base), u64::MAX));
        let last = up_to.rfind(|(position, _)| is_held(position));
        last.map_or(log.snapshot_config(), |(_, config)| config)
    }

    /// The sets of voters of which majorities may have to decide from now on: both halves of the last configuration that
    /// is committed, and of every one that was written behind it.
    pub(crate) fn deciding_sets(&self) -> BTreeSet<BTreeSet<NodeId>> {
        let last = self.last_committed_config();
        let from = last.unwrap_or((0, 0));
        let later = self.configs.range(from..).map(|(_, config)| config);
        let genesis = last.is_none().then_some(&self.genesis);
        let all = later.chain(genesis);
        let halves = all.flat_map(|config| [config.voters.clone(), config.new_voters.clone()]);
        halves.filter(|half| !half.is_empty()).collect()
    }

    /// Index and term of the last configuration that is committed; none when that is the first one.
    pub(super) fn last_committed_config(&self) -> Option<(u64, u64)> {
        let is_committed = |(index, term): &(u64, u64)| {
            let entry = self.committed.get((*index as usize).wrapping_sub(1));
            entry.is_some_and(|entry| entry.term == *term)
        };
        let mut positions = self.configs.keys().rev();
        positions.find(|position| is_committed(position)).copied()
    }

    pub(super) fn check_majority(&self, at: usize, node: &Node) -> Checked {
        let index = node.commit_index();
        let sets = self.deciding(node, index);
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

    /// The sets of voters of which majorities have decided on the entry at `index`.
    ///
    /// Entries before a joint configuration are decided by the old voters at least, it itself by both; those after it by
    /// both, or, when the final one has followed meanwhile, by the new voters.
    fn deciding<'a>(&'a self, node: &'a Node, index: LogIndex) -> Vec<&'a BTreeSet<NodeId>> {
        let there = self.config_held(node, index, &[]);
        if !there.is_joint_consensus() {
            return vec![&there.voters];
        }
        let before = index.get().checked_sub(1).map(LogIndex::new);
        let begins_here = before.is_some_and(|before| self.config_held(node, before, &[]) != there);
        let is_last = node.role().is_leader() && node.config() == there;
        if begins_here || is_last {
            vec![&there.voters, &there.new_voters]
        } else {
            vec![&there.new_voters]
        }
    }
}

#[cfg(test)]
mod tests {
    use noraft::{LogPosition, Term};
    use noraftd::record::{Append, Batch, BatchId, Record, RecordKind, encode_config, genesis_config};
    use noraftd::time::Stamp;

    use super::*;

    fn ids(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId::new).collect()
    }

    fn joint() -> noraft::ClusterConfig {
        let mut config = genesis_config(ids(&[1, 2, 3]));
        config.new_voters = ids(&[3]);
        config
    }

    fn position(index: u64) -> LogPosition {
        let (term, index) = (Term::new(1), LogIndex::new(index));
        LogPosition { term, index }
    }

    /// A disk writes a joint configuration as its first entry.
    fn writing_joint(checks: &mut Checks) -> Batch {
        let payload = encode_config(&joint());
        let record = Record::new(position(1), RecordKind::Config, Stamp::from_millis(0), payload);
        let prev = LogPosition::ZERO;
        let records = vec![record];
        let append = Some(Append { prev, records });
        let batch = Batch {
            id: BatchId(1),
            hard_state: None,
            base: None,
            append,
        };
        checks.writing(0, &batch, |_| None).expect("no level is raised");
        batch
    }

    #[test]
    fn both_halves_of_a_configuration_decide_from_when_it_is_written_and_alone_when_it_is_committed() {
        let mut checks = Checks::new(3);
        assert_eq!(checks.deciding_sets(), BTreeSet::from([ids(&[1, 2, 3])]));
        let batch = writing_joint(&mut checks);
        let both = BTreeSet::from([ids(&[1, 2, 3]), ids(&[3])]);
        assert_eq!(
            checks.deciding_sets(),
            both,
            "it may decide as soon as it is written"
        );

        checks.synced(0, &batch).expect("its payload is intact");
        checks
            .take_commits(0, NodeId::new(1), 1)
            .expect("nothing else was committed there");
        assert_eq!(checks.deciding_sets(), both);
        checks.configs.insert((2, 1), genesis_config(ids(&[3])));
        checks.committed.push(checks.committed[0]);
        assert_eq!(
            checks.deciding_sets(),
            BTreeSet::from([ids(&[3])]),
            "the old voters decide no more"
        );
    }

    /// A node that cannot read a configuration goes by the one before.
    #[test]
    fn a_configuration_that_cannot_be_read_is_not_in_force() {
        let mut checks = Checks::new(3);
        writing_joint(&mut checks);
        let log = noraft::Log::new(genesis_config(ids(&[1, 2, 3])), {
            let mut entries = noraft::LogEntries::new(LogPosition::ZERO);
            entries.push(noraft::LogEntry::Term(Term::new(1)));
            entries
        });
        let node = Node::restart(
            NodeId::new(1),
            noraft::NodeGeneration::new(1),
            Term::new(1),
            None,
            log,
        );
        assert!(checks.config_in_force(0, &node, &[]).is_err());
        checks
            .config_in_force(0, &node, &[LogIndex::new(1)])
            .expect("it is unread");
        assert_eq!(
            checks.deciding(&node, LogIndex::new(1)),
            [&ids(&[1, 2, 3]), &ids(&[3])],
            "it decides all the same"
        );
    }
}
