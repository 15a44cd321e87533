//! Coverage: which kinds of states a run reached, so that a plan that reaches less than before is noticed.
//!
//! | figure | what it counts |
//! |-|-|
//! | kinds | in each dimension (`dimensions`) the runs that reached each kind: each is something that a person can name |
//! | nodes | distinct states of a node: how the kinds come together on one |
//! | clusters | distinct states of a cluster: how the nodes' outlines come together |
//!
//! Invariant: the figures of several runs are the same in whatever order the runs are merged.

pub(super) mod dimensions;
mod outside;
pub(crate) mod state;
pub(crate) mod watcher;

use std::collections::{BTreeMap, BTreeSet};

use self::dimensions::{Dimension, MESSAGES, STATES};
use self::state::NodeState;

/// The kinds of states that some runs reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    runs: u64,
    nodes: BTreeSet<NodeState>,
    /// The states of the cluster, and when each was reached, in virtual nanoseconds: by the run that reached it earliest.
    clusters: BTreeMap<u64, u64>,
    /// Runs that reached each kind, by the places of its dimension and of itself.
    reached: BTreeMap<(usize, usize), u64>,
}

impl Coverage {
    /// Of one run; `heard` are the places of the messages that arrived.
    fn of_run(
        nodes: BTreeSet<NodeState>,
        clusters: BTreeMap<u64, u64>,
        heard: impl Iterator<Item = (usize, usize)>,
    ) -> Self {
        let kinds_of = |state: &NodeState| {
            let state = *state;
            (0..STATES.len()).filter_map(move |dimension| Some((dimension, state.kind(dimension)?)))
        };
        let mut reached = BTreeMap::new();
        for state in &nodes {
            reached.extend(kinds_of(state).map(|place| (place, 1)));
        }
        reached.extend(heard.map(|(dimension, kind)| ((STATES.len() + dimension, kind), 1)));
        Self {
            runs: 1,
            nodes,
            clusters,
            reached,
        }
    }

    /// Adds what other runs reached.
    pub fn merge(&mut self, other: Self) {
        self.runs += other.runs;
        self.nodes.extend(other.nodes);
        for (state, at_ns) in other.clusters {
            let earliest = self.clusters.entry(state).or_insert(at_ns);
            *earliest = at_ns.min(*earliest);
        }
        for (place, runs) in other.reached {
            *self.reached.entry(place).or_insert(0) += runs;
        }
    }

    /// How many states of the cluster were reached that `seen` lacks: a run that has some went where none had been.
    pub fn new_since(&self, seen: &Self) -> u64 {
        let is_new = |state: &&u64| !seen.clusters.contains_key(state);
        self.clusters.keys().filter(is_new).count() as u64
    }

    /// The states of the cluster, and when each was reached, in virtual nanoseconds.
    pub fn cluster_states(&self) -> impl Iterator<Item = (u64, u64)> {
        self.clusters.iter().map(|(state, at_ns)| (*state, *at_ns))
    }

    /// Runs that were counted.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Distinct states of a node.
    pub fn nodes(&self) -> u64 {
        self.nodes.len() as u64
    }

    /// Distinct states of the cluster.
    pub fn clusters(&self) -> u64 {
        self.clusters.len() as u64
    }

    /// In each dimension, the runs that reached each kind that was reached.
    pub fn kinds(&self) -> BTreeMap<&'static str, BTreeMap<&'static str, u64>> {
        let of = |(at, dimension): (usize, &Dimension)| {
            let places = dimension.kinds.iter().enumerate();
            let reached = places.filter_map(|(kind, name)| Some((*name, *self.reached.get(&(at, kind))?)));
            (dimension.name, reached.collect())
        };
        dimensions().map(of).collect()
    }

    /// In each dimension that has any, the kinds that no run reached.
    pub fn never(&self) -> BTreeMap<&'static str, Vec<&'static str>> {
        let of = |(at, dimension): (usize, &Dimension)| {
            let places = dimension.kinds.iter().enumerate();
            let never = places.filter(|(kind, _)| !self.reached.contains_key(&(at, *kind)));
            let never: Vec<&str> = never.map(|(_, name)| *name).collect();
            (!never.is_empty()).then_some((dimension.name, never))
        };
        dimensions().filter_map(of).collect()
    }
}

/// All dimensions, with their places.
fn dimensions() -> impl Iterator<Item = (usize, &'static Dimension)> {
    let (states, messages): (&'static [Dimension], &'static [Dimension]) = (&STATES, &MESSAGES);
    states.iter().chain(messages).enumerate()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(states: &[u128], clusters: &[u64], heard: &[(usize, usize)]) -> Coverage {
        let nodes = states.iter().map(|bits| NodeState::from_bits(*bits)).collect();
        let clusters = clusters.iter().map(|state| (*state, state * 10)).collect();
        Coverage::of_run(nodes, clusters, heard.iter().copied())
    }

    #[test]
    fn runs_are_merged_in_any_order() {
        let runs = [
            run(&[0x11, 0x12], &[1, 2], &[(0, 3)]),
            run(&[0x12, 0x32], &[2, 3], &[]),
            run(&[0x1], &[4], &[(0, 3), (3, 1)]),
        ];
        let merged = |order: [usize; 3]| {
            let mut all = Coverage::default();
            order.iter().for_each(|at| all.merge(runs[*at].clone()));
            all
        };
        let all = merged([0, 1, 2]);
        assert_eq!(all, merged([2, 0, 1]));
        assert_eq!((all.runs(), all.nodes(), all.clusters()), (3, 4, 4));
        let kinds = all.kinds();
        assert_eq!(
            kinds["process"],
            BTreeMap::from([("down", 2), ("not started yet", 2)])
        );
        assert_eq!(
            kinds["message of the receiver's term"],
            BTreeMap::from([("heartbeat or probe", 2)])
        );
        assert_eq!(
            all.never()["memory"],
            [
                "sure of what it acknowledged",
                "abstains: ambiguous tail",
                "abstains: lost entries"
            ]
        );
        assert!(kinds["reads"].is_empty() && all.never()["reads"].len() == 5);
    }

    #[test]
    fn a_run_is_new_as_far_as_its_clusters_were_not_seen() {
        let (one, other) = (run(&[0x11], &[1, 2, 3], &[]), run(&[0x12], &[3], &[]));
        assert_eq!(one.new_since(&Coverage::default()), 3);
        assert_eq!(one.new_since(&other), 2);
        assert_eq!(
            other.new_since(&one),
            0,
            "a new state of a node alone is none of the cluster"
        );
    }
}
