//! What is committed, for those who compare a node's log with it.

use noraft::{LogIndex, LogPosition, NodeId};
use noraftd::record::RecordKind;

use super::Checks;
use crate::sim::parts::rule::{Checked, Rule, ensure};
use crate::sim::parts::semantics::Committed;

impl Checks {
    /// The last index that any node has committed.
    pub(crate) fn committed_end(&self) -> u64 {
        self.committed.len() as u64
    }

    /// The term of the committed entry at `index`.
    pub(crate) fn committed_term(&self, index: u64) -> Option<u64> {
        let at = usize::try_from(index.checked_sub(1)?).ok()?;
        self.committed.get(at).map(|entry| entry.term)
    }

    /// The last entry that is known to be committed.
    pub(crate) fn last_committed(&self) -> Option<LogPosition> {
        let index = LogIndex::new(self.committed.len() as u64);
        let last = self.committed.last()?;
        Some(LogPosition::new(noraft::Term::new(last.term), index))
    }

    /// What was committed after `index`, in order.
    pub(crate) fn committed_after(&self, index: u64) -> Vec<Committed> {
        let entries = self.committed.get(index as usize..).unwrap_or_default();
        let entries = entries.iter().map(|entry| Committed {
            body: (entry.kind == RecordKind::Command).then_some(entry.body),
            stamp: entry.stamp,
        });
        entries.collect()
    }

    /// A node has committed its log up to `commit`, as far as its disk certainly holds it.
    pub(super) fn take_commits(&mut self, at: usize, id: NodeId, commit: u64) -> Checked {
        let known = self.committed.len() as u64;
        if let Some(checked) = commit.min(known).checked_sub(1) {
            // Log matching makes one comparison as good as all below it; the core's invariants watch that.
            let (theirs, ours) = (
                self.disks[at].get(checked as usize),
                self.committed.get(checked as usize),
            );
            ensure(theirs == ours, Rule::CommittedPermanently, || {
                format!(
                    "n{} committed {theirs:?} at index {}; it was {ours:?}",
                    id.get(),
                    checked + 1
                )
            })?;
        }
        for index in known..commit {
            let Some(entry) = self.disks[at].get(index as usize).copied() else {
                break;
            };
            self.committed.push(entry);
            self.reads.committed(index + 1, entry.term);
            self.short_log.committed(entry.bytes);
            self.levels.committed((entry.term, index + 1));
            self.begin_committed(index + 1, entry.term)?;
            if entry.kind == RecordKind::Command {
                self.once.commit(entry.body, index + 1)?;
            }
        }
        Ok(())
    }

    /// At the end: all that `at` holds and committed is what all nodes committed.
    pub(crate) fn check_whole_log(&self, at: usize, applied: u64) -> Checked {
        for index in 0..applied as usize {
            ensure(
                self.disks[at].get(index) == self.committed.get(index),
                Rule::CommittedPermanently,
                || {
                    format!(
                        "n{} holds {:?} at index {}; committed was {:?}",
                        at + 1,
                        self.disks[at].get(index),
                        index + 1,
                        self.committed.get(index)
                    )
                },
            )?;
        }
        Ok(())
    }
}
