//! Asking the others for what is missing here: one after the other, until one has it.

use std::time::Duration;

use noraft::{LogIndex, LogPosition, Node, NodeId};

use crate::protocol::peer::{PeerMessage, REPAIR_POSITIONS_MAX};
use crate::record::Record;
use crate::time::Instant;

use super::{Repair, others};
use crate::replica::outputs::Outputs;
use crate::replica::{Replica, ReplicaConfig};

/// Asks for missing entries and takes the answers: changes what is known of the damage, and nothing of the log.
pub(in crate::replica) struct Asker<'a> {
    config: &'a ReplicaConfig,
    now: Instant,
    node: &'a Node,
    repair: &'a mut Repair,
    outputs: &'a mut Outputs,
}

impl Replica {
    pub(in crate::replica) fn asker(&mut self) -> Asker<'_> {
        Asker {
            config: &self.config,
            now: self.now,
            node: &self.node,
            repair: &mut self.repair,
            outputs: &mut self.outputs,
        }
    }
}

impl Asker<'_> {
    /// Asks the next peer for what is missing, when it is time.
    pub(in crate::replica) fn ask_when_due(&mut self) {
        if self.now >= self.repair.ask_after {
            self.ask(None);
        }
    }

    /// A peer answers; its log begins after `base`.
    pub(in crate::replica) fn on_answer(&mut self, from: NodeId, base: LogIndex, records: &[Record]) {
        let mut taken = 0;
        for record in records {
            taken += u64::from(self.repair.take(self.node.log(), record));
        }
        let first = self.repair.holes.keys().next();
        if first.is_some_and(|first| *first <= base.get()) {
            self.repair.gone.insert(from);
        }
        if taken > 0 {
            self.repair.unanswered.remove(&from);
        }
        if taken > 0 && self.repair.asked == Some(from) {
            // It has some: it may have more.
            self.repair.asked = None;
            self.repair.ask_after = self.now;
            self.ask(Some(from));
        }
    }

    fn ask(&mut self, peer: Option<NodeId>) {
        let unfilled = self.repair.unfilled().take(REPAIR_POSITIONS_MAX);
        let positions: Vec<LogPosition> = unfilled.map(|hole| hole.position).collect();
        if positions.is_empty() {
            return;
        }
        self.repair.ask_after = self.now + self.pause();
        let last = self.repair.asked;
        let after = last.and_then(|last| self.others().find(|id| *id > last));
        let Some(to) = peer.or(after).or(self.others().next()) else {
            return;
        };
        self.repair.asked = Some(to);
        *self.repair.unanswered.entry(to).or_default() += 1;
        self.outputs.send(to, PeerMessage::RepairRequest { positions });
    }

    fn others(&self) -> impl Iterator<Item = NodeId> {
        others(self.config, self.node)
    }

    /// A peer that has not answered after this is not waited for.
    fn pause(&self) -> Duration {
        self.config.heartbeat_interval * 2
    }
}
