//! Which voters were asked for, and what is not answered yet.
//!
//! Invariant: a request of ours has a number that no client's has.

use std::collections::{BTreeMap, BTreeSet};

use noraft::NodeId;
use noraftd::replica::event::{RequestId, Status};

use crate::plan::{FaultPlan, KindName, Plan};

/// What was asked for.
pub(crate) struct Voters {
    /// Whether the plan changes voters at all.
    pub(crate) are_changed: bool,
    /// Whether one voter may be left alone: not where a power cut may leave a tail that it cannot distinguish from damage.
    pub(crate) may_be_lone: bool,
    pub(crate) asked: u64,
    /// By request, the lane that asked, and whom for.
    pub(crate) open: BTreeMap<u64, (usize, BTreeSet<NodeId>)>,
    /// By request, the voters that a node said there are now, which permits to stop the others.
    pub(crate) permitted: BTreeMap<u64, BTreeSet<NodeId>>,
    /// Requests that were done or may have been: the number of requests asked until then, and the voters that each asked for.
    decided: Vec<(u64, BTreeSet<NodeId>)>,
    /// When all nodes are asked to become voters again.
    pub(crate) ask_again: u64,
}

impl Voters {
    pub(crate) fn new(plan: &Plan) -> Self {
        let changes = |fault: &FaultPlan| fault.kind() == KindName::Voters;
        Self {
            are_changed: plan.faults.iter().any(changes),
            may_be_lone: plan.sim.disk.torn_permille == 0,
            asked: 0,
            open: BTreeMap::new(),
            permitted: BTreeMap::new(),
            decided: Vec::new(),
            ask_again: 0,
        }
    }

    /// Voters that were asked for, as far as no node has said what came of it.
    pub(crate) fn asked_for(&self) -> impl Iterator<Item = &BTreeSet<NodeId>> {
        self.open.values().map(|(_, voters)| voters)
    }

    /// A request that named these voters was done, or may have been.
    pub(crate) fn note_decided(&mut self, voters: BTreeSet<NodeId>) {
        self.decided.push((self.asked, voters));
    }

    /// True when `request`, which asked for other voters than `node`, is the last word about it: no request names it that
    /// is not answered, or that may have been done since this one was asked for.
    pub(crate) fn are_without(&self, node: NodeId, request: RequestId) -> bool {
        let number = request.0 & !CHANGE;
        let since = self.decided.iter().filter(|(asked, _)| *asked >= number);
        let mut named = since.map(|(_, voters)| voters).chain(self.asked_for());
        !named.any(|voters| voters.contains(&node))
    }

    pub(crate) fn next_id(&mut self) -> RequestId {
        self.asked += 1;
        RequestId(CHANGE | self.asked)
    }
}

/// True when a request is one of ours, and no client's.
pub(crate) fn is_change(id: RequestId) -> bool {
    id.0 & CHANGE != 0
}

/// The voters as a node knows them.
pub(crate) fn describe_voters(status: &Status) -> String {
    let ids = |nodes: &[NodeId]| {
        let ids: Vec<String> = nodes.iter().map(|id| id.get().to_string()).collect();
        ids.join(" ")
    };
    if status.new_voters.is_empty() {
        ids(&status.voters)
    } else {
        format!("{} to {}", ids(&status.voters), ids(&status.new_voters))
    }
}

/// Marks the requests that are no client's: those count from zero.
const CHANGE: u64 = 1 << 63;
