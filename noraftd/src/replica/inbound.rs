//! What arrives: at once, or when the sync in flight has returned.
//!
//! Invariant: the core is fed only while no sync is in flight, so that its own entries are durable before any
//! reply that could commit them counts. Two things are exceptions: a reply that acknowledges nothing beyond
//! what is already durable here, and a vote request, which commits nothing.

use noraft::{LogEntries, LogIndex, LogPosition, Message, NodeGeneration, NodeId, Term};

use crate::protocol::peer::PeerMessage;
use crate::record::{BatchId, Record};

use super::Replica;
use super::deferred::{Acknowledgement, AppendHead, Deferred, Pulse, VoteRequest};
use super::event::{Input, Room};
use super::snapshots::Part;

/// Most peer messages fed before the actions are drained: bounds what one batch can grow to.
const FEED_MAX: usize = 1024;

impl Replica {
    pub(super) fn accept(&mut self, input: Input) {
        match input {
            Input::Deadline => {}
            Input::Peer { from, message } => self.accept_peer(from, message),
            Input::Connected { peer, features } => self.on_connected(peer, features),
            Input::Disconnected { peer } => self.on_disconnected(peer),
            Input::UrgentConnected { peer } => self.on_urgent_connected(peer),
            Input::UrgentDisconnected { peer } => self.on_urgent_disconnected(peer),
            Input::Client {
                id,
                connection,
                request,
            } => self.accept_client(id, connection, request),
            Input::StaleRead {
                id,
                connection,
                request,
                staleness_max,
            } => self.accept_stale_read(id, connection, request, staleness_max),
            Input::Synced(id) => self.on_synced(id),
            Input::VoteSynced => {
                let held = self.durability.complete_vote(self.now);
                self.outputs.extend(held);
            }
            Input::Room(room) => self.on_room(room),
            Input::Fetched { from, records } => self.on_fetched(from, records),
            Input::FetchFailed { from } => {
                self.on_fetched(from, Vec::new());
                self.note_hole(from);
            }
            Input::EntryDamaged { index } => self.note_hole(index),
            Input::TakeSnapshot => self.snapshots.want(),
            Input::ChangeVoters { id, voters } => self.accept_change(id, voters),
            Input::Transfer { id, to } => self.begin_transfer(id, to),
            Input::SnapshotSaved(saved) => {
                self.counts.snapshots_taken += u64::from(saved.is_some());
                self.snapshots.on_saved(self.now, saved);
            }
            Input::SnapshotRead {
                position,
                offset,
                bytes,
            } => self.sender().on_read(position, offset, bytes),
            Input::SnapshotReceived { id, received } => self.receiver().on_written(id, received),
        }
    }

    fn on_synced(&mut self, id: BatchId) {
        let held = self.durability.complete(self.now, id);
        self.transfers.note_synced();
        self.outputs.extend(held);
        self.note_patched(id);
    }

    fn accept_peer(&mut self, from: NodeId, message: PeerMessage) {
        if message.check_terms(self.node.current_term()).is_err() {
            // The shell ends the connection; here it must have no effect.
            return;
        }
        let compares = matches!(
            message,
            PeerMessage::Compare { .. } | PeerMessage::Compared { .. }
        );
        if self.agreement.is_wrong() && !compares {
            // Neither a vote nor an acknowledgement of this node is worth anything.
            return;
        }
        self.handle_peer(from, message);
    }

    /// Handles what does not touch the core; the rest goes to the inbox. (A table, an arm a message.)
    #[rustfmt::skip]
    fn handle_peer(&mut self, from: NodeId, message: PeerMessage) {
        match message {
            PeerMessage::PreVote { term, last_position, canvass, abstain } => {
                self.note_lacking(from, term, last_position, abstain);
                self.on_pre_vote(from, term, last_position, canvass);
            }
            PeerMessage::PreVoted { term, granted: true, abstain, canvass } =>
                self.on_pre_voted(from, term, abstain, canvass),
            PeerMessage::PreVoted { term, granted: false, .. } =>
                self.inbox.push(from, Deferred::PreVoteRefused { term }),
            PeerMessage::RequestVote { term, last_position, unanimous } =>
                self.on_request_vote(from, VoteRequest { term, last_position, unanimous }),
            PeerMessage::Vote { term, granted } => self.inbox.push(from, Deferred::Vote { term, granted }),
            PeerMessage::Append { term, commit_index, prev, chain, records, round, last_index } => {
                let head = AppendHead { term, commit_index, prev, chain, round, last_index };
                self.inbox.push(from, Deferred::Append(head, records));
            }
            PeerMessage::Appended { term, generation, last_position, round } =>
                self.on_appended(from, Acknowledgement { term, generation, last_position, round }),
            PeerMessage::Pulse { term, pulse, last_index } =>
                self.on_pulse(from, Pulse { term, pulse, last_index }),
            PeerMessage::Pulsed { term, pulse } => self.on_pulsed(from, term, pulse),
            PeerMessage::TimeoutNow { term, last_position } =>
                self.on_timeout_now(from, term, last_position),
            PeerMessage::Forward { id, boot, term, request } =>
                self.accept_forward(from, id, boot, term, request),
            PeerMessage::Forwarded { id, boot, outcome } => self.on_forwarded(id, boot, outcome),
            PeerMessage::SnapshotChunk { term, snapshot, chain, offset, bytes } =>
                self.receiver().on_chunk(from, term, (snapshot, chain), Part { offset, bytes }),
            PeerMessage::SnapshotReply { term, position, next } =>
                self.sender().on_reply(from, term, position, next),
            PeerMessage::RepairRequest { positions } => self.repair.on_request(from, positions),
            PeerMessage::Repair { base, records } => self.asker().on_answer(from, base, &records),
            PeerMessage::Compare { asks, prints } => self.comparer().on_compare(from, asks, &prints),
            PeerMessage::Compared { prints } => self.comparer().on_compared(from, &prints),
        }
    }

    /// It waits for the sync in flight, unless it may overtake that.
    fn on_request_vote(&mut self, from: NodeId, request: VoteRequest) {
        if self.may_overtake(request.unanimous) {
            self.feed_request_vote(from, &request);
            self.drain_vote(from);
        } else {
            self.inbox.push(from, Deferred::RequestVote(request));
        }
    }

    /// It waits for the sync in flight, unless that makes no difference.
    fn on_appended(&mut self, from: NodeId, reply: Acknowledgement) {
        self.note_follower(from, reply.term, reply.round);
        if self.durability.is_in_flight() && !self.is_safe_early(reply.term, reply.last_position) {
            self.note_faster(from, reply.term, reply.last_position);
            self.inbox.push(from, Deferred::Appended(reply));
        } else {
            self.feed_appended(from, &reply);
        }
    }

    /// Whether a vote request may overtake the batch in flight. The core compares with its whole log, so with
    /// what is in flight, too: what that batch acknowledges when it is durable, the candidate has. A leader's vote does
    /// wait: what it steps down from is in that batch.
    fn may_overtake(&self, unanimous: bool) -> bool {
        self.durability.may_overtake() && !self.is_leader() && self.may_vote(unanimous)
    }

    /// Liveness of a follower, and its confirmation of a read round, do not wait for our sync.
    fn note_follower(&mut self, from: NodeId, term: Term, round: u64) {
        if !self.is_leader() || term != self.node.current_term() {
            return;
        }
        if let Some(progress) = self.leadership.progress.get_mut(&from) {
            progress.on_heard(self.now, round);
        }
    }

    /// A reply that acknowledges nothing beyond our own durable log may be fed during a sync: whatever it
    /// commits, our part of that quorum is on disk. Saves a commit the wait for the next batch's sync.
    fn is_safe_early(&self, term: Term, tail: LogPosition) -> bool {
        self.is_leader()
            && term == self.node.current_term()
            && tail.index <= self.durability.durable_index()
            && !self.durability.hard_state_in_flight()
            && !self.node.config().is_joint_consensus()
    }

    pub(super) fn feed_inbox(&mut self) {
        for _ in 0..FEED_MAX {
            let Some((from, message)) = self.inbox.pop() else {
                break;
            };
            self.feed_deferred(from, message);
        }
        self.propose_queued();
        self.raise_by_itself();
        self.follow_members();
        self.expire_when_due();
        self.begin_changes();
    }

    fn feed_deferred(&mut self, from: NodeId, message: Deferred) {
        match message {
            Deferred::RequestVote(request) => self.feed_request_vote(from, &request),
            Deferred::Vote { term, granted } => self.feed_vote(from, term, granted),
            // A refusal teaches the refuser's term, or this node would ask for an old one forever.
            Deferred::PreVoteRefused { term } => self.adopt_later_term(from, term),
            Deferred::Append(head, records) => self.feed_append(from, &head, records),
            Deferred::Appended(reply) => self.feed_appended(from, &reply),
            Deferred::Pulse(pulse) => self.feed_pulse(from, pulse),
            Deferred::Pulsed { term, pulse } => self.feed_pulsed(from, term, pulse),
        }
    }

    fn feed_request_vote(&mut self, from: NodeId, request: &VoteRequest) {
        if self.may_vote(request.unanimous) {
            self.feed(&Message::RequestVoteCall {
                from,
                term: request.term,
                last_position: request.last_position,
            });
        }
    }

    fn feed_vote(&mut self, from: NodeId, term: Term, granted: bool) {
        self.feed(&Message::RequestVoteReply {
            from,
            term,
            vote_granted: granted,
        });
    }

    /// The core knows a later term (Raft 5.1), if `from` is in one.
    pub(super) fn adopt_later_term(&mut self, from: NodeId, term: Term) {
        if term > self.node.current_term() {
            self.feed_vote(from, term, false);
        }
    }

    /// Gives the core a message and notices what it did.
    pub(super) fn feed(&mut self, message: &Message) {
        // The only error is a leader whose log contradicts our snapshot; it leaves everything unchanged and
        // the message unanswered, which is all that can be done about a peer that broke the protocol.
        let _contradicts_snapshot = self.node.handle_message(message);
        self.follow_role_change();
    }

    fn feed_append(&mut self, from: NodeId, head: &AppendHead, mut records: Vec<Record>) {
        if self.space.room() == Room::Spent {
            // What is left is a heartbeat; the leader sends the records again.
            records.clear();
        }
        let AppendHead {
            term,
            commit_index,
            prev,
            chain,
            round,
            last_index,
        } = *head;
        if term >= self.node.current_term() && !self.continues_same(from, prev, chain) {
            return;
        }
        let Some(entries) = entries_of(prev, &records) else {
            return;
        };
        self.feed(&Message::AppendEntriesCall {
            from,
            term,
            commit_index,
            entries,
        });
        self.durability.cut(self.node.log().last_position().index);
        self.repair.forget_void(self.node.log());
        self.repair.take_from(self.node.log(), &records);
        if term != self.node.current_term() || self.is_leader() {
            return;
        }
        let known = self.leader() == Some(from);
        self.leadership.on_append_handled(from, round);
        let sent = records.last().map_or(prev, |record| record.position);
        let verified = self.node.log().entries().contains(sent).then_some(sent.index);
        self.elections
            .on_leader_heard(self.now, term, last_index, verified);
        self.keep_payloads(records);
        if !known {
            self.redirect_reads();
            self.go_on_all();
        }
    }

    /// Keeps the payloads of what the core took from a message; it took nothing that it has not queued.
    fn keep_payloads(&mut self, records: Vec<Record>) {
        let Some(pending) = &self.node.actions().append_log_entries else {
            return;
        };
        let anchor = pending.prev_position().index;
        for record in records {
            let position = record.position;
            if position.index > anchor && self.node.log().entries().contains(position) {
                self.clock.follow(record.stamp);
                self.content.keep(record);
            }
        }
    }

    fn feed_appended(&mut self, from: NodeId, reply: &Acknowledgement) {
        let Acknowledgement {
            term,
            last_position,
            round,
            ..
        } = *reply;
        let generation = NodeGeneration::new(reply.generation);
        self.feed(&Message::AppendEntriesReply {
            from,
            term,
            generation,
            last_position,
        });
        if !self.is_leader() || term != self.node.current_term() {
            return;
        }
        // What the core would send to this follower is decided here instead (see `progress`).
        let answer = self.node.actions_mut().send_messages.remove(&from);
        // The core does not believe that a follower has less than it acknowledged; after damage, it may.
        let lacks_covered = last_position.index < self.node.log().snapshot_position().index
            && self.leadership.echoed_last(from, round);
        if self.node.actions_mut().install_snapshots.remove(&from) || lacks_covered {
            self.sender().begin(from);
            return;
        }
        let (contained, tail) = (
            self.node.log().entries().contains(last_position),
            self.node.log().last_position(),
        );
        let Some(progress) = self.leadership.progress.get_mut(&from) else {
            return;
        };
        match answer {
            _ if contained => progress.on_match(last_position, round),
            Some(Message::AppendEntriesCall { entries, .. }) => {
                progress.on_divergence(entries.prev_position());
            }
            // A follower with a longer log differs at our tail. The core waits for its own heartbeat to say so,
            // which is at the tail; ours are where this follower's entries go on.
            None if last_position.index > tail.index => progress.on_divergence(tail),
            Some(_) | None => self.contradict(from, last_position, round),
        }
    }

    /// The follower has another entry where the core believes that it has ours: after damage, a log may end with what it had cut
    /// off before. It is contradicted there, as the core does with one that never had ours; where no entry can be
    /// common, it needs a snapshot.
    fn contradict(&mut self, from: NodeId, end: LogPosition, round: u64) {
        if !self.leadership.echoed_last(from, round) {
            return;
        }
        let anchor = first_other(self.node.log().entries(), end);
        let Some(progress) = self.leadership.progress.get_mut(&from) else {
            return;
        };
        match anchor {
            Some(anchor) => progress.on_divergence(anchor),
            None => self.sender().begin(from),
        }
    }
}

/// The first position at which a log that ends with `end` may differ from ours. None when it may differ before ours begins.
fn first_other(entries: &LogEntries, end: LogPosition) -> Option<LogPosition> {
    let first = entries.prev_position().index.get();
    let mut before = (first..=end.index.get()).rev().map(LogIndex::new);
    let shared = before.find(|index| entries.get_term(*index).is_some_and(|term| term <= end.term))?;
    let index = LogIndex::new(shared.get() + 1).min(end.index);
    Some(LogPosition::new(entries.get_term(index)?, index))
}

/// The core's view of the records after `prev`; `None` when they do not follow each other.
fn entries_of(prev: LogPosition, records: &[Record]) -> Option<LogEntries> {
    let mut entries = LogEntries::new(prev);
    for record in records {
        entries.push(record.to_entry()?);
        if entries.last_position() != record.position {
            return None;
        }
    }
    Some(entries)
}
