//! What can be wrong with a disk, on purpose: which kinds of calls fail, and with what.
//!
//! Invariant: the same in the simulation and below a real process, so that a node meets one kind of disk.

use nix::errno::Errno;

use crate::prng::Prng;

/// A trouble of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Syncs take tens to hundreds of times as long.
    Slow,
    /// Reads, writes and syncs fail now and then with EIO.
    Error,
    /// No file can grow: ENOSPC.
    Full,
    /// No write has room, not even one into room that was reserved, and no name can change.
    FullOverwrite,
    /// Of three writes, one ends in the middle with ENOSPC or ENOMEM.
    ShortWrite,
}

/// What kind of call it is: troubles distinguish them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Bytes are read.
    Reading,
    /// Bytes are written over others, or a name changes.
    Writing,
    /// Room is taken.
    Growing,
    /// Something is made durable.
    Syncing,
    /// Nothing of it reaches the platter.
    Looking,
}

impl Trouble {
    /// Every trouble.
    pub const ALL: [Self; 5] = [
        Self::Slow,
        Self::Error,
        Self::Full,
        Self::FullOverwrite,
        Self::ShortWrite,
    ];

    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Error => "error",
            Self::Full => "full",
            Self::FullOverwrite => "full-overwrite",
            Self::ShortWrite => "short-write",
        }
    }

    /// Why a call fails; `None` when it does not.
    pub fn strike(self, doing: Doing, prng: &mut Prng) -> Option<Errno> {
        match (self, doing) {
            (Self::Full | Self::FullOverwrite, Doing::Growing) | (Self::FullOverwrite, Doing::Writing) => {
                Some(Errno::ENOSPC)
            }
            (Self::ShortWrite, Doing::Writing | Doing::Growing) if prng.chance(1, SHORT_ONE_IN) => {
                Some(if prng.chance(1, 2) {
                    Errno::ENOSPC
                } else {
                    Errno::ENOMEM
                })
            }
            (Self::Error, Doing::Reading | Doing::Writing | Doing::Growing | Doing::Syncing)
                if prng.chance(1, ERROR_ONE_IN) =>
            {
                Some(Errno::EIO)
            }
            (Self::Slow | Self::Error | Self::Full | Self::FullOverwrite | Self::ShortWrite, _) => None,
        }
    }
}

/// Often enough that a second of trouble ends the node, seldom enough that the failures differ.
const ERROR_ONE_IN: u64 = 20;
/// Often enough that the retry fails too, now and then, and seldom enough that the node goes on between.
const SHORT_ONE_IN: u64 = 3;
