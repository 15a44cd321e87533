//! Where a log begins: what its disk counts as holding then.

use noraft::LogPosition;
use noraftd::record::Base;

use super::Checks;
use crate::sim::parts::rule::{Checked, Rule, ensure};

impl Checks {
    /// Entries of a disk that stay what they were when the log begins at `base`: all, where it holds that entry.
    pub(super) fn kept_by_base(&self, at: usize, base: &Base) -> u64 {
        if self.holds(at, base.position) {
            return self.disks[at].len() as u64;
        }
        let same = self.disks[at].iter().zip(&self.committed);
        same.take_while(|(held, committed)| held == committed)
            .take(base.position.index.get() as usize)
            .count() as u64
    }

    /// The log of a node begins at `position`, of which it holds a snapshot: all before it is there.
    pub(super) fn rebase(&mut self, at: usize, position: LogPosition) -> Checked {
        if position.index.get() == 0 || self.holds(at, position) {
            return Ok(());
        }
        let index = position.index.get() as usize;
        let committed = self.committed.get(..index).unwrap_or_default();
        let is_committed = committed
            .last()
            .is_some_and(|last| last.term == position.term.get());
        ensure(is_committed, Rule::CommittedPermanently, || {
            format!(
                "n{} has a snapshot of {position:?}, which is not committed",
                at + 1
            )
        })?;
        self.disks[at] = committed.to_vec();
        Ok(())
    }
}
