//! A node whose data directory is gone: what it held and promised is not asked of it any more.
//!
//! Invariant: what it acknowledged stays counted for the majorities that committed with it.

use noraft::NodeId;

use super::Checks;

impl Checks {
    /// The directory of a node is gone, with everything that it held.
    pub(crate) fn lost(&mut self, at: usize, id: NodeId) {
        for (index, entry) in (1..).zip(self.disks[at].drain(..)) {
            self.taken[at].insert(index, entry.term);
        }
        (self.seen[at], self.untouched[at], self.followed[at]) = (None, None, 0);
        // With a new directory it begins again, as a node that has promised nothing.
        self.abstained[at] = false;
        self.invariants.wiped(id);
    }
}
