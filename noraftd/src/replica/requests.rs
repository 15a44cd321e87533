//! Requests of clients and of followers, until they have found their way: the log, a read round, the leader.
//!
//! Invariant: every request that was accepted is answered exactly once, at the latest at its deadline; what
//! has not been appended is refused definitely.

use std::collections::VecDeque;

use crate::level::Level;
use crate::protocol::command::{Class, Request};
use crate::time::Instant;

use super::Replica;
use super::event::{ConnectionId, RequestId};
use super::pending::{Origin, Pending};
use super::proposals::Proposal;
use super::queue::pop_front_when;
use crate::protocol::outcome::{Doubt, Outcome, Refusal};

/// Requests that wait for a leader to be known, or for the core to be free.
#[derive(Debug, Default)]
pub(super) struct Queued {
    /// By arrival.
    unrouted: VecDeque<Pending>,
    /// Lost their way, and have yet to be put into their places among the unrouted ones.
    returned: Vec<Pending>,
    /// Writes to propose once no sync is in flight.
    proposable: VecDeque<Pending>,
}

impl Queued {
    /// Hands back everything that has found no way yet.
    pub(super) fn take_unrouted(&mut self) -> VecDeque<Pending> {
        self.put_into_place();
        std::mem::take(&mut self.unrouted)
    }

    /// Puts what lost its way back into its place.
    pub(super) fn requeue(&mut self, pending: impl Iterator<Item = Pending>) {
        self.returned.extend(pending);
    }

    /// Once for all that returned together: there may be thousands.
    fn put_into_place(&mut self) {
        if !self.returned.is_empty() {
            self.unrouted.extend(self.returned.drain(..));
            let unrouted = self.unrouted.make_contiguous();
            unrouted.sort_by_key(|pending| pending.turn.arrival);
        }
    }

    pub(super) fn pop_proposable(&mut self) -> Option<Pending> {
        self.proposable.pop_front()
    }

    pub(super) fn len(&self) -> usize {
        self.unrouted.len() + self.returned.len() + self.proposable.len()
    }

    pub(super) fn earliest_deadline(&self) -> Option<Instant> {
        [&self.unrouted, &self.proposable]
            .into_iter()
            .filter_map(|queue| Some(queue.front()?.deadline))
            .min()
    }
}

/// A held write was sent nowhere, and a held read is not confirmed.
fn refusal_of_held(class: Class) -> Refusal {
    match class {
        Class::Write => Refusal::NoLeader,
        Class::Read => Refusal::ReadTimeout,
    }
}

impl Replica {
    pub(super) fn accept_client(&mut self, id: RequestId, connection: ConnectionId, request: Request) {
        self.accept_request(Origin::Client(id), Some(connection), request);
    }

    /// Takes in a read that only this node's state may answer.
    pub(super) fn accept_read_here(&mut self, id: RequestId, connection: ConnectionId, request: Request) {
        self.take_in((Origin::Client(id), true), Some(connection), request);
    }

    pub(super) fn accept_request(
        &mut self,
        origin: Origin,
        connection: Option<ConnectionId>,
        request: Request,
    ) {
        self.take_in((origin, false), connection, request);
    }

    fn take_in(
        &mut self,
        (origin, stays): (Origin, bool),
        connection: Option<ConnectionId>,
        request: Request,
    ) {
        if !self.serves() {
            self.answer(origin, Outcome::Refused(Refusal::Divergent));
            return;
        }
        if self.is_hopeless() {
            self.answer(origin, Outcome::Refused(Refusal::NoLeader));
            return;
        }
        let waiting = self.waiting.len();
        if waiting >= self.config.limits.requests_max {
            self.answer(origin, Outcome::Refused(Refusal::Overloaded));
            return;
        }
        let deadline = self.now + self.config.request_timeout;
        let turn = self.waiting.order.arrive(connection);
        self.waiting.queued.unrouted.push_back(Pending {
            origin,
            turn,
            request,
            deadline,
            stays,
        });
        self.route_requests();
    }

    /// Sends every waiting request on its way, if the way is known and open.
    pub(super) fn route_requests(&mut self) {
        if !self.has_way() {
            return;
        }
        self.waiting.queued.put_into_place();
        while let Some(pending) = self.waiting.queued.unrouted.pop_front() {
            if let Some(pending) = self.hold_back(pending) {
                self.route(pending);
            }
        }
    }

    /// True when this node leads and takes up requests, or knows the leader and can send to it.
    pub(super) fn has_way(&self) -> bool {
        match self.is_leader() {
            true => !self.is_handing_over(),
            false => self.reachable_leader().is_some(),
        }
    }

    pub(super) fn route(&mut self, pending: Pending) {
        match (self.is_leader(), pending.request.class, pending.origin) {
            (true, Class::Write, origin) if !self.space.is_plenty() => {
                self.answer(origin, Outcome::Refused(Refusal::DiskFull));
            }
            (true, Class::Write, _) => {
                self.waiting.order.will_propose(pending.turn);
                self.waiting.queued.proposable.push_back(pending);
            }
            (true, Class::Read, _) => self.begin_read(pending),
            (false, Class::Read, Origin::Client(_)) if self.reads_here(&pending) => self.begin_read(pending),
            (false, _, Origin::Client(_)) => self.forward(pending),
            (false, _, origin @ Origin::Peer { .. }) => {
                self.answer(origin, Outcome::Refused(Refusal::NotLeader));
            }
        }
    }

    /// Proposes what waits, up to one batch.
    pub(super) fn propose_queued(&mut self) {
        self.keep_own_records();
        if !self.is_leader() {
            self.take_back_proposable();
            return;
        }
        let mut bytes = 0;
        while bytes < self.config.limits.batch_bytes_max && self.may_propose() {
            let Some(pending) = self.waiting.queued.pop_proposable() else {
                return;
            };
            let turn = pending.turn;
            bytes += pending.request.body.len();
            let index = self.propose(pending);
            self.waiting.order.proposed(turn, index);
            self.go_on(turn);
        }
    }

    /// This node no longer leads: the next leader is asked.
    pub(super) fn take_back_proposable(&mut self) {
        let proposable = std::mem::take(&mut self.waiting.queued.proposable);
        for pending in &proposable {
            self.waiting.order.proposed(pending.turn, None);
        }
        self.waiting.queued.requeue(proposable.into_iter());
    }

    /// True when writes wait: the last batch had no room for them, or the state has to be known first.
    pub(super) fn has_proposable(&self) -> bool {
        !self.waiting.queued.proposable.is_empty()
    }

    /// True when a write waits and waits for nothing else. The first one may have to wait for the state that decides whether it
    /// is appended: a new leader may know of a level or of members later than what is acknowledged to clients, and so may one that raises
    /// the level and was deposed meanwhile. Once another node is ordered to campaign, an entry more would keep it from being elected.
    pub(super) fn may_propose(&self) -> bool {
        if self.transfer().is_some_and(|transfer| transfer.is_ordered) {
            return false;
        }
        let first = self.waiting.queued.proposable.front();
        first.is_some_and(|pending| {
            pending.request.takes_level() == Level::FIRST
                || (self.has_applied_in_term() && !self.is_raising())
        })
    }

    /// Answers what has waited long enough, with what is known about it.
    pub(super) fn expire_requests(&mut self) {
        let now = self.now;
        let is_due = |pending: &Pending| pending.deadline <= now;
        self.waiting.queued.put_into_place();
        while let Some(pending) = pop_front_when(&mut self.waiting.queued.unrouted, is_due) {
            self.answer(pending.origin, Outcome::Refused(Refusal::NoLeader));
        }
        while let Some(pending) = pop_front_when(&mut self.waiting.queued.proposable, is_due) {
            self.waiting.order.proposed(pending.turn, None);
            self.answer(pending.origin, Outcome::Refused(Refusal::NoLeader));
            self.go_on(pending.turn);
        }
        while let Some(pending) = self.waiting.order.pop_expired(now) {
            self.answer(
                pending.origin,
                Outcome::Refused(refusal_of_held(pending.request.class)),
            );
            self.go_on(pending.turn);
        }
        while let Some(Proposal {
            origin,
            turn,
            position,
            ..
        }) = self.waiting.proposals.pop_expired(now)
        {
            let doubt = if self.is_leader() {
                Doubt::CommitTimeout
            } else {
                Doubt::LeadershipLost
            };
            self.answer(origin, Outcome::Indefinite(doubt));
            if self.is_leader() {
                self.waiting.order.remember(turn, position.index);
            }
        }
        while let Some(pending) = self.waiting.reads.pop_expired(now) {
            self.answer(pending.origin, Outcome::Refused(Refusal::ReadTimeout));
            self.read_is_over(pending.turn);
        }
        while let Some(sent) = self.waiting.forwards.pop_expired(now) {
            match sent.pending.request.class {
                Class::Write => self.give_up_forward(sent, Doubt::ForwardTimeout),
                Class::Read => {
                    let Pending { origin, turn, .. } = sent.pending;
                    self.waiting.order.came_back(turn, Class::Read);
                    self.answer(origin, Outcome::Refused(Refusal::ReadTimeout));
                    self.go_on(turn);
                }
            }
        }
        self.waiting.order.expire_doubts(self.applied.index(), now);
        self.expire_changes();
    }
}
