//! The tiers of power cuts on real processes.
//!
//! Invariant: in every tier a cut loses only what was not synced; they differ in whose caches are lost.

use serde::{Deserialize, Serialize};

/// How a power cut is made.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum PowerTier {
    /// The daemon keeps unsynced data in its own memory, so any SIGKILL is a power cut. Needs no privileges.
    /// Loses single sectors, file sizes and names; tests everything above the daemon's disk calls.
    Shadow,
    /// The data directory is an ext4 file system on a loop device, which is shut down without writing its journal,
    /// unmounted and mounted again. Needs root. Loses what the kernel had not written; tests the disk calls themselves.
    Ext4,
}

impl PowerTier {
    /// The name used in plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Ext4 => "ext4",
        }
    }
}
