//! What a majority has to do alone: after the disturbed part as many nodes stay away as can be missed, and the others have to serve everything
//! before those come back. A cluster that is whole hides that one node elects or helps no other.
//!
//! Invariant: none stays away where one of the others misses something, or where a change of the voters may be on its way: those may
//! rightly have to wait.

use std::collections::BTreeSet;

use noraft::NodeId;
use noraftd::prng::Prng;

use super::World;
use crate::plan::KindName;
use crate::sim::journal::happening::{Happening, RunHappening};
use crate::sim::parts::MILLI;
use crate::sim::parts::crash::Crash;
use crate::sim::parts::phase::Phase;

impl World {
    /// From here on all nodes come back, and the last operations end.
    pub(super) fn begin_draining(&mut self, part: &'static str) {
        self.progress.phase = Phase::Draining;
        self.progress.phases.push((part, self.queue.now()));
        self.progress.converge_by = self.queue.now() + self.plan.limits.recovery.as_millis() * MILLI;
    }

    /// Everything is healed: now and then some nodes stay away.
    pub(super) fn leave_a_bare_majority(&mut self) {
        let mut prng = self.nemesis.prng.fork(FORK_BARE);
        if !prng.chance(self.plan.sim.node.bare_permille, 1000) {
            return;
        }
        let Some(away) = self.choose_away(&mut prng) else {
            return;
        };
        for at in &away {
            self.take_down(*at, Crash::Kill);
        }
        let now = self.queue.now();
        self.journal
            .note(now, Happening::Run(RunHappening::LeavesAway { nodes: &away }));
        self.journal.counters.bare_majorities += 1;
        self.progress.away = away;
        self.progress.phase = Phase::Bare;
        self.progress.phases.push(("bare majority", now));
    }

    /// As many as can be missed, those first that miss something themselves; none where that is not all of those.
    fn choose_away(&self, prng: &mut Prng) -> Option<Vec<usize>> {
        let nodes = self.nodes.len();
        let all: BTreeSet<NodeId> = self.nodes.iter().map(|node| node.id).collect();
        let sets = self.checks.deciding_sets();
        let changes = [KindName::Voters, KindName::Member, KindName::Upgrade];
        if changes.iter().any(|kind| self.plan.has(*kind)) || sets.iter().ne([&all]) {
            return None;
        }
        let mut order: Vec<usize> = (0..nodes).collect();
        prng.shuffle(&mut order);
        let is_whole = |at: usize| {
            let is_there = self.is_sure(at) && !self.nodes[at].loss.is_outcast;
            is_there && !self.atlas.is_damaged(at) && !self.atlas.has_rot(at)
        };
        let (whole, others): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|at| is_whole(*at));
        let missed = nodes.saturating_sub(1) / 2;
        let is_possible = missed > 0 && others.len() <= missed && !self.atlas.has_any_refused();
        is_possible.then(|| others.into_iter().chain(whole).take(missed).collect())
    }

    /// The others have served everything: those that were away come back.
    pub(super) fn bring_back_those_away(&mut self) {
        for at in std::mem::take(&mut self.progress.away) {
            self.heal_node(at);
        }
        self.begin_draining("whole again");
    }
}

/// Separates the choice of who stays away from the faults.
const FORK_BARE: u64 = 0x6261_7265;
