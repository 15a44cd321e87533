//! Transfer of leadership: a leader has another voter elected, because it is to leave or an operator wants it (Raft thesis
//! 3.10).
//!
//! From the beginning on no new request is taken up: it waits, and goes on to the next leader, or here if nothing comes of the
//! transfer. What is under way is brought to its end: entries are committed and applied, and reads are confirmed and answered.
//! Then, once the other node has the whole log, it is ordered to campaign at once. It asks for no pre-vote, for the others hear their
//! leader; the vote itself they give as always.
//!
//! A leader whose disk does not answer, or fails slowly, does so by itself. It cannot bring to its end what is under way, but another
//! voter can: one that has acknowledged the whole log while this leader's own sync is still in flight, and whose disk was faster by a
//! part of an election timeout at least. Where all disks are slow none is, so leadership does not go round. The clients of what is
//! under way hear what came of it when the disk answers, or that it is not known. This is tried once a sync; where nothing comes of
//! it, the leader falls silent after `disk_stall_max`.
//!
//! Invariant: when the other node is ordered, no read of this leader's is open, and none begins before the transfer is over. Until then
//! nothing is appended either, not even what was taken up before and waited for the sync in flight: a voter that had it would not give
//! its vote to a node without it. The transfer is over
//! after an election timeout at the latest, and if no other leader is known by then, this one goes on, unless it was deposed.

use std::collections::BTreeMap;

use noraft::{LogPosition, NodeId, Term};

use crate::protocol::outcome::{Doubt, Outcome, Refusal};
use crate::protocol::peer::{Features, PeerMessage};
use crate::protocol::resp::Reply;
use crate::time::Instant;

use super::Replica;
use super::elections::SYNCS_PER_ELECTION;
use super::event::RequestId;
use super::glance::ReadWork;
use super::pending::Origin;

/// A transfer under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// The node that is to lead.
    pub to: NodeId,
    /// The term that the other node is to end.
    pub term: Term,
    /// Whether it was ordered to campaign.
    pub is_ordered: bool,
    /// When it is over, whatever came of it.
    pub deadline: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Transfers {
    under_way: Option<(Transfer, Option<RequestId>)>,
    outrun: Outrun,
}

/// Voters that were faster than this leader with the sync in flight.
#[derive(Debug, Default)]
struct Outrun {
    /// When each of them acknowledged the whole log.
    by: BTreeMap<NodeId, Instant>,
    /// This leader has begun to hand over because of it.
    has_begun: bool,
}

impl Transfers {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.under_way.map(|(transfer, _)| transfer.deadline)
    }

    /// The sync in flight has returned.
    pub(super) fn note_synced(&mut self) {
        self.outrun = Outrun::default();
    }
}

impl Replica {
    /// The transfer under way that this node has begun.
    pub fn transfer(&self) -> Option<Transfer> {
        self.transfers.under_way.map(|(transfer, _)| transfer)
    }

    /// True while this leader takes up no request, because another node is to lead.
    pub(super) fn is_handing_over(&self) -> bool {
        self.transfers.under_way.is_some() && self.is_leader()
    }

    /// Begins a transfer to this voter, or to the one that has most of the log. `id` is answered when it is over.
    pub(super) fn begin_transfer(&mut self, id: Option<RequestId>, to: Option<NodeId>) {
        let begun = if !self.is_leader() {
            Err(Refusal::NotLeader)
        } else if self.transfers.under_way.is_some() {
            Err(Refusal::TransferInProgress)
        } else if to == Some(self.config.id) {
            return self.answer_transfer(id, done_by(self.config.id));
        } else {
            self.successor(to).ok_or(Refusal::NoSuccessor)
        };
        match begun {
            Ok(to) => {
                let transfer = Transfer {
                    to,
                    term: self.node.current_term(),
                    is_ordered: false,
                    deadline: self.now + self.config.election_timeout,
                };
                self.transfers.under_way = Some((transfer, id));
            }
            Err(refusal) => self.answer_transfer(id, Outcome::Refused(refusal)),
        }
    }

    /// The voter that may take over: `wanted`, or the one with most of the log. It follows this leader and knows of transfers.
    pub(super) fn successor(&self, wanted: Option<NodeId>) -> Option<NodeId> {
        let config = self.node.config();
        let voters = match config.is_joint_consensus() {
            true => &config.new_voters,
            false => &config.voters,
        };
        let may = |id: &NodeId| {
            let is_wanted = wanted.is_none_or(|wanted| wanted == *id);
            let knows = self.features_of(*id).has(Features::TRANSFER);
            *id != self.config.id && is_wanted && knows && self.follows_me(*id)
        };
        let candidates = voters.iter().copied().filter(may);
        candidates.max_by_key(|id| self.node.follower_match_index(*id))
    }

    /// `from` has acknowledged entries up to `last_position`, which this node has not made durable itself.
    pub(super) fn note_faster(&mut self, from: NodeId, term: Term, last_position: LogPosition) {
        let has_all = last_position == self.node.log().last_position();
        if self.is_leader() && term == self.node.current_term() && has_all {
            self.transfers.outrun.by.entry(from).or_insert(self.now);
        }
    }

    /// When this leader is to hand over to the first node that was faster than its own disk.
    pub(super) fn outrun_deadline(&self) -> Option<Instant> {
        let Outrun { by, has_begun } = &self.transfers.outrun;
        let first = by.values().min().filter(|_| !has_begun && self.is_leader())?;
        Some(*first + self.config.election_timeout / SYNCS_PER_ELECTION)
    }

    /// Hands over where another node's disk is faster than this one's.
    pub(super) fn hand_over_when_outrun(&mut self) {
        let is_time = self.outrun_deadline().is_some_and(|at| at <= self.now);
        if !is_time {
            return;
        }
        self.transfers.outrun.has_begun = true;
        if self.transfers.under_way.is_some() {
            return;
        }
        let by = self.transfers.outrun.by.iter();
        let may = by.filter(|(id, _)| self.successor(Some(**id)).is_some());
        if let Some(first) = may.min_by_key(|(_, at)| **at).map(|(id, _)| *id) {
            self.begin_transfer(None, Some(first));
        }
    }

    /// Looks whether the transfer is over. Before requests are sent on their way.
    pub(super) fn end_transfer(&mut self) {
        let Some((transfer, id)) = self.transfers.under_way else {
            return;
        };
        let leads_on = self.is_leader() && self.node.current_term() == transfer.term;
        let leader = self.leader().filter(|_| !leads_on);
        let outcome = match leader {
            Some(leader) => done_by(leader),
            None if self.now < transfer.deadline => return,
            None if transfer.is_ordered => Outcome::Indefinite(Doubt::TransferTimeout),
            None => Outcome::Refused(Refusal::TransferTimeout),
        };
        self.transfers.under_way = None;
        self.answer_transfer(id, outcome);
        self.go_on_all();
    }

    /// The connection to `peer` ended.
    pub(super) fn give_up_transfer_to(&mut self, peer: NodeId) {
        let now = self.now;
        if let Some((transfer, _)) = &mut self.transfers.under_way
            && transfer.to == peer
        {
            transfer.deadline = transfer.deadline.min(now);
        }
    }

    /// This node leads no more: what other nodes asked it for, and what is not appended, is theirs to ask the next leader. If that is this
    /// node again, they may have answered reads in between which that would have to be in.
    pub(super) fn return_forwarded(&mut self) {
        self.take_back_proposable();
        let unrouted = self.waiting.queued.take_unrouted();
        let (forwarded, own): (Vec<_>, Vec<_>) = unrouted
            .into_iter()
            .partition(|pending| matches!(pending.origin, Origin::Peer { .. }));
        self.waiting.queued.requeue(own.into_iter());
        for pending in forwarded {
            self.answer(pending.origin, Outcome::Refused(Refusal::NotLeader));
        }
    }

    /// Tells the other node to campaign, once everything here is at its end.
    pub(super) fn tell_successor(&mut self) {
        let Some((transfer, id)) = self.transfers.under_way.filter(|_| self.is_leader()) else {
            return;
        };
        let last_position = self.node.log().last_position();
        let has_all = self.node.follower_match_index(transfer.to) == Some(last_position.index);
        let is_ready = has_all && self.is_at_rest() || self.waits_for_disk_alone(transfer.to);
        if transfer.is_ordered || !is_ready {
            return;
        }
        let term = transfer.term;
        self.outputs
            .send(transfer.to, PeerMessage::TimeoutNow { term, last_position });
        let ordered = Transfer {
            is_ordered: true,
            ..transfer
        };
        self.transfers.under_way = Some((ordered, id));
    }

    /// True when every entry is committed and applied, and no request waits for this leader's log or for a majority.
    fn is_at_rest(&self) -> bool {
        let last = self.node.log().last_position().index;
        let waiting = &self.waiting;
        self.applied.index() == last
            && !self.durability.is_in_flight()
            && waiting.proposals.len() == 0
            // A round without a read that still waits is one, too.
            && waiting.reads.work() == ReadWork::Nothing
            && !self.has_proposable()
    }

    /// True when nothing but the sync in flight is in the way of a node that has the whole log.
    fn waits_for_disk_alone(&self, to: NodeId) -> bool {
        let is_faster = self.durability.is_in_flight() && self.transfers.outrun.by.contains_key(&to);
        is_faster && self.waiting.reads.work() == ReadWork::Nothing
    }

    /// The leader of this term wants this node to lead: it campaigns, unless it lacks something.
    pub(super) fn on_timeout_now(&mut self, from: NodeId, term: Term, last_position: LogPosition) {
        let follows = term == self.node.current_term() && self.leader() == Some(from) && !self.is_leader();
        let has_all = self.node.log().last_position() == last_position && self.repair.is_whole();
        if follows && has_all && self.node.may_campaign() && !self.elections.is_abstaining() && self.serves()
        {
            let until = self.now + self.config.election_timeout;
            self.elections.campaign_for_leader(term, until);
        }
    }

    fn answer_transfer(&mut self, id: Option<RequestId>, outcome: Outcome) {
        if let Some(id) = id {
            self.outputs.reply(id, outcome);
        }
    }
}

fn done_by(leader: NodeId) -> Outcome {
    Outcome::Done(Reply::Integer(i64::try_from(leader.get()).unwrap_or(i64::MAX)))
}
