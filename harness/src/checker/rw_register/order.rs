//! An order of all transactions, within what the inference has left open.
//!
//! Transactions happen one by one as soon as what must precede them has; one that writes waits until everything that
//! read the version before has. One that only reads happens at once, which never does harm. Which writer goes first is
//! tried, and taken back when it leads nowhere: that shows soon, because what waits keeps back all that was called after it.

use std::collections::BTreeSet;

use super::versions::Versions;
use crate::checker::precedence::Graph;
use crate::checker::txn::Micro;
use crate::recording::datum::Datum;
use crate::recording::hash::{FastMap, FastSet};

/// Transactions that may happen, and be taken back, before the search gives up.
const STEPS_MIN: usize = 1_000_000;
/// The same, for each transaction.
const STEPS_PER_TXN: usize = 64;

/// Operations in an order; `None` when none was found in time.
pub(super) fn find(versions: &Versions<'_>, graph: &Graph) -> Option<Vec<u32>> {
    let mut walk = Walk::new(versions, graph);
    walk.run()
        .then(|| walk.order.iter().map(|txn| versions.id(*txn)).collect())
}

/// What a transaction does to keys, each once.
struct Touch {
    /// Keys it reads from outside.
    reads: Vec<u32>,
    /// Keys it writes, and how many others read what it wrote.
    writes: Vec<(u32, u32)>,
    /// A random word for the state it leaves behind.
    hash: u64,
}

/// A change that can be taken back.
enum Change {
    Wait(u32),
    Ready(u32),
    Happened(u32),
    Readers(u32, u32),
    Last(u32, u64),
}

/// A choice between writers.
struct Choice {
    candidates: Vec<u32>,
    changes: usize,
}

struct Walk<'a> {
    versions: &'a Versions<'a>,
    graph: &'a Graph,
    touches: Vec<Touch>,
    /// Edges that lead to a node and have not been passed.
    waits: Vec<u32>,
    /// Transactions that nothing has to precede any more, by return.
    ready: BTreeSet<(u32, u32)>,
    /// By key: how many have yet to read the present version, and the transaction that wrote it last.
    readers: Vec<u32>,
    last: Vec<u64>,
    order: Vec<u32>,
    changes: Vec<Change>,
    /// Hash of what has happened and of the present versions.
    state: u64,
}

impl<'a> Walk<'a> {
    fn new(versions: &'a Versions<'a>, graph: &'a Graph) -> Self {
        let mut waits = vec![0; graph.len()];
        for node in 0..graph.len() as u32 {
            for edge in graph.out(node) {
                waits[edge.to as usize] += 1;
            }
        }
        let readers = versions.of_key.iter().map(|of_key| {
            let initial = of_key.first().map(|id| &versions.all[*id as usize]);
            initial
                .filter(|version| version.writer.is_none())
                .map_or(0, |version| version.readers.len() as u32)
        });
        Self {
            versions,
            graph,
            touches: touches(versions),
            waits,
            ready: BTreeSet::new(),
            readers: readers.collect(),
            last: vec![0; versions.keys.len()],
            order: Vec::new(),
            changes: Vec::new(),
            state: 0,
        }
    }

    /// True when everything has happened.
    fn run(&mut self) -> bool {
        let wanted = self
            .versions
            .happened
            .iter()
            .filter(|happened| **happened)
            .count();
        let mut steps = STEPS_MIN.max(STEPS_PER_TXN * wanted);
        let mut seen: FastSet<u64> = FastSet::default();
        let mut choices: Vec<Choice> = Vec::new();
        let sources = (0..self.graph.len() as u32).filter(|node| self.waits[*node as usize] == 0);
        for node in sources.collect::<Vec<_>>() {
            self.arrive(node);
        }
        loop {
            self.happen_reads();
            if self.order.len() == wanted {
                return true;
            }
            if seen.insert(self.state) {
                let may = self
                    .ready
                    .iter()
                    .map(|(_, txn)| *txn)
                    .filter(|txn| self.may_happen(*txn));
                let mut candidates: Vec<u32> = may.collect();
                candidates.reverse();
                choices.push(Choice {
                    candidates,
                    changes: self.changes.len(),
                });
            }
            let next = loop {
                let Some(choice) = choices.last_mut() else {
                    return false;
                };
                let (next, changes) = (choice.candidates.pop(), choice.changes);
                self.take_back(changes);
                match next {
                    Some(next) => break next,
                    None => choices.pop(),
                };
            };
            steps -= 1;
            if steps == 0 {
                return false;
            }
            self.happen(next);
        }
    }

    fn happen_reads(&mut self) {
        while let Some(txn) = self.next_reader() {
            self.happen(txn);
        }
    }

    fn next_reader(&self) -> Option<u32> {
        let mut ready = self.ready.iter().map(|(_, txn)| *txn);
        ready.find(|txn| self.touches[*txn as usize].writes.is_empty())
    }

    /// A node that nothing has to precede any more.
    fn arrive(&mut self, node: u32) {
        let mut arrived = vec![node];
        while let Some(node) = arrived.pop() {
            match self.graph.is_txn(node) {
                true if self.versions.happened[node as usize] => {
                    self.ready.insert((self.ret(node), node));
                    self.changes.push(Change::Ready(node));
                }
                true => {}
                false => self.pass(node, &mut arrived),
            }
        }
    }

    fn pass(&mut self, node: u32, free: &mut Vec<u32>) {
        for edge in self.graph.out(node) {
            let waits = &mut self.waits[edge.to as usize];
            *waits -= 1;
            self.changes.push(Change::Wait(edge.to));
            if *waits == 0 {
                free.push(edge.to);
            }
        }
    }

    fn ret(&self, txn: u32) -> u32 {
        self.versions.calls[txn as usize].ret
    }

    fn may_happen(&self, txn: u32) -> bool {
        let touch = &self.touches[txn as usize];
        touch.writes.iter().all(|(key, _)| {
            let own = u32::from(touch.reads.contains(key));
            self.readers[*key as usize] <= own
        })
    }

    fn happen(&mut self, txn: u32) {
        self.ready.remove(&(self.ret(txn), txn));
        self.changes.push(Change::Happened(txn));
        self.order.push(txn);
        let touch = &self.touches[txn as usize];
        self.state ^= touch.hash;
        for key in &touch.reads {
            let readers = &mut self.readers[*key as usize];
            self.changes.push(Change::Readers(*key, *readers));
            *readers = readers.saturating_sub(1);
        }
        for (key, count) in &touch.writes {
            let at = *key as usize;
            self.changes.push(Change::Readers(*key, self.readers[at]));
            self.readers[at] = *count;
            self.changes.push(Change::Last(*key, self.last[at]));
            let last = touch.hash.rotate_left(17).wrapping_mul(2 * u64::from(*key) + 3);
            self.state ^= self.last[at] ^ last;
            self.last[at] = last;
        }
        let mut free = Vec::new();
        self.pass(txn, &mut free);
        for node in free {
            self.arrive(node);
        }
    }

    fn take_back(&mut self, changes: usize) {
        while self.changes.len() > changes {
            match self.changes.pop().expect("there are more") {
                Change::Wait(node) => self.waits[node as usize] += 1,
                Change::Ready(txn) => {
                    self.ready.remove(&(self.ret(txn), txn));
                }
                Change::Happened(txn) => {
                    self.order.pop();
                    self.state ^= self.touches[txn as usize].hash;
                    self.ready.insert((self.ret(txn), txn));
                }
                Change::Readers(key, count) => self.readers[key as usize] = count,
                Change::Last(key, last) => {
                    self.state ^= self.last[key as usize] ^ last;
                    self.last[key as usize] = last;
                }
            }
        }
    }
}

fn touches(versions: &Versions<'_>) -> Vec<Touch> {
    let key_ids: FastMap<Datum, u32> = (0..).zip(&versions.keys).map(|(id, key)| (*key, id)).collect();
    let mut written: FastMap<(u32, u32), u32> = FastMap::default();
    for version in versions.of_key.iter().flatten() {
        let version = &versions.all[*version as usize];
        if let Some(writer) = version.writer {
            written.insert((writer, version.key), version.readers.len() as u32);
        }
    }
    let touch = |(txn, call): (u32, &crate::model::Call<Vec<Micro>>)| {
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        for micro in &call.op {
            let (Micro::Read { key, .. } | Micro::Write { key, .. } | Micro::Append { key, .. }) = micro;
            let key = key_ids[key];
            let is_written = writes.iter().any(|(written, _)| *written == key);
            match micro {
                Micro::Read { .. } if !is_written && !reads.contains(&key) => reads.push(key),
                Micro::Write { .. } if !is_written => {
                    writes.push((key, written.get(&(txn, key)).copied().unwrap_or(0)));
                }
                Micro::Read { .. } | Micro::Write { .. } | Micro::Append { .. } => {}
            }
        }
        Touch {
            reads,
            writes,
            hash: spread(u64::from(txn) + 1),
        }
    };
    (0..).zip(versions.calls).map(touch).collect()
}

/// A word with well-spread bits for each number.
fn spread(number: u64) -> u64 {
    let mut word = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
