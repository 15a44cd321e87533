//! What the tests of the store share: an identity, a model of the log, and batches at random.

use std::sync::Arc;

use bytes::Bytes;
use noraft::{ClusterConfig, LogIndex, LogPosition, NodeId, Term};
use noraftd::prng::Prng;
use noraftd::record::{Append, Batch, BatchId, HardState, Record, RecordKind, encode_config, genesis_config};
use noraftd::recovered::Recovered;
use noraftd::store::disk::Disk;
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::{Identity, LogReader, OpenError, Options, Owner, SpareBy, Store};
use noraftd::time::{Instant, Stamp};

/// Small enough that a short run rolls several times.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 10;

pub(crate) fn options() -> Options {
    Options {
        segment_bytes: SEGMENT_BYTES,
        spare: SpareBy::Caller,
        clock: || Instant::ZERO,
        salt_seed: 7,
    }
}

pub(crate) fn owner() -> Owner {
    Owner {
        cluster_id: 0xc1,
        node_id: NodeId::new(2),
    }
}

pub(crate) fn identity() -> Identity {
    Identity {
        owner: owner(),
        incarnation: 0x1234,
    }
}

pub(crate) fn genesis() -> ClusterConfig {
    genesis_config([1, 2, 3].map(NodeId::new))
}

pub(crate) fn create(disk: &MemDisk) -> Result<(Store, Recovered), OpenError> {
    Store::create(Arc::new(disk.clone()), options(), identity(), &genesis())
}

pub(crate) fn open(disk: &MemDisk) -> Result<(Store, Recovered), OpenError> {
    open_any(Arc::new(disk.clone()))
}

pub(crate) fn open_any(disk: Arc<dyn Disk>) -> Result<(Store, Recovered), OpenError> {
    Store::open(disk, options(), owner())
}

pub(crate) fn at(term: u64, index: u64) -> LogPosition {
    LogPosition {
        term: Term::new(term),
        index: LogIndex::new(index),
    }
}

pub(crate) fn command(term: u64, index: u64, payload: &[u8]) -> Record {
    let payload = Bytes::copy_from_slice(payload);
    Record::new(
        at(term, index),
        RecordKind::Command,
        Stamp::from_millis(index * 10),
        payload,
    )
}

pub(crate) fn term_entry(term: u64, index: u64) -> Record {
    Record::new(
        at(term, index),
        RecordKind::Term,
        Stamp::from_millis(index * 10),
        Bytes::new(),
    )
}

/// A vote for node 2, and nothing else.
pub(crate) fn vote(term: u64) -> Batch {
    Batch {
        id: BatchId(term),
        hard_state: Some(HardState {
            term,
            voted_for: Some(2),
        }),
        base: None,
        append: None,
    }
}

pub(crate) fn config_entry(term: u64, index: u64, config: &ClusterConfig) -> Record {
    Record::new(
        at(term, index),
        RecordKind::Config,
        Stamp::from_millis(index * 10),
        encode_config(config),
    )
}

/// What a log must be after a number of batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) hard_state: HardState,
    pub(crate) records: Vec<Record>,
    pub(crate) batches: u64,
}

impl Model {
    pub(crate) fn last(&self) -> LogPosition {
        self.records
            .last()
            .map_or(LogPosition::ZERO, |record| record.position)
    }

    fn position(&self, index: u64) -> LogPosition {
        match index.checked_sub(1) {
            Some(before) => self.records[before as usize].position,
            None => LogPosition::ZERO,
        }
    }

    /// A batch that a replica could ask for next.
    pub(crate) fn next_batch(&self, prng: &mut Prng) -> Batch {
        let id = BatchId(self.batches + 1);
        if self.records.is_empty() || prng.chance(1, 8) {
            return self.new_term(id, prng);
        }
        if prng.chance(1, 12) {
            let hard_state = HardState {
                term: self.hard_state.term + 1,
                voted_for: None,
            };
            return Batch {
                id,
                base: None,
                hard_state: Some(hard_state),
                append: None,
            };
        }
        // Entries keep the term of the log even when the node knows a later one.
        let (prev, term) = (self.last(), self.last().term.get());
        Batch {
            id,
            base: None,
            hard_state: None,
            append: Some(Append {
                prev,
                records: some_records(prev, term, prng),
            }),
        }
    }

    fn new_term(&self, id: BatchId, prng: &mut Prng) -> Batch {
        let term = self.hard_state.term + 1;
        let hard_state = HardState {
            term,
            voted_for: Some(prng.between(1, 3)),
        };
        let last = self.last().index.get();
        let prev = self.position(if prng.chance(1, 2) {
            last
        } else {
            last - prng.below(last.min(9) + 1)
        });
        let mut records = vec![term_entry(term, prev.index.get() + 1)];
        records.extend(some_records(records[0].position, term, prng));
        Batch {
            id,
            base: None,
            hard_state: Some(hard_state),
            append: Some(Append { prev, records }),
        }
    }

    pub(crate) fn apply(&mut self, batch: &Batch) {
        self.batches += 1;
        self.hard_state = batch.hard_state.unwrap_or(self.hard_state);
        if let Some(append) = &batch.append {
            self.records.truncate(append.prev.index.get() as usize);
            self.records.extend_from_slice(&append.records);
        }
    }

    /// Checks that a store has exactly this.
    pub(crate) fn check(&self, recovered: &Recovered, reader: &LogReader) {
        assert_eq!(recovered.hard_state, self.hard_state);
        assert_eq!(recovered.last_position(), self.last());
        assert_eq!(recovered.log.entries().len(), self.records.len());
        for (record, (position, entry)) in self
            .records
            .iter()
            .zip(recovered.log.entries().iter_with_positions())
        {
            assert_eq!(position, record.position);
            assert_eq!(Some(entry), record.to_entry());
        }
        self.check_reader(reader);
    }

    /// Checks that a reader gives exactly these records.
    pub(crate) fn check_reader(&self, reader: &LogReader) {
        assert_eq!(read_all(reader, self.records.len()), self.records);
    }
}

/// How many runs are cut at every operation: `few`, or as many as `STORE_RUNS` says.
pub(crate) fn runs(few: u64) -> u64 {
    match std::env::var("STORE_RUNS") {
        Ok(runs) => runs.parse().expect("STORE_RUNS is a number"),
        Err(_) => few,
    }
}

/// Says how far a long enumeration is; a short one is silent.
pub(crate) fn show_progress(run: u64, runs: u64, points: u64) {
    if std::env::var_os("STORE_RUNS").is_some() {
        eprintln!(
            "run {} of {runs}: {points} points of crash so far, nothing lost",
            run + 1
        );
    }
}

fn some_records(prev: LogPosition, term: u64, prng: &mut Prng) -> Vec<Record> {
    let first = prev.index.get() + 1;
    let count = 1 + prng.below(3) * prng.below(4);
    (first..first + count)
        .map(|index| some_record(term, index, prng))
        .collect()
}

fn some_record(term: u64, index: u64, prng: &mut Prng) -> Record {
    match prng.below(10) {
        0 => config_entry(
            term,
            index,
            &genesis_config((1..=prng.between(1, 5)).map(NodeId::new)),
        ),
        1 => command(term, index, &vec![index as u8 | 1; 9000]),
        _ => {
            let fill = prng.below(256) as u8;
            command(term, index, &vec![fill; prng.below(700) as usize])
        }
    }
}

/// Reads a whole log, in pieces of a size that ends within batches.
pub(crate) fn read_all(reader: &LogReader, length: usize) -> Vec<Record> {
    let mut records = Vec::new();
    while records.len() < length {
        let from = LogIndex::new(records.len() as u64 + 1);
        records.extend(reader.read(from, LogIndex::new(length as u64), 1500).unwrap());
    }
    records
}

/// Runs `count` batches at random; returns the model after each, the empty one first.
pub(crate) fn run(store: &mut Store, seed: u64, count: usize) -> Vec<Model> {
    let mut prng = Prng::new(seed);
    let mut models = vec![Model::default()];
    for _ in 0..count {
        let mut model = models.last().unwrap().clone();
        let batch = model.next_batch(&mut prng);
        store.persist(&batch).unwrap();
        model.apply(&batch);
        models.push(model);
    }
    models
}
