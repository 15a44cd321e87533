//! Giving others what is missing there, as far as it is intact here.

use std::collections::VecDeque;

use noraft::{Log, LogIndex, LogPosition, NodeId};

use crate::protocol::peer::PeerMessage;
use crate::record::Record;

use super::Repair;
use crate::replica::Replica;
use crate::replica::outputs::Outputs;
use crate::replica::payloads::Payloads;

/// What a peer has asked for.
#[derive(Debug)]
pub(super) struct Serving {
    to: NodeId,
    wants: VecDeque<LogPosition>,
    records: Vec<Record>,
    bytes: usize,
}

/// Answers peers: reads the log and what is in memory of it, and changes neither.
pub(in crate::replica) struct Giver<'a> {
    log: &'a Log,
    durable: LogIndex,
    payloads: &'a Payloads,
    repair: &'a mut Repair,
    outputs: &'a mut Outputs,
}

impl Replica {
    pub(in crate::replica) fn giver(&mut self) -> Giver<'_> {
        Giver {
            log: self.node.log(),
            durable: self.durability.durable_index(),
            payloads: &self.content.payloads,
            repair: &mut self.repair,
            outputs: &mut self.outputs,
        }
    }
}

impl Repair {
    /// A peer asks for entries that it has lost.
    pub(in crate::replica) fn on_request(&mut self, from: NodeId, positions: Vec<LogPosition>) {
        self.serving.retain(|serving| serving.to != from);
        self.serving.push_back(Serving {
            to: from,
            wants: positions.into(),
            records: Vec::new(),
            bytes: 0,
        });
    }

    /// What has to be read for a peer.
    pub(in crate::replica) fn missing_to_give(&self) -> Option<LogIndex> {
        self.serving.front()?.wants.front().map(|want| want.index)
    }
}

impl Giver<'_> {
    /// Answers peers as far as what they want is in memory.
    pub(in crate::replica) fn give(&mut self) {
        while let Some(mut serving) = self.repair.serving.pop_front() {
            if self.collect(&mut serving).is_some() {
                self.repair.serving.push_front(serving);
                return;
            }
            let base = self.log.snapshot_position().index;
            let records = serving.records;
            self.outputs
                .send(serving.to, PeerMessage::Repair { base, records });
        }
    }

    /// Collects what a peer wants; gives the index that has to be read first.
    fn collect(&self, serving: &mut Serving) -> Option<LogIndex> {
        while let Some(want) = serving.wants.front().copied() {
            if serving.bytes >= REPAIR_BYTES_MAX {
                return None;
            }
            if self.can_give(want) {
                match self.payloads.intact(want) {
                    Some(record) => {
                        serving.bytes += record.payload.len();
                        serving.records.push(record.clone());
                    }
                    None if self.repair.last_fetched != Some(want.index) => return Some(want.index),
                    None => {}
                }
            }
            serving.wants.pop_front();
        }
        None
    }

    fn can_give(&self, want: LogPosition) -> bool {
        want.index > self.log.snapshot_position().index
            && self.log.entries().contains(want)
            && !self.repair.is_hole(want.index)
            && want.index <= self.durable
    }
}

/// Payload bytes of one answer: a few milliseconds of the network.
const REPAIR_BYTES_MAX: usize = 1 << 20;
