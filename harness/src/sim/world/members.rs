//! Members come and go: an operator has machines join, and promotes, removes, replaces and moves nodes.
//!
//! What the daemon's shell does for it is done here: the table is begun, followed, and given what it lacks; a node that hears
//! that it was removed ends.
//!
//! The operator does one thing after the other, and waits for no node that is away: one that comes back has to find the others
//! where they are by then, and to listen to those that it has never heard of.
//!
//! Invariant: a request that may have been done is asked for again where something else follows from it: a machine joins, a
//! node moves. A node that was removed is not started again, but for one that is lost before it has written that down.

use std::collections::BTreeSet;

use noraft::NodeId;
use noraftd::prng::Prng;
use noraftd::protocol::command::{MemberChange, Part, Request};
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::resp::Reply;
use noraftd::replica::event::{ConnectionId, Input, RequestId};

use super::World;
use crate::sim::journal::happening::{Happening, MemberHappening};
use crate::sim::parts::MILLI;
use crate::sim::parts::checks::body_hash;
use crate::sim::parts::crash::Crash;
use crate::sim::parts::event::{Event, RunEvent};
use crate::sim::parts::members::{Machine, Order};
use crate::sim::parts::node::Standing;
use crate::sim::parts::phase::Phase;
use crate::sim::parts::table::addresses;

/// What an operator may do, by how often.
#[derive(Debug, Clone, Copy)]
enum Step {
    Join,
    Promote,
    Remove,
    Replace,
    Move,
}

impl World {
    /// Leaders append these by themselves.
    pub(super) fn begin_members(&mut self) {
        if self.operator.is_there {
            for id in 1..=self.nodes.len() as u64 {
                let change = MemberChange::Promote {
                    id: NodeId::new(id),
                    force: false,
                };
                let request = Request::to_change_members(&change);
                self.checks.may_be_committed_often(body_hash(&request.body));
            }
        }
    }

    /// The operator does what `roll` decides, as the leader's table is.
    pub(super) fn change_members(&mut self, lane: usize, roll: u64) {
        let prng = &mut Prng::new(roll).fork(FORK_MEMBERS);
        let leader = self.leader().and_then(|at| self.nodes[at].process.as_ref());
        let Some(members) = leader.map(|process| process.replica.members().clone()) else {
            return;
        };
        if members.is_empty() {
            if self.levels.is_time_to_raise() {
                self.raise_level(lane);
            }
            return;
        }
        if !self.operator.is_idle() {
            return;
        }
        let voters: Vec<NodeId> = members.voters().into_iter().collect();
        let learners: Vec<NodeId> = members
            .iter()
            .filter(|row| row.part == Part::Learner && row.incarnation != 0)
            .map(|row| row.id)
            .collect();
        let all: Vec<NodeId> = members.iter().map(|row| row.id).collect();
        let steps = [
            Step::Join,
            Step::Join,
            Step::Promote,
            Step::Remove,
            Step::Replace,
            Step::Replace,
            Step::Move,
        ];
        let force = prng.chance(1, FORCED_ONE_IN);
        let pick = |from: &[NodeId], prng: &mut Prng| prng.choose(from).copied();
        match *prng.choose(&steps).unwrap_or(&Step::Join) {
            Step::Join => self.begin_join(lane, prng),
            Step::Promote => {
                if let Some(id) = pick(&learners, prng) {
                    self.order(lane, MemberChange::Promote { id, force });
                }
            }
            Step::Remove => {
                if let Some(id) = pick(&all, prng) {
                    self.order(lane, MemberChange::Remove { id, force });
                }
            }
            Step::Replace => {
                if let (Some(old), Some(new)) = (pick(&voters, prng), pick(&learners, prng)) {
                    self.order(lane, MemberChange::Replace { old, new, force });
                }
            }
            Step::Move => {
                if let Some(id) = pick(&all, prng) {
                    self.begin_move(lane, id);
                }
            }
        }
    }

    /// A new machine comes, unless there is no room for another id.
    fn begin_join(&mut self, lane: usize, prng: &mut Prng) {
        let used = self
            .nodes
            .iter()
            .rposition(|node| node.standing != Standing::Absent);
        let coming = self.operator.ids_to_come() + used.map_or(0, |last| last + 1);
        let room = self.nodes.len().saturating_sub(coming);
        if room == 0 {
            return;
        }
        let is_reserved = prng.chance(1, RESERVED_ONE_IN) && room > 1;
        let machine = Machine {
            incarnation: prng.next_u64() | 1,
            place: self.operator.new_place(),
            stays: prng.chance(1, 2),
            ids_max: if is_reserved { 2 } else { 1 },
            reserved: None,
            id: None,
            is_over: false,
        };
        self.operator.machines.push(machine);
        self.ask_to_join(lane, self.operator.machines.len() - 1, is_reserved);
    }

    /// A machine asks to join, or the operator has an id reserved for it first.
    fn ask_to_join(&mut self, lane: usize, at: usize, is_reserved: bool) {
        let machine = &self.operator.machines[at];
        let change = MemberChange::Join {
            id: machine.reserved,
            incarnation: if is_reserved { 0 } else { machine.incarnation },
            addresses: addresses(&machine.place),
            stays: machine.stays,
        };
        self.give(Order {
            lane,
            change,
            machine: Some(at),
            is_insisted: false,
        });
    }

    fn begin_move(&mut self, lane: usize, id: NodeId) {
        let is_there = self.nodes[id.get() as usize - 1].standing == Standing::There;
        if !is_there || !self.operator.moving.insert(id) {
            return;
        }
        let place = self.operator.new_place();
        self.give(Order {
            lane,
            change: MemberChange::SetAddress {
                id,
                addresses: addresses(&place),
            },
            machine: None,
            is_insisted: false,
        });
    }

    /// What changes the voters is asked for only where a minority of them is damaged then.
    fn order(&mut self, lane: usize, change: MemberChange) {
        let voters = self.wanted_after(&change);
        let is_lone = voters.len() < 2 && !self.voters.may_be_lone;
        if voters.is_empty() || is_lone || !self.may_become_voters(&voters) {
            return;
        }
        self.give(Order {
            lane,
            change,
            machine: None,
            is_insisted: false,
        });
    }

    /// The voters that the leader's table would want.
    fn wanted_after(&self, change: &MemberChange) -> BTreeSet<NodeId> {
        let leader = self.leader().and_then(|at| self.nodes[at].process.as_ref());
        let members = leader.map(|process| process.replica.members().clone());
        let mut members = members.unwrap_or_default();
        let _ = members.apply(change.clone());
        members.voters()
    }

    /// Sets of voters that there may be before long: those that tables want, with each node that may become one, and those that were
    /// asked for.
    pub(super) fn wanted_voters(&self) -> BTreeSet<BTreeSet<NodeId>> {
        let mut sets = BTreeSet::new();
        if !self.operator.is_there {
            return sets;
        }
        for process in self.nodes.iter().filter_map(|node| node.process.as_ref()) {
            let members = process.replica.members();
            if members.is_empty() {
                continue;
            }
            let voters = members.voters();
            for id in members.learners() {
                let mut more = voters.clone();
                more.insert(id);
                sets.insert(more);
            }
            for change in self.operator.asked_for() {
                let mut after = members.clone();
                let _ = after.apply(change.clone());
                sets.insert(after.voters());
            }
            sets.insert(voters);
        }
        sets
    }

    /// The leader is asked, mostly, or a node that passes it on.
    fn give(&mut self, order: Order) {
        let up: Vec<usize> = (0..self.nodes.len())
            .filter(|at| self.nodes[*at].process.is_some() && !self.nodes[*at].loss.is_outcast)
            .collect();
        let any = self.nemesis.prng.choose(&up).copied();
        let is_any = self.nemesis.prng.chance(1, ANY_ONE_IN);
        let at = self.leader().filter(|_| !is_any).or(any);
        let request = Request::to_change_members(&order.change);
        self.checks.may_be_committed_often(body_hash(&request.body));
        let id = self.operator.ask(order.clone());
        let late = 2 * self.plan.sim.node.request_timeout.as_millis() * MILLI;
        self.queue
            .after(late, Event::Run(RunEvent::OrderIsLate { request: id.0 }));
        let Some(at) = at else { return };
        self.note_member(MemberHappening::Asks {
            node: at,
            id,
            change: &order.change,
        });
        let connection = ConnectionId(id.0);
        self.arrive(
            at,
            Input::Client {
                id,
                connection,
                request,
            },
        );
    }

    /// A node says what came of it.
    pub(super) fn order_answered(&mut self, at: usize, id: RequestId, outcome: &Outcome) {
        self.note_member(MemberHappening::Answers {
            node: at,
            id,
            outcome,
        });
        let Some(order) = self.operator.take(id) else {
            return;
        };
        match outcome {
            Outcome::Done(Reply::Error(_)) => self.is_over(&order),
            Outcome::Done(reply) => self.is_done(at, &order, reply),
            Outcome::Refused(_) if !order.is_insisted => self.is_not_done(order),
            Outcome::Refused(_) | Outcome::Indefinite(_) => self.insist(order),
        }
    }

    /// Nothing was heard of a request.
    pub(super) fn order_is_late(&mut self, request: u64) {
        if let Some(order) = self.operator.take(RequestId(request)) {
            self.insist(order);
        }
    }

    /// It may have been done, or may be yet.
    fn insist(&mut self, order: Order) {
        match order.change {
            MemberChange::SetAddress { .. } => {
                let order = Order {
                    is_insisted: true,
                    ..order
                };
                let soon = self.nemesis.prng.between(20, 300) * MILLI;
                let order = Box::new(order);
                self.queue.after(soon, Event::Run(RunEvent::Ask { order }));
            }
            _ => self.is_not_done(order),
        }
    }

    /// An order is given again.
    pub(super) fn ask_again(&mut self, order: Order) {
        self.give(order);
    }

    /// A machine that joins tries again; nothing comes of the rest.
    fn is_not_done(&mut self, order: Order) {
        if let Some(machine) = order.machine {
            let soon = self.nemesis.prng.between(20, 300) * MILLI;
            let lane = order.lane;
            self.queue
                .after(soon, Event::Run(RunEvent::Joins { machine, lane }));
        } else {
            self.is_over(&order);
        }
    }

    fn is_over(&mut self, order: &Order) {
        if let MemberChange::SetAddress { id, .. } = order.change {
            self.operator.moving.remove(&id);
        }
        if let Some(machine) = order.machine {
            self.operator.machines[machine].is_over = true;
        }
    }

    fn is_done(&mut self, at: usize, order: &Order, reply: &Reply) {
        self.is_over_unless_it_joins(order);
        let seen = match &order.change {
            MemberChange::Join { incarnation, .. } => {
                return self.id_is_given(at, order, *incarnation, reply);
            }
            MemberChange::Promote { id, .. } => format!("n{} is to vote", id.get()),
            MemberChange::Remove { id, .. } => format!("n{} was removed", id.get()),
            MemberChange::Replace { old, new, .. } => {
                format!("n{} takes the place of n{}", new.get(), old.get())
            }
            MemberChange::SetAddress { id, addresses } => self.move_node(*id, &addresses.peer),
            MemberChange::Begin(_) | MemberChange::Announce { .. } => return,
        };
        self.journal.counters.voter_changes += 1;
        self.add_evidence(order.lane, seen);
    }

    fn is_over_unless_it_joins(&mut self, order: &Order) {
        if order.machine.is_none() {
            self.is_over(order);
        }
    }

    /// The node is started again where the others look for it from now on.
    fn move_node(&mut self, id: NodeId, place: &str) -> String {
        let at = id.get() as usize - 1;
        place.clone_into(&mut self.nodes[at].place);
        if self.nodes[at].standing == Standing::There {
            self.crash(at, Crash::Kill);
            self.schedule_start(at, MILLI);
        }
        format!("n{} moved to {place}", at + 1)
    }

    fn id_is_given(&mut self, at: usize, order: &Order, incarnation: u64, reply: &Reply) {
        let (Some(machine), Reply::Integer(id)) = (order.machine, reply) else {
            return;
        };
        let id = NodeId::new(id.unsigned_abs());
        let first = self.plan.cluster.nodes;
        if incarnation == 0 {
            // Asked again, a reservation is another one.
            self.operator.machines[machine].reserved = Some(id);
            self.note_member(MemberHappening::Reserves { node: at, id });
            return self.ask_to_join(order.lane, machine, false);
        }
        let checked = self.checks.members.gives(id, machine, first);
        self.check(checked);
        self.operator.machines[machine].id = Some(id);
        self.add_evidence(order.lane, format!("a machine joined as n{}", id.get()));
        let lane = order.lane;
        self.queue
            .after(MILLI, Event::Run(RunEvent::Joins { machine, lane }));
    }

    /// A machine goes on to become a member.
    pub(super) fn joins(&mut self, at: usize, lane: usize) {
        if self.operator.machines[at].is_over {
            return;
        }
        let is_calm = self.progress.phase != Phase::Disturbed;
        let id = self.operator.machines[at].id;
        match id {
            // One that never completes is in the table, and does no harm there.
            _ if is_calm => self.operator.machines[at].is_over = true,
            None => self.ask_to_join(lane, at, false),
            Some(id) if id.get() > self.nodes.len() as u64 => self.operator.machines[at].is_over = true,
            // It has met no process yet, and would listen to an old copy of a directory like to any other.
            Some(id) if !self.has_outcast() && self.set_up_member(at, id) => {
                self.operator.machines[at].is_over = true;
                self.note_member(MemberHappening::Joins { id });
            }
            Some(_) => {
                let soon = self.nemesis.prng.between(20, 200) * MILLI;
                self.queue
                    .after(soon, Event::Run(RunEvent::Joins { machine: at, lane }));
            }
        }
    }

    pub(super) fn note_member(&mut self, happening: MemberHappening<'_>) {
        self.journal.note(self.queue.now(), Happening::Member(happening));
    }
}

/// Separates the draws of the operator from others.
const FORK_MEMBERS: u64 = 0x6d65_6d62_6572;
/// One in so many requests is forced, goes to any node, begins with an id that is reserved.
const FORCED_ONE_IN: u64 = 6;
const ANY_ONE_IN: u64 = 4;
const RESERVED_ONE_IN: u64 = 4;
