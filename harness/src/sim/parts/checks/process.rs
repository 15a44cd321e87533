//! What holds of each process alone, whatever the others have.

use noraft::LogPosition;
use noraftd::replica::Replica;

use super::Checks;
use crate::sim::parts::rule::{Checked, Rule, ensure};

impl Checks {
    /// A process was driven: what it misses is in its log.
    pub(crate) fn misses(&self, at: usize, replica: &Replica) -> Checked {
        let log = replica.node().log();
        let other = replica
            .missing()
            .find(|position| !log.entries().contains(*position));
        ensure(other.is_none(), Rule::MissingIsInTheLog, || {
            let position = other.unwrap_or(LogPosition::ZERO);
            format!(
                "n{} misses entry {} of term {}, which its log does not hold",
                at + 1,
                position.index.get(),
                position.term.get()
            )
        })
    }

    /// A process was driven, and its state is that after `index`.
    pub(crate) fn goes_on(&mut self, at: usize, index: u64) -> Checked {
        let before = std::mem::replace(&mut self.applied[at], index);
        ensure(before <= index, Rule::StateGoesOn, || {
            format!(
                "the state of n{} goes back from entry {before} to {index}",
                at + 1
            )
        })
    }

    /// A state after `index` was seen.
    pub(crate) fn state(&mut self, at: usize, index: u64, hash: u64) -> Checked {
        let known = *self.states.entry(index).or_insert(hash);
        ensure(known == hash, Rule::EqualStates, || {
            format!(
                "n{} has a snapshot of entry {index} that differs from another one",
                at + 1
            )
        })
    }
}
