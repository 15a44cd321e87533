//! Snapshots (Raft 7): when to take one, when the log may begin later, sending and taking over.
//!
//! *Taking*: when as many bytes were applied as the last snapshot had, or as configured if that is more, the state
//! is cloned, which costs nothing, and written beside the commits. Two snapshots are kept, and the log begins at
//! the older: a damaged snapshot costs nothing, and a follower that lags a little needs entries only.
//!
//! *Sending*: a follower whose log ends before the leader's begins gets the newest snapshot in chunks, one at a time
//! and not faster than configured; it says how much it has, so a transfer goes on where it stopped, whatever was
//! lost. *Taking over*: when the file is whole and durable, the state is replaced at once, between two batches.
//!
//! Invariant: the log begins later only when the snapshot of that place is durable; nothing that is being sent is
//! removed; a follower's state is never a mixture.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use noraft::{LogIndex, LogPosition, NodeId, Term};

use crate::protocol::peer::PeerMessage;
use crate::record::{Base, SnapshotHead, SnapshotId};
use crate::time::Instant;

use super::Replica;
use super::event::{Output, Received, Snapshot};
use super::rebuild::Taken;
use crate::protocol::outcome::{Doubt, Outcome};

#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// The newest that is durable here.
    newest: Option<SnapshotId>,
    /// Bytes of entries applied since the newest, or since the one that is being written.
    bytes_since: u64,
    is_saving: bool,
    /// Somebody asked for one.
    is_wanted: bool,
    /// The log is to begin at the next one: entries before it are lost.
    is_covering: bool,
    /// After a failure, not before this.
    save_after: Instant,
    /// The log may begin here as soon as nothing older is being sent.
    compact_to: Option<LogPosition>,
    /// Where the log begins, for the next batch.
    new_base: Option<Base>,
    transfers: BTreeMap<NodeId, Transfer>,
    /// Whose chunk is being read.
    reading: Option<NodeId>,
    /// The rate allows the next chunk then.
    send_after: Instant,
    incoming: Option<Incoming>,
    /// Received, whole and durable.
    ready: Option<(SnapshotId, Box<Snapshot>)>,
}

/// A snapshot on its way to a follower.
#[derive(Debug)]
struct Transfer {
    id: SnapshotId,
    /// What the follower has.
    next: u64,
    /// When the chunk that is not answered yet was sent.
    sent: Option<Instant>,
    /// When the follower last had more than before.
    progressed: Instant,
}

/// A snapshot on its way to this node.
#[derive(Debug)]
struct Incoming {
    id: SnapshotId,
    /// What is written.
    next: u64,
    is_writing: bool,
    /// The chain of the log up to there, as the leader says it.
    chain: Option<u64>,
}

impl Snapshots {
    /// With what is durable here, if anything.
    pub(super) fn new(newest: Option<SnapshotId>) -> Self {
        Self {
            newest,
            ..Self::default()
        }
    }

    pub(super) fn newest(&self) -> Option<SnapshotId> {
        self.newest
    }

    /// An entry of this many bytes was applied.
    pub(super) fn on_applied(&mut self, bytes: usize) {
        self.bytes_since += (bytes + ENTRY_BYTES) as u64;
    }

    /// Where the log begins from the next batch on, if that changes.
    pub(super) fn take_base(&mut self) -> Option<Base> {
        self.new_base.take()
    }

    /// Leadership has changed: who leads now sends anew.
    pub(super) fn stop_sending(&mut self) {
        self.transfers.clear();
    }

    /// Who is no peer any more needs no snapshot, and the log need not be kept for it.
    pub(super) fn send_only_to(&mut self, peers: &[NodeId]) {
        self.transfers.retain(|id, _| peers.contains(id));
    }

    /// When something has to be sent again, or may be sent at last.
    pub(super) fn deadline(&self, resend: Duration) -> Option<Instant> {
        let due = |transfer: &Transfer| match (transfer.sent, self.reading) {
            (Some(sent), _) => Some(sent + resend),
            (None, None) => Some(self.send_after),
            (None, Some(_)) => None,
        };
        self.transfers.values().filter_map(due).min()
    }
}

impl Replica {
    /// Asks for a snapshot now, whatever the log's size.
    pub(super) fn want_snapshot(&mut self) {
        self.snapshots.is_wanted = true;
    }

    /// Asks for a snapshot at which the log is to begin.
    pub(super) fn cover_with_snapshot(&mut self) {
        if !self.snapshots.is_covering && self.snapshots.compact_to.is_none() {
            self.snapshots.is_covering = true;
            self.want_snapshot();
        }
    }

    /// Takes a snapshot when it is time for one.
    pub(super) fn take_snapshot(&mut self) {
        let due = self
            .snapshots
            .newest
            .map_or(0, |newest| newest.bytes)
            .max(self.config.snapshot_log_bytes);
        let wanted = self.snapshots.is_wanted || self.snapshots.bytes_since >= due;
        if !wanted || self.snapshots.is_saving || self.now < self.snapshots.save_after {
            return;
        }
        let applied = self.apply.applied_index();
        let held = self
            .snapshots
            .newest
            .map_or(LogIndex::ZERO, |newest| newest.position.index);
        let Some((position, config)) = self.node.log().get_position_and_config(applied) else {
            return;
        };
        self.snapshots.is_wanted = false;
        if applied <= held && !self.snapshots.is_covering {
            return;
        }
        let base = Base {
            position,
            config: config.clone(),
            chain: self.chain_at(position),
        };
        let stamp = self.apply.applied_stamp();
        (self.snapshots.is_saving, self.snapshots.bytes_since) = (true, 0);
        self.outputs.push_back(Output::SaveSnapshot(Box::new(Snapshot {
            head: SnapshotHead { base, stamp },
            machine: self.machine.clone(),
        })));
    }

    /// The snapshot is durable, or the disk had no room for it.
    pub(super) fn on_snapshot_saved(&mut self, saved: Option<SnapshotId>) {
        self.snapshots.is_saving = false;
        let Some(saved) = saved else {
            self.snapshots.is_wanted = true;
            self.snapshots.save_after = self.now + SAVE_AGAIN_AFTER;
            return;
        };
        let older = self.snapshots.newest.map(|newest| newest.position);
        let is_covering = std::mem::take(&mut self.snapshots.is_covering);
        let is_same = older == Some(saved.position);
        if older.is_some_and(|older| older.index >= saved.position.index) && !(is_covering && is_same) {
            // Another node's was taken over meanwhile; the store removes this one with what lies before.
            return;
        }
        self.snapshots.newest = Some(saved);
        self.snapshots.compact_to = if is_covering { Some(saved.position) } else { older };
    }

    /// Lets the log begin at the older of the two snapshots. Only while no sync is in flight.
    pub(super) fn compact(&mut self) {
        let is_sent = |to: LogPosition| {
            let mut transfers = self.snapshots.transfers.values();
            transfers.any(|transfer| transfer.id.position.index < to.index)
        };
        let Some(to) = self.snapshots.compact_to.take_if(|to| !is_sent(*to)) else {
            return;
        };
        if to.index <= self.node.log().snapshot_position().index {
            return;
        }
        let Some((position, config)) = self.node.log().get_position_and_config(to.index) else {
            return;
        };
        let mut base = Base {
            position,
            config: config.clone(),
            chain: None,
        };
        if self
            .node
            .handle_snapshot_installed(base.position, base.config.clone())
        {
            self.begin_chain_at(&mut base, true);
            self.snapshots.new_base = Some(base);
            self.forget_void_holes();
        }
    }

    /// A snapshot knows which configuration was in force there. If the log says another one, the entry that set it is
    /// damaged, and is applied: then the log begins behind it, or the next snapshot would hold a wrong one.
    pub(super) fn trust_snapshot(&mut self, mut base: Base) {
        let log = self.node.log();
        let is_known = log
            .get_position_and_config(base.position.index)
            .is_none_or(|(_, config)| *config == base.config);
        if is_known {
            return;
        }
        let (position, config) = (base.position, base.config.clone());
        if self.node.handle_snapshot_installed(position, config) {
            self.begin_chain_at(&mut base, true);
            self.snapshots.new_base = Some(base);
            self.forget_void_holes();
        }
    }

    /// A follower's log ends before this one begins: it needs a snapshot.
    pub(super) fn begin_transfer(&mut self, to: NodeId) {
        if self.snapshots.transfers.contains_key(&to) {
            return;
        }
        let base = self.node.log().snapshot_position();
        let Some(id) = self
            .snapshots
            .newest
            .filter(|newest| newest.position.index >= base.index)
        else {
            return;
        };
        if let Some(progress) = self.leadership.progress.get_mut(&to) {
            progress.on_snapshot(base);
            let transfer = Transfer {
                id,
                next: 0,
                sent: None,
                progressed: self.now,
            };
            self.snapshots.transfers.insert(to, transfer);
        }
    }

    /// Gives up what nobody answers, repeats what was lost, and has the next chunk read.
    pub(super) fn send_snapshots(&mut self) {
        if self.snapshots.transfers.is_empty() {
            return;
        }
        let (now, timeout) = (self.now, self.config.election_timeout);
        self.snapshots
            .transfers
            .retain(|_, transfer| now - transfer.progressed < timeout * GIVE_UP_AFTER);
        for transfer in self.snapshots.transfers.values_mut() {
            transfer.sent.take_if(|sent| now - *sent >= timeout);
        }
        if self.snapshots.reading.is_some() || now < self.snapshots.send_after {
            return;
        }
        let mut waiting = self.snapshots.transfers.iter();
        let next = waiting.find(|(_, transfer)| transfer.sent.is_none());
        let Some((to, transfer)) = next else { return };
        let (to, position, offset) = (*to, transfer.id.position, transfer.next);
        self.snapshots.reading = Some(to);
        self.outputs.push_back(Output::ReadSnapshot {
            position,
            offset,
            bytes_max: self.config.snapshot_chunk_bytes,
        });
    }

    /// A chunk was read (or cannot be, for the file is damaged or gone): it goes to whom it is for, if it still is what that one needs.
    pub(super) fn on_snapshot_read(&mut self, position: LogPosition, offset: u64, bytes: Option<Bytes>) {
        let Some(to) = self.snapshots.reading.take() else {
            return;
        };
        let term = self.node.current_term();
        let Some(transfer) = self.snapshots.transfers.get_mut(&to) else {
            return;
        };
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
            let lost = transfer.id;
            self.snapshots.transfers.remove(&to);
            if self.snapshots.newest == Some(lost) {
                // Damaged: the state is whole, so another one is taken, of the same entry if there is no later.
                self.snapshots.newest = None;
                self.want_snapshot();
            }
            return;
        };
        if (transfer.id.position, transfer.next) != (position, offset) {
            return;
        }
        transfer.sent = Some(self.now);
        let snapshot = transfer.id;
        let chain = self.chain.at(snapshot.position.index);
        let takes =
            Duration::from_secs(1).mul_f64(bytes.len() as f64 / self.config.snapshot_bytes_per_second as f64);
        self.snapshots.send_after = self.now + takes;
        self.send(
            to,
            PeerMessage::SnapshotChunk {
                term,
                snapshot,
                chain,
                offset,
                bytes,
            },
        );
    }

    /// A follower says how much of a snapshot it has.
    pub(super) fn on_snapshot_reply(&mut self, from: NodeId, term: Term, position: LogPosition, next: u64) {
        if !self.is_leader() || term != self.node.current_term() {
            return;
        }
        let Some(transfer) = self.snapshots.transfers.get_mut(&from) else {
            return;
        };
        if transfer.id.position != position {
            return;
        }
        transfer.sent = None;
        if next > transfer.next {
            transfer.progressed = self.now;
        }
        transfer.next = next;
        if next >= transfer.id.bytes {
            self.snapshots.transfers.remove(&from);
            if let Some(progress) = self.leadership.progress.get_mut(&from) {
                progress.ask();
            }
        }
    }

    /// A part of a snapshot arrives from the leader.
    pub(super) fn on_snapshot_chunk(
        &mut self,
        from: NodeId,
        term: Term,
        (id, chain): (SnapshotId, Option<u64>),
        offset: u64,
        bytes: Bytes,
    ) {
        if self.is_leader() || term != self.node.current_term() {
            return;
        }
        if id.position.index <= self.apply.applied_index() {
            self.answer_chunk(from, id, id.bytes);
            return;
        }
        if self.snapshots.ready.is_some() {
            return;
        }
        let known = self
            .snapshots
            .incoming
            .as_ref()
            .is_some_and(|incoming| incoming.id == id);
        let is_writing = self
            .snapshots
            .incoming
            .as_ref()
            .is_some_and(|incoming| incoming.is_writing);
        if is_writing {
            return;
        }
        if !known {
            let next = 0;
            self.snapshots.incoming = Some(Incoming {
                id,
                next,
                is_writing,
                chain,
            });
        }
        let incoming = self
            .snapshots
            .incoming
            .as_mut()
            .expect("it was put there if it was not");
        let fits = offset == incoming.next && !bytes.is_empty() && offset + bytes.len() as u64 <= id.bytes;
        if fits {
            incoming.is_writing = true;
            self.outputs
                .push_back(Output::ReceiveSnapshot { id, offset, bytes });
        } else {
            let next = incoming.next;
            self.answer_chunk(from, id, next);
        }
    }

    fn answer_chunk(&mut self, to: NodeId, id: SnapshotId, next: u64) {
        let term = self.node.current_term();
        let position = id.position;
        self.send(to, PeerMessage::SnapshotReply { term, position, next });
    }

    /// The disk has taken a part, or the last.
    pub(super) fn on_snapshot_received(&mut self, id: SnapshotId, received: Received) {
        let incoming = self
            .snapshots
            .incoming
            .take()
            .filter(|incoming| incoming.id == id);
        let Some(mut incoming) = incoming else { return };
        match received {
            Received::Part { next } => {
                (incoming.next, incoming.is_writing) = (next, false);
                self.snapshots.incoming = Some(incoming);
                self.answer_leader(id, next);
            }
            Received::Whole(mut snapshot) => {
                snapshot.head.base.chain = incoming.chain;
                self.snapshots.ready = Some((id, snapshot));
                self.answer_leader(id, id.bytes);
            }
            // From the beginning, when the leader sends again: that long there may be no room.
            Received::Failed => {}
        }
    }

    fn answer_leader(&mut self, id: SnapshotId, next: u64) {
        if let Some(leader) = self.leader().filter(|leader| *leader != self.config.id) {
            self.answer_chunk(leader, id, next);
        }
    }

    /// Takes over a state that was received. Only while no sync is in flight.
    pub(super) fn install_snapshot(&mut self) {
        let Some((id, snapshot)) = self.snapshots.ready.take() else {
            return;
        };
        let (position, applied) = (snapshot.head.base.position, self.apply.applied_index());
        if position.index <= applied {
            return;
        }
        let is_kept = self.node.log().entries().contains(position);
        match self.begin_log_at(&snapshot.head.base) {
            Taken::Yes => {}
            Taken::Refused => return,
            Taken::Later => {
                self.snapshots.ready = Some((id, snapshot));
                return;
            }
        }
        let Snapshot { mut head, machine } = *snapshot;
        self.begin_chain_at(&mut head.base, is_kept);
        if !is_kept {
            self.payloads.clear();
            self.durability.cut(applied);
        }
        self.machine = machine;
        self.apply.restore(position.index, head.stamp);
        self.known_config = self.node.log().latest_config().clone();
        self.give_up_covered(position.index);
        self.snapshots.newest = Some(id);
        (self.snapshots.bytes_since, self.snapshots.compact_to) = (0, None);
        self.snapshots.is_covering = false;
        self.snapshots.new_base = Some(head.base);
        self.forget_void_holes();
    }

    /// What became of entries that a snapshot covers, nobody here can say.
    fn give_up_covered(&mut self, index: LogIndex) {
        while let Some(proposal) = self.proposals.pop_covered(index) {
            self.answer(proposal.origin, Outcome::Indefinite(Doubt::LeadershipLost));
            self.order.tidy(proposal.turn, index, self.now);
        }
        self.give_up_covered_changes(index);
    }
}

/// What an entry costs in the log beside its payload.
const ENTRY_BYTES: usize = 40;
/// A disk without room may have some later.
const SAVE_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Election timeouts after which a transfer that makes no progress is given up, so that the log can be compacted.
const GIVE_UP_AFTER: u32 = 20;
