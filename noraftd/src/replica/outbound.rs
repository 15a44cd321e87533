//! What leaves: the core's actions become one batch and messages; replication to each peer.
//!
//! Invariant: nothing that promises durability leaves before the batch that makes it true; a leader's
//! AppendEntries may (Raft thesis 10.2.1), once its term and vote are durable. No AppendEntries leave while the disk
//! is stalled, and none without entries while a leader without room keeps silent: whatever asks for them (a
//! heartbeat, a read, a change of the voters, a new connection), each would keep the leader in office.

use noraft::{Actions, LogEntries, LogEntry, LogPosition, Message, NodeId};

use crate::protocol::peer::PeerMessage;
use crate::record::{Append, HardState, Record, RecordKind, encode_config};

use super::Replica;
use super::event::Output;

/// Most records in one message to a peer.
const RECORDS_PER_MESSAGE_MAX: usize = 4096;

impl Replica {
    pub(super) fn send(&mut self, to: NodeId, message: PeerMessage) {
        self.outputs.push_back(Output::Send { to, message });
    }

    /// Turns the core's actions into a batch; what must wait for its sync is held.
    pub(super) fn drain_actions(&mut self) {
        let actions = std::mem::take(self.node.actions_mut());
        let has_changed = actions.save_current_term || actions.save_voted_for;
        if actions.set_election_timeout && !self.is_leader() {
            self.arm_election_after(has_changed);
        }
        let state = self.hard_state();
        let append = actions
            .append_log_entries
            .as_ref()
            .map(|entries| self.append_of(entries));
        let held = self.messages_of(actions);
        let base = self.snapshots.take_base();
        if base.is_some() || append.is_some() {
            let hard_state = (has_changed || self.durability.is_vote_apart()).then_some(state);
            let batch = self.durability.begin(self.now, hard_state, base, append, held);
            self.outputs.push_back(Output::Persist(batch));
        } else if has_changed {
            let vote = self.durability.begin_vote(self.now, state, held);
            self.outputs.push_back(vote);
        } else {
            self.outputs.extend(held);
        }
    }

    fn hard_state(&self) -> HardState {
        HardState::new(self.node.current_term(), self.node.voted_for())
    }

    /// Takes the answer to a candidate out of the core while a batch is in flight, and what it has to be durable for.
    pub(super) fn drain_vote(&mut self, candidate: NodeId) {
        let actions = self.node.actions_mut();
        let saves_term = std::mem::take(&mut actions.save_current_term);
        let has_changed = std::mem::take(&mut actions.save_voted_for) || saves_term;
        let is_timer_set = std::mem::take(&mut actions.set_election_timeout);
        let reply = actions.send_messages.remove(&candidate);
        if is_timer_set {
            self.arm_election_after(has_changed);
        }
        let reply = reply.and_then(|reply| self.reply_of(candidate, &reply));
        let reply = reply.map(|message| Output::Send {
            to: candidate,
            message,
        });
        if has_changed {
            let (state, held) = (self.hard_state(), reply.into_iter().collect());
            self.outputs
                .push_back(self.durability.begin_vote(self.now, state, held));
        } else if let Some(reply) = reply {
            // The term that it names may be in the batch.
            self.outputs.extend(self.durability.hold(reply));
        }
    }

    fn append_of(&mut self, entries: &LogEntries) -> Append {
        let records = entries
            .iter_with_positions()
            .map(|(at, entry)| self.record_of(at, &entry))
            .collect();
        if self.node.log().latest_config() != &self.known_config {
            self.known_config = self.node.log().latest_config().clone();
            self.follow_membership();
        }
        Append {
            prev: entries.prev_position(),
            records,
        }
    }

    /// Makes the records of entries that the core has appended by itself, before any command follows them: payloads
    /// are kept in a row.
    pub(super) fn keep_own_records(&mut self) {
        if !self.is_leader() {
            return;
        }
        let pending = self.node.actions().append_log_entries.clone();
        for (at, entry) in pending.iter().flat_map(LogEntries::iter_with_positions) {
            self.record_of(at, &entry);
        }
    }

    /// The record of an entry that the core appended: its payload is in memory, or follows from the entry.
    fn record_of(&mut self, position: LogPosition, entry: &LogEntry) -> Record {
        if let Some(record) = self.payloads.get(position) {
            return record.clone();
        }
        let (kind, payload) = match entry {
            LogEntry::Term(_) => (RecordKind::Term, bytes::Bytes::new()),
            LogEntry::ClusterConfig(config) => (RecordKind::Config, encode_config(config)),
            LogEntry::Command => panic!("the payload of the command at {position:?} was never given"),
        };
        let record = Record::new(position, kind, self.stamp, payload);
        self.keep_record(record.clone());
        record
    }

    /// The core's messages in our words. AppendEntries are left to [`Self::replicate`].
    fn messages_of(&mut self, actions: Actions) -> Vec<Output> {
        let mut out = Vec::new();
        if let Some(Message::RequestVoteCall {
            term, last_position, ..
        }) = actions.broadcast_message
        {
            let unanimous = self.elections.is_unanimous();
            let message = PeerMessage::RequestVote {
                term,
                last_position,
                unanimous,
            };
            out.extend(self.node.peers().map(|to| Output::Send {
                to,
                message: message.clone(),
            }));
        }
        for (to, message) in actions.send_messages {
            out.extend(
                self.reply_of(to, &message)
                    .map(|message| Output::Send { to, message }),
            );
        }
        out
    }

    fn reply_of(&self, to: NodeId, message: &Message) -> Option<PeerMessage> {
        match message {
            Message::RequestVoteReply {
                term, vote_granted, ..
            } => Some(PeerMessage::Vote {
                term: *term,
                granted: *vote_granted,
            }),
            Message::AppendEntriesReply {
                term,
                generation,
                last_position,
                ..
            } => Some(PeerMessage::Appended {
                term: *term,
                generation: generation.get(),
                last_position: self.acknowledgeable(*last_position),
                round: self.leadership.handled_round(to, *term),
            }),
            Message::RequestVoteCall { .. } | Message::AppendEntriesCall { .. } => None,
        }
    }

    /// Sends each peer what it lacks, as far as its window allows, and heartbeats that are due.
    pub(super) fn replicate(&mut self) {
        if !self.is_leader() {
            return;
        }
        self.check_heartbeat();
        if self.durability.hard_state_in_flight() || self.is_stalled() {
            return;
        }
        self.send_pulses();
        let peers: Vec<NodeId> = self.leadership.progress.keys().copied().collect();
        for peer in peers {
            while self.send_entries(peer) {}
            if !self.is_silent() {
                self.send_empty(peer);
            }
        }
    }

    /// True while the others are to hear nothing that keeps this leader in office.
    pub(super) fn is_holding_back(&self) -> bool {
        self.is_stalled() || self.is_silent()
    }

    /// True while the disk has not answered for so long that this leader may be of no use any more.
    fn is_stalled(&self) -> bool {
        let since = self.durability.in_flight_since();
        since.is_some_and(|since| self.now - since >= self.config.disk_stall_max)
    }

    fn check_heartbeat(&mut self) {
        if !self.timers.heartbeat_due(self.now) {
            return;
        }
        self.timers
            .arm_heartbeat(self.now + self.config.heartbeat_interval);
        if !self.is_holding_back() {
            self.leadership.want_round();
            self.pulses.want();
        }
    }

    /// Sends one message of entries; false when there is nothing to send, no room, or no payload in memory.
    fn send_entries(&mut self, to: NodeId) -> bool {
        let config = &self.config;
        let Some(progress) = self.leadership.progress.get(&to) else {
            return false;
        };
        let prev = progress.next();
        let open = progress.may_send(config.in_flight_bytes_max, config.in_flight_messages_max);
        if !open || prev == self.node.log().last_position() {
            return false;
        }
        let (records, bytes) = self.records_after(prev);
        let Some(last) = records.last().map(|record| record.position) else {
            return false;
        };
        let round = self.leadership.next_round();
        let progress = self.leadership.progress.get_mut(&to).expect("it was there above");
        progress.on_sent(round, last, bytes);
        let message = self.append_message(prev, records, round);
        self.send(to, message);
        true
    }

    fn send_empty(&mut self, to: NodeId) {
        let mut wanted = self.leadership.round_wanted;
        if !self.pulses.reach(to) {
            wanted = wanted.max(self.leadership.read_round_wanted);
        }
        let Some(progress) = self
            .leadership
            .progress
            .get(&to)
            .filter(|peer| peer.wants_empty(wanted))
        else {
            return;
        };
        let prev = progress.next();
        let round = self.leadership.next_round();
        let progress = self.leadership.progress.get_mut(&to).expect("it was there above");
        progress.on_sent_empty(round);
        let message = self.append_message(prev, Vec::new(), round);
        self.send(to, message);
    }

    fn append_message(&self, prev: LogPosition, records: Vec<Record>, round: u64) -> PeerMessage {
        PeerMessage::Append {
            term: self.node.current_term(),
            // Never more than this node has on disk: a lone voter commits before its own sync.
            commit_index: self.apply_target(),
            prev,
            chain: self.chain_at(prev),
            records,
            round,
            last_index: self.node.log().last_position().index,
        }
    }

    /// Consecutive records after `prev` that are in memory, up to one batch's worth.
    fn records_after(&self, prev: LogPosition) -> (Vec<Record>, usize) {
        let (mut records, mut bytes) = (Vec::new(), 0);
        let mut index = prev.index;
        while bytes < self.config.batch_bytes_max && records.len() < RECORDS_PER_MESSAGE_MAX {
            let next = crate::record::next_index(index).and_then(|index| self.position_at(index));
            let Some(record) = next.and_then(|position| self.payloads.get(position)) else {
                break;
            };
            bytes += record.payload.len();
            index = record.position.index;
            records.push(record.clone());
        }
        (records, bytes)
    }
}
