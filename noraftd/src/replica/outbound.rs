//! The core's actions become one batch, and messages that wait for it.
//!
//! Invariant: nothing that promises durability leaves before the batch that makes it true. (A leader's AppendEntries
//! may, see `replication`.)

use noraft::{Actions, LogEntries, LogEntry, LogPosition, Message, NodeId};

use crate::protocol::peer::PeerMessage;
use crate::record::{Append, HardState, Record, RecordKind, encode_config};

use super::Replica;
use super::event::Output;

impl Replica {
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
            // The core gives out what it appended though a later message has cut it off again.
            self.durability.cut(self.node.log().last_position().index);
            self.outputs.push(Output::Persist(batch));
        } else if has_changed {
            let vote = self.durability.begin_vote(self.now, state, held);
            self.outputs.push(vote);
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
                .push(self.durability.begin_vote(self.now, state, held));
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
        if self.node.log().latest_config() != &self.leadership.fitted_to {
            self.leadership.fitted_to = self.node.log().latest_config().clone();
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
        if let Some(record) = self.content.payloads.get(position) {
            return record.clone();
        }
        let (kind, payload) = match entry {
            LogEntry::Term(_) => (RecordKind::Term, bytes::Bytes::new()),
            LogEntry::ClusterConfig(config) => (RecordKind::Config, encode_config(config)),
            LogEntry::Command => panic!("the payload of the command at {position:?} was never given"),
        };
        let record = Record::new(position, kind, self.clock.stamp(), payload);
        self.content.keep(record.clone());
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
}
