//! Snapshots on their way to followers whose logs end before this node's begins.
//!
//! Invariant: one chunk at a time is read, and one a follower is on its way; a follower says how much it has, so a
//! transfer goes on where it stopped, whatever was lost.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use noraft::{LogPosition, Node, NodeId, Term};

use crate::chain::Chain;
use crate::protocol::peer::PeerMessage;
use crate::record::SnapshotId;
use crate::replica::event::Output;
use crate::replica::notes::{Note, Notes};
use crate::replica::outputs::Outputs;
use crate::replica::progress::Progress;
use crate::replica::{Replica, ReplicaConfig};
use crate::time::Instant;

use super::Snapshots;

/// All that is being sent.
#[derive(Debug, Default)]
pub(super) struct Sending {
    pub(super) transfers: BTreeMap<NodeId, Transfer>,
    /// Whose chunk is being read.
    reading: Option<NodeId>,
    /// The rate allows the next chunk then.
    send_after: Instant,
}

/// A snapshot on its way to a follower.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) id: SnapshotId,
    /// What the follower has.
    next: u64,
    chunk: Chunk,
    /// When the follower last had more than before.
    progressed: Instant,
}

/// What becomes of the chunk that the follower needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// It is to be read and sent.
    Due,
    /// It was sent then, and is not answered yet.
    Sent(Instant),
}

impl Sending {
    /// When something has to be sent again, or may be sent at last.
    pub(super) fn deadline(&self, resend: Duration) -> Option<Instant> {
        let due = |transfer: &Transfer| match (transfer.chunk, self.reading) {
            (Chunk::Sent(sent), _) => Some(sent + resend),
            (Chunk::Due, None) => Some(self.send_after),
            (Chunk::Due, Some(_)) => None,
        };
        self.transfers.values().filter_map(due).min()
    }
}

/// Sends snapshots: reads the log, and changes only what is on its way.
pub(in crate::replica) struct Sender<'a> {
    config: &'a ReplicaConfig,
    now: Instant,
    node: &'a Node,
    chain: &'a Chain,
    progress: &'a mut BTreeMap<NodeId, Progress>,
    snapshots: &'a mut Snapshots,
    notes: &'a mut Notes,
    outputs: &'a mut Outputs,
}

impl Replica {
    pub(in crate::replica) fn sender(&mut self) -> Sender<'_> {
        Sender {
            config: &self.config,
            now: self.now,
            node: &self.node,
            chain: &self.content.chain,
            progress: &mut self.leadership.progress,
            snapshots: &mut self.snapshots,
            notes: &mut self.notes,
            outputs: &mut self.outputs,
        }
    }
}

impl Sender<'_> {
    /// A follower's log ends before this one begins: it needs a snapshot.
    pub(in crate::replica) fn begin(&mut self, to: NodeId) {
        if self.snapshots.sending.transfers.contains_key(&to) {
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
        if let Some(progress) = self.progress.get_mut(&to) {
            progress.on_snapshot(base);
            let transfer = Transfer {
                id,
                next: 0,
                chunk: Chunk::Due,
                progressed: self.now,
            };
            self.snapshots.sending.transfers.insert(to, transfer);
        }
    }

    /// Gives up what is not answered, repeats what was lost, and has the next chunk read.
    pub(in crate::replica) fn send_due(&mut self) {
        if self.snapshots.sending.transfers.is_empty() {
            return;
        }
        let (now, timeout) = (self.now, self.config.election_timeout);
        self.snapshots
            .sending
            .transfers
            .retain(|_, transfer| now - transfer.progressed < timeout * GIVE_UP_AFTER);
        for transfer in self.snapshots.sending.transfers.values_mut() {
            if let Chunk::Sent(sent) = transfer.chunk
                && now - sent >= timeout
            {
                transfer.chunk = Chunk::Due;
            }
        }
        if self.snapshots.sending.reading.is_some() || now < self.snapshots.sending.send_after {
            return;
        }
        let mut waiting = self.snapshots.sending.transfers.iter();
        let next = waiting.find(|(_, transfer)| transfer.chunk == Chunk::Due);
        let Some((to, transfer)) = next else { return };
        let (to, position, offset) = (*to, transfer.id.position, transfer.next);
        self.snapshots.sending.reading = Some(to);
        self.outputs.push(Output::ReadSnapshot {
            position,
            offset,
            bytes_max: self.config.snapshots.chunk_bytes,
        });
    }

    /// A chunk was read (or cannot be, for the file is damaged or gone): it goes to its receiver, if that still
    /// needs it.
    pub(in crate::replica) fn on_read(&mut self, position: LogPosition, offset: u64, bytes: Option<Bytes>) {
        let Some(to) = self.snapshots.sending.reading.take() else {
            return;
        };
        let term = self.node.current_term();
        let Some(transfer) = self.snapshots.sending.transfers.get_mut(&to) else {
            return;
        };
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
            let lost = transfer.id;
            self.snapshots.sending.transfers.remove(&to);
            if self.snapshots.newest == Some(lost) {
                // Damaged: the state is whole, so another one is taken, of the same entry if there is no later.
                self.snapshots.newest = None;
                self.snapshots.want();
            }
            return;
        };
        if (transfer.id.position, transfer.next) != (position, offset) {
            return;
        }
        transfer.chunk = Chunk::Sent(self.now);
        let snapshot = transfer.id;
        let chain = self.chain.at(snapshot.position.index);
        let takes = Duration::from_secs(1)
            .mul_f64(bytes.len() as f64 / self.config.snapshots.bytes_per_second as f64);
        self.snapshots.sending.send_after = self.now + takes;
        self.outputs.send(
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
    pub(in crate::replica) fn on_reply(
        &mut self,
        from: NodeId,
        term: Term,
        position: LogPosition,
        next: u64,
    ) {
        if !self.node.role().is_leader() || term != self.node.current_term() {
            return;
        }
        let Some(transfer) = self.snapshots.sending.transfers.get_mut(&from) else {
            return;
        };
        if transfer.id.position != position {
            return;
        }
        transfer.chunk = Chunk::Due;
        if next > transfer.next {
            transfer.progressed = self.now;
        }
        transfer.next = next;
        if next >= transfer.id.bytes {
            let (to, id) = (from, transfer.id);
            self.notes.push(Note::SnapshotSent { to, id });
            self.snapshots.sending.transfers.remove(&from);
            if let Some(progress) = self.progress.get_mut(&from) {
                progress.ask();
            }
        }
    }
}

/// Election timeouts after which a transfer that makes no progress is given up, so that the log can be compacted.
const GIVE_UP_AFTER: u32 = 20;
