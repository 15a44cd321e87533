//! What a node's data directory is on, and how the power of that is cut (`cut.rs` beside it cuts that of nodes).
//!
//! Kill first would be wrong on a file system: after SIGKILL the kernel still writes back what is dirty. So in
//! the ext4 tier the file system is shut down first, then the process killed, then the file system mounted
//! again; in the shadow tier the process itself holds what is not synced, and the kill is the cut.
//!
//! Invariant: all nodes of one cut lose power at one moment: none of them sees another's end and still syncs.

mod ext4;

use std::io;
use std::path::{Path, PathBuf};

use noraftd::store::shadow::Unsynced;

use crate::plan::PowerTier;
use crate::results::Lost;
pub(super) use ext4::Victims;
pub use ext4::{Ext4, private_mounts};

/// What a data directory is on.
#[derive(Debug)]
pub enum Ground {
    /// A directory like any other: a kill loses nothing.
    Plain,
    /// A shadow store in the daemon's memory.
    Shadow,
    /// A file system of its own.
    Ext4(Ext4),
}

/// A tier is not possible on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("power cuts of the {} tier are not possible here: {why}", .tier.name())]
pub struct NotPossible {
    /// Which tier.
    pub tier: PowerTier,
    /// What is in the way.
    pub why: String,
}

impl Ground {
    /// The ground of the node whose folder is `home`.
    ///
    /// # Errors
    ///
    /// When the machine does not let us.
    pub fn lay(tier: Option<PowerTier>, home: &Path) -> Result<Self, NotPossible> {
        match tier {
            None => Ok(Self::Plain),
            Some(PowerTier::Shadow) => Ok(Self::Shadow),
            Some(tier @ PowerTier::Ext4) => Ext4::make(home)
                .map(Self::Ext4)
                .map_err(|why| NotPossible { tier, why }),
        }
    }

    /// Where the data directory is.
    pub fn data_dir(&self, home: &Path) -> PathBuf {
        match self {
            Self::Plain | Self::Shadow => home.join("data"),
            Self::Ext4(ext4) => ext4.data_dir(),
        }
    }

    /// Lets go of it when its node is down for good.
    pub fn leave(&self) {
        if let Self::Ext4(ext4) = self {
            // What is left mounted goes with the namespace.
            let _ = ext4.unmount();
        }
    }

    /// Makes the data directory usable again after a cut; does nothing when it is.
    ///
    /// # Errors
    ///
    /// When it cannot be mounted. Then the node must not be started: it would find an empty directory.
    pub fn restore(&self) -> Result<(), String> {
        match self {
            Self::Plain | Self::Shadow => Ok(()),
            Self::Ext4(ext4) => ext4.mount(),
        }
    }

    /// Makes what was put into the data directory from outside stay when the power is cut.
    ///
    /// # Errors
    ///
    /// When the file system cannot write it.
    pub fn settle(&self) -> io::Result<()> {
        match self {
            Self::Plain | Self::Shadow => Ok(()),
            Self::Ext4(ext4) => ext4.sync(),
        }
    }
}

/// What the shadow store in `directory` has not synced.
pub(super) fn shadow_unsynced(directory: &Path) -> Lost {
    let unsynced = Unsynced::read(directory).unwrap_or_default();
    Lost {
        bytes: unsynced.sectors * SECTOR_BYTES,
        names: unsynced.names,
    }
}

const SECTOR_BYTES: u64 = 512;
