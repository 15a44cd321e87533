//! One way the operations so far can have gone, and places to go back to.

use super::pending::Saved;
use super::spent::SpentId;
use crate::checker::bits::Bits;

/// One way the operations so far can have gone.
#[derive(Clone, Copy)]
pub(super) struct Configuration<const W: usize> {
    pub(super) value: u32,
    /// Time of the last explicit write, plus one; 0 before any.
    pub(super) explicit: u32,
    /// How many operations of unknown outcome it has used, by kind.
    pub(super) spent: SpentId,
    pub(super) trail: u32,
    /// Open operations that have been placed.
    pub(super) placed: Bits<W>,
}

/// Where a frontier was.
pub(super) struct Checkpoint<const W: usize> {
    pub(super) returned: usize,
    pub(super) called: usize,
    pub(super) frontier: Vec<Configuration<W>>,
    pub(super) pending: Saved,
    pub(super) truncated: bool,
}

impl<const W: usize> Checkpoint<W> {
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.frontier.capacity() * size_of::<Configuration<W>>() + self.pending.bytes()
    }
}
