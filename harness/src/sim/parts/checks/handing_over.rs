//! A leader that has another node campaign is at rest (thesis 3.10): all that it has is committed and applied, and no read is open. Where its
//! disk does not answer, what is in flight need not be.
//! Until the transfer is over it answers none, for another node may lead by then; and it is over in time.
//!
//! The read itself would mostly be right all the same, and a log that lacks an entry loses the election: what is wrong is looked at
//! before it does harm.
//!
//! Invariant: looked at on the leader's own state, when its message leaves and whenever it was driven.

use noraft::{LogPosition, NodeId, Term};
use noraftd::protocol::peer::PeerMessage;
use noraftd::replica::glance::{ReadWork, Syncing};
use noraftd::replica::{Replica, Transfer};
use noraftd::time::Instant;

use crate::recording::hash::FastMap;
use crate::sim::parts::rule::{Checked, Rule, ensure};

/// Who has had another node campaign.
#[derive(Debug, Default)]
pub(crate) struct HandingOver {
    /// By node, the last transfer in which it did.
    ordered: FastMap<u64, Option<Transfer>>,
}

impl HandingOver {
    /// A message leaves: where it has another node campaign, its sender is at rest.
    pub(crate) fn sent(&mut self, replica: &Replica, to: NodeId, message: &PeerMessage) -> Checked {
        if let PeerMessage::TimeoutNow { term, last_position } = message {
            self.ordered.insert(replica.node().id().get(), replica.transfer());
            is_at_rest(replica, to, *term, *last_position)
        } else {
            Ok(())
        }
    }

    /// A leader answers a read that it was asked: not after it had another node campaign, and before that is over.
    pub(crate) fn answers_read(&self, replica: &Replica) -> Checked {
        let id = replica.node().id().get();
        let transfer = replica.transfer();
        let has_ordered = transfer.is_some() && self.ordered.get(&id) == Some(&transfer);
        ensure(!has_ordered, Rule::HandsOver, || {
            format!("n{id} answers a read as the leader, after it had another node campaign: {transfer:?}")
        })
    }
}

fn is_at_rest(replica: &Replica, to: NodeId, term: Term, last_position: LogPosition) -> Checked {
    let (core, config) = (replica.node(), replica.node().config());
    let last = core.log().last_position();
    let applied = replica.machine().applied_index();
    let leads = core.role().is_leader() && core.current_term() == term;
    let votes = config.voters.contains(&to) || config.new_voters.contains(&to);
    let waits_for_disk = replica.glance().sync == Syncing::Batch && replica.durable_index() < last.index;
    let is_done = core.commit_index() == last.index && applied == last.index;
    let is_committed = last_position == last && (is_done || waits_for_disk);
    let reads = replica.glance().reads;
    let is_at_rest = leads && votes && is_committed && reads == ReadWork::Nothing;
    ensure(is_at_rest, Rule::HandsOver, || {
        format!(
            "n{} has n{} campaign (leads: {leads}; a voter: {votes}; all is committed and applied: {is_committed}; reads: {reads:?})",
            core.id().get(),
            to.get()
        )
    })
}

/// A node was driven: a transfer that it has begun is not overdue.
pub(crate) fn driven(replica: &Replica, now: Instant) -> Checked {
    let overdue = replica.transfer().filter(|transfer| transfer.deadline <= now);
    ensure(overdue.is_none(), Rule::HandsOver, || {
        let id = replica.node().id().get();
        format!("n{id} still waits for another node to lead: {overdue:?}, and it is {now:?}")
    })
}
