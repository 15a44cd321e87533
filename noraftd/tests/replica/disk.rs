//! A disk of the small world: it remembers what was synced.

use noraft::{Log, LogEntries, LogEntry, LogIndex, LogPosition, NodeId};
use noraftd::chain::{Chain, step_of};
use noraftd::record::{Abstain, Append, Base, Batch, HardState, Hole, Record, SnapshotId, genesis_config};
use noraftd::recovered::Recovered;
use noraftd::replica::event::Snapshot;
use std::collections::BTreeSet;

/// What a node's disk holds after a crash.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) base: Option<Base>,
    /// Those after the base.
    pub(crate) records: Vec<Record>,
    /// Indexes of entries whose payload cannot be read.
    pub(crate) damaged: BTreeSet<u64>,
    pub(crate) snapshots: Vec<(SnapshotId, Snapshot)>,
    /// Snapshots that cannot be read any more.
    pub(crate) rotten: BTreeSet<u64>,
    pub(crate) chain_is_lost: bool,
}

impl Disk {
    pub(crate) fn base(&self) -> LogPosition {
        self.base.as_ref().map_or(LogPosition::ZERO, |base| base.position)
    }

    pub(crate) fn write(&mut self, batch: &Batch) {
        if let Some(hard_state) = batch.hard_state {
            self.vote(hard_state);
        }
        if let Some(base) = &batch.base {
            self.rebase(base);
        }
        if let Some(Append { prev, records }) = &batch.append {
            let kept = prev.index.get().checked_sub(self.base().index.get());
            self.records
                .truncate(kept.expect("nothing covered is written again") as usize);
            assert_eq!(
                self.base().index.get() + self.records.len() as u64,
                prev.index.get(),
                "an append leaves no gap"
            );
            self.records.extend(records.iter().cloned());
            self.damaged.split_off(&(prev.index.get() + 1));
        }
    }

    /// A batch may come later than the vote that overtook it.
    pub(crate) fn vote(&mut self, new: HardState) {
        let progress = |state: HardState| (state.term, state.voted_for.is_some());
        if progress(new) >= progress(self.hard_state) {
            self.hard_state = new;
        }
    }

    pub(crate) fn patch(&mut self, records: &[Record]) {
        for record in records {
            assert!(
                self.records.iter().any(|held| held == record),
                "what is repaired is what was written: {record:?}"
            );
            self.damaged.remove(&record.position.index.get());
        }
    }

    /// What is known of damaged entries; the crc of every second one is not.
    pub(crate) fn holes(&self) -> Vec<Hole> {
        let is_damaged = |record: &&Record| self.damaged.contains(&record.position.index.get());
        let hole = |record: &Record| Hole {
            position: record.position,
            kind: Some(record.kind),
            payload_crc: record
                .position
                .index
                .get()
                .is_multiple_of(2)
                .then_some(record.payload_crc),
        };
        self.records.iter().filter(is_damaged).map(hole).collect()
    }

    /// The chain, as far as what is damaged lets it be known.
    pub(crate) fn chain(&self) -> Chain {
        let value = self.base.as_ref().and_then(|base| base.chain);
        let mut chain = Chain::after(self.base().index, value);
        if self.chain_is_lost {
            (0..self.records.len()).for_each(|_| chain.push(None));
            return chain;
        }
        let holes = self.holes();
        for record in &self.records {
            let hole = holes.iter().find(|hole| hole.position == record.position);
            let is_known = hole.is_none_or(|hole| hole.payload_crc.is_some());
            chain.push(is_known.then(|| step_of(record)));
        }
        chain
    }

    pub(crate) fn rebase(&mut self, base: &Base) {
        assert!(
            self.snapshots.iter().any(|(id, _)| id.position == base.position),
            "the log begins at a snapshot"
        );
        let held = self
            .records
            .iter()
            .position(|record| record.position == base.position);
        match held {
            Some(at) => drop(self.records.drain(..=at)),
            None => self.records.clear(),
        }
        let held: BTreeSet<u64> = self.indexes().collect();
        self.damaged.retain(|index| held.contains(index));
        self.snapshots
            .retain(|(id, _)| id.position.index >= base.position.index);
        self.base = Some(base.clone());
    }

    pub(crate) fn indexes(&self) -> impl Iterator<Item = u64> {
        self.records.iter().map(|record| record.position.index.get())
    }

    pub(crate) fn save(&mut self, snapshot: Snapshot, bytes: u64) -> SnapshotId {
        let id = SnapshotId {
            position: snapshot.head.base.position,
            bytes,
            hash: 1,
        };
        self.snapshots.push((id, snapshot));
        id
    }

    pub(crate) fn read(&self, from: LogIndex, to: LogIndex) -> Vec<Record> {
        let wanted = |record: &&Record| record.position.index >= from && record.position.index <= to;
        let is_intact = |record: &&Record| !self.damaged.contains(&record.position.index.get());
        let wanted = self.records.iter().filter(wanted);
        wanted.take_while(is_intact).take(3).cloned().collect()
    }

    pub(crate) fn recover(&self, voters: u64) -> (Recovered, Option<(SnapshotId, Snapshot)>) {
        let mut entries = LogEntries::new(self.base());
        for record in &self.records {
            let is_damaged = self.damaged.contains(&record.position.index.get());
            let entry = match record.to_entry().expect("what was written parses") {
                // Which configuration it was cannot be read.
                LogEntry::ClusterConfig(_) if is_damaged => LogEntry::Command,
                entry => entry,
            };
            entries.push(entry);
            assert_eq!(entries.last_position(), record.position);
        }
        let genesis = || genesis_config((1..=voters).map(NodeId::new));
        let config = self
            .base
            .as_ref()
            .map_or_else(genesis, |base| base.config.clone());
        let recovered = Recovered {
            hard_state: self.hard_state,
            log: Log::new(config, entries),
            abstain: Abstain::No,
            holes: self.holes(),
            chain: self.chain(),
            stamp: self
                .records
                .iter()
                .map(|record| record.stamp)
                .max()
                .unwrap_or_default(),
        };
        let usable = |(id, _): &&(SnapshotId, Snapshot)| recovered.log.entries().contains(id.position);
        let snapshot = self.snapshots.iter().rev().find(usable).cloned();
        (recovered, snapshot)
    }
}
