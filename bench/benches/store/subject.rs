//! A store to be measured, and what it is given.

use std::sync::Arc;

use bytes::Bytes;
use noraft::{LogIndex, LogPosition, NodeId, Term};
use noraftd::record::{Append, Batch, BatchId, HardState, Record, RecordKind, genesis_config};
use noraftd::store::disk::Disk;
use noraftd::store::{Identity, Options, Owner, SpareBy, Store};
use noraftd::time::Stamp;

use super::PAYLOAD_BYTES;
use super::clock::now;

pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) next: LogPosition,
    payload: Bytes,
}

impl Bench {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        let identity = Identity {
            owner: owner(),
            incarnation: 1,
        };
        let (mut store, _) =
            Store::create(disk, options(), identity, &genesis_config([NodeId::new(1)])).unwrap();
        let hard_state = Some(HardState {
            term: 1,
            voted_for: Some(1),
        });
        let next = LogPosition {
            term: Term::new(1),
            index: LogIndex::new(1),
        };
        let records = vec![Record::new(
            next,
            RecordKind::Term,
            Stamp::default(),
            Bytes::new(),
        )];
        let append = Some(Append {
            prev: LogPosition::ZERO,
            records,
        });
        store
            .persist(&Batch {
                id: BatchId(0),
                base: None,
                hard_state,
                append,
            })
            .unwrap();
        Self {
            store,
            next,
            payload: Bytes::from(vec![7; PAYLOAD_BYTES]),
        }
    }

    pub(crate) fn batch(&mut self, entries: usize) -> Batch {
        let prev = self.next;
        let record = |_| {
            self.next.index += LogIndex::new(1);
            Record::new(
                self.next,
                RecordKind::Command,
                Stamp::from_millis(1),
                self.payload.clone(),
            )
        };
        let records = (0..entries).map(record).collect();
        Batch {
            id: BatchId(0),
            base: None,
            hard_state: None,
            append: Some(Append { prev, records }),
        }
    }
}

pub(crate) fn owner() -> Owner {
    Owner {
        cluster_id: 1,
        node_id: NodeId::new(1),
    }
}

pub(crate) fn options() -> Options {
    Options {
        segment_bytes: Options::SEGMENT_BYTES,
        spare: SpareBy::Thread,
        clock: now,
        salt_seed: 1,
    }
}
