//! How far a simulated run is.

use super::rule::BrokenRule;

/// How far a run is, and what ends it.
pub(crate) struct Progress {
    pub(crate) phase: Phase,
    /// Where each part of the run began.
    pub(crate) phases: Vec<(&'static str, u64)>,
    /// When all nodes must have come to the same state.
    pub(crate) converge_by: u64,
    /// Nodes that stay away at first when nothing is disturbed any more.
    pub(crate) away: Vec<usize>,
    /// The first rule that was broken.
    pub(crate) failure: Option<BrokenRule>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            phase: Phase::Disturbed,
            phases: vec![("faults", 0)],
            converge_by: 0,
            away: Vec::new(),
            failure: None,
        }
    }
}

/// The parts of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Clients and faults.
    Disturbed,
    /// Nothing is disturbed any more, but some nodes are away; the last operations end.
    Bare,
    /// Every node that is there has to serve everything.
    BareFinale,
    /// Every node is there; the last operations end.
    Draining,
    /// Every node has to serve everything.
    Finale,
    /// All nodes have to come to the same state.
    Converging,
    Over,
}
