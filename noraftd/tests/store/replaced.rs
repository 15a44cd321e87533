//! A log that another node's snapshot replaced, in its middle: what of it is left says where it ended before.

use std::sync::Arc;

use noraft::LogIndex;
use noraftd::record::{Append, Base, Batch, BatchId, HardState, Record};
use noraftd::store::Store;
use noraftd::store::disk::memory::MemDisk;

use crate::common::*;
use crate::compaction::{head, save, small_segments};

/// The segment that is the oldest then was begun when the log was longer than where it begins now.
#[test]
fn a_log_that_was_replaced_before_its_end_is_read_once_its_segments_are_gone() {
    for after in [0, 1, 60] {
        let disk = MemDisk::new();
        let open = || Store::open(Arc::new(disk.clone()), small_segments(), owner()).unwrap();
        let created = Store::create(Arc::new(disk.clone()), small_segments(), identity(), &genesis());
        let (mut store, _) = created.unwrap();
        let persist = |store: &mut Store, base: Option<Base>, term, prev, records: Vec<Record>| {
            let hard_state = Some(HardState {
                term,
                voted_for: None,
            });
            let append = (!records.is_empty()).then_some(Append { prev, records });
            let id = BatchId(1);
            let batch = Batch {
                id,
                base,
                hard_state,
                append,
            };
            store.persist(&batch).unwrap();
        };
        persist(&mut store, None, 1, at(0, 0), vec![term_entry(1, 1)]);
        for index in 2..=40 {
            let record = command(1, index, &vec![7; 1900]);
            persist(&mut store, None, 1, at(1, index - 1), vec![record]);
        }
        save(&store.snapshots(), at(2, 38)).unwrap();
        persist(&mut store, Some(head(at(2, 38)).base), 2, at(2, 38), Vec::new());
        let mut records = Vec::new();
        for index in 39..39 + after {
            let record = command(2, index, &vec![8; 1900]);
            records.push(record.clone());
            persist(&mut store, None, 2, at(2, index - 1), vec![record]);
        }
        // The oldest segment that stays is the one in which it was replaced. Its header says that the log ended at 39 when it was begun.
        let base = if after > 2 { at(2, 39) } else { at(2, 38) };
        if after > 2 {
            save(&store.snapshots(), base).unwrap();
            persist(&mut store, Some(head(base).base), 2, base, Vec::new());
            records.drain(..1);
        }
        drop(store);
        let oldest = disk
            .files()
            .keys()
            .find(|name| name.starts_with("segment-"))
            .cloned();
        assert_ne!(
            oldest.as_deref(),
            Some("segment-0000000000000001"),
            "after {after}"
        );
        for _ in 0..2 {
            let (mut store, recovered) = open();
            assert!(!recovered.abstain.abstains(), "{:?}", store.recovery_report());
            assert_eq!(recovered.log.snapshot_position(), base);
            assert_eq!(recovered.last_position(), at(2, 38 + after));
            let found = store.restore(|| (), |(), _| true).unwrap();
            assert_eq!(found.map(|(head, ..)| head.base.position), Some(base));
            let mut found: Vec<Record> = Vec::new();
            while found.len() < records.len() {
                let from = LogIndex::new(base.index.get() + 1 + found.len() as u64);
                let read = store
                    .reader()
                    .read(from, recovered.last_position().index, usize::MAX);
                found.extend(read.unwrap());
            }
            assert_eq!(found, records);
        }
    }
}
