//! Every request that is not answered yet, by what it waits for.

use crate::time::Instant;

use super::forwards::Forwards;
use super::membership::Membership;
use super::order::Order;
use super::proposals::Proposals;
use super::reads::Reads;
use super::requests::Queued;

#[derive(Debug)]
pub(super) struct Waiting {
    /// For a leader to be known, or for the core to be free.
    pub(super) queued: Queued,
    /// For earlier requests of its connection.
    pub(super) order: Order,
    /// For its entry to be applied.
    pub(super) proposals: Proposals,
    /// For a majority to confirm this leader.
    pub(super) reads: Reads,
    /// For another node's answer.
    pub(super) forwards: Forwards,
    /// For the voters to change.
    pub(super) changes: Membership,
}

impl Waiting {
    /// `boot` names this process to the other nodes.
    pub(super) fn new(boot: u64) -> Self {
        Self {
            queued: Queued::default(),
            order: Order::default(),
            proposals: Proposals::default(),
            reads: Reads::default(),
            forwards: Forwards::new(boot),
            changes: Membership::default(),
        }
    }

    /// Requests that are not answered yet.
    pub(super) fn len(&self) -> usize {
        let here = self.queued.len() + self.proposals.len() + self.reads.len() + self.changes.len();
        here + self.forwards.len() + self.order.len()
    }

    pub(super) fn earliest_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.queued.earliest_deadline(),
            self.proposals.earliest_deadline(),
            self.reads.earliest_deadline(),
            self.forwards.earliest_deadline(),
            self.changes.earliest_deadline(),
            self.order.earliest_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }
}
