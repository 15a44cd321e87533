//! Either an order of all transactions, or the shortest cycle of the worst kind, told edge by edge.

use std::collections::VecDeque;

use super::Lists;
use super::graph::{Edge, Graph, Kind};
use crate::checker::hash::{FastMap, FastSet};
use crate::checker::verdict::{Told, mention};

/// Cycles are searched from at most this many edges, so that a huge tangle is told in bounded time.
const STARTS_MAX: usize = 512;
/// Transactions of a cycle that are told.
const TOLD_MAX: usize = 8;

/// A kind of cycle: its name, the edges it may have, and how many of them must be rw (`None`: any).
struct Anomaly {
    name: &'static str,
    edges: u8,
    single_rw: bool,
}

const WW: u8 = 1 | 16;
const WWR: u8 = WW | 2;
const ALL: u8 = WWR | 4;
const TIME: u8 = 8;

/// Worst first; a cycle is named after the first kind that has it.
const ANOMALIES: [Anomaly; 8] = [
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
        name: "G-single-realtime (stale read)",
        edges: WWR | TIME,
        single_rw: true,
    },
    Anomaly {
        name: "G2-item-realtime",
        edges: ALL | TIME,
        single_rw: false,
    },
];

/// Ids of the transactions in an order, or a cycle.
pub(super) fn order(lists: &Lists<'_>, graph: &Graph) -> Result<Vec<u32>, Told> {
    let components = graph.components();
    if let Some(tangle) = components
        .iter()
        .filter(|one| one.len() > 1)
        .min_by_key(|one| one.len())
    {
        return Err(tell(lists, graph, tangle));
    }
    let nodes = components.iter().rev().map(|component| component[0]);
    let happened = nodes.filter(|node| graph.is_txn(*node) && graph.happened[*node as usize]);
    Ok(happened.map(|txn| lists.id(txn)).collect())
}

fn tell(lists: &Lists<'_>, graph: &Graph, tangle: &[u32]) -> Told {
    for anomaly in &ANOMALIES {
        if let Some(cycle) = shortest(graph, tangle, anomaly) {
            return tell_cycle(lists, graph, anomaly.name, &cycle);
        }
    }
    // Every component has a cycle, but not necessarily through the edges that were tried.
    let operations: Vec<u32> = tangle
        .iter()
        .filter(|node| graph.is_txn(**node))
        .take(TOLD_MAX)
        .map(|txn| lists.id(*txn))
        .collect();
    let why = vec![format!("{} transactions each precede all others.", tangle.len())];
    Told {
        title: "a cycle of transactions".to_owned(),
        operations,
        why,
    }
}

/// The shortest cycle of this kind that goes through one of the first edges of the tangle.
fn shortest(graph: &Graph, tangle: &[u32], anomaly: &Anomaly) -> Option<Vec<Edge>> {
    let inside: FastSet<u32> = tangle.iter().copied().collect();
    let starts = tangle
        .iter()
        .flat_map(|node| graph.out(*node))
        .filter(|edge| inside.contains(&edge.to));
    let starts = starts.filter(|edge| match anomaly.single_rw {
        true => edge.kind == Kind::Rw,
        false => edge.kind.bit() & anomaly.edges != 0 && edge.kind != Kind::Free,
    });
    let cycles = starts.take(STARTS_MAX).filter_map(|start| {
        let mut cycle = path(graph, &inside, start.to, start.from, anomaly.edges)?;
        cycle.insert(0, *start);
        Some(cycle)
    });
    cycles.min_by_key(|cycle| cycle.iter().filter(|edge| graph.is_txn(edge.to)).count())
}

/// The shortest path over edges of these kinds that stays inside.
fn path(graph: &Graph, inside: &FastSet<u32>, from: u32, to: u32, edges: u8) -> Option<Vec<Edge>> {
    let mut came: FastMap<u32, Edge> = FastMap::default();
    let mut queue = VecDeque::from([from]);
    while let Some(node) = queue.pop_front() {
        if node == to {
            let mut path = Vec::new();
            let mut at = to;
            while at != from {
                let edge = came[&at];
                path.push(edge);
                at = edge.from;
            }
            path.reverse();
            return Some(path);
        }
        for edge in graph.out(node) {
            let fits = edge.kind.bit() & edges != 0 && inside.contains(&edge.to);
            if fits && edge.to != from && !came.contains_key(&edge.to) {
                came.insert(edge.to, *edge);
                queue.push_back(edge.to);
            }
        }
    }
    None
}

fn tell_cycle(lists: &Lists<'_>, graph: &Graph, name: &str, cycle: &[Edge]) -> Told {
    // Begin at a transaction, so that edges through other nodes stay whole.
    let begin = cycle.iter().position(|edge| graph.is_txn(edge.from)).unwrap_or(0);
    let mut why = Vec::new();
    let mut operations = Vec::new();
    let mut open: Option<Edge> = None;
    for edge in cycle[begin..].iter().chain(&cycle[..begin]) {
        let first = *open.get_or_insert(*edge);
        if graph.is_txn(edge.to) {
            why.push(tell_edge(lists, first, edge.to));
            operations.push(lists.id(first.from));
            open = None;
        }
    }
    if operations.len() > TOLD_MAX {
        operations.truncate(TOLD_MAX);
        why.truncate(TOLD_MAX);
        why.push(format!("... and so on around a cycle of {} steps.", cycle.len()));
    }
    why.push("So each of them has to come before itself.".to_owned());
    Told {
        title: name.to_owned(),
        operations,
        why,
    }
}

fn tell_edge(lists: &Lists<'_>, edge: Edge, to: u32) -> String {
    let (one, other) = (mention(lists.id(edge.from)), mention(lists.id(to)));
    let list = &lists.all[edge.about.0 as usize];
    let key = lists.pool.show(list.key);
    let element = list
        .elements
        .get(edge.about.1 as usize)
        .map(|element| lists.pool.show(*element));
    match edge.kind {
        Kind::Ww => format!("{one} appended to list {key} before {other} did."),
        Kind::Wr => match element {
            Some(element) => format!("{other} read list {key} up to {element}, which {one} appended."),
            None => format!("{other} read what {one} appended to list {key}."),
        },
        Kind::Rw => match element {
            Some(element) => format!("{one} read list {key} without {element}, which {other} appended."),
            None => format!("{one} read list {key} without what {other} appended."),
        },
        Kind::Realtime | Kind::Free => format!("{one} returned before {other} was called."),
    }
}
