//! What an operator does who was answered that the voters are others now: the nodes that are none any more are stopped, and the
//! directory of one of them is wiped.
//!
//! The answer permits it at once. So it is done to the true state: whatever still needs a node that was removed, for its
//! entries, its vote, its echo or its silence, is without it from then on.
//!
//! Invariant: a node is stopped for this only while the answer is the last word about it, as far as the operator knows: no
//! other request names it that is not answered, or that may have been done since. Its directory is wiped only where
//! `rejoin` allows it. It comes back after a while, and before the end.

use std::collections::{BTreeMap, BTreeSet};

use noraft::NodeId;
use noraftd::replica::event::RequestId;

use super::World;
use crate::sim::journal::happening::{FaultHappening, Happening};
use crate::sim::parts::MILLI;
use crate::sim::parts::crash::Crash;
use crate::sim::parts::event::{Event, RunEvent};
use crate::sim::parts::phase::Phase;

impl World {
    /// A node has answered that these are the voters now: no other one is needed any more.
    /// At the end of a run all are made voters again, while the last changes that were asked for are still under way.
    pub(super) fn check_permitted(&mut self, at: usize, request: RequestId, voters: &BTreeSet<NodeId>) {
        if self.progress.phase != Phase::Disturbed {
            return;
        }
        for removed in self.without(voters, request) {
            let checked = self.checks.is_needed_no_more(at, self.nodes[removed].id, voters);
            self.check(checked);
        }
    }

    /// Now and then the operator makes use of it.
    pub(super) fn permit_removal(&mut self, request: RequestId, voters: BTreeSet<NodeId>) {
        let share = self.plan.sim.node.remove_permille;
        if share == 0 || self.progress.phase != Phase::Disturbed || !self.nemesis.prng.chance(share, 1000) {
            return;
        }
        let soon = self.nemesis.prng.below(OPERATOR_MAX);
        self.voters.permitted.insert(request.0, voters);
        let request = request.0;
        self.queue
            .after(soon, Event::Run(RunEvent::StopRemoved { request }));
    }

    pub(super) fn stop_removed(&mut self, request: u64) {
        let Some(voters) = self.voters.permitted.remove(&request) else {
            return;
        };
        if self.progress.phase != Phase::Disturbed {
            return;
        }
        let mut removed = self.without(&voters, RequestId(request));
        self.nemesis.prng.shuffle(&mut removed);
        let wiped = removed.iter().copied().find(|at| self.may_be_lost(*at));
        for at in removed {
            self.stop_for_good(at, wiped == Some(at));
        }
    }

    /// The nodes that are no voters any more, since `request` is the last word about them.
    fn without(&self, voters: &BTreeSet<NodeId>, request: RequestId) -> Vec<usize> {
        let is_out = |id: NodeId| !voters.contains(&id) && self.voters.are_without(id, request);
        let nodes = 0..self.plan.cluster.nodes;
        nodes.filter(|at| is_out(self.nodes[*at].id)).collect()
    }

    /// Half of those that are wiped are started all the same, with nothing.
    fn stop_for_good(&mut self, at: usize, is_wiped: bool) {
        self.journal.note(
            self.queue.now(),
            Happening::Fault(FaultHappening::StopsRemoved { node: at, is_wiped }),
        );
        self.journal.counters.processes.removals += 1;
        self.nodes[at].loss.is_stopped = true;
        self.crash(at, Crash::Kill);
        if is_wiped {
            self.lose(at, BTreeMap::new());
            if self.nemesis.prng.chance(1, 2) {
                self.nodes[at].loss.is_stopped = false;
                self.start_soon(at);
            }
        }
        let back = self.nemesis.prng.between(AWAY_MIN, AWAY_MAX) * MILLI;
        self.queue.after(back, Event::Run(RunEvent::Return { node: at }));
    }

    /// The node is wanted again.
    pub(super) fn bring_back(&mut self, at: usize) {
        self.nodes[at].loss.is_stopped = false;
        if self.nodes[at].loss.is_outcast {
            self.schedule_rejoin(at);
        } else if self.nodes[at].process.is_none() {
            self.schedule_start(at, 0);
        }
    }
}

/// An operator's script is no slower.
const OPERATOR_MAX: u64 = 5 * MILLI;
/// Milliseconds until a node that was stopped comes back: some elections and changes later.
const AWAY_MIN: u64 = 50;
const AWAY_MAX: u64 = 2000;
