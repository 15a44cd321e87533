//! Members: an id is one machine's permanently, and who hears that it was removed was.

use std::collections::BTreeMap;

use noraft::NodeId;
use noraftd::machine::Members;

use super::Checks;
use crate::sim::parts::rule::{Checked, Rule, ensure};

/// What is known of members.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Which machine was given each id.
    given: BTreeMap<NodeId, usize>,
    /// By node that was removed, an index behind which it is.
    removed: BTreeMap<NodeId, u64>,
    has_begun: bool,
}

impl Table {
    /// A node gives the id to a machine that joins.
    pub(crate) fn gives(&mut self, id: NodeId, machine: usize, first: usize) -> Checked {
        let before = *self.given.entry(id).or_insert(machine);
        let is_new = before == machine && id.get() > first as u64;
        ensure(is_new, Rule::IdsAreNotReused, || {
            format!(
                "machine {machine} is given the id {}, which is that of a first node, or of machine {before}",
                id.get()
            )
        })
    }

    /// A node has this table when it has applied `index`.
    pub(crate) fn saw(&mut self, members: &Members, index: u64) -> Checked {
        self.has_begun |= !members.is_empty();
        for id in members.removed() {
            let since = self.removed.entry(*id).or_insert(index);
            *since = index.min(*since);
        }
        let is_back = |id: &NodeId| self.removed.get(id).is_some_and(|since| *since <= index);
        let back = members.iter().map(|row| row.id).find(is_back);
        ensure(back.is_none(), Rule::IdsAreNotReused, || {
            format!("{back:?} was removed, and is a member at index {index}")
        })
    }

    /// True once a node has a table.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// True when the node was removed.
    pub(crate) fn is_removed(&self, id: NodeId) -> bool {
        self.removed.contains_key(&id)
    }
}

impl Checks {
    /// A node hears that it was removed, and ends for good: so it was, and no configuration that counts needs it.
    pub(crate) fn leaves(&self, id: NodeId) -> Checked {
        ensure(self.members.is_removed(id), Rule::RemovedIsOut, || {
            format!("n{} hears that it was removed, and was not", id.get())
        })?;
        let needs = self.needed_in(id);
        ensure(needs.is_none(), Rule::RemovedIsOut, || {
            format!(
                "n{} hears that it was removed; it is needed in {needs:?}",
                id.get()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use noraftd::protocol::command::{Addresses, Member, MemberChange, Part};

    use super::*;

    fn table(ids: &[u64]) -> Members {
        let row = |id: &u64| Member {
            id: NodeId::new(*id),
            part: Part::Voter,
            incarnation: *id,
            addresses: Addresses::default(),
        };
        let mut members = Members::default();
        let _ = members.apply(MemberChange::Begin(ids.iter().map(row).collect()));
        members
    }

    fn broken(checked: Checked) -> Option<Rule> {
        checked.err().map(|broken| broken.rule)
    }

    #[test]
    fn an_id_is_one_machines() {
        let reused = Some(Rule::IdsAreNotReused);
        let mut seen = Table::default();
        let id = NodeId::new;
        assert_eq!(broken(seen.gives(id(4), 7, 3)), None);
        assert_eq!(broken(seen.gives(id(4), 7, 3)), None, "it asked again");
        assert_eq!(broken(seen.gives(id(4), 8, 3)), reused);
        assert_eq!(broken(seen.gives(id(3), 9, 3)), reused);
    }

    #[test]
    fn who_was_removed_is_no_member_behind_that_index() {
        let mut seen = Table::default();
        let before = table(&[1, 2, 3]);
        assert_eq!(broken(seen.saw(&before, 5)), None);
        let mut after = before.clone();
        let (id, force) = (NodeId::new(3), false);
        let _ = after.apply(MemberChange::Remove { id, force });
        assert_eq!(broken(seen.saw(&after, 9)), None);
        assert_eq!(broken(seen.saw(&before, 8)), None, "another node is behind");
        assert_eq!(broken(seen.saw(&before, 9)), Some(Rule::IdsAreNotReused));
    }

    #[test]
    fn who_leaves_was_removed_and_is_in_no_configuration() {
        let mut checks = Checks::new(3);
        let id = NodeId::new(3);
        assert_eq!(broken(checks.leaves(id)), Some(Rule::RemovedIsOut));
        checks.members.removed.insert(id, 4);
        assert_eq!(
            broken(checks.leaves(id)),
            Some(Rule::RemovedIsOut),
            "it is a voter"
        );
        checks.members.removed.insert(NodeId::new(4), 4);
        assert_eq!(broken(checks.leaves(NodeId::new(4))), None);
    }
}
