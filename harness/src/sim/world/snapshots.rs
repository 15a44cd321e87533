//! What a node's disk does with snapshots, beside the log: the daemon has a thread of its own for them.
//!
//! Invariant: a snapshot is written when its sync returns, as a batch is; batches and votes go on meanwhile.

use bytes::Bytes;
use noraft::LogPosition;
use noraftd::replica::event::{Input, Received};
use noraftd::storage::{SnapshotJob, SnapshotStep};

use super::World;
use crate::nemesis::takers;
use crate::plan::FaultKind;
use crate::sim::journal::happening::{DiskHappening, Happening};
use crate::sim::parts::MILLI;
use crate::sim::parts::event::{Event, LaneEvent, NodeEvent};
use crate::sim::parts::job::{Job, Ran};

impl World {
    /// One snapshot, or a part of one, is written after the other.
    pub(super) fn give_snapshot(&mut self, at: usize, job: SnapshotJob) {
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        process.snapshots.push_back(Job::Snapshot(job));
        if process.snapshots.len() == 1 {
            self.begin_snapshot(at);
        }
    }

    fn begin_snapshot(&mut self, at: usize) {
        let (takes, life) = (self.sync_takes(at), self.nodes[at].life);
        self.queue
            .after(takes, Event::node(at, life, NodeEvent::SnapshotDone));
    }

    /// The disk has written a snapshot, or a part of one.
    pub(super) fn snapshot_done(&mut self, at: usize) {
        self.meet_job(at, |process| &process.snapshots);
        let node = &mut self.nodes[at];
        let now = node.clock.instant(self.queue.now());
        let Some(process) = node.process.as_mut() else {
            return;
        };
        let Some(job) = process.snapshots.front() else {
            return;
        };
        let ran = job.run(now, &mut process.driver);
        let Some(job) = process.snapshots.front() else {
            return;
        };
        let happening = DiskHappening::of_run(at, job, &ran);
        self.journal.note(self.queue.now(), Happening::Disk(happening));
        if self.carry_out_aim(at) {
            return;
        }
        let Ran::Done { input, .. } = ran else {
            return self.end_by_disk(at);
        };
        self.snapshot_written(at, input);
    }

    fn snapshot_written(&mut self, at: usize, input: Option<Input>) {
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        process.snapshots.pop_front();
        let more = !process.snapshots.is_empty();
        match &input {
            Some(Input::SnapshotSaved(Some(snapshot))) => {
                let index = snapshot.position.index.get();
                self.note_asked_for(at, index);
            }
            Some(Input::SnapshotSaved(None)) => {
                let id = self.nodes[at].id;
                self.checks.short_log.save_failed(self.queue.now(), id);
            }
            Some(Input::SnapshotReceived {
                received: Received::Whole(snapshot),
                ..
            }) => {
                self.journal.counters.installs += 1;
                self.note_state(at, snapshot);
            }
            _ => {}
        }
        if let Some(input) = input {
            self.arrive(at, input);
        }
        if more {
            self.begin_snapshot(at);
        }
    }

    /// Asks those that a fault has drawn for a snapshot, now and again in a while.
    pub(super) fn ask_for_snapshots(&mut self, lane: usize, decision: u64) {
        for at in self.takers(lane) {
            if self.nodes[at].process.is_some() {
                self.arrive(at, Input::TakeSnapshot);
            }
        }
        let after = self.nemesis.prng.between(1, ASK_AGAIN_MS) * MILLI;
        self.queue
            .after(after, Event::lane(lane, LaneEvent::Flip { decision }));
    }

    fn takers(&self, lane: usize) -> Vec<usize> {
        let Some(force) = self.nemesis.lanes[lane].in_force.as_ref() else {
            return Vec::new();
        };
        if force.decision.fault != FaultKind::Snapshot {
            return Vec::new();
        }
        let ids: Vec<u64> = (0..self.doors())
            .map(|nth| self.nodes[self.door(nth)].id.get())
            .collect();
        let drawn = takers(force.decision.roll, &ids).into_iter();
        drawn.map(|id| id as usize - 1).collect()
    }

    /// A node has taken a snapshot: the evidence of who asked for it.
    fn note_asked_for(&mut self, at: usize, index: u64) {
        for lane in 0..self.nemesis.lanes.len() {
            if self.takers(lane).contains(&at) {
                self.add_evidence(lane, format!("n{} took a snapshot of entry {index}", at + 1));
            }
        }
    }

    /// A part of a snapshot was read, or the snapshot has gone meanwhile.
    pub(super) fn snapshot_read(&mut self, at: usize, position: LogPosition, offset: u64, bytes_max: usize) {
        self.damage_snapshots(at);
        let Some(process) = self.nodes[at].process.as_ref() else {
            return;
        };
        let job = SnapshotJob::Read {
            position,
            offset,
            bytes_max,
        };
        match job.run(&process.driver.store().snapshots()) {
            SnapshotStep::Done { input, .. } => {
                if let Input::SnapshotRead { bytes, .. } = &input
                    && bytes.as_ref().is_none_or(Bytes::is_empty)
                {
                    let id = self.nodes[at].id;
                    self.checks.sending.forget(id);
                    self.checks.short_log.lost(id, position.index.get());
                }
                self.arrive(at, input);
            }
            SnapshotStep::Stop(_) => self.end_by_disk(at),
        }
    }
}

/// The longest time until a snapshot is asked for again.
const ASK_AGAIN_MS: u64 = 300;
