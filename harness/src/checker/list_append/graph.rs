//! The graph of who precedes whom.
//!
//! Nodes: transactions; for each list its end, reached by all that was seen of it, and beyond that what
//! nobody saw; and one instant a return, in a chain, so that real time needs O(n) edges instead of n^2.

use crate::checker::txn::Micro;
use crate::model::Call;

/// Why one node precedes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Appended before.
    Ww,
    /// Appended what the other read.
    Wr,
    /// Read without what the other appended.
    Rw,
    /// Returned before the other was called.
    Realtime,
    /// Continues an edge that began as another kind.
    Free,
}

impl Kind {
    pub(super) fn bit(self) -> u8 {
        match self {
            Self::Ww => 1,
            Self::Wr => 2,
            Self::Rw => 4,
            Self::Realtime => 8,
            Self::Free => 16,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) kind: Kind,
    /// List and position it is about.
    pub(super) about: (u32, u32),
}

pub(super) struct Graph {
    pub(super) txns: u32,
    lists: u32,
    pub(super) nodes: u32,
    pub(super) happened: Vec<bool>,
    edges: Vec<Edge>,
    /// Edges of node n are `edges[starts[n]..starts[n + 1]]` once sealed.
    starts: Vec<u32>,
}

impl Graph {
    pub(super) fn new(txns: usize, lists: usize, happened: Vec<bool>) -> Self {
        let (txns, lists) = (txns as u32, lists as u32);
        Self {
            txns,
            lists,
            nodes: txns + 2 * lists,
            happened,
            edges: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// The node at the end of a list.
    pub(super) fn end(&self, list: u32) -> u32 {
        self.txns + list
    }

    /// The node behind that, before what nobody saw.
    pub(super) fn beyond(&self, list: u32) -> u32 {
        self.txns + self.lists + list
    }

    pub(super) fn add(&mut self, from: u32, to: u32, kind: Kind, about: (u32, u32)) {
        if from != to {
            self.edges.push(Edge {
                from,
                to,
                kind,
                about,
            });
        }
    }

    /// Adds the chain of instants and seals the graph.
    pub(super) fn add_realtime(&mut self, calls: &[Call<Vec<Micro>>]) {
        let mut returns: Vec<(u32, u32)> = (0..)
            .zip(calls)
            .filter(|(_, call)| !call.is_open())
            .map(|(txn, call)| (call.ret, txn))
            .collect();
        returns.sort_unstable();
        let first = self.txns + 2 * self.lists;
        for (at, (_, txn)) in (first..).zip(&returns) {
            self.add(*txn, at, Kind::Realtime, (0, 0));
            if at > first {
                self.add(at - 1, at, Kind::Realtime, (0, 0));
            }
        }
        for (txn, call) in (0_u32..).zip(calls) {
            let before = returns.partition_point(|(ret, _)| *ret < call.call) as u32;
            if before > 0 && self.happened[txn as usize] {
                self.add(first + before - 1, txn, Kind::Realtime, (0, 0));
            }
        }
        self.nodes = first + returns.len() as u32;
        self.seal();
    }

    fn seal(&mut self) {
        self.edges.sort_by_key(|edge| edge.from);
        self.starts = vec![0; self.nodes as usize + 1];
        for edge in &self.edges {
            self.starts[edge.from as usize + 1] += 1;
        }
        for at in 1..self.starts.len() {
            self.starts[at] += self.starts[at - 1];
        }
    }

    pub(super) fn out(&self, node: u32) -> &[Edge] {
        let (from, to) = (self.starts[node as usize], self.starts[node as usize + 1]);
        &self.edges[from as usize..to as usize]
    }

    pub(super) fn is_txn(&self, node: u32) -> bool {
        node < self.txns
    }

    /// Strongly connected components, each after all that it leads to (Tarjan 1972, without recursion).
    pub(super) fn components(&self) -> Vec<Vec<u32>> {
        const NEW: u32 = u32::MAX;
        let count = self.nodes as usize;
        let (mut number, mut low, mut on_stack) = (vec![NEW; count], vec![0; count], vec![false; count]);
        let (mut stack, mut work, mut components) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = 0;
        for root in 0..self.nodes {
            if number[root as usize] != NEW {
                continue;
            }
            work.push((root, 0));
            while let Some((node, edge)) = work.pop() {
                let at = node as usize;
                if edge == 0 {
                    (number[at], low[at], on_stack[at]) = (next, next, true);
                    next += 1;
                    stack.push(node);
                }
                if let Some(out) = self.out(node).get(edge) {
                    work.push((node, edge + 1));
                    let to = out.to as usize;
                    if number[to] == NEW {
                        work.push((out.to, 0));
                    } else if on_stack[to] {
                        low[at] = low[at].min(number[to]);
                    }
                    continue;
                }
                if low[at] == number[at] {
                    let from = stack
                        .iter()
                        .rposition(|one| *one == node)
                        .expect("a node is on the stack");
                    let component = stack.split_off(from);
                    component.iter().for_each(|one| on_stack[*one as usize] = false);
                    components.push(component);
                }
                if let Some((parent, _)) = work.last() {
                    let parent = *parent as usize;
                    low[parent] = low[parent].min(low[at]);
                }
            }
        }
        components
    }
}
