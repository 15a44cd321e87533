//! Linearizable reads without log entries: ReadIndex (Raft thesis 6.4).
//!
//! One round of messages, started after the reads arrived, serves all of them: when a majority has echoed it,
//! (or a pulse that went out with it, `pulses`), this node was still the leader after they arrived, so its commit index then covers every write that was
//! acknowledged before. A new leader knows that index only once an entry of its own term is committed.
//!
//! Where another node leads, it is asked for that index instead: `asking`.
//!
//! What a connection's own order asks for is in `order`: a read also waits for the writes of its connection before it,
//! and is answered before the next one is applied. That state is late enough: what was acknowledged before the read came
//! is ordered before a write that was appended after it.
//!
//! Invariant: a read is answered from a state at or beyond the commit index at a moment after its arrival at
//! which a majority followed this leader.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use noraft::{LogIndex, LogPosition};

use crate::protocol::resp::Reply;
use crate::time::Instant;

use super::Replica;
use super::glance::ReadWork;
use super::order::Tenure;
use super::pending::Pending;
use super::pending::Turn;
use super::queue::{pop_first_when, pop_front_when};
use super::quorum::has_quorum;
use crate::protocol::outcome::{Outcome, Refusal};

/// Answered at once: what reads cost keeps no other request waiting for more than a few milliseconds.
const READS_PER_ROUND: usize = 4096;
/// And what they answer.
const REPLY_BYTES_PER_ROUND: usize = 4 << 20;

#[derive(Debug, Default)]
pub(super) struct Reads {
    is_cut_short: bool,
    /// Arrived since the round in flight was started; by arrival.
    waiting: VecDeque<Read>,
    round: Option<Round>,
    /// Where another node leads: the question in flight to it.
    pub(super) question: Option<Question>,
    pub(super) lag: Lag,
    /// Confirmed; waiting for the state machine to reach the index.
    confirmed: VecDeque<(LogIndex, Pending)>,
    /// Confirmed, by arrival; waiting for the state machine to reach a later index, that of a write before them.
    behind_writes: BTreeMap<u64, (LogIndex, Pending)>,
    by_index: BTreeSet<(LogIndex, u64)>,
    /// Replies, by the reads' arrivals, from the state before a later write of their connections.
    early: BTreeMap<u64, Reply>,
}

#[derive(Debug)]
pub(super) struct Read {
    /// The last write before it on its connection.
    after: LogIndex,
    pub(super) pending: Pending,
}

#[derive(Debug)]
struct Round {
    /// Messages of this round or later were sent after the reads arrived.
    first_round: u64,
    /// And so were pulses of this number or later.
    first_pulse: u64,
    read_index: LogIndex,
    began: Instant,
    reads: VecDeque<Read>,
}

/// How far does the state have to be? A follower asks its leader.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) id: u64,
    pub(super) asked: Tenure,
    pub(super) sent: Instant,
    pub(super) reads: VecDeque<Read>,
}

/// How far a follower's state is behind what its reads wait for.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// What the first confirmed read waits for, and since when it is the first.
    pub(super) waits: Option<(LogIndex, Instant)>,
    /// What was not reached in time.
    pub(super) missed: Option<LogIndex>,
}

impl Reads {
    /// True when there may be more to answer at once: the last round had enough.
    pub(super) fn is_cut_short(&self) -> bool {
        self.is_cut_short
    }

    pub(super) fn push(&mut self, read: Read) {
        let arrival = read.pending.turn.arrival;
        let at = self
            .waiting
            .partition_point(|other| other.pending.turn.arrival < arrival);
        self.waiting.insert(at, read);
    }

    /// Hands back every read that is not answered.
    pub(super) fn take_all(&mut self) -> Vec<Pending> {
        let mut all = self.interrupt();
        all.extend(self.take_confirmed(|_| true));
        all
    }

    pub(super) fn len(&self) -> usize {
        let in_round = self.round.as_ref().map_or(0, |round| round.reads.len());
        let asked = self.question.as_ref().map_or(0, |question| question.reads.len());
        self.waiting.len() + in_round + asked + self.confirmed.len() + self.behind_writes.len()
    }

    /// What they wait for, at a glance.
    pub(super) fn work(&self) -> ReadWork {
        let in_flight = self.round.is_some() || self.question.is_some();
        match (in_flight, self.waiting.is_empty()) {
            (true, false) => ReadWork::InRoundAndWaiting,
            (true, true) => ReadWork::InRound,
            (false, false) => ReadWork::Waiting,
            (false, true) if self.len() > 0 => ReadWork::Confirmed,
            (false, true) => ReadWork::Nothing,
        }
    }

    /// Leadership is lost: hands back the reads that are not confirmed.
    fn interrupt(&mut self) -> Vec<Pending> {
        let mut reads = self.round.take().map(|round| round.reads).unwrap_or_default();
        reads.extend(
            self.question
                .take()
                .into_iter()
                .flat_map(|question| question.reads),
        );
        reads.append(&mut self.waiting);
        reads.into_iter().map(|read| read.pending).collect()
    }

    /// Those that wait for a question or a round to begin.
    pub(super) fn take_waiting(&mut self) -> VecDeque<Read> {
        std::mem::take(&mut self.waiting)
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The index that the first of the confirmed reads waits for.
    pub(super) fn first_confirmed(&self) -> Option<LogIndex> {
        self.confirmed.front().map(|(index, _)| *index)
    }

    /// Takes out the confirmed reads that `is_overtaken` names.
    pub(super) fn take_confirmed(&mut self, is_overtaken: impl Fn(&Pending) -> bool) -> Vec<Pending> {
        let all = std::mem::take(&mut self.confirmed);
        let (taken, kept) = all.into_iter().partition(|(_, read)| is_overtaken(read));
        self.confirmed = kept;
        let mut taken: Vec<Pending> = VecDeque::into_iter(taken).map(|(_, read)| read).collect();
        let by_index = &mut self.by_index;
        self.behind_writes.retain(|arrival, (index, read)| {
            let keeps = !is_overtaken(read);
            if !keeps {
                by_index.remove(&(*index, *arrival));
                taken.push(read.clone());
            }
            keeps
        });
        taken
    }

    pub(super) fn earliest_deadline(&self) -> Option<Instant> {
        let in_round = self.round.as_ref().and_then(|round| round.reads.front());
        let asked = self.question.as_ref().and_then(|question| question.reads.front());
        let confirmed = self.confirmed.front().map(|(_, read)| read);
        let behind = self.behind_writes.first_key_value().map(|(_, (_, read))| read);
        [
            self.waiting.front().map(|read| &read.pending),
            in_round.map(|read| &read.pending),
            asked.map(|read| &read.pending),
            confirmed,
            behind,
        ]
        .into_iter()
        .flatten()
        .map(|read| read.deadline)
        .min()
    }

    pub(super) fn pop_expired(&mut self, now: Instant) -> Option<Pending> {
        let expired = |read: &Read| read.pending.deadline <= now;
        if let Some((_, read)) = pop_front_when(&mut self.confirmed, |(_, read)| read.deadline <= now) {
            return Some(read);
        }
        let behind = self.behind_writes.first_key_value();
        if let Some((arrival, (index, _))) = behind.filter(|(_, (_, read))| read.deadline <= now) {
            self.by_index.remove(&(*index, *arrival));
            return self.behind_writes.pop_first().map(|(_, (_, read))| read);
        }
        let round = self.round.as_mut();
        let in_round = round.and_then(|round| pop_front_when(&mut round.reads, expired));
        let asked = self.question.as_mut();
        let in_flight =
            in_round.or_else(|| asked.and_then(|question| pop_front_when(&mut question.reads, expired)));
        let read = in_flight.or_else(|| pop_front_when(&mut self.waiting, expired))?;
        Some(read.pending)
    }

    /// The state at `read_index` is late enough for these, but for the writes before them.
    pub(super) fn confirm(&mut self, read_index: LogIndex, reads: VecDeque<Read>) {
        for Read { after, pending } in reads {
            if after <= read_index {
                self.confirmed.push_back((read_index, pending));
            } else {
                let arrival = pending.turn.arrival;
                self.by_index.insert((after, arrival));
                self.behind_writes.insert(arrival, (after, pending));
            }
        }
    }

    /// Takes out a confirmed read that the state at `applied` may answer.
    fn pop_answerable(&mut self, applied: LogIndex) -> Option<Pending> {
        if let Some((_, read)) = pop_front_when(&mut self.confirmed, |(index, _)| *index <= applied) {
            return Some(read);
        }
        let (_, arrival) = pop_first_when(&mut self.by_index, |(index, _)| *index <= applied)?;
        self.behind_writes.remove(&arrival).map(|(_, read)| read)
    }
}

impl Replica {
    pub(super) fn serve_reads(&mut self) {
        self.withdraw_question();
        self.finish_read_round();
        if self.start_read_round() {
            // A single voter is its own majority.
            self.finish_read_round();
        }
        self.ask_leader();
        self.answer_reads();
        self.freshness.reach(self.applied.index());
        self.pass_on_late_reads();
    }

    fn finish_read_round(&mut self) {
        let own = self.config.id;
        let first = self.waiting.reads.round.as_ref();
        let Some((round, pulse)) = first.map(|first| (first.first_round, first.first_pulse)) else {
            return;
        };
        if !has_quorum(self.node.config(), |id| {
            id == own || self.leadership.echoed(id, round) || self.pulses.echoed(id, pulse)
        }) {
            return;
        }
        if let Some(round) = self.waiting.reads.round.take() {
            self.freshness.note(round.read_index, round.began);
            self.waiting.reads.confirm(round.read_index, round.reads);
        }
    }

    /// No round starts while this leader is to let the others elect: each one shows them that it is there.
    fn start_read_round(&mut self) -> bool {
        if self.is_holding_back() {
            return false;
        }
        if self.waiting.reads.round.is_some()
            || self.waiting.reads.waiting.is_empty()
            || !self.has_committed_in_term()
        {
            return false;
        }
        let reads = std::mem::take(&mut self.waiting.reads.waiting);
        let first_round = self.leadership.want_read_round();
        let first_pulse = self.pulses.want();
        let read_index = self.node.commit_index();
        self.waiting.reads.round = Some(Round {
            first_round,
            first_pulse,
            read_index,
            began: self.now,
            reads,
        });
        true
    }

    /// Raft 8: before that, a leader does not know which entries are committed.
    pub(super) fn has_committed_in_term(&self) -> bool {
        let committed = self.node.log().entries().get_term(self.node.commit_index());
        self.is_leader() && committed == Some(self.node.current_term())
    }

    /// True when this node leads and its state has everything that was acknowledged in earlier terms.
    pub(super) fn has_applied_in_term(&self) -> bool {
        let applied = self.position_at(self.applied.index());
        self.is_leader() && applied.is_some_and(|applied| applied.term == self.node.current_term())
    }

    /// Takes in a read whose connection's earlier writes have positions.
    pub(super) fn begin_read(&mut self, pending: Pending) {
        let after = self.waiting.order.reads_here(pending.turn, &pending.request.body);
        self.waiting.reads.push(Read { after, pending });
    }

    /// The entry at `position` is about to be applied: the reads that came before it on its connection see the state
    /// without it. They are answered when they are confirmed.
    pub(super) fn answer_reads_before(&mut self, position: LogPosition) {
        let Some(turn) = self.waiting.proposals.turn_at(position) else {
            return;
        };
        while let Some((arrival, body)) = self.waiting.order.pop_read_before(turn) {
            self.waiting
                .reads
                .early
                .insert(arrival, self.applied.machine().query_drawing(&body, arrival));
        }
    }

    fn answer_reads(&mut self) {
        let applied = self.applied.index();
        let (mut count, mut bytes) = (0, 0);
        self.waiting.reads.is_cut_short = false;
        while let Some(read) = self.waiting.reads.pop_answerable(applied) {
            let early = self.waiting.reads.early.remove(&read.turn.arrival);
            let reply = early.unwrap_or_else(|| {
                self.applied
                    .machine()
                    .query_drawing(&read.request.body, read.turn.arrival)
            });
            (count, bytes) = (count + 1, bytes + reply.weight());
            self.show_index_to(&read);
            self.answer(read.origin, Outcome::Done(reply));
            self.read_is_over(read.turn);
            if count >= READS_PER_ROUND || bytes >= REPLY_BYTES_PER_ROUND {
                self.waiting.reads.is_cut_short = true;
                return;
            }
        }
    }

    /// A read is answered, or begins again elsewhere.
    pub(super) fn read_is_over(&mut self, turn: Turn) {
        self.waiting.reads.early.remove(&turn.arrival);
        self.waiting.order.read_over(turn);
        self.go_on(turn);
    }

    /// Leadership is lost: what is not confirmed is asked elsewhere. A read behind which a write of its connection was
    /// appended is refused: the next leader may have applied that write, and so may this node before the read is due.
    pub(super) fn interrupt_reads(&mut self) {
        let (order, early) = (&self.waiting.order, std::mem::take(&mut self.waiting.reads.early));
        let is_overtaken =
            |read: &Pending| early.contains_key(&read.turn.arrival) || order.is_overtaken(read.turn);
        let confirmed = self.waiting.reads.take_confirmed(is_overtaken);
        let unconfirmed = self.waiting.reads.interrupt();
        let (overtaken, others): (Vec<_>, Vec<_>) = unconfirmed.into_iter().partition(is_overtaken);
        for read in confirmed.iter().chain(&overtaken) {
            self.answer(read.origin, Outcome::Refused(Refusal::ReadTimeout));
        }
        for read in confirmed.iter().chain(&overtaken).chain(&others) {
            self.read_is_over(read.turn);
        }
        self.waiting.queued.requeue(others.into_iter());
    }
}
