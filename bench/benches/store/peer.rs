//! raft-engine, the log store of TiKV, in the same turns.

use std::path::Path;

use raft::eraftpb::Entry;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

/// A log of its own.
pub(crate) struct Peer {
    engine: Engine,
    index: u64,
}

/// Entries as raft-rs has them.
struct Entries;

impl MessageExt for Entries {
    type Entry = Entry;

    fn index(entry: &Entry) -> u64 {
        entry.index
    }
}

impl Peer {
    pub(crate) fn open(directory: &Path) -> Self {
        let config = Config {
            dir: directory.display().to_string(),
            // Our payloads are all alike: compressed they would be nothing.
            batch_compression_threshold: ReadableSize(0),
            ..Config::default()
        };
        Self {
            engine: Engine::open(config).expect("the bench's own directory"),
            index: 0,
        }
    }

    /// The next entries, not encoded yet.
    pub(crate) fn entries(&mut self, count: usize, payload: &[u8]) -> Vec<Entry> {
        (0..count)
            .map(|_| {
                self.index += 1;
                let mut entry = Entry::default();
                entry.set_index(self.index);
                entry.set_term(1);
                entry.set_data(payload.to_vec().into());
                entry
            })
            .collect()
    }

    /// Encodes, appends and syncs.
    pub(crate) fn persist(&self, entries: &[Entry]) {
        let mut batch = LogBatch::default();
        batch
            .add_entries::<Entries>(REGION, entries)
            .expect("a batch of a few hundred KiB");
        self.engine.write(&mut batch, true).expect("the disk has room");
    }
}

const REGION: u64 = 1;
