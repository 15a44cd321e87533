//! The graph of which transaction precedes which.
//!
//! Nodes: transactions; then nodes that mean something to the checker only, through which many transactions precede
//! many others; and one instant a return, in a chain, so that real time needs O(n) edges instead of n^2.

use crate::model::Call;

/// Why one node precedes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checker) enum Kind {
    /// Wrote a version that comes before the other's.
    Ww,
    /// Wrote what the other read.
    Wr,
    /// Read a version that comes before the one the other wrote.
    Rw,
    /// Returned before the other was called.
    Realtime,
    /// Continues an edge that began as another kind.
    Free,
    /// The same, where it took an argument about other transactions.
    Inferred,
}

impl Kind {
    pub(in crate::checker) fn bit(self) -> u8 {
        match self {
            Self::Ww => 1,
            Self::Wr => 2,
            Self::Rw => 4,
            Self::Realtime => 8,
            Self::Free => 16,
            Self::Inferred => 32,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(in crate::checker) struct Edge {
    pub(in crate::checker) from: u32,
    pub(in crate::checker) to: u32,
    pub(in crate::checker) kind: Kind,
    /// What it is about, in the checker's own numbers.
    pub(in crate::checker) about: (u32, u32),
}

pub(in crate::checker) struct Graph {
    txns: u32,
    /// Nodes before the instants.
    fixed: u32,
    nodes: u32,
    pub(in crate::checker) happened: Vec<bool>,
    edges: Vec<Edge>,
    /// Invocation and return of each transaction, for real time without the chain.
    spans: Vec<(u32, u32)>,
    /// Edges of node n are `edges[starts[n]..starts[n + 1]]` once sealed.
    starts: Vec<u32>,
}

impl Graph {
    /// Transactions, and so many nodes of the checker's own, numbered after them.
    pub(in crate::checker) fn new(txns: usize, own: usize, happened: Vec<bool>) -> Self {
        let (txns, fixed) = (txns as u32, (txns + own) as u32);
        Self {
            txns,
            fixed,
            nodes: fixed,
            happened,
            edges: Vec::new(),
            spans: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// How many nodes there are.
    pub(in crate::checker) fn len(&self) -> usize {
        self.nodes as usize
    }

    /// How many edges there are.
    pub(in crate::checker) fn edges(&self) -> usize {
        self.edges.len()
    }

    pub(in crate::checker) fn add(&mut self, from: u32, to: u32, kind: Kind, about: (u32, u32)) {
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
    pub(in crate::checker) fn add_realtime<O>(&mut self, calls: &[Call<O>]) {
        self.spans = calls.iter().map(|call| (call.call, call.ret)).collect();
        let mut returns: Vec<(u32, u32)> = (0..)
            .zip(calls)
            .filter(|(_, call)| !call.is_open())
            .map(|(txn, call)| (call.ret, txn))
            .collect();
        returns.sort_unstable();
        let first = self.fixed;
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

    /// Makes the edges that were added since available to [`Self::out`].
    pub(in crate::checker) fn seal(&mut self) {
        self.edges.sort_by_key(|edge| edge.from);
        self.starts = vec![0; self.nodes as usize + 1];
        for edge in &self.edges {
            self.starts[edge.from as usize + 1] += 1;
        }
        for at in 1..self.starts.len() {
            self.starts[at] += self.starts[at - 1];
        }
    }

    pub(in crate::checker) fn out(&self, node: u32) -> &[Edge] {
        let (from, to) = (self.starts[node as usize], self.starts[node as usize + 1]);
        &self.edges[from as usize..to as usize]
    }

    /// True when one transaction returned before the other was called.
    pub(in crate::checker) fn is_before(&self, one: u32, other: u32) -> bool {
        self.spans[one as usize].1 < self.spans[other as usize].0
    }

    pub(in crate::checker) fn is_txn(&self, node: u32) -> bool {
        node < self.txns
    }

    /// Strongly connected components, each after all that it leads to.
    pub(in crate::checker) fn components(&self) -> Vec<Vec<u32>> {
        let all: Vec<u32> = (0..self.nodes).collect();
        self.components_of(&all, |_| true)
    }

    /// The same for some nodes and the edges that fit, which stay among them (Tarjan 1972, without recursion).
    pub(in crate::checker) fn components_of(
        &self,
        nodes: &[u32],
        fits: impl Fn(&Edge) -> bool,
    ) -> Vec<Vec<u32>> {
        const NEW: u32 = u32::MAX;
        let count = self.nodes as usize;
        let (mut number, mut low, mut on_stack) = (vec![NEW; count], vec![0; count], vec![false; count]);
        let (mut stack, mut work, mut components) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = 0;
        for root in nodes.iter().copied() {
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
                    if !fits(out) {
                        continue;
                    }
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
