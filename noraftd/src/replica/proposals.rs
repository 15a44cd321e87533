//! Which request waits for which entry.
//!
//! Invariant: ordered by index; a waiter is answered with the result of exactly its own entry (same term and
//! index). A lost leadership does not answer it: the next leader may still commit the entry, so the outcome
//! is learned by applying, or stays indefinite until the deadline.

use std::collections::VecDeque;

use noraft::{LogIndex, LogPosition};

use crate::protocol::command::Request;
use crate::protocol::resp::Reply;
use crate::record::{Record, RecordKind};
use crate::time::Instant;

use super::Replica;
use super::pending::Turn;
use super::pending::{Origin, Pending};
use super::queue::pop_front_when;
use crate::protocol::outcome::{Doubt, Outcome, Refusal};

#[derive(Debug, Default)]
pub(super) struct Proposals(VecDeque<Proposal>);

#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) position: LogPosition,
    pub(super) origin: Origin,
    pub(super) turn: Turn,
    deadline: Instant,
}

impl Proposals {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn earliest_deadline(&self) -> Option<Instant> {
        self.0.front().map(|proposal| proposal.deadline)
    }

    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Proposal> {
        pop_front_when(&mut self.0, |proposal| proposal.deadline <= now)
    }

    /// The turn of the request that is waited for at `position`.
    pub(super) fn turn_at(&self, position: LogPosition) -> Option<Turn> {
        let first = self.0.front().filter(|proposal| proposal.position == position);
        first.map(|proposal| proposal.turn)
    }

    fn push(&mut self, proposal: Proposal) {
        self.0.push_back(proposal);
    }

    /// The next waiter whose entry is at `index` or before.
    fn pop_upto(&mut self, index: LogIndex) -> Option<Proposal> {
        pop_front_when(&mut self.0, |proposal| proposal.position.index <= index)
    }

    /// The next waiter whose entry is at `index` or before, and whose outcome is not known.
    pub(super) fn pop_covered(&mut self, index: LogIndex) -> Option<Proposal> {
        self.pop_upto(index)
    }

    /// Takes out those whose index a new tenure uses again; they lie behind what is not resolved yet.
    fn split_from(&mut self, index: LogIndex) -> VecDeque<Proposal> {
        let at = self.0.partition_point(|proposal| proposal.position.index < index);
        self.0.split_off(at)
    }
}

impl Replica {
    /// Appends the request to the log (Raft 5.3); gives where.
    pub(super) fn propose(&mut self, pending: Pending) -> Option<LogIndex> {
        let Pending {
            origin,
            turn,
            request,
            deadline,
            stays: _,
        } = pending;
        let by_members = || self.refusal_by_members(&request);
        if let Some(refusal) = self.refusal_by_level(&request).or_else(by_members) {
            self.answer(origin, Outcome::Refused(refusal));
            return None;
        }
        let position = self.node.propose_command();
        if position.is_invalid() {
            self.answer(origin, Outcome::Refused(Refusal::NotLeader));
            return None;
        }
        self.note_queued(deadline);
        self.give_up_superseded(position.index);
        if let Some(level) = Request::raises_to(&request.body) {
            self.note_raising(position, level);
        }
        self.note_member_change(position, &request);
        self.content.keep(Record::new(
            position,
            RecordKind::Command,
            self.clock.stamp(),
            request.body,
        ));
        self.waiting.proposals.push(Proposal {
            position,
            origin,
            turn,
            deadline,
        });
        Some(position.index)
    }

    /// This node's log was cut and its new tenure has come back to an index where an older proposal waits.
    /// The older entry may live on in another log, so it is unknown what will become of it.
    pub(super) fn give_up_superseded(&mut self, index: LogIndex) {
        self.give_up_superseded_changes(index);
        let superseded = self.waiting.proposals.split_from(index);
        for proposal in superseded {
            self.answer(proposal.origin, Outcome::Indefinite(Doubt::LeadershipLost));
            self.waiting
                .order
                .tidy(proposal.turn, self.applied.index(), self.now);
        }
    }

    /// The entry at `position` was applied with `reply`.
    pub(super) fn resolve_proposals(&mut self, position: LogPosition, reply: Option<Reply>) {
        let mut reply = reply;
        while let Some(proposal) = self.waiting.proposals.pop_upto(position.index) {
            let outcome = match reply.take_if(|_| proposal.position == position) {
                Some(reply) => {
                    self.note_committed(proposal.deadline);
                    Outcome::Done(reply)
                }
                // Another entry is committed at its index, so it never will be.
                None => Outcome::Refused(Refusal::NotLeader),
            };
            self.answer(proposal.origin, outcome);
            self.waiting.order.tidy(proposal.turn, position.index, self.now);
        }
    }
}
