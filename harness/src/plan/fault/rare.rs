//! Operations of a disk that come seldom: what crashes are aimed at.

use serde::{Deserialize, Serialize};

/// A kind of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RareOperation {
    /// A segment is full, or the next one is made.
    Roll,
    /// The header of a segment is written, and the first batch after it.
    SegmentBegin,
    /// The log begins later, and what lies before goes.
    Compaction,
    /// A file gets its name.
    Rename,
    /// Names become durable.
    DirectorySync,
    /// Damaged entries are written again. Where the plan damages disks, an entry of the node is damaged first.
    Patch,
    /// A snapshot is written, or a part of another node's.
    Snapshot,
    /// Entries replace others. The node is cut off first: if it leads, it has entries then that no other node has.
    Truncation,
    /// A slot of term and vote is written.
    Vote,
    /// Another node's snapshot becomes this node's state: its last part, or the record that the log begins there. The node is cut
    /// off first, so that it has to have one.
    Installation,
}

impl RareOperation {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Roll,
        Self::SegmentBegin,
        Self::Compaction,
        Self::Rename,
        Self::DirectorySync,
        Self::Patch,
        Self::Snapshot,
        Self::Truncation,
        Self::Vote,
        Self::Installation,
    ];

    /// The name used in plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Roll => "roll",
            Self::SegmentBegin => "segment-begin",
            Self::Compaction => "compaction",
            Self::Rename => "rename",
            Self::DirectorySync => "directory-sync",
            Self::Patch => "patch",
            Self::Snapshot => "snapshot",
            Self::Truncation => "truncation",
            Self::Vote => "vote",
            Self::Installation => "installation",
        }
    }

    /// How many calls of the disk it takes at most, or about.
    pub fn calls(self) -> u64 {
        match self {
            Self::Roll => 16,
            Self::SegmentBegin => 6,
            Self::Compaction | Self::Installation => 14,
            Self::Rename | Self::DirectorySync => 2,
            Self::Patch | Self::Truncation => 4,
            Self::Snapshot => 10,
            Self::Vote => 4,
        }
    }

    /// How many of them come in a few seconds, or more: so many may go by before the one that is meant.
    pub fn occurrences(self) -> u64 {
        match self {
            Self::Roll | Self::Rename | Self::DirectorySync | Self::Vote => 5,
            Self::SegmentBegin
            | Self::Compaction
            | Self::Patch
            | Self::Snapshot
            | Self::Truncation
            | Self::Installation => 1,
        }
    }

    /// What has to happen to a node, or it hardly ever comes.
    pub fn cause(self) -> Cause {
        match self {
            Self::Truncation | Self::Installation => Cause::Absence,
            Self::Patch => Cause::Damage,
            Self::Roll
            | Self::SegmentBegin
            | Self::Compaction
            | Self::Rename
            | Self::DirectorySync
            | Self::Snapshot
            | Self::Vote => Cause::Load,
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What brings a rare operation about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Clients write, and time passes.
    Load,
    /// The node was cut off from all others for a while.
    Absence,
    /// An entry on its disk is damaged.
    Damage,
}

/// Some of them, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "Vec<RareOperation>", into = "Vec<RareOperation>")]
pub struct RareOperations(u16);

impl RareOperations {
    /// In the order of their declaration.
    pub fn to_vec(self) -> Vec<RareOperation> {
        let is_in = |operation: &RareOperation| self.0 & operation.bit() != 0;
        RareOperation::ALL.into_iter().filter(is_in).collect()
    }
}

impl TryFrom<Vec<RareOperation>> for RareOperations {
    type Error = &'static str;

    fn try_from(operations: Vec<RareOperation>) -> Result<Self, Self::Error> {
        match operations
            .iter()
            .fold(0, |bits, operation| bits | operation.bit())
        {
            0 => Err("`operations` must name at least one"),
            bits => Ok(Self(bits)),
        }
    }
}

impl From<RareOperations> for Vec<RareOperation> {
    fn from(operations: RareOperations) -> Self {
        operations.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_operations_is_read_as_it_is_written() {
        for operation in RareOperation::ALL {
            let some = RareOperations::try_from(vec![operation, RareOperation::Vote]).unwrap();
            assert_eq!(
                some.to_vec().len(),
                1 + usize::from(operation != RareOperation::Vote)
            );
            assert!(some.to_vec().contains(&operation));
        }
        assert!(RareOperations::try_from(Vec::new()).is_err());
    }
}
