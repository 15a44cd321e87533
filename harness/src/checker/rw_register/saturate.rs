//! Applies the rules until nothing new follows.
//!
//! Nodes besides transactions: one a version, passed by everything that wrote or read it, before everything that must
//! come later. So that a version precedes another one is one edge, however many read it.

use super::link::{Because, Link};
use super::versions::Versions;
use super::words::VersionWords;
use crate::checker::precedence::{self, Graph, Kind};
use crate::checker::violation::Explained;
use crate::recording::budget::{Budget, Limit, Meter};
use crate::recording::hash::FastMap;

/// What following the rules came to.
pub(super) enum Saturated {
    /// Transactions that each precede themselves.
    Cycle(Explained),
    /// No contradiction; everything that must precede something does.
    Graph(Graph),
}

/// Follows the rules to their end.
pub(super) fn run(versions: &Versions<'_>, budget: &Budget) -> Result<Saturated, Limit> {
    let mut state = Saturation::new(versions, budget);
    loop {
        state.graph.seal();
        let components = state.graph.components();
        if components.iter().any(|one| one.len() > 1) {
            let words = VersionWords {
                versions,
                links: &state.links,
            };
            let shown = precedence::order(&words, &state.graph).expect_err("a component is a cycle");
            return Ok(Saturated::Cycle(shown));
        }
        let reach = state.reach(&components)?;
        if !state.infer(&reach, &components)? {
            return Ok(Saturated::Graph(state.graph));
        }
    }
}

/// Transactions that each node leads to, a row of bits a node.
struct Reach {
    width: usize,
    bits: Vec<u64>,
}

impl Reach {
    fn row(&self, node: u32) -> &[u64] {
        &self.bits[node as usize * self.width..][..self.width]
    }

    fn leads(&self, node: u32, txn: u32) -> bool {
        has(self.row(node), txn)
    }
}

fn has(row: &[u64], txn: u32) -> bool {
    row[txn as usize / 64] >> (txn % 64) & 1 == 1
}

fn set(row: &mut [u64], txn: u32) {
    row[txn as usize / 64] |= 1 << (txn % 64);
}

fn merge(row: &mut [u64], other: &[u64]) {
    for (word, other) in row.iter_mut().zip(other) {
        *word |= other;
    }
}

struct Saturation<'a> {
    versions: &'a Versions<'a>,
    budget: &'a Budget,
    meter: Meter,
    graph: Graph,
    links: Vec<Link>,
    /// The first version of each run of versions that directly follow each other, by key.
    heads: Vec<Vec<u32>>,
}

impl<'a> Saturation<'a> {
    fn new(versions: &'a Versions<'a>, budget: &'a Budget) -> Self {
        let graph = Graph::new(
            versions.calls.len(),
            versions.all.len(),
            versions.happened.clone(),
        );
        let heads = versions.of_key.iter().map(|of_key| {
            let is_head = |id: &u32| versions.all[*id as usize].before.is_none();
            of_key.iter().copied().filter(is_head).collect()
        });
        let mut state = Self {
            versions,
            budget,
            meter: budget.meter(),
            graph,
            links: Vec::new(),
            heads: heads.collect(),
        };
        state.first_edges();
        state
    }

    fn node(&self, version: u32) -> u32 {
        (self.versions.calls.len() + version as usize) as u32
    }

    fn first_edges(&mut self) {
        let versions = self.versions;
        for id in versions.of_key.iter().flatten().copied() {
            let version = &versions.all[id as usize];
            let (node, about) = (self.node(id), (id, 0));
            let replacer = version.next.and_then(|next| versions.all[next as usize].writer);
            for reader in version.readers.iter().copied() {
                if let Some(writer) = version.writer {
                    self.graph.add(writer, reader, Kind::Wr, about);
                }
                if Some(reader) != replacer {
                    self.graph.add(reader, node, Kind::Rw, about);
                }
            }
            if let Some(writer) = version.writer {
                self.graph.add(writer, node, Kind::Ww, about);
            }
            if let Some(later) = version.next {
                self.link(id, later, Because::Replaced);
            }
        }
        for heads in self.heads.clone() {
            let Some((first, others)) = heads.split_first() else {
                continue;
            };
            if versions.all[*first as usize].writer.is_none() {
                let last = self.tail(*first);
                for later in others {
                    self.link(last, *later, Because::Beginning);
                }
            }
        }
        self.graph.add_realtime(versions.calls);
    }

    fn tail(&self, head: u32) -> u32 {
        self.versions.run(head).last().expect("a run has its head")
    }

    fn link(&mut self, earlier: u32, later: u32, because: Because) {
        let Some(writer) = self.versions.all[later as usize].writer else {
            return;
        };
        let about = (earlier, self.links.len() as u32);
        self.links.push(Link {
            earlier,
            later,
            because,
        });
        let kind = match because {
            Because::Beginning | Because::Replaced => Kind::Free,
            Because::Precedes(..) => Kind::Inferred,
        };
        self.graph.add(self.node(earlier), writer, kind, about);
    }

    /// What each node leads to; components come behind all that they lead to.
    fn reach(&mut self, components: &[Vec<u32>]) -> Result<Reach, Limit> {
        let width = self.versions.calls.len().div_ceil(64);
        self.meter
            .hold(width * 8 * self.graph.len() + self.graph.edges() * 40)?;
        let mut reach = Reach {
            width,
            bits: vec![0; width * self.graph.len()],
        };
        let mut row = vec![0; width];
        for node in components.iter().flatten().copied() {
            self.budget.check_cancelled()?;
            row.fill(0);
            for edge in self.graph.out(node) {
                merge(&mut row, reach.row(edge.to));
                if self.graph.is_txn(edge.to) {
                    set(&mut row, edge.to);
                }
            }
            reach.bits[node as usize * width..][..width].copy_from_slice(&row);
        }
        Ok(reach)
    }

    /// Adds what follows from what is known; false when nothing does.
    fn infer(&mut self, reach: &Reach, components: &[Vec<u32>]) -> Result<bool, Limit> {
        let mut place = vec![0_u32; self.graph.len()];
        for (at, node) in (0_u32..).zip(components.iter().rev().flatten()) {
            place[*node as usize] = at;
        }
        let before = self.links.len();
        for heads in self.heads.clone() {
            // The earliest writers first: what follows from one of them need not be said again.
            let mut later: Vec<(u32, u32, u32)> = heads
                .iter()
                .filter_map(|head| {
                    let writer = self.versions.all[*head as usize].writer?;
                    Some((place[writer as usize], writer, *head))
                })
                .collect();
            later.sort_unstable();
            // The latest first: what was found about a later one covers what need not be said again.
            let mut heads = heads;
            heads.sort_unstable_by_key(|head| {
                let writer = self.versions.all[*head as usize].writer;
                std::cmp::Reverse(writer.map(|writer| place[writer as usize]))
            });
            let mut covers: FastMap<u32, Vec<u64>> = FastMap::default();
            for earlier in heads {
                self.budget.check_cancelled()?;
                let covered = self.infer_after(reach, earlier, &later, &covers);
                covers.insert(earlier, covered);
            }
        }
        Ok(self.links.len() > before)
    }

    /// Links one run of versions to those that must come later; gives the transactions that come after it now.
    fn infer_after(
        &mut self,
        reach: &Reach,
        earlier: u32,
        later: &[(u32, u32, u32)],
        covers: &FastMap<u32, Vec<u64>>,
    ) -> Vec<u64> {
        let versions = self.versions;
        let touch: Vec<u32> = versions.run(earlier).flat_map(|id| versions.touch(id)).collect();
        let mut after = vec![0; reach.width];
        for txn in &touch {
            merge(&mut after, reach.row(*txn));
        }
        let last = self.tail(earlier);
        let mut covered = reach.row(self.node(last)).to_vec();
        for (_, writer, head) in later {
            if *head == earlier || has(&covered, *writer) {
                continue;
            }
            let mut others = versions.run(*head).flat_map(|id| versions.touch(id));
            let Some(to) = others.find(|txn| has(&after, *txn)) else {
                continue;
            };
            let from = touch.iter().copied().find(|txn| reach.leads(*txn, to));
            let from = from.expect("one of them leads there");
            let because = self.reason(earlier, *head).unwrap_or(Because::Precedes(from, to));
            self.link(last, *head, because);
            merge(&mut covered, reach.row(*writer));
            set(&mut covered, *writer);
            if let Some(more) = covers.get(head) {
                merge(&mut covered, more);
            }
        }
        covered
    }

    /// The plainest reason: something returned before something else was called.
    fn reason(&self, earlier: u32, later: u32) -> Option<Because> {
        let calls = self.versions.calls;
        let touch = |head| self.versions.run(head).flat_map(|id| self.versions.touch(id));
        let from = touch(earlier).min_by_key(|txn| calls[*txn as usize].ret)?;
        let to = touch(later).max_by_key(|txn| calls[*txn as usize].call)?;
        (calls[from as usize].ret < calls[to as usize].call).then_some(Because::Precedes(from, to))
    }
}
