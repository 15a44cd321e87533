//! What the disk has done, and what the replica gets to know of it.
//!
//! Invariant: a batch is written when its sync returns, so nothing can depend on half of it before.

use noraft::{LogIndex, LogPosition};
use noraftd::replica::event::{Input, Received};
use noraftd::store::{ReadError, Scrubbed, StoreError};

use super::World;
use crate::sim::journal::happening::{DiskHappening, Happening};
use crate::sim::parts::MILLI;
use crate::sim::parts::event::{Event, NodeEvent};
use crate::sim::parts::node::{Idle, Job};
use crate::sim::parts::rule::{Rule, ensure};

impl World {
    /// The disk has done the first of its jobs.
    pub(super) fn disk_done(&mut self, at: usize) {
        let life = self.nodes[at].life;
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        let Some(job) = process.jobs.front() else { return };
        let done = job.run(&mut process.store);
        let happening = match &done {
            Ok((stats, _)) => DiskHappening::Done {
                node: at,
                job,
                stats: *stats,
            },
            Err(error) => DiskHappening::Fails { node: at, job, error },
        };
        self.journal.note(self.queue.now(), Happening::Disk(happening));
        match done {
            Ok((_, told)) => self.job_done(at, told),
            Err(StoreError::Full { file, .. }) => {
                // A segment has its name when it has its room, or votes would end with the space.
                let made = self.nodes[at].disk.has(&file);
                let checked = ensure(!made, Rule::RoomFirst, || {
                    format!(
                        "n{}: the disk is full, and {file} has not got its room yet",
                        at + 1
                    )
                });
                self.check(checked);
                let retry = Event::node(at, life, NodeEvent::DiskRetry);
                self.queue.after(FULL_PAUSE, retry);
            }
            Err(StoreError::Short { .. }) => {
                let retry = Event::node(at, life, NodeEvent::DiskRetry);
                self.queue.after(FULL_PAUSE, retry);
            }
            Err(StoreError::Failed { .. }) => self.end_by_disk(at),
            Err(error @ StoreError::Invalid(_)) => {
                self.fail(Rule::Store, format!("n{}: {error}", at + 1));
            }
        }
    }

    fn job_done(&mut self, at: usize, told: Option<Input>) {
        let life = self.nodes[at].life;
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        process.jobs_done += 1;
        let batches = process.jobs_done;
        let job = process.jobs.pop_front();
        let more = !process.jobs.is_empty();
        if let Some(Job::Persist(batch)) = job {
            self.journal.counters.batches += 1;
            let checked = self.checks.synced(at, &batch);
            self.check(checked);
            self.note_written(at, life, batches);
        }
        if let Some(Input::SnapshotReceived {
            received: Received::Whole(snapshot),
            ..
        }) = &told
        {
            self.journal.counters.installs += 1;
            self.note_state(at, snapshot);
        }
        if let Some(told) = told {
            self.arrive(at, told);
        }
        if more {
            self.begin_job(at);
        }
    }

    /// A part of a snapshot was read, or the snapshot has gone meanwhile.
    pub(super) fn snapshot_read(&mut self, at: usize, position: LogPosition, offset: u64, bytes_max: usize) {
        self.damage_snapshots(at);
        let Some(process) = self.nodes[at].process.as_ref() else {
            return;
        };
        let bytes = process.store.snapshots().read(position, offset, bytes_max).ok();
        self.arrive(
            at,
            Input::SnapshotRead {
                position,
                offset,
                bytes,
            },
        );
    }

    /// The log is marked when nothing was written for a while, as the daemon does it.
    /// A batch was written; if nothing comes after it for a while, that is noted on the disk.
    fn note_written(&mut self, at: usize, life: u64, jobs_done: u64) {
        let due = self.queue.now() + IDLE;
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        let is_awaited = process.idle.replace(Idle { due, jobs_done }).is_some();
        if !is_awaited {
            self.queue.push(due, Event::node(at, life, NodeEvent::Idle));
        }
    }

    pub(super) fn idle(&mut self, at: usize) {
        let life = self.nodes[at].life;
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        match process.idle {
            Some(Idle { due, .. }) if due > self.queue.now() => {
                self.queue.push(due, Event::node(at, life, NodeEvent::Idle));
            }
            Some(Idle { jobs_done, .. }) => {
                process.idle = None;
                if process.jobs_done == jobs_done && process.jobs.is_empty() {
                    self.give_job(at, Job::MarkIdle);
                }
            }
            None => {}
        }
    }

    pub(super) fn fetch_done(&mut self, at: usize, from: LogIndex, to: LogIndex, bytes_max: usize) {
        self.damage_before_read(at, from.get());
        let Some(process) = self.nodes[at].process.as_ref() else {
            return;
        };
        match process.reader.read(from, to, bytes_max) {
            Ok(records) => {
                // What is being cut by the batch in flight may be read as it was.
                let kept = self.checks.certain(at);
                let known = records
                    .iter()
                    .take_while(|record| record.position.index.get() <= kept);
                let checked = self.checks.fetched(at, known);
                self.check(checked);
                self.arrive(at, Input::Fetched { from, records });
            }
            Err(ReadError::Absent(_)) => self.arrive(
                at,
                Input::Fetched {
                    from,
                    records: Vec::new(),
                },
            ),
            Err(ReadError::Damaged { .. }) if self.atlas.has_struck(at, from.get()) => {
                self.journal.counters.holes += 1;
                self.arrive(at, Input::Damaged { from });
            }
            Err(_) if self.nodes[at].disk.trouble().is_some() => self.end_by_disk(at),
            Err(error @ (ReadError::Damaged { .. } | ReadError::Disk { .. })) => {
                self.fail(Rule::SyncedIsKept, format!("n{}: {error}", at + 1));
            }
        }
    }

    /// Reads a part of the log again, as the daemon's reading thread does it.
    pub(super) fn scrub(&mut self, at: usize) {
        self.damage_cold(at);
        let life = self.nodes[at].life;
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        let pause = self.plan.sim.disk.scrub.as_millis() * MILLI;
        self.queue.after(pause, Event::node(at, life, NodeEvent::Scrub));
        match process.scrubber.step(SCRUB_BYTES) {
            Ok(Scrubbed { damaged: None, .. }) => {}
            Ok(Scrubbed {
                damaged: Some(from), ..
            }) if self.atlas.has_struck(at, from.get()) => {
                self.journal.counters.scrubbed += 1;
                self.arrive(at, Input::Damaged { from });
            }
            Err(_) if self.nodes[at].disk.trouble().is_some() => self.end_by_disk(at),
            Ok(Scrubbed {
                damaged: Some(from), ..
            }) => self.fail(
                Rule::DamageRecognized,
                format!(
                    "the scrub of n{} calls entry {} damaged, which is not",
                    at + 1,
                    from.get()
                ),
            ),
            Err(error) => self.fail(Rule::SyncedIsKept, format!("n{}: {error}", at + 1)),
        }
    }
}

/// A few entries, so that a pass takes several steps.
const SCRUB_BYTES: usize = 4 << 10;

/// As the daemon tries a full disk again.
const FULL_PAUSE: u64 = 100 * MILLI;

/// As the daemon marks an idle log.
const IDLE: u64 = 1000 * MILLI;
