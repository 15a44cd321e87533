//! Two processes with copies of one data directory, and a node that is started with the directory of another one.
//!
//! The second process is no more than what the others can notice of it: it counts its starts in its copy, and says hello.
//! Whichever of the two a node has met, since the copy was taken, it may not listen to the other one; a node that has met
//! neither cannot distinguish them, which is what `ARCHITECTURE.md` says of it, and so the second process does not ask it.
//!
//! Invariant: where the second process is the first to be met, all others meet it at once; the node itself is then one whose
//! directory is lost (`rejoin`).

use std::collections::BTreeSet;
use std::sync::Arc;

use noraftd::level::Level;
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::{OpenError, Options, Owner, SpareBy, Store};
use noraftd::time::Instant;

use super::World;
use crate::sim::journal::happening::{FaultHappening, Happening};
use crate::sim::parts::MILLI;
use crate::sim::parts::crash::Crash;
use crate::sim::parts::event::{Event, RunEvent};
use crate::sim::parts::network::LANES;
use crate::sim::parts::node::{CLUSTER_ID, Twin};
use crate::sim::parts::phase::Phase;
use crate::sim::parts::rule::{Rule, ensure};

impl World {
    /// A node is killed, its directory is copied, and both are started.
    pub(super) fn start_twin(&mut self, at: usize) -> Option<String> {
        let is_first = self.nemesis.prng.chance(1, 2) && self.may_twin_be_met(at);
        let nodes = self.first_nodes();
        let mark = self.twin_mark();
        let disk = MemDisk::new();
        let card = self.nodes[at].process.as_ref()?.greeter.card();
        let seen = self.take_down(at, Crash::Kill)?;
        if self.nodes[at].loss.is_outcast {
            return Some(seen);
        }
        let files = self.nodes[at].disk.files();
        disk.replace(files.clone());
        let twin = card.greeter(Arc::new(disk.clone()), &nodes, mark);
        let Ok(greeter) = twin else {
            return Some(format!("{seen}; a copy of its directory does not start"));
        };
        let calls = self.nemesis.prng.between(1, CALLS_MAX);
        let twin = Twin { disk, greeter, calls };
        if is_first {
            self.twin_is_met(at, twin);
            self.atlas.note_copied(at);
            self.lose(at, files);
            self.atlas.note_put_back(at);
        } else {
            self.nodes[at].loss.twin = Some(twin);
            self.schedule_twin(at);
        }
        self.nodes[at].is_kept_down = false;
        self.start_soon(at);
        let first = if is_first { "the copy" } else { "the node" };
        Some(format!(
            "{seen}; it and a copy of its directory are started, {first} first"
        ))
    }

    /// True when all others would hear the next process of this node, and note it, and nothing is lost with the node.
    fn may_twin_be_met(&mut self, at: usize) -> bool {
        let alone = BTreeSet::from([self.nodes[at].id]);
        let are_whole = self.nodes.iter().all(|node| node.disk.trouble().is_none());
        are_whole && self.may_be_lost(at) && !self.checks.deciding_sets().contains(&alone)
    }

    /// Marks of nodes are small numbers.
    fn twin_mark(&mut self) -> u32 {
        self.nemesis.prng.next_u64() as u32 | TWIN
    }

    /// Every other node has met the node with what is in the copy: a process with the copy is its next one to them all.
    fn twin_is_met(&mut self, at: usize, mut twin: Twin) {
        for _ in 0..self.nemesis.prng.below(3) {
            self.restart_twin(&mut twin);
        }
        for other in (0..self.nodes.len()).filter(|other| *other != at) {
            let lane = *self.nemesis.prng.choose(&LANES).expect("there are two lanes");
            let Some(accepting) = self.nodes[other].process.as_mut() else {
                continue;
            };
            let heard = twin.greeter.greet(&mut accepting.greeter, lane, Level::FIRST);
            let checked = ensure(heard.is_ok(), Rule::StartsAgain, || {
                let why = heard.as_ref().err().map(ToString::to_string);
                format!(
                    "n{} refuses the next process of n{}: {}",
                    other + 1,
                    at + 1,
                    why.unwrap_or_default()
                )
            });
            self.check(checked);
        }
    }

    fn restart_twin(&mut self, twin: &mut Twin) {
        let nodes = self.first_nodes();
        let mark = self.twin_mark();
        let next = twin
            .greeter
            .card()
            .greeter(Arc::new(twin.disk.clone()), &nodes, mark);
        if let Ok(next) = next {
            twin.greeter = next;
        }
    }

    fn schedule_twin(&mut self, at: usize) {
        let soon = self.nemesis.prng.between(1, CALLS_EVERY) * MILLI;
        self.queue
            .after(soon, Event::Run(RunEvent::TwinCalls { node: at }));
    }

    /// The second process says hello to every node that has met the node, which was started after the copy was taken.
    pub(super) fn twin_calls(&mut self, at: usize) {
        if self.progress.phase != Phase::Disturbed || self.nodes[at].loss.is_outcast {
            return;
        }
        let Some(mut twin) = self.nodes[at].loss.twin.take() else {
            return;
        };
        if self.nemesis.prng.chance(1, 3) {
            self.restart_twin(&mut twin);
        }
        let mut refused = 0;
        for other in (0..self.nodes.len()).filter(|other| *other != at) {
            let lane = *self.nemesis.prng.choose(&LANES).expect("there are two lanes");
            let Ok([node, accepting]) = self.nodes.get_disjoint_mut([at, other]) else {
                continue;
            };
            let (Some(node), Some(accepting)) = (node.process.as_ref(), accepting.process.as_mut()) else {
                continue;
            };
            if !accepting.greeter.has_met(&node.greeter) {
                continue;
            }
            let is_heard = twin
                .greeter
                .greet(&mut accepting.greeter, lane, Level::FIRST)
                .is_ok();
            refused += u64::from(!is_heard);
            let checked = ensure(!is_heard, Rule::OneTwinIsHeard, || {
                format!(
                    "n{} has met n{}, and listens to a second process with a copy of its directory, too",
                    other + 1,
                    at + 1
                )
            });
            self.check(checked);
        }
        self.journal.counters.processes.twins_refused += refused;
        let called = FaultHappening::TwinCalls { node: at, refused };
        self.journal.note(self.queue.now(), Happening::Fault(called));
        twin.calls -= 1;
        if twin.calls > 0 {
            self.nodes[at].loss.twin = Some(twin);
            self.schedule_twin(at);
        }
    }

    /// A node is killed, and started with what another one has on its disk, or as a node of another cluster.
    pub(super) fn start_with_foreign(&mut self, at: usize) -> Option<String> {
        let seen = self.take_down(at, Crash::Kill)?;
        let other = self.nemesis.prng.below(self.nodes.len() as u64) as usize;
        let files = self.nodes[other].disk.files();
        let disk = MemDisk::new();
        disk.replace(files.clone());
        let options = Options {
            segment_bytes: self.settings(at).0 << 10,
            spare: SpareBy::Caller,
            clock: || Instant::ZERO,
            salt_seed: self.nemesis.prng.next_u64(),
        };
        let owner = Owner {
            // Its own directory belongs to another cluster then.
            cluster_id: CLUSTER_ID + u64::from(other == at),
            node_id: self.nodes[at].id,
        };
        let started = FaultHappening::StartsForeign { node: at, other };
        self.journal.note(self.queue.now(), Happening::Fault(started));
        let opened = Store::open(Arc::new(disk.clone()), options, owner).map(drop);
        if matches!(opened, Err(OpenError::NoStore { .. })) {
            return Some(format!("{seen}; n{} has no directory yet", other + 1));
        }
        self.journal.counters.processes.foreign_refused += 1;
        let is_refused = ensure(opened.is_err(), Rule::ForeignIsRefused, || {
            format!("n{} starts with the directory of n{}", at + 1, other + 1)
        });
        self.check(is_refused);
        let after = disk.files();
        let is_same = ensure(after == files, Rule::ForeignIsRefused, || {
            let differ = |name: &&String| after.get(*name) != files.get(*name);
            let changed = files.keys().chain(after.keys()).find(differ);
            format!(
                "n{} was refused with the directory of n{}, of which {changed:?} is not as it was",
                at + 1,
                other + 1
            )
        });
        self.check(is_same);
        Some(format!("{seen}; the directory of n{} was refused", other + 1))
    }
}

/// The highest bit of a second process's mark.
const TWIN: u32 = 1 << 31;
/// A second process says hello so often, and as many milliseconds apart.
const CALLS_MAX: u64 = 20;
const CALLS_EVERY: u64 = 150;
