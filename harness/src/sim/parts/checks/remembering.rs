//! A node that forgot what it had acknowledged abstains until it has it again: before that, its vote could elect a leader
//! without an entry that is committed thanks to this very node.
//!
//! Invariant: looked at when a node ceases to abstain, for only then is anything promised.

use noraft::{LogIndex, Node, Term};

use super::Checks;
use crate::sim::parts::rule::{Checked, Rule, ensure};

impl Checks {
    /// `node`, whose vote counts or does not, was driven.
    pub(crate) fn remembers(&mut self, at: usize, node: &Node, abstains: bool) -> Checked {
        let abstained = std::mem::replace(&mut self.abstained[at], abstains);
        if abstains || !abstained {
            return Ok(());
        }
        let base = node.log().snapshot_position().index;
        let has = |index: LogIndex, term: u64| {
            index <= base || node.log().entries().get_term(index).map(Term::get) == Some(term)
        };
        let is_committed = |index: u64, term: u64| {
            let entry = self.committed.get((index as usize).wrapping_sub(1));
            entry.is_some_and(|entry| entry.term == term)
        };
        let lacks = |(index, term): &(&u64, &u64)| {
            is_committed(**index, **term) && !has(LogIndex::new(**index), **term)
        };
        let missing = self.taken[at].iter().find(lacks);
        ensure(missing.is_none(), Rule::Remembers, || {
            format!(
                "n{} abstains no more, and has not got back entry {}, which it had acknowledged and which is committed",
                at + 1,
                missing.map_or(0, |(index, _)| *index)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use noraft::{LogPosition, NodeId};
    use noraftd::record::{Record, RecordKind};
    use noraftd::time::Stamp;

    use super::*;
    use crate::sim::parts::checks::identity::identity;

    /// Node 1 of three, whose disk lost its only entry, which is committed; its log is empty.
    fn forgetful() -> (Checks, Node) {
        let mut checks = Checks::new(3);
        let position = LogPosition {
            term: Term::new(1),
            index: LogIndex::new(1),
        };
        let record = Record::new(position, RecordKind::Term, Stamp::default(), bytes::Bytes::new());
        checks.taken[0].insert(1, 1);
        checks.committed.push(identity(&record));
        (checks, Node::start(NodeId::new(1)))
    }

    #[test]
    fn a_node_whose_vote_counts_again_without_what_it_acknowledged_is_noticed() {
        let (mut checks, node) = forgetful();
        assert!(checks.remembers(0, &node, true).is_ok());
        let broken = checks.remembers(0, &node, false).unwrap_err();
        assert_eq!(broken.rule, Rule::Remembers);
    }

    #[test]
    fn what_is_not_committed_may_be_forgotten() {
        let (mut checks, node) = forgetful();
        checks.committed.clear();
        assert!(checks.remembers(0, &node, true).is_ok());
        assert!(checks.remembers(0, &node, false).is_ok());
    }
}
