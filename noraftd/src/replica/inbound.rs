//! What arrives: at once, or when the sync in flight has returned.
//!
//! Invariant: the core is fed only while no sync is in flight, so that its own entries are durable before any
//! reply that could commit them counts. Two things are exceptions: a reply that acknowledges nothing beyond
//! what is already durable here, and a vote request, which commits nothing.

use noraft::{LogEntries, LogIndex, LogPosition, Message, NodeGeneration, NodeId, Term};

use crate::protocol::peer::PeerMessage;
use crate::record::{BatchId, Record};

use super::Replica;
use super::event::{Input, Room};

/// Most peer messages fed before the actions are drained: bounds what one batch can grow to.
const FEED_MAX: usize = 1024;

/// Most peer messages that wait for a sync; a leader has at most 64 with entries in flight to us.
const INBOX_MAX: usize = 4096;

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
            Input::TakeSnapshot => self.want_snapshot(),
            Input::ChangeVoters { id, voters } => self.accept_change(id, voters),
            Input::SnapshotSaved(saved) => self.on_snapshot_saved(saved),
            Input::SnapshotRead {
                position,
                offset,
                bytes,
            } => self.on_snapshot_read(position, offset, bytes),
            Input::SnapshotReceived { id, received } => self.on_snapshot_received(id, received),
        }
    }

    fn on_synced(&mut self, id: BatchId) {
        let held = self.durability.complete(self.now, id);
        self.outputs.extend(held);
        self.note_patched(id);
    }

    /// Handles what does not touch the core; the rest goes to the inbox.
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
        match message {
            PeerMessage::PreVote {
                term,
                last_position,
                canvass,
                abstain,
            } => {
                self.note_lacking(from, term, last_position, abstain);
                self.on_pre_vote(from, term, last_position, canvass);
            }
            PeerMessage::PreVoted {
                term,
                granted: true,
                abstain,
                canvass,
            } => {
                self.on_pre_voted(from, term, abstain, canvass);
            }
            PeerMessage::Forward {
                id,
                boot,
                term,
                request,
            } => {
                self.accept_forward(from, id, boot, term, request);
            }
            PeerMessage::Forwarded { id, boot, outcome } => self.on_forwarded(id, boot, outcome),
            PeerMessage::RepairRequest { positions } => self.on_repair_request(from, positions),
            PeerMessage::Repair { base, records } => self.on_repair(from, base, &records),
            PeerMessage::Compare { asks, prints } => self.on_compare(from, asks, &prints),
            PeerMessage::Compared { prints } => self.on_compared(from, &prints),
            PeerMessage::SnapshotChunk {
                term,
                snapshot,
                chain,
                offset,
                bytes,
            } => self.on_snapshot_chunk(from, term, (snapshot, chain), offset, bytes),
            PeerMessage::SnapshotReply { term, position, next } => {
                self.on_snapshot_reply(from, term, position, next);
            }
            PeerMessage::Appended {
                term,
                round,
                last_position,
                ..
            } => {
                self.note_follower(from, term, round);
                if self.durability.is_in_flight() && !self.is_safe_early(term, last_position) {
                    self.keep_for_later(from, message);
                } else {
                    self.feed_peer(from, message);
                }
            }
            PeerMessage::Pulse { .. } | PeerMessage::Pulsed { .. } => self.accept_pulse(from, message),
            PeerMessage::RequestVote { .. }
            | PeerMessage::Vote { .. }
            | PeerMessage::Append { .. }
            | PeerMessage::PreVoted { granted: false, .. } => self.accept_for_core(from, message),
        }
    }

    /// What only the core can handle waits for the sync in flight, but for a vote request that may overtake it.
    fn accept_for_core(&mut self, from: NodeId, message: PeerMessage) {
        match message {
            PeerMessage::RequestVote { unanimous, .. } if self.may_overtake(unanimous) => {
                self.feed_peer(from, message);
                self.drain_vote(from);
            }
            waits => self.keep_for_later(from, waits),
        }
    }

    /// Whether a vote request may overtake the batch in flight. The core compares with its whole log, so with
    /// what is in flight, too: what that batch acknowledges when it is durable, the candidate has. A leader's vote does
    /// wait: what it steps down from is in that batch.
    fn may_overtake(&self, unanimous: bool) -> bool {
        self.durability.may_overtake() && !self.is_leader() && self.may_vote(unanimous)
    }

    /// Raft tolerates the loss of a message; memory does not tolerate a disk that stalls for minutes.
    pub(super) fn keep_for_later(&mut self, from: NodeId, message: PeerMessage) {
        if self.inbox.len() < INBOX_MAX {
            self.inbox.push_back((from, message));
        }
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
            let Some((from, message)) = self.inbox.pop_front() else {
                break;
            };
            self.feed_peer(from, message);
        }
        self.propose_queued();
        self.begin_changes();
    }

    fn feed_peer(&mut self, from: NodeId, message: PeerMessage) {
        match message {
            PeerMessage::RequestVote {
                term,
                last_position,
                unanimous,
            } => {
                if self.may_vote(unanimous) {
                    self.feed(&Message::RequestVoteCall {
                        from,
                        term,
                        last_position,
                    });
                }
            }
            PeerMessage::Vote { term, granted } => {
                self.feed(&Message::RequestVoteReply {
                    from,
                    term,
                    vote_granted: granted,
                });
            }
            PeerMessage::PreVoted { term, .. } => {
                // A refusal teaches the refuser's term, or this node would ask for an old one forever.
                if term > self.node.current_term() {
                    self.feed(&Message::RequestVoteReply {
                        from,
                        term,
                        vote_granted: false,
                    });
                }
            }
            PeerMessage::Append {
                term,
                commit_index,
                prev,
                chain,
                records,
                round,
                last_index,
            } => {
                let head = AppendHead {
                    term,
                    commit_index,
                    prev,
                    chain,
                    round,
                    last_index,
                };
                self.feed_append(from, head, records);
            }
            PeerMessage::Appended {
                term,
                generation,
                last_position,
                round,
            } => {
                self.feed_appended(from, term, generation, last_position, round);
            }
            PeerMessage::Pulse { .. } | PeerMessage::Pulsed { .. } => self.feed_pulse(from, message),
            PeerMessage::PreVote { .. }
            | PeerMessage::Forward { .. }
            | PeerMessage::Forwarded { .. }
            | PeerMessage::SnapshotChunk { .. }
            | PeerMessage::SnapshotReply { .. }
            | PeerMessage::RepairRequest { .. }
            | PeerMessage::Repair { .. }
            | PeerMessage::Compare { .. }
            | PeerMessage::Compared { .. } => {
                unreachable!("handled on arrival");
            }
        }
    }

    /// Gives the core a message and notices what it did.
    pub(super) fn feed(&mut self, message: &Message) {
        // The only error is a leader whose log contradicts our snapshot; it leaves everything unchanged and
        // the message unanswered, which is all that can be done about a peer that broke the protocol.
        let _contradicts_snapshot = self.node.handle_message(message);
        self.follow_role_change();
    }

    /// A leader that can take no more proposals lets the others elect, once: one of them may have room.
    fn on_room(&mut self, room: Room) {
        let runs_low = self.room == Room::Plenty && room != Room::Plenty;
        if runs_low && self.is_leader() {
            let until = self.now + 2 * self.config.election_timeout;
            self.silent = Some((self.node.current_term(), until));
        }
        self.room = room;
    }

    /// True while this leader sends no heartbeats for want of room.
    pub(super) fn is_silent(&self) -> bool {
        self.silent
            .is_some_and(|(term, until)| term == self.node.current_term() && self.now < until)
    }

    fn feed_append(&mut self, from: NodeId, head: AppendHead, mut records: Vec<Record>) {
        if self.room == Room::Spent {
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
        } = head;
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
        self.forget_void_holes();
        self.repair_from(&records);
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
                self.keep_record(record);
            }
        }
    }

    fn feed_appended(
        &mut self,
        from: NodeId,
        term: Term,
        generation: u64,
        last_position: LogPosition,
        round: u64,
    ) {
        let generation = NodeGeneration::new(generation);
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
            self.begin_transfer(from);
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
            Some(_) | None => {}
        }
    }
}

/// An AppendEntries without its records.
struct AppendHead {
    term: Term,
    commit_index: LogIndex,
    prev: LogPosition,
    chain: Option<u64>,
    round: u64,
    last_index: LogIndex,
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
