//! From a leader to its peers: entries as far as each one's window allows, heartbeats, pulses.
//!
//! Invariant: a leader's AppendEntries may leave before its own sync (Raft thesis 10.2.1), once its term and vote are
//! durable. None leave while the disk is stalled, and none without entries while a leader without room keeps silent:
//! whatever asks for them (a heartbeat, a read, a change of the voters, a new connection), each would keep the leader in
//! office.

use noraft::{LogIndex, LogPosition, Node, NodeId};

use crate::protocol::peer::PeerMessage;
use crate::record::{Record, next_index};

use super::content::{Content, position_at};
use super::leadership::Leadership;
use super::outputs::Outputs;
use super::pulses::Pulses;
use super::{Replica, ReplicaConfig};

/// Most records in one message to a peer.
const RECORDS_PER_MESSAGE_MAX: usize = 4096;

/// Sends what peers lack: reads the log, and changes only what is known to be on its way.
struct Replicator<'a> {
    config: &'a ReplicaConfig,
    node: &'a Node,
    content: &'a Content,
    /// What followers may apply: never more than this node has on disk, for a lone voter commits before its own sync.
    commit_index: LogIndex,
    leadership: &'a mut Leadership,
    pulses: &'a mut Pulses,
    outputs: &'a mut Outputs,
}

impl Replica {
    /// Sends each peer what it lacks, as far as its window allows, and heartbeats that are due.
    pub(super) fn replicate(&mut self) {
        if !self.is_leader() {
            return;
        }
        self.check_heartbeat();
        if self.durability.hard_state_in_flight() || self.is_stalled() {
            return;
        }
        let is_silent = self.is_silent();
        self.replicator().send_all(is_silent);
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

    fn replicator(&mut self) -> Replicator<'_> {
        Replicator {
            commit_index: self.apply_target(),
            config: &self.config,
            node: &self.node,
            content: &self.content,
            leadership: &mut self.leadership,
            pulses: &mut self.pulses,
            outputs: &mut self.outputs,
        }
    }
}

impl Replicator<'_> {
    fn send_all(&mut self, is_silent: bool) {
        self.send_pulses();
        let peers: Vec<NodeId> = self.leadership.progress.keys().copied().collect();
        for peer in peers {
            while self.send_entries(peer) {}
            if !is_silent {
                self.send_empty(peer);
            }
        }
    }

    /// Sends the pulse that is wanted, to all peers that are sent pulses.
    fn send_pulses(&mut self) {
        let Some(pulse) = self.pulses.take_wanted() else {
            return;
        };
        let message = PeerMessage::Pulse {
            term: self.node.current_term(),
            pulse,
            last_index: self.node.log().last_position().index,
        };
        let peers = self.leadership.progress.keys().copied();
        let peers: Vec<NodeId> = peers.filter(|peer| self.pulses.reach(*peer)).collect();
        for peer in peers {
            self.outputs.send(peer, message.clone());
        }
    }

    /// Sends one message of entries; false when there is nothing to send, no room, or no payload in memory.
    fn send_entries(&mut self, to: NodeId) -> bool {
        let config = self.config;
        let Some(progress) = self.leadership.progress.get(&to) else {
            return false;
        };
        let prev = progress.next();
        let open = progress.may_send(
            config.limits.in_flight_bytes_max,
            config.limits.in_flight_messages_max,
        );
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
        progress.on_shown(self.commit_index);
        let message = self.append_message(prev, records, round);
        self.outputs.send(to, message);
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
        progress.on_shown(self.commit_index);
        let message = self.append_message(prev, Vec::new(), round);
        self.outputs.send(to, message);
    }

    fn append_message(&self, prev: LogPosition, records: Vec<Record>, round: u64) -> PeerMessage {
        PeerMessage::Append {
            term: self.node.current_term(),
            commit_index: self.commit_index,
            prev,
            chain: self.content.chain_at(self.node.log(), prev),
            records,
            round,
            last_index: self.node.log().last_position().index,
        }
    }

    /// Consecutive records after `prev` that are in memory, up to one batch's worth. Of what has rotted there, the others would
    /// refuse the message and the connection, again and again.
    fn records_after(&self, prev: LogPosition) -> (Vec<Record>, usize) {
        let (mut records, mut bytes) = (Vec::new(), 0);
        let mut index = prev.index;
        while bytes < self.config.limits.batch_bytes_max && records.len() < RECORDS_PER_MESSAGE_MAX {
            let next = next_index(index).and_then(|index| position_at(self.node.log(), index));
            let Some(record) = next.and_then(|position| self.content.payloads.intact(position)) else {
                break;
            };
            bytes += record.payload.len();
            index = record.position.index;
            records.push(record.clone());
        }
        (records, bytes)
    }
}
