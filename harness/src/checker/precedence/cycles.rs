//! Either an order of all transactions, or a cycle of the worst kind with the fewest transactions, edge by edge.

use std::collections::VecDeque;

use super::graph::{Edge, Graph, Kind};
use crate::checker::violation::Explained;
use crate::recording::hash::{FastMap, FastSet};

/// Cycles are searched from at most this many edges, so that a huge tangle is explained in bounded time.
const STARTS_MAX: usize = 512;
/// Transactions of an explanation.
pub(in crate::checker) const SHOWN_MAX: usize = 8;

/// A kind of cycle: its name, the edges it may have, and whether exactly one of them must be rw.
struct Anomaly {
    name: &'static str,
    edges: u8,
    single_rw: bool,
}

const WW: u8 = 1 | 16;
const WWR: u8 = WW | 2;
const ALL: u8 = WWR | 4;
/// Real time, and what was inferred with its help.
const TIME: u8 = 8 | 32;

/// Worst first; a cycle is named after the first kind that has it.
const ANOMALIES: [Anomaly; 4] = [
    Anomaly {
        name: "G0 (write cycle)",
        edges: WW,
        single_rw: false,
    },
    Anomaly {
        name: "G1c (circular information flow)",
        edges: WWR,
        single_rw: false,
    },
    Anomaly {
        name: "G-single (read skew)",
        edges: WWR,
        single_rw: true,
    },
    Anomaly {
        name: "G2-item (write skew)",
        edges: ALL,
        single_rw: false,
    },
];

/// The same with real time, the plainest first: of these the smallest is explained.
const REALTIME: [Anomaly; 4] = [
    Anomaly {
        name: "G-single-realtime (stale read)",
        edges: WWR | TIME,
        single_rw: true,
    },
    Anomaly {
        name: "G0-realtime",
        edges: WW | TIME,
        single_rw: false,
    },
    Anomaly {
        name: "G1c-realtime",
        edges: WWR | TIME,
        single_rw: false,
    },
    Anomaly {
        name: "G2-item-realtime",
        edges: ALL | TIME,
        single_rw: false,
    },
];

/// What a checker says about its edges.
pub(in crate::checker) trait Words {
    /// The operation that a transaction is.
    fn id(&self, txn: u32) -> u32;

    /// Says why one transaction precedes another: by the edge that leaves the first and the one that arrives at the
    /// second, which are the same unless the way leads through other nodes.
    fn explain(&self, leaves: Edge, arrives: Edge, out: &mut Draft);

    /// Says what the sentences so far took for granted.
    fn explain_rest(&self, graph: &Graph, out: &mut Draft);
}

/// An explanation as it grows.
#[derive(Default)]
pub(in crate::checker) struct Draft {
    /// Operations that are mentioned.
    pub(in crate::checker) operations: Vec<u32>,
    /// Sentences.
    pub(in crate::checker) why: Vec<String>,
    /// What has to be said yet, in the checker's own numbers.
    pub(in crate::checker) open: Vec<u32>,
    /// Some sentence is about what returned before what.
    pub(in crate::checker) uses_time: bool,
}

impl Draft {
    /// Notes that an operation is mentioned; gives it back.
    pub(in crate::checker) fn mentions(&mut self, id: u32) -> u32 {
        if !self.operations.contains(&id) {
            self.operations.push(id);
        }
        id
    }
}

/// Transactions in an order, or a cycle in words.
pub(in crate::checker) fn order(words: &dyn Words, graph: &Graph) -> Result<Vec<u32>, Explained> {
    let components = graph.components();
    if let Some(tangle) = components
        .iter()
        .filter(|one| one.len() > 1)
        .min_by_key(|one| one.len())
    {
        return Err(explain(words, graph, tangle));
    }
    let nodes = components.iter().rev().map(|component| component[0]);
    Ok(nodes
        .filter(|node| graph.is_txn(*node) && graph.happened[*node as usize])
        .collect())
}

fn explain(words: &dyn Words, graph: &Graph, tangle: &[u32]) -> Explained {
    let worst = ANOMALIES.iter().find_map(|anomaly| {
        let part = Part::new(graph, tangle, anomaly);
        LEVELS
            .iter()
            .find_map(|level| Some((anomaly, part.cycle(*level)?)))
    });
    let found = worst.or_else(|| {
        let parts: Vec<Part<'_>> = REALTIME
            .iter()
            .map(|anomaly| Part::new(graph, tangle, anomaly))
            .collect();
        LEVELS.iter().find_map(|level| {
            parts
                .iter()
                .find_map(|part| Some((part.anomaly, part.cycle(*level)?)))
        })
    });
    if let Some((anomaly, cycle)) = found {
        return explain_cycle(words, graph, anomaly.name, &cycle);
    }
    // Every component has a cycle, but not necessarily through the edges that were tried.
    let operations: Vec<u32> = tangle
        .iter()
        .filter(|node| graph.is_txn(**node))
        .take(SHOWN_MAX)
        .map(|txn| words.id(*txn))
        .collect();
    let why = vec![format!("{} transactions each precede all others.", tangle.len())];
    Explained {
        title: "a cycle of transactions".to_owned(),
        operations,
        why,
    }
}

/// Transactions on the way back from an edge, at most, and from how many edges it is looked for: small cycles from
/// every edge, large ones from the first edges only.
const LEVELS: [(u32, usize); 3] = [(2, usize::MAX), (3, STARTS_MAX), (u32::MAX, STARTS_MAX / 8)];

/// The part of a tangle where cycles of one kind are.
struct Part<'a> {
    graph: &'a Graph,
    anomaly: &'a Anomaly,
    /// Nodes that are on some cycle over edges of this kind, and on which.
    of_node: FastMap<u32, usize>,
    nodes: Vec<u32>,
}

impl<'a> Part<'a> {
    fn new(graph: &'a Graph, tangle: &[u32], anomaly: &'a Anomaly) -> Self {
        let inside: FastSet<u32> = tangle.iter().copied().collect();
        let rw = if anomaly.single_rw { Kind::Rw.bit() } else { 0 };
        let may_be = |edge: &Edge| edge.kind.bit() & (anomaly.edges | rw) != 0 && inside.contains(&edge.to);
        let mut parts = graph.components_of(tangle, may_be);
        parts.retain(|part| part.len() > 1);
        let of_node = (0..)
            .zip(&parts)
            .flat_map(|(at, part)| part.iter().map(move |node| (*node, at)))
            .collect();
        Self {
            graph,
            anomaly,
            of_node,
            nodes: parts.concat(),
        }
    }

    fn holds(&self, edge: &Edge) -> bool {
        let part = self.of_node.get(&edge.from);
        part.is_some() && part == self.of_node.get(&edge.to)
    }

    fn is_start(&self, edge: &Edge) -> bool {
        let is_kind = match self.anomaly.single_rw {
            true => edge.kind == Kind::Rw,
            // Real time alone makes no cycle.
            false => edge.kind.bit() & self.anomaly.edges & !(TIME | Kind::Free.bit()) != 0,
        };
        is_kind && self.holds(edge)
    }

    /// A cycle of this size with the fewest transactions; of equals the one that takes the fewest arguments.
    fn cycle(&self, (most, tries): (u32, usize)) -> Option<Vec<Edge>> {
        let walk = Walk {
            graph: self.graph,
            has_time: self.anomaly.edges & TIME != 0,
            most,
        };
        let edges = self.nodes.iter().flat_map(|node| self.graph.out(*node));
        let starts = edges.filter(|edge| self.is_start(edge)).take(tries);
        let fits = |edge: &Edge| edge.kind.bit() & self.anomaly.edges != 0 && self.holds(edge);
        let cycles = starts.filter_map(|start| {
            let mut cycle = walk.path(start.to, start.from, fits)?;
            cycle.insert(0, *start);
            Some(cycle)
        });
        let arguments = |cycle: &[Edge]| cycle.iter().filter(|edge| edge.kind == Kind::Inferred).count();
        cycles.min_by_key(|cycle| (txns_of(self.graph, cycle), arguments(cycle)))
    }
}

fn txns_of(graph: &Graph, cycle: &[Edge]) -> usize {
    cycle.iter().filter(|edge| graph.is_txn(edge.to)).count()
}

/// The path over edges that fit with the fewest transactions on the way.
pub(in crate::checker) fn path(
    graph: &Graph,
    from: u32,
    to: u32,
    fits: impl Fn(&Edge) -> bool,
) -> Option<Vec<Edge>> {
    Walk {
        graph,
        has_time: true,
        most: u32::MAX,
    }
    .path(from, to, fits)
}

/// How to look for a path.
struct Walk<'a> {
    graph: &'a Graph,
    /// Edges of real time are among those that fit.
    has_time: bool,
    /// Transactions on it, the last included, at most.
    most: u32,
}

impl Walk<'_> {
    fn path(&self, from: u32, to: u32, fits: impl Fn(&Edge) -> bool) -> Option<Vec<Edge>> {
        let graph = self.graph;
        let mut came: FastMap<u32, (u32, Edge)> = FastMap::default();
        let mut settled: FastSet<u32> = FastSet::default();
        // Steps that lead to a transaction cost one, others nothing: those go first.
        let mut queue = VecDeque::from([(0, from)]);
        while let Some((cost, node)) = queue.pop_front() {
            if node == to {
                return Some(trace(&came, from, to));
            }
            if cost >= self.most || !settled.insert(node) {
                continue;
            }
            let mut reach = |edge: Edge| {
                let step = u32::from(graph.is_txn(edge.to));
                let known = came.get(&edge.to).map_or(u32::MAX, |(known, _)| *known);
                if edge.to != from && cost + step < known {
                    came.insert(edge.to, (cost + step, edge));
                    match step {
                        0 => queue.push_front((cost, edge.to)),
                        _ => queue.push_back((cost + step, edge.to)),
                    }
                }
            };
            // The chain of instants is long: where it leads straight to the end, it need not be walked.
            let is_last = cost + 1 == self.most;
            if self.has_time && graph.is_txn(node) && graph.is_txn(to) && graph.is_before(node, to) {
                reach(Edge {
                    from: node,
                    to,
                    kind: Kind::Realtime,
                    about: (0, 0),
                });
            }
            for edge in graph.out(node).iter().filter(|edge| fits(edge)) {
                if !(is_last && graph.is_txn(node) && edge.kind == Kind::Realtime) {
                    reach(*edge);
                }
            }
        }
        None
    }
}

fn trace(came: &FastMap<u32, (u32, Edge)>, from: u32, to: u32) -> Vec<Edge> {
    let mut path = Vec::new();
    let mut at = to;
    while at != from {
        let (_, edge) = came[&at];
        path.push(edge);
        at = edge.from;
    }
    path.reverse();
    path
}

fn explain_cycle(words: &dyn Words, graph: &Graph, name: &str, cycle: &[Edge]) -> Explained {
    // Begin at a transaction, so that edges through other nodes stay whole.
    let begin = cycle.iter().position(|edge| graph.is_txn(edge.from)).unwrap_or(0);
    let mut out = Draft::default();
    let mut leaves: Option<Edge> = None;
    for edge in cycle[begin..].iter().chain(&cycle[..begin]) {
        let first = *leaves.get_or_insert(*edge);
        if graph.is_txn(edge.to) {
            words.explain(first, *edge, &mut out);
            leaves = None;
        }
    }
    let steps = out.operations.len();
    if steps > SHOWN_MAX {
        out.operations.truncate(SHOWN_MAX);
        out.why.truncate(SHOWN_MAX);
        out.why
            .push(format!("... and so on around a cycle of {steps} transactions."));
        out.open.clear();
    }
    out.why
        .push("So each of them has to come before itself.".to_owned());
    words.explain_rest(graph, &mut out);
    Explained {
        // What was inferred may need no real time after all.
        title: if out.uses_time {
            name.to_owned()
        } else {
            name.replace("-realtime", "")
        },
        operations: out.operations,
        why: out.why,
    }
}
