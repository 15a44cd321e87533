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
        self.begin_again(at, id);
    }

    /// A directory that no other node listens to is replaced: what is on it counts for nothing.
    pub(crate) fn discarded(&mut self, at: usize, id: NodeId) {
        self.disks[at].clear();
        self.begin_again(at, id);
    }

    /// With a new directory a node begins again, as one that has promised nothing.
    fn begin_again(&mut self, at: usize, id: NodeId) {
        (self.seen[at], self.untouched[at], self.followed[at]) = (None, None, 0);
        self.abstained[at] = false;
        self.invariants.wiped(id);
    }
}
