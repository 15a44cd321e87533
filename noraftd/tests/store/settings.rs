//! Settings that change between two starts of a node.

use std::sync::Arc;

use noraftd::prng::Prng;
use noraftd::record::{Append, Batch, BatchId, HardState};
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::{Options, Store};

use crate::common::*;

fn sized(segment_bytes: u64) -> Options {
    Options {
        segment_bytes,
        ..options()
    }
}

fn open_sized(disk: &MemDisk, segment_bytes: u64) -> (Store, Model) {
    let (store, recovered) = Store::open(Arc::new(disk.clone()), sized(segment_bytes), owner()).unwrap();
    assert_eq!(store.recovery_report().findings, [], "nothing was damaged");
    let model = Model {
        hard_state: recovered.hard_state,
        records: read_all(&store.reader(), recovered.log.entries().len()),
        batches: 0,
    };
    (store, model)
}

/// One entry with a payload of `bytes` bytes.
fn large(model: &Model, bytes: usize) -> Batch {
    let prev = model.last();
    let (term, index) = (prev.term.get(), prev.index.get() + 1);
    Batch {
        id: BatchId(1),
        base: None,
        hard_state: None,
        append: Some(Append {
            prev,
            records: vec![command(term, index, &vec![index as u8 | 1; bytes])],
        }),
    }
}

fn write(store: &mut Store, model: &mut Model, batch: &Batch) {
    store.persist(batch).unwrap();
    model.apply(batch);
}

fn first_term() -> Batch {
    Batch {
        id: BatchId(1),
        base: None,
        hard_state: Some(HardState {
            term: 1,
            voted_for: Some(2),
        }),
        append: Some(Append {
            prev: at(0, 0),
            records: vec![term_entry(1, 1)],
        }),
    }
}

#[test]
fn a_spare_of_smaller_segments_takes_no_payload_of_larger_ones() {
    let disk = MemDisk::new();
    let (mut store, _) =
        Store::create(Arc::new(disk.clone()), sized(1 << 20), identity(), &genesis()).unwrap();
    let mut model = Model::default();
    write(&mut store, &mut model, &first_term());
    drop(store);
    // Full segments, so that the next is made: a small one, of which nothing is used.
    let (mut store, mut model) = open_sized(&disk, 64 << 10);
    while store.stats().segments < 3 {
        let batch = large(&model, 20_000);
        write(&mut store, &mut model, &batch);
    }
    drop(store);
    for _ in 0..3 {
        let (mut store, mut found) = open_sized(&disk, 1 << 20);
        assert_eq!(found.records, model.records);
        let batch = large(&found, store.payload_bytes_max());
        write(&mut store, &mut found, &batch);
        store.mark_clean_stop().unwrap();
        model = found;
    }
    assert_eq!(open_sized(&disk, 1 << 20).1.records, model.records);
}

#[test]
fn whatever_size_segments_have_at_each_start_nothing_is_lost() {
    for seed in 0..40 {
        let prng = &mut Prng::new(seed);
        let disk = MemDisk::new();
        let size = |prng: &mut Prng| 8192 << prng.between(2, 8);
        let created = Store::create(Arc::new(disk.clone()), sized(size(prng)), identity(), &genesis());
        let mut model = Model::default();
        write(&mut created.unwrap().0, &mut model, &first_term());
        for life in 0..6 {
            let (mut store, found) = open_sized(&disk, size(prng));
            assert_eq!(found.records, model.records, "seed {seed}, life {life}");
            for _ in 0..prng.between(1, 12) {
                let batch = if prng.chance(1, 4) {
                    let most = store.payload_bytes_max() as u64;
                    large(&model, prng.between(most / 2, most) as usize)
                } else {
                    model.next_batch(prng)
                };
                write(&mut store, &mut model, &batch);
            }
            if prng.chance(1, 2) {
                store.mark_clean_stop().unwrap();
            }
            model.check_reader(&store.reader());
        }
    }
}
