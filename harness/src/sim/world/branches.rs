//! Branches of a plan: from a moment on, a run draws other numbers.
//!
//! Invariant: up to that moment the run is, event by event, the one without the branch; what is under way then continues:
//! faults in force, what each lane has decided next, messages.

use noraftd::prng::Prng;

use super::World;
use crate::sim::journal::happening::{Happening, RunHappening};
use crate::sim::parts::MICRO;
use crate::sim::parts::event::{Event, RunEvent};

impl World {
    /// They come after all else that a run begins with, so that the order of that stays what it is.
    pub(super) fn begin_branches(&mut self) {
        for branch in &self.plan.sim.branches {
            let seed = branch.seed;
            self.queue
                .push(branch.at_us * MICRO, Event::Run(RunEvent::Branch { seed }));
        }
    }

    /// Every part draws from `seed` from now on.
    pub(super) fn branch_off(&mut self, seed: u64) {
        let root = Prng::new(seed).fork(FORK_BRANCH);
        self.prng = root.fork(FORK_REST);
        self.atlas.prng = root.fork(FORK_ATLAS);
        self.nemesis.branch_off(&root.fork(FORK_NEMESIS));
        self.network.branch_off(&root.fork(FORK_NETWORK));
        self.clients.branch_off(&root.fork(FORK_CLIENTS));
        let disks = root.fork(FORK_DISKS);
        for node in &self.nodes {
            node.disk.branch_off(disks.fork(node.id.get()));
        }
        self.journal
            .note(self.queue.now(), Happening::Run(RunHappening::Branches { seed }));
    }
}

/// Separates the draws after a branch from those of a run with the same seed.
const FORK_BRANCH: u64 = 0x6272_616e_6368;
// The parts, each with a stream of its own.
const FORK_DISKS: u64 = 1;
const FORK_NETWORK: u64 = 2;
const FORK_CLIENTS: u64 = 3;
const FORK_REST: u64 = 4;
const FORK_ATLAS: u64 = 5;
const FORK_NEMESIS: u64 = 6;
