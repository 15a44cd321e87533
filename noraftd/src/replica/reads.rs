//! Linearizable reads without log entries: ReadIndex (Raft thesis 6.4).
//!
//! One round of messages, started after the reads arrived, serves all of them: when a majority has echoed it,
//! this node was still the leader after they arrived, so its commit index then covers every write that was
//! acknowledged before. A new leader knows that index only once an entry of its own term is committed.
//!
//! Invariant: a read is answered from a state at or beyond the commit index at a moment after its arrival at
//! which a majority followed this leader.

use std::collections::VecDeque;

use noraft::LogIndex;

use crate::time::Instant;

use super::Replica;
use super::elections::has_quorum;
use super::event::Outcome;
use super::requests::Pending;

#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Arrived since the round in flight was started.
    waiting: VecDeque<Pending>,
    round: Option<Round>,
    /// Confirmed; waiting for the state machine to reach the index.
    confirmed: VecDeque<(LogIndex, Pending)>,
}

#[derive(Debug)]
struct Round {
    /// Messages of this round or later were sent after the reads arrived.
    first_round: u64,
    read_index: LogIndex,
    reads: VecDeque<Pending>,
}

impl Reads {
    pub(super) fn push(&mut self, read: Pending) {
        self.waiting.push_back(read);
    }

    pub(super) fn len(&self) -> usize {
        let in_round = self.round.as_ref().map_or(0, |round| round.reads.len());
        self.waiting.len() + in_round + self.confirmed.len()
    }

    /// Leadership is lost: hands back the reads that nobody has confirmed.
    pub(super) fn interrupt(&mut self) -> std::collections::vec_deque::IntoIter<Pending> {
        let mut reads = self.round.take().map(|round| round.reads).unwrap_or_default();
        reads.append(&mut self.waiting);
        reads.into_iter()
    }

    pub(super) fn earliest_deadline(&self) -> Option<Instant> {
        let in_round = self.round.as_ref().and_then(|round| round.reads.front());
        let confirmed = self.confirmed.front().map(|(_, read)| read);
        [self.waiting.front(), in_round, confirmed]
            .into_iter()
            .flatten()
            .map(|read| read.deadline)
            .min()
    }

    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Pending> {
        let expired = |read: Option<&Pending>| read.is_some_and(|read| read.deadline <= now);
        if expired(self.confirmed.front().map(|(_, read)| read)) {
            return self.confirmed.pop_front().map(|(_, read)| read);
        }
        if let Some(round) = self.round.as_mut().filter(|round| expired(round.reads.front())) {
            return round.reads.pop_front();
        }
        if expired(self.waiting.front()) {
            return self.waiting.pop_front();
        }
        None
    }
}

impl Replica {
    pub(super) fn serve_reads(&mut self) {
        self.finish_read_round();
        if self.start_read_round() {
            // A single voter is its own majority.
            self.finish_read_round();
        }
        self.answer_reads();
    }

    fn finish_read_round(&mut self) {
        let own = self.config.id;
        let Some(first) = self.reads.round.as_ref().map(|round| round.first_round) else {
            return;
        };
        if !has_quorum(self.node.config(), |id| {
            id == own || self.leadership.echoed(id, first)
        }) {
            return;
        }
        if let Some(round) = self.reads.round.take() {
            let confirmed = round.reads.into_iter().map(|read| (round.read_index, read));
            self.reads.confirmed.extend(confirmed);
        }
    }

    /// No round starts while this leader is to let the others elect: each one tells them that it is there.
    fn start_read_round(&mut self) -> bool {
        if self.is_holding_back() {
            return false;
        }
        if self.reads.round.is_some() || self.reads.waiting.is_empty() || !self.has_committed_in_term() {
            return false;
        }
        let reads = std::mem::take(&mut self.reads.waiting);
        let first_round = self.leadership.want_round();
        let read_index = self.node.commit_index();
        self.reads.round = Some(Round {
            first_round,
            read_index,
            reads,
        });
        true
    }

    /// Raft 8: before that, a leader does not know which entries are committed.
    pub(super) fn has_committed_in_term(&self) -> bool {
        let committed = self.node.log().entries().get_term(self.node.commit_index());
        self.is_leader() && committed == Some(self.node.current_term())
    }

    fn answer_reads(&mut self) {
        let applied = self.apply.applied_index();
        while self
            .reads
            .confirmed
            .front()
            .is_some_and(|(index, _)| *index <= applied)
        {
            if let Some((_, read)) = self.reads.confirmed.pop_front() {
                let reply = self.machine.query(&read.request.body);
                self.answer(read.origin, Outcome::Done(reply));
            }
        }
    }
}
