//! The lanes of the nemesis: what each has decided and has in force.
//!
//! Invariant: the schedule, targets and budget are those of `crate::nemesis`, for simulated nodes as for real processes.

use std::collections::BTreeMap;

use noraftd::prng::Prng;

use super::alike::Drawn;
use super::transfers::Transfers;
use crate::nemesis::{Claim, Decision, FaultLedger, Lane};
use crate::plan::Plan;
use crate::results::FaultResult;

/// All lanes, and what they have in force.
pub(crate) struct SimNemesis {
    pub(crate) lanes: Vec<LaneState>,
    pub(crate) ledger: FaultLedger,
    /// Every decision, in the order of being made.
    pub(crate) schedule: Vec<Decision>,
    pub(crate) prng: Prng,
    /// Decides which leaders are cut off as they rise.
    pub(crate) coups: Prng,
    /// The nodes whose processes do not last.
    pub(crate) crash_loops: BTreeMap<usize, CrashLoop>,
    /// What the processes and directories of each node have drawn.
    pub(crate) drawn: BTreeMap<usize, Drawn>,
    /// What leaders were asked to hand over.
    pub(crate) transfers: Transfers,
}

/// How a node crashes again and again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CrashLoop {
    /// How many more crashes it has before it; `None`: until its fault ends.
    pub(crate) left: Option<u64>,
    /// How long a process lives at most, and how soon after its end the next one is started, in nanoseconds.
    pub(crate) lives: u64,
    pub(crate) starts_within: u64,
}

pub(crate) struct LaneState {
    pub(crate) lane: Lane,
    pub(crate) next: Option<Decision>,
    pub(crate) in_force: Option<InForce>,
}

/// A fault in force.
pub(crate) struct InForce {
    pub(crate) decision: Decision,
    pub(crate) claim: Claim,
    pub(crate) links: Vec<usize>,
    pub(crate) from_ns: u64,
    pub(crate) evidence: Vec<String>,
    pub(crate) kept_back_before: u64,
    /// Calls of its nodes' disks that had failed before.
    pub(crate) failures_before: u64,
    pub(crate) is_cut: bool,
}

impl SimNemesis {
    pub(crate) fn new(plan: &Plan, seed: u64, coups: Prng) -> Self {
        let lanes = Lane::all(plan, seed);
        let state = |lane| LaneState {
            lane,
            next: None,
            in_force: None,
        };
        Self {
            lanes: lanes.into_iter().map(state).collect(),
            ledger: FaultLedger::new(plan.nemesis.impaired_max.unwrap_or(plan.cluster.nodes)),
            schedule: Vec::new(),
            prng: Prng::new(seed).fork(FORK_DETAILS),
            coups,
            crash_loops: BTreeMap::new(),
            drawn: BTreeMap::new(),
            transfers: Transfers::default(),
        }
    }

    /// Draws from `root` from now on; what each lane has decided next is kept.
    pub(crate) fn branch_off(&mut self, root: &Prng) {
        let lanes = root.fork(FORK_LANES);
        for state in &mut self.lanes {
            state.lane.branch_off(&lanes);
        }
        self.prng = root.fork(FORK_DETAILS);
        self.coups = root.fork(FORK_COUPS);
    }

    /// A decision of a lane found no target.
    pub(crate) fn find_no_target(&mut self, lane: usize, decision: Decision) {
        let lane = &mut self.lanes[lane].lane;
        if lane.has_to_make(&decision) {
            lane.put_off(decision);
        } else {
            self.ledger.skip();
        }
    }

    /// What became of every fault, and how many decisions could not be carried out.
    pub(crate) fn results(&self) -> (Vec<FaultResult>, u64) {
        let put_off: usize = self
            .lanes
            .iter()
            .map(|state| state.lane.are_put_off().len())
            .sum();
        (self.ledger.results(), self.ledger.skipped() + put_off as u64)
    }
}

/// Separates the details of faults from the schedule, which is the same for real processes.
const FORK_DETAILS: u64 = 0x6465_7461_696c;
// After a branch: the lanes, and the leaders that are cut off.
const FORK_LANES: u64 = 1;
const FORK_COUPS: u64 = 2;
