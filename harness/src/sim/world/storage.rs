//! What the disk has done, and what is left when the process is cut down in the middle of it.
//!
//! Invariant: a batch is written when its sync returns, so nothing can depend on half of it before. When the
//! process is cut down meanwhile, the batch is written up to one of its operations, drawn from all of them:
//! so every point of a roll, a truncation or a change of the hard state is a point of crash.

use noraft::{LogIndex, LogPosition};
use noraftd::prng::Prng;
use noraftd::record::{Record, Recovered, SnapshotId, genesis_config};
use noraftd::replica::Replica;
use noraftd::replica::event::{Input, Received, Snapshot};
use noraftd::snapshot;
use noraftd::store::{
    Identity, LogReader, OpenError, Options, Owner, ReadError, Scrubbed, Scrubber, SpareBy, Store, StoreError,
};
use noraftd::time::Instant;

use super::drive::CLUSTER_ID;
use super::{MILLI, Phase, World};
use crate::plan::NodePlan;
use crate::sim::parts::checks::ensure;
use crate::sim::parts::node::{Idle, Job, Process, other_settings, replica_config};
use crate::sim::parts::queue::Event;

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
            Err(StoreError::Full { file, .. }) => {
                // A segment has its name when it has its room, or votes would end with the space.
                let made = self.nodes[at].disk.has(&file);
                let checked = ensure(!made, "room is there before it is needed", || {
                    format!(
                        "n{}: the disk is full, and {file} has not got its room yet",
                        at + 1
                    )
                });
                self.check(checked);
                let retry = Event::DiskRetry { node: at, life };
                self.queue.push(self.now + FULL_PAUSE, retry);
            }
            Err(StoreError::Short { .. }) => {
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
            self.note_written(at, life, batches);
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
        let due = self.now + IDLE;
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        let is_awaited = process.idle.replace(Idle { due, jobs_done }).is_some();
        if !is_awaited {
            self.queue.push(due, Event::Idle { node: at, life });
        }
    }

    pub(super) fn idle(&mut self, at: usize, life: u64) {
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        match process.idle {
            Some(Idle { due, .. }) if due > self.now => {
                self.queue.push(due, Event::Idle { node: at, life });
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
                self.counters.holes += 1;
                self.arrive(at, Input::Damaged { from });
            }
            Err(_) if self.nodes[at].disk.trouble().is_some() => self.end_by_disk(at),
            Err(error @ (ReadError::Damaged { .. } | ReadError::Disk { .. })) => {
                self.fail(("synced is kept".to_owned(), format!("n{}: {error}", at + 1)));
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
        self.queue.push(self.now + pause, Event::Scrub { node: at, life });
        match process.scrubber.step(SCRUB_BYTES) {
            Ok(Scrubbed { damaged: None, .. }) => {}
            Ok(Scrubbed {
                damaged: Some(from), ..
            }) if self.atlas.has_struck(at, from.get()) => {
                self.counters.scrubbed += 1;
                self.arrive(at, Input::Damaged { from });
            }
            Err(_) if self.nodes[at].disk.trouble().is_some() => self.end_by_disk(at),
            Ok(Scrubbed {
                damaged: Some(from), ..
            }) => self.fail((
                "damage is told from the rest".to_owned(),
                format!(
                    "the scrub of n{} calls entry {} damaged, which is not",
                    at + 1,
                    from.get()
                ),
            )),
            Err(error) => self.fail(("synced is kept".to_owned(), format!("n{}: {error}", at + 1))),
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
            let is_orderly = how == Crash::Kill && self.stop_in_order(at);
            if !is_orderly {
                self.run_into_crash(at);
            }
            let why = match how {
                Crash::Kill if is_orderly => "stopped in good order",
                Crash::Kill => "killed",
                Crash::Power => "without power",
            };
            if how == Crash::Kill {
                self.tell_peers(at);
            }
            self.end_process(at, why);
        }
        if how == Crash::Power {
            let lost = self.nodes[at].disk.cut_power(self.plan.sim.disk.torn_permille);
            self.counters.sectors_lost += lost;
            self.trace.note(self.now, &[0xe1, at as u64, lost], || {
                format!("n{} lost {lost} unsynced sectors and names", at + 1)
            });
        }
    }

    /// Some are told to stop, and mark the log; those whose disk is busy are killed meanwhile.
    fn stop_in_order(&mut self, at: usize) -> bool {
        let wanted = self.prng.chance(1, 3);
        let process = self.nodes[at].process.as_mut();
        let Some(process) = process.filter(|process| wanted && process.jobs.is_empty()) else {
            return false;
        };
        process.store.mark_clean_stop().is_ok()
    }

    /// A kernel closes the connections of a process that is gone; nobody does when the power is.
    fn tell_peers(&mut self, at: usize) {
        for node in 0..self.nodes.len() {
            let link = self.network.between(node, at);
            if node == at || !self.network.link(link).is_open || self.network.link(link).cut_mode().is_some()
            {
                continue;
            }
            let life = self.nodes[node].life;
            let takes = crate::sim::parts::network::delay(&mut self.prng, DISCONNECT_US);
            let told = Event::Disconnect { node, life, peer: at };
            self.queue.push(self.now + takes, told);
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
        let is_over = node.process.is_some() || self.atlas.has_refused(at);
        if node.attempt != attempt || is_over || node.is_kept_down {
            return;
        }
        self.damage_at_rest(at);
        self.damage_snapshots(at);
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

    /// The size of segments, in KiB, and the limits that a node has in this life.
    fn settings(&self, at: usize) -> (u64, NodePlan) {
        let (disk, limits) = (&self.plan.sim.disk, &self.plan.sim.node);
        let label = FORK_SETTINGS ^ ((at as u64) << 32) ^ self.nodes[at].life;
        let prng = &mut Prng::new(self.plan.seed.unwrap_or_default()).fork(label);
        if self.phase == Phase::Disturbed && prng.chance(limits.resettings_permille, 1000) {
            other_settings(limits, prng)
        } else {
            (disk.segment_kib, limits.clone())
        }
    }

    fn open_store(&mut self, at: usize) -> Result<Opened, NotOpened> {
        let disk = std::sync::Arc::new(self.nodes[at].disk.clone());
        let options = Options {
            segment_bytes: self.settings(at).0 << 10,
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
        let (mut store, recovered) = opened.map_err(NotOpened::Open)?;
        let snapshot = snapshot::restore(&mut store).map_err(NotOpened::Open)?;
        let base = recovered.log.snapshot_position().index.get();
        let known = self.checks.first_unsure(at, &recovered).max(base);
        let tail = read_after(&store.reader(), known, &recovered).map_err(NotOpened::Read)?;
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

    fn start_failed(&mut self, at: usize, error: &NotOpened) {
        self.nodes[at].disk.release();
        let refused = matches!(error, NotOpened::Open(OpenError::Refused { .. }));
        if refused && self.atlas.may_refuse(at) {
            self.counters.refusals += 1;
            self.atlas.note_refused(at);
            self.trace.note(self.now, &[0xe5, at as u64], || {
                format!("n{} refuses to start: {error}", at + 1)
            });
            return;
        }
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
        self.atlas.note_started(at);
        if let Some((_, snapshot)) = &snapshot {
            self.note_state(at, snapshot);
        }
        let config = replica_config(&self.plan, &self.settings(at).1, self.nodes[at].id);
        let seed = self.prng.next_u64();
        let shape = recovered.clone();
        let is_abstaining = recovered.abstain.abstains();
        self.check_verdict(at, &store, &recovered);
        let replica = Replica::recover(&config, seed, recovered, snapshot);
        let is_damaged = self.atlas.is_damaged(at);
        let checked = self.checks.restarted(at, &replica, &shape, &tail, is_damaged);
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
                    "n{} starts in term {}, vote {:?}, last index {}, {} holes{}{}",
                    at + 1,
                    shape.hard_state.term,
                    shape.hard_state.voted_for,
                    shape.last_position().index.get(),
                    shape.holes.len(),
                    if is_abstaining { ", abstaining" } else { "" },
                    found_words(&store)
                )
            },
        );
        let reader = store.reader();
        let scrub = self.plan.sim.disk.scrub.as_millis() * MILLI;
        if scrub > 0 {
            let life = self.nodes[at].life;
            self.queue.push(self.now + scrub, Event::Scrub { node: at, life });
        }
        self.nodes[at].process = Some(Process {
            replica,
            store,
            scrubber: Scrubber::new(reader.clone()),
            reader,
            jobs: std::collections::VecDeque::new(),
            jobs_done: 0,
            inbox: vec![Input::Deadline],
            round_is_due: false,
            wake: None,
            is_abstaining,
            idle: None,
        });
        self.check(checked);
        self.round(at);
        self.network.of(at).into_iter().for_each(|link| self.dial(link));
    }
}

impl World {
    /// What the opening of a directory found must be what was done to it.
    fn check_verdict(&mut self, at: usize, store: &Store, recovered: &Recovered) {
        self.counters.holes += recovered.holes.len() as u64;
        let indexes = recovered.holes.iter().map(|hole| hole.position.index.get());
        let unstruck = indexes
            .into_iter()
            .find(|index| !self.atlas.has_struck(at, *index));
        if let Some(index) = unstruck {
            let findings: Vec<String> = store
                .recovery_report()
                .findings
                .iter()
                .map(ToString::to_string)
                .collect();
            let said = format!(
                "n{} calls entry {index} damaged, which is not: {findings:?}",
                at + 1
            );
            self.fail(("damage is told from the rest".to_owned(), said));
        }
        if self.atlas.must_refuse(at) {
            let said = format!("n{} starts although both copies of its vote are damaged", at + 1);
            self.fail(("damage is refused".to_owned(), said));
        }
    }
}

/// Why a directory was not opened.
#[derive(Debug, thiserror::Error)]
enum NotOpened {
    #[error(transparent)]
    Open(OpenError),
    #[error(transparent)]
    Read(ReadError),
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

/// All entries after `known` that can be read.
fn read_after(reader: &LogReader, known: u64, recovered: &Recovered) -> Result<Vec<Record>, ReadError> {
    let (mut records, last) = (Vec::new(), recovered.last_position().index);
    let is_hole = |index: u64| {
        let holes = &recovered.holes;
        holes
            .binary_search_by_key(&index, |hole| hole.position.index.get())
            .is_ok()
    };
    let mut next = known + 1;
    while next <= last.get() {
        if is_hole(next) {
            next += 1;
            continue;
        }
        let read = reader.read(LogIndex::new(next), last, usize::MAX)?;
        next += read.len() as u64;
        records.extend(read);
    }
    Ok(records)
}

/// Tells the draws of settings from others.
const FORK_SETTINGS: u64 = 0x7365_7474;
/// Until a closed connection is noticed.
const DISCONNECT_US: u64 = 200;
/// A few entries, so that a pass takes several steps.
const SCRUB_BYTES: usize = 4 << 10;
/// As the daemon tries a full disk again.
const FULL_PAUSE: u64 = 100 * MILLI;
/// As the daemon marks an idle log.
const IDLE: u64 = 1000 * MILLI;
/// Opening takes about so many operations.
const RECOVERY_OPERATIONS: u64 = 30;

/// What the opening of a directory found, beside whole batches.
fn found_words(store: &Store) -> String {
    let found = store.recovery_report().findings.iter();
    found
        .map(|found| format!("; {} byte {}: {}", found.file, found.offset, found.verdict.name()))
        .collect()
}
