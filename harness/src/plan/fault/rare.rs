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
    /// Damaged entries are written again.
    Patch,
    /// A snapshot is written, or a part of another node's.
    Snapshot,
    /// Entries replace others.
    Truncation,
    /// A slot of term and vote is written.
    Vote,
}

impl RareOperation {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Roll,
        Self::SegmentBegin,
        Self::Compaction,
        Self::Rename,
        Self::DirectorySync,
        Self::Patch,
        Self::Snapshot,
        Self::Truncation,
        Self::Vote,
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
        }
    }

    /// How many calls of the disk it takes at most, or about.
    pub fn calls(self) -> u64 {
        match self {
            Self::Roll => 16,
            Self::SegmentBegin => 6,
            Self::Compaction => 14,
            Self::Rename | Self::DirectorySync => 2,
            Self::Patch | Self::Truncation => 4,
            Self::Snapshot => 10,
            Self::Vote => 4,
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
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
