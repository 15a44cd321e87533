//! Writing what the others gave: as a patch, in turn with other batches.

use noraft::{Log, LogEntries, LogEntry, LogIndex, Node};

use crate::chain::step_of;
use crate::protocol::peer::REPAIR_POSITIONS_MAX;
use crate::record::{BatchId, Record, RecordKind, decode_config};
use crate::time::Instant;

use super::Repair;
use crate::replica::durability::Durability;
use crate::replica::event::Output;
use crate::replica::outputs::Outputs;
use crate::replica::{Replica, ReplicaConfig};

/// Hands patches to the disk: the log stays what it is.
pub(in crate::replica) struct Patcher<'a> {
    config: &'a ReplicaConfig,
    now: Instant,
    durability: &'a mut Durability,
    repair: &'a mut Repair,
    outputs: &'a mut Outputs,
}

impl Replica {
    pub(in crate::replica) fn patcher(&mut self) -> Patcher<'_> {
        Patcher {
            config: &self.config,
            now: self.now,
            durability: &mut self.durability,
            repair: &mut self.repair,
            outputs: &mut self.outputs,
        }
    }
}

impl Repair {
    /// True when entries wait to be written, in a log that is durable up to `durable`.
    pub(in crate::replica) fn has_patch(&self, durable: LogIndex) -> bool {
        let first = self.filled.keys().next();
        first.is_some_and(|first| *first <= durable.get())
    }
}

impl Patcher<'_> {
    /// Hands a patch to the disk, in turn with other batches; true when it did.
    pub(in crate::replica) fn write(&mut self) -> bool {
        let may = self.repair.has_patch(self.durability.durable_index()) && !self.repair.just_wrote;
        self.repair.just_wrote = false;
        if !may {
            return false;
        }
        let (mut records, mut bytes) = (Vec::new(), 0);
        let durable = self.durability.durable_index();
        let filled = self.repair.filled.values();
        for record in filled.take_while(|record| record.position.index <= durable) {
            bytes += record.payload.len();
            records.push(record.clone());
            if bytes >= self.config.limits.batch_bytes_max || records.len() >= REPAIR_POSITIONS_MAX {
                break;
            }
        }
        let id = self.durability.begin_patch(self.now);
        self.repair.writing = Some((id, records.clone()));
        self.repair.just_wrote = true;
        self.outputs.push(Output::Patch { id, records });
        true
    }
}

/// What a patch was for may be a configuration, and then the core begins again: the whole is concerned.
impl Replica {
    /// A batch is durable; if it is the patch in flight, its holes are no more.
    pub(in crate::replica) fn note_patched(&mut self, id: BatchId) {
        let Some((_, records)) = self.repair.writing.take_if(|(writing, _)| *writing == id) else {
            return;
        };
        for record in records {
            let index = record.position.index.get();
            self.repair.filled.remove(&index);
            self.content.chain.fill(record.position.index, step_of(&record));
            if self.repair.holes.remove(&index).is_some() {
                self.repair.repaired += 1;
                self.repair.reset_attempts();
            }
            if record.kind == RecordKind::Config {
                self.learn_config(&record);
            }
        }
    }

    /// An entry of which only the place was known turns out to be a configuration: the core's log is built again.
    /// This node follows (with a hole it could not campaign), and keeps the commit index: what it has applied is committed.
    fn learn_config(&mut self, record: &Record) {
        let log = self.node.log();
        let index = record.position.index;
        let Some(config) = decode_config(&record.payload) else {
            return;
        };
        if log.entries().get_entry(index) != Some(LogEntry::Command) || self.is_leader() {
            return;
        }
        let entries = log.entries().iter_with_positions().map(|(position, entry)| {
            if position.index == index {
                LogEntry::ClusterConfig(config.clone())
            } else {
                entry
            }
        });
        let entries = LogEntries::from_iter(log.snapshot_position(), entries);
        let log = Log::new(log.snapshot_config().clone(), entries);
        let node = &self.node;
        self.node = Node::restart(
            node.id(),
            node.generation(),
            node.current_term(),
            node.voted_for(),
            log,
        )
        .with_commit_index(node.commit_index());
        self.leadership.fitted_to = self.node.log().latest_config().clone();
        self.follow_role_change();
    }
}
