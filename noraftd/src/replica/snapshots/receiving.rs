//! A snapshot on its way to this node, and its installation.
//!
//! Invariant: one part at a time is written; the state is replaced at once, between two batches, when the whole is durable.

use bytes::Bytes;
use noraft::{LogIndex, Node, NodeId, Term};

use crate::protocol::outcome::{Doubt, Outcome};
use crate::protocol::peer::PeerMessage;
use crate::record::SnapshotId;
use crate::replica::Replica;
use crate::replica::event::{Output, Received, Snapshot};
use crate::replica::notes::Note;
use crate::replica::outputs::Outputs;
use crate::replica::rebuild::Taken;

/// How far it is.
#[derive(Debug, Default)]
pub(super) enum Receiving {
    /// None is on its way.
    #[default]
    Nothing,
    /// The leader has to send the next part.
    Waiting(Incoming),
    /// The disk writes a part.
    Writing(Incoming),
    /// It is whole and durable, and installed when no sync is in flight.
    Whole(SnapshotId, Box<Snapshot>),
}

/// What of it is here.
#[derive(Debug)]
pub(super) struct Incoming {
    id: SnapshotId,
    /// In which term it began.
    term: Term,
    /// What is written.
    next: u64,
    /// The chain of the log up to there, as the leader says it.
    chain: Option<u64>,
}

/// Some of a snapshot's file.
pub(in crate::replica) struct Part {
    pub(in crate::replica) offset: u64,
    pub(in crate::replica) bytes: Bytes,
}

/// Receives snapshots: until one is whole, nothing else is concerned.
pub(in crate::replica) struct Receiver<'a> {
    node: &'a Node,
    applied: LogIndex,
    /// The node that leads, if it is known, and another.
    leader: Option<NodeId>,
    receiving: &'a mut Receiving,
    outputs: &'a mut Outputs,
}

impl Replica {
    pub(in crate::replica) fn receiver(&mut self) -> Receiver<'_> {
        Receiver {
            applied: self.applied.index(),
            leader: self.leader().filter(|leader| *leader != self.config.id),
            node: &self.node,
            receiving: &mut self.snapshots.receiving,
            outputs: &mut self.outputs,
        }
    }
}

impl Receiver<'_> {
    /// A part of a snapshot arrives from the leader.
    pub(in crate::replica) fn on_chunk(
        &mut self,
        from: NodeId,
        term: Term,
        (id, chain): (SnapshotId, Option<u64>),
        Part { offset, bytes }: Part,
    ) {
        if self.node.role().is_leader() || term != self.node.current_term() {
            return;
        }
        if id.position.index <= self.applied {
            self.answer_chunk(from, id, id.bytes);
            return;
        }
        let next = match &*self.receiving {
            Receiving::Writing(_) | Receiving::Whole(..) => return,
            Receiving::Waiting(incoming) if incoming.id == id => incoming.next,
            // A leader goes on to later ones only: this part was a long time on its way.
            Receiving::Waiting(Incoming {
                id: later,
                term: began,
                ..
            }) if *began == term && id.position.index < later.position.index => {
                return;
            }
            Receiving::Waiting(_) | Receiving::Nothing => 0,
        };
        let known = match std::mem::take(self.receiving) {
            Receiving::Waiting(incoming) => Some(incoming).filter(|incoming| incoming.id == id),
            Receiving::Nothing | Receiving::Writing(_) | Receiving::Whole(..) => None,
        };
        let incoming = known.unwrap_or(Incoming {
            id,
            term,
            next,
            chain,
        });
        let fits = offset == next && !bytes.is_empty() && offset + bytes.len() as u64 <= id.bytes;
        if fits {
            *self.receiving = Receiving::Writing(incoming);
            self.outputs.push(Output::ReceiveSnapshot { id, offset, bytes });
        } else {
            *self.receiving = Receiving::Waiting(incoming);
            self.answer_chunk(from, id, next);
        }
    }

    fn answer_chunk(&mut self, to: NodeId, id: SnapshotId, next: u64) {
        let term = self.node.current_term();
        let position = id.position;
        self.outputs
            .send(to, PeerMessage::SnapshotReply { term, position, next });
    }

    /// The disk has taken a part, or the last.
    pub(in crate::replica) fn on_written(&mut self, id: SnapshotId, received: Received) {
        let Receiving::Writing(mut incoming) = std::mem::take(self.receiving) else {
            unreachable!("a part was handed to the disk");
        };
        assert_eq!(incoming.id, id, "one part is written at a time");
        match received {
            Received::Part { next } => {
                incoming.next = next;
                *self.receiving = Receiving::Waiting(incoming);
                self.answer_leader(id, next);
            }
            Received::Whole(mut snapshot) => {
                snapshot.head.base.chain = incoming.chain;
                *self.receiving = Receiving::Whole(id, snapshot);
                self.answer_leader(id, id.bytes);
            }
            // From the beginning, when the leader sends again: that long there may be no room.
            Received::Failed => {}
        }
    }

    fn answer_leader(&mut self, id: SnapshotId, next: u64) {
        if let Some(leader) = self.leader {
            self.answer_chunk(leader, id, next);
        }
    }
}

/// A state that is installed replaces everything that follows from the log, so the whole is concerned.
impl Replica {
    /// Installs a state that was received. Only while no sync is in flight.
    pub(in crate::replica) fn install_snapshot(&mut self) {
        if !matches!(self.snapshots.receiving, Receiving::Whole(..)) {
            return;
        }
        let Receiving::Whole(id, snapshot) = std::mem::take(&mut self.snapshots.receiving) else {
            unreachable!("it was looked at");
        };
        let (position, applied) = (snapshot.head.base.position, self.applied.index());
        if position.index <= applied {
            return;
        }
        let is_kept = self.node.log().entries().contains(position);
        match self.begin_log_at(&snapshot.head.base) {
            Taken::Yes => {}
            Taken::Refused => return,
            Taken::Later => {
                self.snapshots.receiving = Receiving::Whole(id, snapshot);
                return;
            }
        }
        let Snapshot { mut head, machine } = *snapshot;
        self.content.begin_at(&mut head.base, is_kept);
        if !is_kept {
            self.content.payloads.clear();
            self.durability.cut(applied);
        }
        self.counts.snapshots_installed += 1;
        self.notes.push(Note::SnapshotInstalled(id));
        self.clock.follow(head.stamp);
        self.applied.replace(machine, position.index);
        self.content.ahead.forget_until(position.index);
        self.leadership.fitted_to = self.node.log().latest_config().clone();
        self.give_up_covered(position.index);
        self.snapshots.newest = Some(id);
        self.snapshots.taking.on_installed(head.base);
        self.repair.forget_void(self.node.log());
    }

    /// What became of entries that a snapshot covers is not known here.
    fn give_up_covered(&mut self, index: LogIndex) {
        while let Some(proposal) = self.waiting.proposals.pop_covered(index) {
            self.answer(proposal.origin, Outcome::Indefinite(Doubt::LeadershipLost));
            self.waiting.order.tidy(proposal.turn, index, self.now);
        }
        self.give_up_covered_changes(index);
    }
}
