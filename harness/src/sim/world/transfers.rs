//! Another node is to lead: an operator wants it, or the leader leaves in order.
//!
//! Invariant: a node that leaves stops when its transfer is over, whatever came of it, and is back when the fault ends.

use noraft::NodeId;
use noraftd::prng::Prng;
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::resp::Reply;
use noraftd::replica::event::{Input, RequestId};

use super::World;
use crate::sim::journal::happening::{ClientHappening, Happening, TransferHappening, TransferStep};
use crate::sim::parts::MILLI;
use crate::sim::parts::crash::Crash;
use crate::sim::parts::event::{Event, LaneEvent};
use crate::sim::parts::transfers::Asked;

impl World {
    /// Asks the leader, mostly, to hand over; where the fault has a target, that one stops then.
    pub(super) fn begin_transfer(&mut self, lane: usize, decision: u64, roll: u64) {
        let prng = &mut Prng::new(roll).fork(FORK_TRANSFER);
        if let [leader] = self.targets(lane)[..] {
            let (leaves, election) = (true, self.plan.cluster.election.as_millis() * MILLI);
            self.ask_to_hand_over(
                leader,
                None,
                Asked {
                    lane,
                    decision,
                    leaves,
                },
            );
            return self.stop_after(lane, decision, 2 * election);
        }
        let nodes = self.doors();
        let (any, to) = (self.door(prng.below(nodes)), self.door(prng.below(nodes)));
        let to = prng.chance(1, 2).then(|| self.nodes[to].id);
        let at = self.leader().filter(|_| prng.chance(7, 8)).unwrap_or(any);
        self.ask_to_hand_over(
            at,
            to,
            Asked {
                lane,
                decision,
                leaves: false,
            },
        );
    }

    fn ask_to_hand_over(&mut self, at: usize, to: Option<NodeId>, asked: Asked) {
        if self.nodes[at].process.is_none() {
            return;
        }
        let id = self.nemesis.transfers.ask(asked);
        self.note_transfer(at, id, TransferStep::Asks(to));
        self.arrive(at, Input::Transfer { id: Some(id), to });
    }

    /// A node says what came of it.
    pub(super) fn transfer_answered(&mut self, at: usize, id: RequestId, outcome: &Outcome) {
        self.note_transfer(at, id, TransferStep::Answers(outcome));
        let Some(asked) = self.nemesis.transfers.answered(id) else {
            return;
        };
        let is_in_force = |world: &Self| {
            let force = world.nemesis.lanes[asked.lane].in_force.as_ref();
            force.is_some_and(|force| force.decision.k == asked.decision)
        };
        if !is_in_force(self) {
            return;
        }
        let own = self.nodes[at].id.get();
        if let Outcome::Done(Reply::Integer(leader)) = outcome
            && *leader as u64 != own
        {
            self.add_evidence(asked.lane, format!("n{leader} leads instead of n{own}"));
        }
        if asked.leaves {
            let soon = 2 * self.plan.cluster.heartbeat.as_millis() * MILLI;
            self.stop_after(asked.lane, asked.decision, soon);
        }
    }

    fn note_transfer(&mut self, node: usize, id: RequestId, step: TransferStep<'_>) {
        let transfer = TransferHappening { node, id, step };
        self.journal.note(
            self.queue.now(),
            Happening::Client(ClientHappening::Transfers(transfer)),
        );
    }

    fn stop_after(&mut self, lane: usize, decision: u64, delay: u64) {
        self.queue
            .after(delay, Event::lane(lane, LaneEvent::Flip { decision }));
    }

    /// The node that was to hand over stops, unless it has before.
    pub(super) fn leave(&mut self, lane: usize) {
        for at in self.targets(lane) {
            if !self.nodes[at].is_kept_down {
                let said = self.take_down(at, Crash::Kill);
                said.into_iter().for_each(|said| self.add_evidence(lane, said));
            }
        }
    }
}

/// Separates the draw of nodes from that of targets.
const FORK_TRANSFER: u64 = 0x0074_7261_6e73;
