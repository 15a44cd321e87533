//! Which nodes a fault affects, and what is wrong with a disk.

use noraftd::store::disk::trouble::Trouble;
use serde::{Deserialize, Serialize};

/// Which nodes a fault affects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Any one node.
    One,
    /// The current leader; any one node while there is none.
    Leader,
    /// One node that does not lead.
    Follower,
    /// As many nodes as leave a quorum.
    Minority,
    /// As few nodes as leave no quorum.
    Majority,
    /// Every node.
    All,
}

impl Target {
    /// The name used in plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Minority => "minority",
            Self::Majority => "majority",
            Self::All => "all",
        }
    }

    /// How many of `nodes` it takes when all are free.
    pub(super) fn count(self, nodes: usize) -> usize {
        let minority = nodes.saturating_sub(1) / 2;
        match self {
            Self::One | Self::Leader | Self::Follower => 1,
            Self::Minority => minority,
            Self::Majority => nodes - minority,
            Self::All => nodes,
        }
    }

    pub(super) fn nodes_min(self) -> usize {
        match self {
            Self::One | Self::Leader | Self::Majority | Self::All => 1,
            Self::Follower => 2,
            Self::Minority => 3,
        }
    }
}

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskTrouble {
    /// Batches take tens to hundreds of times as long.
    Slow,
    /// Reads, writes and syncs fail now and then with EIO; the node then ends, and is started again.
    Error,
    /// No file can grow: ENOSPC.
    Full,
    /// No write has room, not even one into room that was reserved, and no name can change: so say file systems that copy on
    /// write, and thin disks. A part of the write may be done.
    FullOverwrite,
    /// Of three writes, one ends in the middle with ENOSPC or ENOMEM, which passes: the next one may succeed.
    ShortWrite,
}

impl DiskTrouble {
    /// The same, as disks know it.
    pub fn of_disks(self) -> Trouble {
        match self {
            Self::Slow => Trouble::Slow,
            Self::Error => Trouble::Error,
            Self::Full => Trouble::Full,
            Self::FullOverwrite => Trouble::FullOverwrite,
            Self::ShortWrite => Trouble::ShortWrite,
        }
    }

    /// The name used in plans.
    pub fn name(self) -> &'static str {
        self.of_disks().name()
    }
}
