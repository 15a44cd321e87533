//! Requests of clients and of followers, until they have found their way: the log, a read round, the leader.
//!
//! Invariant: every request that was accepted is answered exactly once, at the latest at its deadline; what
//! has not been appended is refused definitely.

use std::collections::VecDeque;

use noraft::NodeId;

use crate::protocol::command::{Class, Request};
use crate::protocol::peer::PeerMessage;
use crate::time::Instant;

use super::Replica;
use super::event::{Doubt, Outcome, Refusal, RequestId, Room};

/// Who asked, and so where the answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Client(RequestId),
    Peer { node: NodeId, boot: u64, id: u64 },
}

/// A request that has not been answered.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) origin: Origin,
    pub(super) request: Request,
    pub(super) deadline: Instant,
}

/// Requests that wait for a leader to be known, or for the core to be free.
#[derive(Debug, Default)]
pub(super) struct Requests {
    unrouted: VecDeque<Pending>,
    /// Writes to propose once no sync is in flight.
    proposable: VecDeque<Pending>,
}

impl Requests {
    /// Puts back what lost its way; it was there before all that wait.
    pub(super) fn requeue(&mut self, pending: impl DoubleEndedIterator<Item = Pending>) {
        for request in pending.rev() {
            self.unrouted.push_front(request);
        }
    }

    pub(super) fn pop_proposable(&mut self) -> Option<Pending> {
        self.proposable.pop_front()
    }

    fn len(&self) -> usize {
        self.unrouted.len() + self.proposable.len()
    }

    fn earliest_deadline(&self) -> Option<Instant> {
        [&self.unrouted, &self.proposable]
            .into_iter()
            .filter_map(|queue| Some(queue.front()?.deadline))
            .min()
    }

    fn pop_expired(&mut self, now: Instant) -> Option<Pending> {
        [&mut self.unrouted, &mut self.proposable]
            .into_iter()
            .find(|queue| queue.front().is_some_and(|pending| pending.deadline <= now))
            .and_then(VecDeque::pop_front)
    }
}

impl Replica {
    pub(super) fn accept_client(&mut self, id: RequestId, request: Request) {
        self.accept_request(Origin::Client(id), request);
    }

    pub(super) fn accept_request(&mut self, origin: Origin, request: Request) {
        let waiting = self.requests_waiting();
        if waiting >= self.config.requests_max {
            self.answer(origin, Outcome::Refused(Refusal::Overloaded));
            return;
        }
        let deadline = self.now + self.config.request_timeout;
        self.requests.unrouted.push_back(Pending {
            origin,
            request,
            deadline,
        });
        self.route_requests();
    }

    /// Requests that are not answered yet.
    pub(super) fn requests_waiting(&self) -> usize {
        let here = self.requests.len() + self.proposals.len() + self.reads.len() + self.membership.len();
        here + self.forwards.len()
    }

    /// Sends every waiting request on its way, if the way is known and open.
    pub(super) fn route_requests(&mut self) {
        if !self.is_leader() && self.reachable_leader().is_none() {
            return;
        }
        while let Some(pending) = self.requests.unrouted.pop_front() {
            match (self.is_leader(), pending.request.class, pending.origin) {
                (true, Class::Write, origin) if self.room != Room::Plenty => {
                    self.answer(origin, Outcome::Refused(Refusal::DiskFull));
                }
                (true, Class::Write, _) => self.requests.proposable.push_back(pending),
                (true, Class::Read, _) => self.reads.push(pending),
                (false, _, Origin::Client(_)) => self.forward(pending),
                (false, _, origin @ Origin::Peer { .. }) => {
                    self.answer(origin, Outcome::Refused(Refusal::NotLeader));
                }
            }
        }
    }

    /// Proposes what waits, up to one batch.
    pub(super) fn propose_queued(&mut self) {
        self.keep_own_records();
        let mut bytes = 0;
        while bytes < self.config.batch_bytes_max {
            let Some(pending) = self.requests.pop_proposable() else {
                return;
            };
            if self.is_leader() {
                bytes += pending.request.body.len();
                self.propose(pending);
            } else {
                self.requests.unrouted.push_back(pending);
            }
        }
    }

    /// True when writes wait that the last batch had no room for.
    pub(super) fn has_proposable(&self) -> bool {
        !self.requests.proposable.is_empty()
    }

    pub(super) fn answer(&mut self, origin: Origin, outcome: Outcome) {
        match origin {
            Origin::Client(id) => self.reply(id, outcome),
            Origin::Peer { node, boot, id } => self.send(node, PeerMessage::Forwarded { id, boot, outcome }),
        }
    }

    pub(super) fn earliest_request_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.requests.earliest_deadline(),
            self.proposals.earliest_deadline(),
            self.reads.earliest_deadline(),
            self.forwards.earliest_deadline(),
            self.membership.earliest_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Answers what has waited long enough, with what is known about it.
    pub(super) fn expire_requests(&mut self) {
        let now = self.now;
        while let Some(pending) = self.requests.pop_expired(now) {
            self.answer(pending.origin, Outcome::Refused(Refusal::NoLeader));
        }
        while let Some(origin) = self.proposals.pop_expired(now) {
            let doubt = if self.is_leader() {
                Doubt::CommitTimeout
            } else {
                Doubt::LeadershipLost
            };
            self.answer(origin, Outcome::Indefinite(doubt));
        }
        while let Some(pending) = self.reads.pop_expired(now) {
            self.answer(pending.origin, Outcome::Refused(Refusal::ReadTimeout));
        }
        while let Some(pending) = self.forwards.pop_expired(now) {
            let outcome = match pending.request.class {
                Class::Write => Outcome::Indefinite(Doubt::ForwardTimeout),
                Class::Read => Outcome::Refused(Refusal::ReadTimeout),
            };
            self.answer(pending.origin, outcome);
        }
        self.expire_changes();
    }
}
