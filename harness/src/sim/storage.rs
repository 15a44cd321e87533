//! What the disk has done, and what is left when the process is cut down in the middle of it.
//!
//! Invariant: a batch is written when its sync returns, so nothing can depend on half of it before. When the
//! process is cut down meanwhile, the batch is written up to one of its operations, drawn from all of them:
//! so every point of a roll, a truncation or a change of the hard state is a point of crash.

use noraft::{LogIndex, LogPosition};
use noraftd::record::{Record, Recovered, SnapshotId, genesis_config};
use noraftd::replica::Replica;
use noraftd::replica::event::{Input, Received, Snapshot};
use noraftd::snapshot;
use noraftd::store::{Identity, LogReader, OpenError, Options, Owner, ReadError, SpareBy, Store, StoreError};
use noraftd::time::Instant;

use super::drive::CLUSTER_ID;
use super::node::{Job, Process, replica_config};
use super::queue::Event;
use super::world::{MILLI, Phase, World};

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    /// Everything that it wrote is there.
    Kill,
    /// Of what it had not synced, some is lost.
    Power,
}

/// A directory that was opened.
struct Opened {
    store: Store,
    recovered: Recovered,
    snapshot: Option<(SnapshotId, Snapshot)>,
    /// Entries beyond those that were certain.
    tail: Vec<Record>,
}

impl World {
    /// The disk has done the first of its jobs.
    pub(super) fn disk_done(&mut self, at: usize) {
        let life = self.nodes[at].life;
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        let Some(job) = process.jobs.front() else { return };
        let done = job.run(&mut process.store);
        self.trace.note(
            self.now,
            &[
                0xd0,
                at as u64,
                done.as_ref().map_or(u64::MAX, |(stats, _)| stats.bytes),
            ],
            || match &done {
                Ok((stats, _)) => format!(
                    "n{} synced {} in {} bytes and {} syncs",
                    at + 1,
                    job_words(job),
                    stats.bytes,
                    stats.syncs
                ),
                Err(error) => format!("n{} could not sync {}: {error}", at + 1, job_words(job)),
            },
        );
        match done {
            Ok((_, told)) => self.job_done(at, told),
            Err(StoreError::Full { .. }) => {
                let retry = Event::DiskRetry { node: at, life };
                self.queue.push(self.now + FULL_PAUSE, retry);
            }
            Err(StoreError::Failed { .. }) => self.end_by_disk(at),
            Err(error @ StoreError::Invalid(_)) => {
                self.fail(("store".to_owned(), format!("n{}: {error}", at + 1)));
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
            self.counters.batches += 1;
            let checked = self.checks.synced(at, &batch);
            self.check(checked);
            self.queue.push(
                self.now + IDLE,
                Event::Idle {
                    node: at,
                    life,
                    batches,
                },
            );
        }
        if let Some(Input::SnapshotReceived {
            received: Received::Whole(snapshot),
            ..
        }) = &told
        {
            self.counters.installs += 1;
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
    pub(super) fn idle(&mut self, at: usize, batches: u64) {
        let process = self.nodes[at].process.as_ref();
        if process.is_some_and(|process| process.jobs_done == batches && process.jobs.is_empty()) {
            self.give_job(at, Job::MarkIdle);
        }
    }

    pub(super) fn fetch_done(&mut self, at: usize, from: LogIndex, to: LogIndex, bytes_max: usize) {
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
            Err(_) if self.nodes[at].disk.trouble().is_some() => self.end_by_disk(at),
            Err(error @ (ReadError::Damaged { .. } | ReadError::Disk { .. })) => {
                self.fail(("synced is kept".to_owned(), format!("n{}: {error}", at + 1)));
            }
        }
    }

    /// The daemon ends itself when its disk fails, and somebody starts it again.
    fn end_by_disk(&mut self, at: usize) {
        if self.nodes[at].disk.failures() == 0 {
            self.fail((
                "store".to_owned(),
                format!("n{} ends because of its disk, which did not fail", at + 1),
            ));
            return;
        }
        self.interrupt(at);
        self.end_process(at, "its disk failed");
        let again = self.prng.between(20, 500) * MILLI;
        self.schedule_start(at, again);
    }

    /// Cuts the process down, and whatever its disk is doing with it.
    pub(super) fn crash(&mut self, at: usize, how: Crash) {
        if self.nodes[at].process.is_some() {
            self.counters.crashes += 1;
            self.run_into_crash(at);
            self.end_process(
                at,
                if how == Crash::Kill {
                    "killed"
                } else {
                    "without power"
                },
            );
        }
        if how == Crash::Power {
            let lost = self.nodes[at].disk.cut_power(self.plan.sim.disk.torn_permille);
            self.counters.sectors_lost += lost;
            self.trace.note(self.now, &[0xe1, at as u64, lost], || {
                format!("n{} lost {lost} unsynced sectors and names", at + 1)
            });
        }
    }

    /// Does a part of the job in hand.
    fn run_into_crash(&mut self, at: usize) {
        self.interrupt(at);
        let operations = self.drawn_operations();
        let node = &mut self.nodes[at];
        let Some(process) = node.process.as_mut() else {
            return;
        };
        let Some(job) = process.jobs.front() else { return };
        node.disk.crash_after(operations);
        // Nobody is left to be told how it went.
        let _ = job.run(&mut process.store);
        self.trace.note(self.now, &[0xe0, at as u64, operations], || {
            format!(
                "n{} is cut down {operations} disk operations into {}",
                at + 1,
                job_words(job)
            )
        });
    }

    /// Most jobs take a few operations, a roll about twenty.
    fn drawn_operations(&mut self) -> u64 {
        let most = if self.prng.chance(1, 2) { 4 } else { 24 };
        self.prng.below(most)
    }

    /// Of what the job in hand replaces nothing is certain any more.
    fn interrupt(&mut self, at: usize) {
        let process = self.nodes[at].process.as_ref();
        let Some(batch) = process.and_then(|process| process.jobs.front()?.batch()) else {
            return;
        };
        self.checks.interrupted(at, batch);
    }

    fn end_process(&mut self, at: usize, why: &str) {
        let node = &mut self.nodes[at];
        node.process = None;
        node.life += 1;
        node.is_paused = false;
        node.held.clear();
        node.disk.release();
        self.trace.note(self.now, &[0xe2, at as u64], || {
            format!("n{} ended: {why}", at + 1)
        });
        for link in self.network.of(at) {
            let sends = self.network.link(link).from == at;
            // What the kernel has taken over may still arrive.
            if sends && self.prng.chance(1, 2) {
                self.network.link(link).is_open = false;
            } else {
                self.network.link(link).close();
            }
        }
        self.lose_clients(at);
    }

    /// Starts the process in `delay` nanoseconds; an earlier plan to start it is void.
    pub(super) fn schedule_start(&mut self, at: usize, delay: u64) {
        self.nodes[at].attempt += 1;
        let attempt = self.nodes[at].attempt;
        self.queue
            .push(self.now + delay, Event::Start { node: at, attempt });
    }

    pub(super) fn start(&mut self, at: usize, attempt: u64) {
        let node = &self.nodes[at];
        if node.attempt != attempt || node.process.is_some() || node.is_kept_down {
            return;
        }
        let share = self.plan.sim.disk.recovery_crash_permille;
        if self.phase == Phase::Disturbed && self.prng.chance(share, 1000) {
            let operations = self.prng.below(RECOVERY_OPERATIONS);
            self.nodes[at].disk.crash_after(operations);
        }
        let opened = self.open_store(at);
        if self.nodes[at].disk.is_crashed() {
            drop(opened);
            self.crash_in_recovery(at);
            return;
        }
        self.nodes[at].disk.disarm();
        match opened {
            Ok(opened) => self.begin_process(at, opened),
            Err(error) => self.start_failed(at, &error),
        }
    }

    fn open_store(&mut self, at: usize) -> Result<Opened, String> {
        let disk = std::sync::Arc::new(self.nodes[at].disk.clone());
        let options = Options {
            segment_bytes: self.plan.sim.disk.segment_kib << 10,
            spare: SpareBy::Caller,
            clock: || Instant::ZERO,
            salt_seed: self.prng.next_u64(),
        };
        let owner = Owner {
            cluster_id: CLUSTER_ID,
            node_id: self.nodes[at].id,
        };
        let opened = match Store::open(disk.clone(), options, owner) {
            Err(OpenError::NoStore { .. }) => {
                self.nodes[at].disk.unlock();
                let incarnation = self.prng.next_u64();
                let genesis = genesis_config(self.nodes.iter().map(|node| node.id));
                Store::create(disk, options, Identity { owner, incarnation }, &genesis)
            }
            opened => opened,
        };
        let (mut store, recovered) = opened.map_err(|error| error.to_string())?;
        let snapshot = snapshot::restore(&mut store).map_err(|error| error.to_string())?;
        let base = recovered.log.snapshot_position().index.get();
        let known = self.checks.certain(at).max(base);
        let tail = read_after(&store.reader(), known, recovered.last_position().index.get());
        let tail = tail.map_err(|error| error.to_string())?;
        Ok(Opened {
            store,
            recovered,
            snapshot,
            tail,
        })
    }

    fn crash_in_recovery(&mut self, at: usize) {
        self.counters.recovery_crashes += 1;
        let power = self.prng.chance(1, 2);
        let lost = if power {
            self.nodes[at].disk.cut_power(self.plan.sim.disk.torn_permille)
        } else {
            self.nodes[at].disk.release();
            0
        };
        self.counters.sectors_lost += lost;
        self.trace.note(self.now, &[0xe3, at as u64, lost], || {
            format!(
                "n{} is cut down while it reads its disk; {lost} sectors and names lost",
                at + 1
            )
        });
        let again = self.prng.between(1, 100) * MILLI;
        self.schedule_start(at, again);
    }

    fn start_failed(&mut self, at: usize, error: &str) {
        self.nodes[at].disk.release();
        if self.nodes[at].disk.trouble().is_none() {
            let said = format!("n{} does not start: {error}", at + 1);
            self.fail(("starts again".to_owned(), said));
            return;
        }
        let again = self.prng.between(50, 500) * MILLI;
        self.schedule_start(at, again);
    }

    fn begin_process(&mut self, at: usize, opened: Opened) {
        let Opened {
            store,
            recovered,
            snapshot,
            tail,
        } = opened;
        self.counters.starts += 1;
        if let Some((_, snapshot)) = &snapshot {
            self.note_state(at, snapshot);
        }
        let config = replica_config(&self.plan, self.nodes[at].id);
        let seed = self.prng.next_u64();
        let shape = recovered.clone();
        let is_abstaining = recovered.abstain;
        let replica = Replica::recover(&config, seed, recovered, snapshot);
        let checked = self.checks.restarted(at, replica.node(), &shape, &tail);
        self.trace.note(
            self.now,
            &[
                0xe4,
                at as u64,
                shape.hard_state.term,
                shape.last_position().index.get(),
            ],
            || {
                format!(
                    "n{} starts in term {}, vote {:?}, last index {}{}",
                    at + 1,
                    shape.hard_state.term,
                    shape.hard_state.voted_for,
                    shape.last_position().index.get(),
                    if is_abstaining { ", abstaining" } else { "" }
                )
            },
        );
        let reader = store.reader();
        self.nodes[at].process = Some(Process {
            replica,
            store,
            reader,
            jobs: std::collections::VecDeque::new(),
            jobs_done: 0,
            inbox: vec![Input::Deadline],
            round_is_due: false,
            wake: None,
            is_abstaining,
        });
        self.check(checked);
        self.round(at);
        self.network.of(at).into_iter().for_each(|link| self.dial(link));
    }
}

fn job_words(job: &Job) -> String {
    match job {
        Job::Persist(batch) => {
            let entries = batch.append.as_ref().map_or(0, |append| append.records.len());
            let state = if batch.hard_state.is_some() {
                ", hard state"
            } else {
                ""
            };
            let base = batch.base.as_ref().map_or_else(String::new, |base| {
                format!(", the log begins after {}", base.position.index.get())
            });
            format!("batch {} ({entries} entries{state}{base})", batch.id.0)
        }
        Job::Patch { records, .. } => format!("a patch of {} entries", records.len()),
        Job::MarkIdle => "an idle mark".to_owned(),
        Job::MarkCaughtUp => "a mark that it caught up".to_owned(),
        Job::SaveSnapshot(snapshot) => {
            format!("a snapshot of entry {}", snapshot.head.base.position.index.get())
        }
        Job::ReceiveSnapshot { id, offset, bytes } => format!(
            "bytes {offset}..{} of {} of the snapshot of entry {}",
            offset + bytes.len() as u64,
            id.bytes,
            id.position.index.get()
        ),
    }
}

fn read_after(reader: &LogReader, certain: u64, last: u64) -> Result<Vec<Record>, ReadError> {
    let mut records = Vec::new();
    let mut next = certain + 1;
    while next <= last {
        let read = reader.read(LogIndex::new(next), LogIndex::new(last), usize::MAX)?;
        next += read.len() as u64;
        records.extend(read);
    }
    Ok(records)
}

/// As the daemon tries a full disk again.
const FULL_PAUSE: u64 = 100 * MILLI;
/// As the daemon marks an idle log.
const IDLE: u64 = 1000 * MILLI;
/// Opening takes about so many operations.
const RECOVERY_OPERATIONS: u64 = 30;
