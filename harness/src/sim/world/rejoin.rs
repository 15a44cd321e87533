//! Connections that begin with a hello, data directories that are lost, and the operator who sets a node up again.
//!
//! Invariant: a node that lost its directory is heard by no other node until the operator has made all others accept the
//! new one. At most one node has lost its directory at a time, a minority of the disks is damaged with it, no node refuses to
//! start (the operator needs all others), and it is one whose directory every other node has met: a node that was never met
//! is not distinguished from another one, and so no machine joins meanwhile. No copy is taken while a node decides alone: started again, it would do so with it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use noraft::Term;
use noraftd::admission::{Claim, agreed};
use noraftd::protocol::peer::Lane;
use noraftd::replica::event::{Input, Snapshot};
use noraftd::snapshot;
use noraftd::store::{
    Identity, KnownPeers, OpenError, Options, Owner, SetUp, Snapshots, SpareBy, Store, Vacant,
    snapshot_file_name,
};
use noraftd::time::Instant;

use super::World;
use crate::sim::journal::happening::{DiskHappening, Happening, LinkHappening};
use crate::sim::parts::MILLI;
use crate::sim::parts::crash::Crash;
use crate::sim::parts::event::{Event, LinkEvent, RunEvent};
use crate::sim::parts::network::LANES;
use crate::sim::parts::node::CLUSTER_ID;
use crate::sim::parts::rule::{Rule, ensure};

impl World {
    /// The two ends of a new connection introduce themselves; true when it may be used. If not, it is tried again.
    pub(super) fn greet(&mut self, link: usize, from: usize, to: usize, lane: Lane) -> bool {
        let Ok([caller, acceptor]) = self.nodes.get_disjoint_mut([from, to]) else {
            return false;
        };
        let (Some(calling), Some(accepting)) = (caller.process.as_ref(), acceptor.process.as_mut()) else {
            return false;
        };
        let is_outcast = caller.loss.is_outcast;
        let (level, theirs) = (
            calling.replica.machine().level(),
            accepting.replica.machine().level(),
        );
        accepting.greeter.admission.note_level(theirs);
        if let Err(why) = calling.greeter.greet(&mut accepting.greeter, lane, level) {
            let is_removed = why.is_removed();
            self.journal.counters.processes.hellos_refused += 1;
            self.journal.note(
                self.queue.now(),
                Happening::Link(LinkHappening::IsRefused {
                    link,
                    from,
                    to,
                    why: why.to_string(),
                }),
            );
            let (epoch, again) = (self.network.link(link).epoch, self.prng.between(20, 200) * MILLI);
            self.queue
                .after(again, Event::link(link, epoch, LinkEvent::Connect));
            if is_removed {
                self.hears_of_removal(from);
            }
            return false;
        }
        accepting.table.hear(caller.id, &caller.place);
        let checked = ensure(!is_outcast, Rule::LostIsNotHeard, || {
            format!(
                "n{} lost its directory, and n{} listens to it all the same",
                from + 1,
                to + 1
            )
        });
        self.check(checked);
        true
    }

    /// A node is killed, and its directory with it, if that may happen to it now. Half of them are started all the same,
    /// with nothing, until the operator notices.
    pub(super) fn wipe(&mut self, at: usize) -> Option<String> {
        let may_be_lost = self.may_be_lost(at);
        let seen = self.take_down(at, Crash::Kill)?;
        if !may_be_lost {
            return Some(format!("{seen}; its directory stays"));
        }
        self.lose(at, BTreeMap::new());
        // A machine that joined would join again, as another node.
        if self.nemesis.prng.chance(1, 2) && at < self.plan.cluster.nodes {
            self.nodes[at].is_kept_down = false;
            self.start_soon(at);
        }
        Some(format!("{seen}, and so is its directory"))
    }

    /// A node is killed. The first time, a copy of its directory is taken meanwhile; afterwards the copy is put in the
    /// place of the directory, if that may be lost now, and the node is started with it.
    pub(super) fn mistake(&mut self, at: usize) -> Option<String> {
        let may_be_lost = self.may_be_lost(at);
        let seen = self.take_down(at, Crash::Kill)?;
        if self.nodes[at].loss.is_outcast {
            return Some(seen);
        }
        let Some(copy) = self.nodes[at].loss.copy.clone().filter(|_| may_be_lost) else {
            return Some(self.copy(at, &seen));
        };
        self.lose(at, copy);
        self.atlas.note_put_back(at);
        self.nodes[at].is_kept_down = false;
        self.start_soon(at);
        Some(format!("{seen}; an old copy of its directory is put back"))
    }

    fn copy(&mut self, at: usize, seen: &str) -> String {
        let alone = BTreeSet::from([self.nodes[at].id]);
        if self.checks.deciding_sets().contains(&alone) {
            return format!("{seen}; it decides alone, so that no copy of its directory is taken");
        }
        self.nodes[at].loss.copy = Some(self.nodes[at].disk.files());
        self.atlas.note_copied(at);
        format!("{seen}; a copy of its directory is taken")
    }

    /// The operator has not noticed that the directory is another one.
    pub(super) fn start_soon(&mut self, at: usize) {
        let soon = self.nemesis.prng.between(1, 50) * MILLI;
        self.schedule_start(at, soon);
    }

    /// The directory is another one from now on.
    pub(super) fn lose(&mut self, at: usize, files: BTreeMap<String, Vec<u8>>) {
        let node = &mut self.nodes[at];
        node.disk.replace(files);
        (node.loss.is_outcast, node.loss.twin) = (true, None);
        self.forget_crossing(at);
        self.atlas.note_lost(at);
        self.checks.lost(at, self.nodes[at].id);
        self.journal.counters.disks.lost += 1;
        self.journal.note(
            self.queue.now(),
            Happening::Disk(DiskHappening::IsLost { node: at }),
        );
    }

    /// True when the others would notice that the node's directory is another one, and nothing is lost with it.
    pub(super) fn may_be_lost(&mut self, at: usize) -> bool {
        let node = &self.nodes[at];
        let Some(process) = node.process.as_ref() else {
            return false;
        };
        let others = (0..self.nodes.len()).filter(|other| *other != at && self.is_member(*other));
        let has_met = others.clone().all(|other| {
            let other = self.nodes[other].process.as_ref();
            other.is_some_and(|other| other.greeter.has_met(&process.greeter))
        });
        self.is_member(at)
            && has_met
            && !self.has_outcast()
            && !self.atlas.has_any_refused()
            && self.may_damage(at)
    }

    /// True while a node's directory is lost, and the operator has not set it up again.
    pub(super) fn has_outcast(&self) -> bool {
        self.nodes.iter().any(|node| node.loss.is_outcast)
    }

    /// The operator sets the node up again, soon.
    pub(super) fn schedule_rejoin(&mut self, at: usize) {
        if !std::mem::replace(&mut self.nodes[at].loss.rejoin_is_due, true) {
            self.queue
                .after(REJOIN_AFTER, Event::Run(RunEvent::Rejoin { node: at }));
        }
    }

    /// The operator tries to set the node up again.
    pub(super) fn rejoin(&mut self, at: usize) {
        self.nodes[at].loss.rejoin_is_due = false;
        if !self.nodes[at].loss.is_outcast {
            return;
        }
        if !self.is_member(at) {
            // A configuration that names it may still be in force; it is of no use there without its directory.
            return match self.checks.is_needed(self.nodes[at].id) {
                true => self.schedule_rejoin(at),
                false => self.hears_of_removal(at),
            };
        }
        // Only another fault or the operator keeps it down, and its end leads here again.
        let node = &self.nodes[at];
        if node.is_kept_down || node.is_paused || node.loss.is_stopped {
            return;
        }
        let others: Vec<usize> = (0..self.nodes.len())
            .filter(|other| *other != at && self.is_member(*other))
            .collect();
        let is_there = |other: &usize| self.nodes[*other].process.is_some() && !self.nodes[*other].is_paused;
        let state = others
            .iter()
            .all(is_there)
            .then(|| self.ask_for_state(&others))
            .flatten();
        let Some(state) = state else {
            return self.schedule_rejoin(at);
        };
        self.crash(at, Crash::Kill);
        self.nodes[at].disk.replace(BTreeMap::new());
        self.forget_crossing(at);
        self.atlas.note_lost(at);
        // An old copy of what was lost may have been there meanwhile.
        self.checks.discarded(at, self.nodes[at].id);
        let set_up = self.set_up(at, &others, &state);
        self.nodes[at].disk.release();
        others.iter().for_each(|other| {
            self.carry_out_aim(*other);
        });
        match set_up {
            Ok(()) => {
                self.nodes[at].loss.is_outcast = false;
                // A copy of the directory that was lost is of no use to the one that takes its place.
                (self.nodes[at].loss.copy, self.nodes[at].loss.twin) = (None, None);
                self.journal.counters.processes.rejoins += 1;
                self.note_rejoin(at, "begins again");
                self.schedule_start(at, MILLI);
            }
            Err(why) => {
                // Half a directory is not to be started.
                self.nodes[at].attempt += 1;
                self.note_rejoin(at, &why.to_string());
                self.schedule_rejoin(at);
            }
        }
    }

    fn note_rejoin(&mut self, at: usize, outcome: &str) {
        self.journal.note(
            self.queue.now(),
            Happening::Disk(DiskHappening::IsSetUp { node: at, outcome }),
        );
    }

    /// The newest state that one of these nodes has; it is asked for one, if it has none.
    fn ask_for_state(&mut self, others: &[usize]) -> Option<Snapshot> {
        let donor = *self.prng.choose(others)?;
        let disk = self.nodes[donor].disk.open();
        let newest = Snapshots::new(Arc::clone(&disk), CLUSTER_ID).list().ok()?.pop();
        let Some(position) = newest else {
            self.arrive(donor, Input::TakeSnapshot);
            return None;
        };
        // What is damaged, or on a disk in trouble, is asked of another one next.
        let read = snapshot::read_file(disk, &snapshot_file_name(position), Some(CLUSTER_ID));
        read.ok().map(|(_, snapshot)| snapshot)
    }

    fn claims_of(&self, nodes: &[usize]) -> Vec<Claim> {
        let running = nodes.iter().filter_map(|at| self.nodes[*at].process.as_ref());
        running.map(|process| process.greeter.claim()).collect()
    }

    /// What `noraftd rejoin` does.
    fn set_up(&mut self, at: usize, others: &[usize], state: &Snapshot) -> Result<(), NotSetUp> {
        let disk = self.nodes[at].disk.open();
        let vacant = Vacant::look(disk, SetUp::Rejoin)?;
        vacant.claim()?;
        let id = self.nodes[at].id;
        let identity = Identity {
            owner: Owner {
                cluster_id: CLUSTER_ID,
                node_id: id,
            },
            incarnation: self.draw_incarnation(at),
        };
        let mut known = agreed(&self.claims_of(others));
        known.remove(&id);
        KnownPeers::begin(Arc::clone(&self.nodes[at].met), known)?;
        let mut latest = 0;
        for other in others {
            let process = self.nodes[*other]
                .process
                .as_mut()
                .ok_or(NotSetUp::Down(other + 1))?;
            process
                .greeter
                .admission
                .readmit(id, identity.incarnation)
                .map_err(|error| NotSetUp::Refused(error.to_string()))?;
            latest = latest.max(process.replica.status().term);
            for lane in LANES {
                let link = self.network.lane_between(at, *other, lane);
                self.network.link(link).close();
            }
        }
        let options = Options {
            segment_bytes: self.settings(at).0 << 10,
            spare: SpareBy::Caller,
            clock: || Instant::ZERO,
            salt_seed: self.prng.next_u64(),
        };
        let term = Term::new(latest + 1);
        let chunks = &mut state.machine.chunks();
        Store::create_rejoining(vacant, options, identity, term, &state.head, chunks)?;
        Ok(())
    }
}

/// Why a node could not be set up again; the operator tries once more.
#[derive(Debug, thiserror::Error)]
enum NotSetUp {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the record of directories: {0}")]
    Record(#[from] io::Error),
    #[error("n{0} is down")]
    Down(usize),
    #[error("{0}")]
    Refused(String),
}

/// An operator is no faster.
const REJOIN_AFTER: u64 = 100 * MILLI;
