//! Reads of a follower's clients: it asks the leader how far its state has to be, and answers from it (Raft thesis 6.4).
//!
//! One question serves all reads that came before it was sent; what comes meanwhile waits for the next one. The answer is right
//! whatever becomes of the leader: the index covers what was acknowledged before the question. A follower that does not get so far
//! in time passes reads on instead, until it has: it may be far behind, and the leader is not.
//!
//! Invariant: a read is confirmed by the answer to a question that was sent after the read came.

use std::collections::VecDeque;
use std::time::Duration;

use noraft::LogIndex;

use crate::protocol::command::Request;
use crate::protocol::outcome::{Outcome, Refusal};
use crate::protocol::peer::{Features, PeerMessage};
use crate::protocol::resp::Reply;
use crate::time::Instant;

use super::Replica;
use super::pending::{Origin, Pending};
use super::reads::{Lag, Question, Read};

/// For so many heartbeats an answer to a question is waited for, and then that this node's state is as far as it says. The
/// leader answers after a round trip to a majority; what it names as committed has left before.
const PATIENCE: u32 = 4;

impl Replica {
    /// True when this follower answers the read itself, if it can.
    pub(super) fn reads_here(&self, pending: &Pending) -> bool {
        let missed = self.waiting.reads.lag.missed;
        let lags = missed.is_some_and(|index| self.applied.index() < index);
        pending.stays || (!lags && !pending.request.asks_for_index() && self.leader_names_index())
    }

    fn leader_names_index(&self) -> bool {
        let leader = self.leader();
        leader.is_some_and(|leader| self.features_of(leader).has(Features::READ_INDEX))
    }

    fn index_patience(&self) -> Duration {
        self.config.heartbeat_interval * PATIENCE
    }

    /// A question to what leads no longer, or that may be lost, is not waited for: its reads wait for the next one.
    pub(super) fn withdraw_question(&mut self) {
        let Some(question) = &self.waiting.reads.question else {
            return;
        };
        let leader = self.reachable_leader();
        let tenure = leader.map(|leader| (leader, self.node.current_term()));
        let is_late = self.now >= question.sent + self.index_patience();
        if (is_late || tenure != Some(question.asked))
            && let Some(question) = self.waiting.reads.question.take()
        {
            self.put_back(question.reads);
        }
    }

    fn put_back(&mut self, reads: VecDeque<Read>) {
        reads.into_iter().for_each(|read| self.waiting.reads.push(read));
    }

    /// Asks for all reads that wait, unless the last question is not answered.
    pub(super) fn ask_leader(&mut self) {
        let reads = &self.waiting.reads;
        if self.is_leader() || reads.question.is_some() || !reads.has_waiting() {
            return;
        }
        let Some(leader) = self.reachable_leader() else {
            return;
        };
        let reads = self.waiting.reads.take_waiting();
        if !self.leader_names_index() {
            // It is of an earlier version.
            return reads.into_iter().for_each(|read| self.pass_on(read.pending));
        }
        let (id, boot) = self.waiting.forwards.next_id();
        let term = self.node.current_term();
        self.waiting.reads.question = Some(Question {
            id,
            asked: (leader, term),
            sent: self.now,
            reads,
        });
        let request = Request::for_index();
        let message = PeerMessage::Forward {
            id,
            boot,
            term,
            request,
        };
        self.outputs.send(leader, message);
    }

    /// What is passed on to a leader may be answered from a later state than that of this node, so what stays is not.
    fn pass_on(&mut self, read: Pending) {
        if read.stays {
            self.answer(read.origin, Outcome::Refused(Refusal::ReadTimeout));
            return self.read_is_over(read.turn);
        }
        self.waiting.order.read_over(read.turn);
        self.forward(read);
    }

    /// The answer to the question in flight, if `id` names it; false otherwise.
    pub(super) fn on_index(&mut self, id: u64, outcome: &Outcome) -> bool {
        let asked = &mut self.waiting.reads.question;
        let Some(question) = asked.take_if(|question| question.id == id) else {
            return false;
        };
        match outcome {
            Outcome::Done(Reply::Integer(index)) => {
                let index = LogIndex::new(index.unsigned_abs());
                self.freshness.note(index, question.sent);
                self.waiting.reads.confirm(index, question.reads);
            }
            Outcome::Refused(Refusal::NotLeader | Refusal::NoLeader) => {
                self.leadership.forget_leader(question.asked.0);
                self.put_back(question.reads);
            }
            outcome @ (Outcome::Done(_) | Outcome::Refused(_) | Outcome::Indefinite(_)) => {
                let refusal = match outcome {
                    Outcome::Refused(refusal) => *refusal,
                    Outcome::Done(_) | Outcome::Indefinite(_) => Refusal::ReadTimeout,
                };
                for read in question.reads {
                    self.answer(read.pending.origin, Outcome::Refused(refusal));
                    self.read_is_over(read.pending.turn);
                }
            }
        }
        true
    }

    /// Passes on what waits for a state that this follower does not reach.
    pub(super) fn pass_on_late_reads(&mut self) {
        let first = self.waiting.reads.first_confirmed();
        let is_late = first.is_some_and(|index| self.is_missed(index));
        let Lag { waits, missed } = &mut self.waiting.reads.lag;
        let since = waits.filter(|(waited, _)| first == Some(*waited) && !is_late);
        *waits = since.or(first.map(|index| (index, self.now)));
        if !is_late {
            return;
        }
        *missed = first;
        if self.reachable_leader().is_some() {
            let late = self.waiting.reads.take_confirmed(|read| !read.stays);
            late.into_iter().for_each(|read| self.pass_on(read));
        }
    }

    fn is_missed(&self, index: LogIndex) -> bool {
        let waits = self.waiting.reads.lag.waits;
        let since = waits.filter(|(waited, _)| *waited == index && !self.is_leader());
        since.is_some_and(|(_, since)| self.now >= since + self.index_patience())
    }

    /// When a question, or what it was answered, has been waited for long enough.
    pub(super) fn asking_deadline(&self) -> Option<Instant> {
        let reads = &self.waiting.reads;
        let question = reads.question.as_ref().map(|question| question.sent);
        let waits = reads.lag.waits.map(|(_, since)| since);
        let first = question.into_iter().chain(waits).min();
        first.map(|since| since + self.index_patience())
    }

    /// This leader is about to name its index in answer to `read`. The follower that asked waits until it knows that this much is
    /// committed, and does not wait for a heartbeat.
    pub(super) fn show_index_to(&mut self, read: &Pending) {
        let Origin::Peer { node, .. } = read.origin else {
            return;
        };
        let applied = self.applied.index();
        if let Some(progress) = self.leadership.progress.get_mut(&node)
            && read.request.asks_for_index()
        {
            progress.want_shown(applied);
        }
    }
}
