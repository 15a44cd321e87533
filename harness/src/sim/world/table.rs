//! What nodes make of the membership table: which nodes they reach and hear, and that a removed one ends.
//!
//! Invariant: as the daemon's shell does it, `parts/table.rs`.

use std::collections::BTreeSet;
use std::sync::Arc;

use noraft::NodeId;
use noraftd::protocol::command::Request;
use noraftd::replica::event::{ConnectionId, Input, Snapshot};
use noraftd::snapshot;
use noraftd::store::{
    Identity, OpenError, Options, Owner, SetUp, Snapshots, SpareBy, Store, Vacant, snapshot_file_name,
};
use noraftd::time::Instant;

use super::World;
use crate::sim::journal::happening::MemberHappening;
use crate::sim::parts::MILLI;
use crate::sim::parts::checks::body_hash;
use crate::sim::parts::crash::Crash;
use crate::sim::parts::event::{Event, LinkEvent};
use crate::sim::parts::members::NOT_ANSWERED;
use crate::sim::parts::network::LANES;
use crate::sim::parts::node::{CLUSTER_ID, SimNode, Standing};

impl World {
    /// The nodes that the cluster begins with.
    pub(super) fn first_nodes(&self) -> BTreeSet<NodeId> {
        (1..=self.plan.cluster.nodes as u64).map(NodeId::new).collect()
    }

    /// True for a node that has a directory, and was not removed.
    pub(super) fn is_member(&self, at: usize) -> bool {
        let node = &self.nodes[at];
        node.standing == Standing::There && !self.checks.members.is_removed(node.id)
    }

    /// How many nodes clients know, and which of them is the `nth`.
    pub(super) fn doors(&self) -> u64 {
        let is_there = |node: &&SimNode| node.standing == Standing::There;
        self.nodes.iter().filter(is_there).count() as u64
    }

    pub(super) fn door(&self, nth: u64) -> usize {
        door_of(&self.nodes, nth)
    }

    /// A node was driven: it goes by the table that it has now.
    pub(super) fn follow_table(&mut self, at: usize) {
        if !self.operator.is_there {
            return;
        }
        let node = &mut self.nodes[at];
        let Some(process) = node.process.as_mut() else {
            return;
        };
        let applied = process.replica.machine().applied_index().get();
        let checked = self.checks.members.saw(process.replica.members(), applied);
        if let Some(roll) = process.table.follow(&process.replica) {
            let gone: Vec<usize> = roll.gone.iter().map(|id| id.get() as usize - 1).collect();
            process.greeter.admission.note_roll(roll);
            for other in gone {
                self.hang_up(at, other);
            }
            self.network.of(at).into_iter().for_each(|link| {
                if !self.network.link(link).is_open {
                    self.dial(link);
                }
            });
        }
        self.check(checked);
        self.write_down(at);
        let process = self.nodes[at].process.as_ref();
        if process.is_some_and(|process| process.table.is_removed(&process.replica)) {
            self.hears_of_removal(at);
        }
    }

    /// Connections with a node that is gone are closed: it hears why when it comes again.
    fn hang_up(&mut self, at: usize, other: usize) {
        for (from, to) in [(at, other), (other, at)] {
            for lane in LANES {
                let link = self.network.lane_between(from, to, lane);
                if self.network.link(link).is_open {
                    self.network.link(link).close();
                    self.notice_end(from, to);
                }
            }
        }
    }

    /// Has the table begin, or say of this node what it does not know.
    fn write_down(&mut self, at: usize) {
        let now = self.queue.now();
        let node = &self.nodes[at];
        let Some(process) = node.process.as_ref().filter(|_| !node.loss.is_outcast) else {
            return;
        };
        let is_early = |asked: u64| now < asked + ASK_AGAIN;
        if process.table.asked_at.is_some_and(is_early) {
            return;
        }
        let met = &process.greeter.admission;
        let incarnation_of = |id| met.known(id).map_or(0, |known| known.incarnation);
        let Some(change) = process
            .table
            .missing(&process.replica, &node.place, incarnation_of)
        else {
            return;
        };
        let request = Request::to_change_members(&change);
        self.checks.may_be_committed_often(body_hash(&request.body));
        if let Some(process) = self.nodes[at].process.as_mut() {
            process.table.asked_at = Some(now);
        }
        self.arrive(
            at,
            Input::Client {
                id: NOT_ANSWERED,
                connection: ConnectionId(NOT_ANSWERED.0),
                request,
            },
        );
    }

    /// The node was removed: it ends, and does not start again; one that is lost before it has written that down hears it again.
    pub(super) fn hears_of_removal(&mut self, at: usize) {
        let checked = self.checks.leaves(self.nodes[at].id);
        self.check(checked);
        self.note_member(MemberHappening::Leaves { node: at });
        self.journal.counters.processes.removals += 1;
        self.crash(at, Crash::Kill);
        if self.nemesis.prng.chance(1, FORGETS_ONE_IN) {
            self.schedule_start(at, MILLI);
        } else {
            self.nodes[at].standing = Standing::Gone;
        }
    }

    /// A new member begins with the state of any node that has it in its table; true when it does.
    pub(super) fn set_up_member(&mut self, machine: usize, id: NodeId) -> bool {
        let at = id.get() as usize - 1;
        let Some(state) = self.ask_for_members(id) else {
            return false;
        };
        let incarnation = self.operator.machines[machine].incarnation;
        let place = self.operator.machines[machine].place.clone();
        match self.begin_directory(at, incarnation, &state) {
            Ok(()) => {
                (self.nodes[at].standing, self.nodes[at].place) = (Standing::There, place);
                self.schedule_start(at, MILLI);
                true
            }
            // It has a disk of its own, to which nothing has happened.
            Err(_) => false,
        }
    }

    fn begin_directory(&mut self, at: usize, incarnation: u64, state: &Snapshot) -> Result<(), OpenError> {
        let vacant = Vacant::look(self.nodes[at].disk.open(), SetUp::Join)?;
        vacant.claim()?;
        let identity = Identity {
            owner: Owner {
                cluster_id: CLUSTER_ID,
                node_id: self.nodes[at].id,
            },
            incarnation,
        };
        let options = Options {
            segment_bytes: self.settings(at).0 << 10,
            spare: SpareBy::Caller,
            clock: || Instant::ZERO,
            salt_seed: self.nemesis.prng.next_u64(),
        };
        let chunks = &mut state.machine.chunks();
        Store::create_from(vacant, options, identity, &state.head, chunks)?;
        self.nodes[at].disk.release();
        Ok(())
    }

    /// The newest state of a node in which `id` is a member, and each member has the directory that the node knows it by, as `serve --join` demands; the
    /// node is asked for a later one, if that is older.
    fn ask_for_members(&mut self, id: NodeId) -> Option<Snapshot> {
        let up: Vec<usize> = (0..self.nodes.len())
            .filter(|at| self.nodes[*at].process.is_some() && !self.nodes[*at].loss.is_outcast)
            .collect();
        let donor = *self.nemesis.prng.choose(&up)?;
        let disk = self.nodes[donor].disk.open();
        let newest = Snapshots::new(Arc::clone(&disk), CLUSTER_ID).list().ok()?.pop();
        let read = newest.and_then(|position| {
            snapshot::read_file(disk, &snapshot_file_name(position), Some(CLUSTER_ID)).ok()
        });
        let state = read.map(|(_, snapshot)| snapshot);
        let claim = self.nodes[donor].process.as_ref()?.greeter.claim();
        let fits = state.filter(|state| {
            let members = state.machine.members();
            members.get(id).is_some() && claim.contradicts(members.directories()).is_none()
        });
        if fits.is_none() {
            self.arrive(donor, Input::TakeSnapshot);
        }
        fits
    }

    /// True when all that is to be of the members is so, on every node, and nodes that were removed have heard of it.
    pub(super) fn members_are_settled(&self) -> bool {
        let is_settled = |at: usize| {
            let process = self.nodes[at].process.as_ref();
            process.is_some_and(|process| {
                let (replica, members) = (&process.replica, process.replica.members());
                let is_same = |config: &noraft::ClusterConfig| config.voters == members.voters();
                members.is_empty() || replica.settled_config().is_some_and(is_same)
            })
        };
        let hears = |at: usize| {
            let node = &self.nodes[at];
            let Some(process) = node.process.as_ref().filter(|_| !self.is_member(at)) else {
                return false;
            };
            // Where all that it ever knew are gone, nothing says it.
            self.serving().any(|other| {
                let other = &self.nodes[other];
                process.table.reaches(other.id, &other.place)
            })
        };
        let is_waiting = (0..self.nodes.len()).any(hears) || !self.operator.moving.is_empty();
        self.serving().all(is_settled) && !is_waiting
    }

    /// True when the sender of the link knows where the other node is. If not, it tries again while it knows of the node.
    pub(super) fn reaches(&mut self, link: usize, from: usize, to: usize) -> bool {
        if !self.operator.is_there {
            return true;
        }
        let (caller, other) = (&self.nodes[from], &self.nodes[to]);
        let reaches = caller
            .process
            .as_ref()
            .is_some_and(|process| process.table.reaches(other.id, &other.place));
        if !reaches {
            let epoch = self.network.link(link).epoch;
            let again = self.prng.between(20, 200) * MILLI;
            self.queue
                .after(again, Event::link(link, epoch, LinkEvent::Connect));
        }
        reaches
    }
}

pub(super) fn door_of(nodes: &[SimNode], nth: u64) -> usize {
    let there = nodes.iter().enumerate();
    let mut there = there.filter(|(_, node)| node.standing == Standing::There);
    there.nth(nth as usize).map_or(0, |(at, _)| at)
}

/// Longer than a write takes, mostly.
const ASK_AGAIN: u64 = 300 * MILLI;
/// Of the nodes that hear of their removal, one in so many is lost before it has written that down.
const FORGETS_ONE_IN: u64 = 3;
