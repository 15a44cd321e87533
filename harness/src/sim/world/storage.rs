//! What a node's disk does while the process lives: its jobs, one after the other, its reads, and its scrub.
//!
//! Invariant: what is decided about a disk is decided by the daemon's own driver (`noraftd::storage`); the simulation
//! adds delays, faults, and rules. A batch is written when its sync returns, so nothing can depend on half of it before.

use noraft::{LogIndex, LogPosition};
use noraftd::replica::event::{Input, Room};
use noraftd::storage::{Fetch, FetchStep, WriteJob};
use noraftd::store::{Scrubbed, StoreError};

use super::World;
use crate::plan::DiskTrouble;
use crate::sim::journal::happening::{DiskHappening, Happening};
use crate::sim::parts::MILLI;
use crate::sim::parts::checks::kept;
use crate::sim::parts::event::{Event, NodeEvent};
use crate::sim::parts::job::{Job, Ran};
use crate::sim::parts::network::delay;
use crate::sim::parts::node::Unfinished;
use crate::sim::parts::phase::Phase;
use crate::sim::parts::rule::{Rule, ensure};

impl World {
    /// The disk does one thing after the other.
    pub(super) fn give_job(&mut self, at: usize, job: Job) {
        let now = self.nodes[at].clock.instant(self.queue.now());
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        if job.batch().is_some() {
            process.writes_since.get_or_insert(now);
        }
        process.jobs.push_back(job);
        if process.jobs.len() == 1 {
            self.begin_job(at);
        }
    }

    fn begin_job(&mut self, at: usize) {
        let (takes, life) = (self.sync_takes(at), self.nodes[at].life);
        self.queue
            .after(takes, Event::node(at, life, NodeEvent::DiskDone));
    }

    /// How long the next sync of this disk takes.
    pub(super) fn sync_takes(&mut self, at: usize) -> u64 {
        let disk = &self.plan.sim.disk;
        let mut takes = delay(&mut self.prng, disk.sync_us);
        if self.nodes[at].disk.trouble() == Some(DiskTrouble::Slow) {
            takes = (takes * self.prng.between(10, 200) + MILLI).min(SLOW_MAX);
        }
        if self.prng.chance(disk.slow_permille, 1000) {
            takes += self.prng.below(disk.slow.as_millis() * MILLI);
        }
        let slow = disk.slow_sync(at as u64 + 1);
        if let Some(sync) = slow.filter(|_| self.progress.phase == Phase::Disturbed) {
            takes = takes.max(sync.as_millis() * MILLI);
        }
        takes
    }

    /// How long the next read of this disk takes.
    pub(super) fn read_takes(&mut self, at: usize) -> u64 {
        let takes = delay(&mut self.prng, self.plan.sim.disk.read_us);
        if self.nodes[at].disk.trouble() == Some(DiskTrouble::Slow) {
            (takes * self.prng.between(10, 200) + MILLI).min(SLOW_MAX)
        } else {
            takes
        }
    }

    /// The disk has done the first of its jobs, or tries it again.
    pub(super) fn disk_done(&mut self, at: usize) {
        self.meet_job(at, |process| &process.jobs);
        let node = &mut self.nodes[at];
        let (life, now) = (node.life, node.clock.instant(self.queue.now()));
        let Some(process) = node.process.as_mut() else {
            return;
        };
        let Some(job) = process.jobs.front() else { return };
        let ran = job.run(now, &mut process.driver);
        process.note_unfinished(&ran);
        let Some(job) = process.jobs.front() else { return };
        let happening = DiskHappening::of_run(at, job, &ran);
        self.journal.note(self.queue.now(), Happening::Disk(happening));
        if self.carry_out_aim(at) {
            return;
        }
        self.report_room(at);
        match ran {
            Ran::Done { input, missed, stats } => {
                missed.iter().for_each(|why| self.check_room_was_taken(at, why));
                self.job_done(at, input, stats.syncs > 1);
            }
            Ran::Retry { at: again, why } => {
                self.check_room_was_taken(at, &why);
                let again = self.nodes[at].clock.when(again, self.queue.now());
                self.queue
                    .push(again, Event::node(at, life, NodeEvent::DiskRetry));
            }
            Ran::Failed(_) => self.end_by_disk(at),
            Ran::Wrong(error) => self.fail(Rule::Store, format!("n{}: {error}", at + 1)),
        }
    }

    /// A segment has its name when it has its room, or votes would end with the space. One that an earlier process made
    /// for smaller segments is no use to this one, and makes way for another.
    fn check_room_was_taken(&mut self, at: usize, why: &StoreError) {
        let StoreError::Full { file, .. } = why else {
            return;
        };
        match self.nodes[at].disk.trouble() {
            // A write into room that was taken finds none either.
            Some(DiskTrouble::FullOverwrite | DiskTrouble::ShortWrite) => return,
            Some(DiskTrouble::Slow | DiskTrouble::Error | DiskTrouble::Full) | None => {}
        }
        let wanted = self.settings(at).0 << 10;
        let made = self.nodes[at]
            .disk
            .length(file)
            .is_some_and(|bytes| bytes >= wanted);
        let checked = ensure(!made, Rule::RoomFirst, || {
            format!(
                "n{}: the disk is full, and {file} has not got its room yet",
                at + 1
            )
        });
        self.check(checked);
    }

    /// The replica learns how much room there is before it learns what was written; from then on it must know.
    fn report_room(&mut self, at: usize) {
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        if let Some(room) = process.driver.news() {
            process.driver.note_reported(room);
            self.journal.counters.disks.full += u64::from(room == Room::Spent);
            if room == Room::Plenty {
                self.checks.short_log.has_room_again(self.nodes[at].id);
            }
            self.arrive(at, Input::Room(room));
        }
    }

    /// `is_large` when it took more syncs than one batch does: a segment was full, perhaps.
    fn job_done(&mut self, at: usize, input: Option<Input>, is_large: bool) {
        let Some(process) = self.nodes[at].process.as_mut() else {
            return;
        };
        let job = process.jobs.pop_front();
        if job.as_ref().is_some_and(|job| job.batch().is_some()) {
            process.writes_since = None;
        }
        let more = !process.jobs.is_empty();
        let base = process.driver.store().base();
        if let Some(Job::Write(write)) = &job {
            let rebases = matches!(write, WriteJob::Persist(batch) if batch.base.is_some());
            self.check_certain(at);
            if is_large || rebases {
                self.check_beginnings(at, base);
            }
        }
        if let Some(Job::Write(WriteJob::Persist(batch))) = job {
            self.journal.counters.batches += 1;
            let checked = self.checks.synced(at, &batch);
            self.check(checked);
        }
        if let Some(input) = input {
            self.arrive(at, input);
        }
        if more {
            self.begin_job(at);
        }
        self.schedule_disk(at);
    }

    /// Something was written: no loss of power takes it.
    fn check_certain(&mut self, at: usize) {
        if !self.is_ever_damaged(at) {
            let checked = kept::check_certain(at, &self.nodes[at].disk, self.unfinished(at));
            self.check(checked);
        }
    }

    /// What of the node's last writes is not certain.
    pub(super) fn unfinished(&self, at: usize) -> Unfinished {
        let process = self.nodes[at].process.as_ref();
        process.map(|process| process.unfinished).unwrap_or_default()
    }

    /// A segment was begun, or the log begins elsewhere now.
    pub(super) fn check_beginnings(&mut self, at: usize, base: LogPosition) {
        if !self.is_ever_damaged(at) {
            let checked = kept::check_beginnings_are_twice(at, &self.nodes[at].disk, base);
            self.check(checked);
        }
    }

    /// Of a damaged disk a copy may be missing for as long as it is not needed.
    pub(super) fn is_ever_damaged(&self, at: usize) -> bool {
        self.atlas.is_damaged(at) || self.atlas.was_damaged(at)
    }

    /// The disk's driver wants to do something by itself, unless a job comes before.
    pub(super) fn schedule_disk(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let (life, clock) = (node.life, node.clock);
        let Some(process) = node.process.as_mut() else {
            return;
        };
        let Some(deadline) = process.driver.deadline() else {
            return;
        };
        let due = clock.when(deadline, self.queue.now());
        if process.disk_due.is_none_or(|earlier| due < earlier) {
            process.disk_due = Some(due);
            self.queue
                .push(due, Event::node(at, life, NodeEvent::DiskDue { at: due }));
        }
    }

    /// It does so, if it still wants to.
    pub(super) fn disk_due(&mut self, at: usize, when: u64) {
        let node = &mut self.nodes[at];
        let now = node.clock.instant(self.queue.now());
        let Some(process) = node.process.as_mut() else {
            return;
        };
        if process.disk_due != Some(when) {
            return;
        }
        process.disk_due = None;
        if !process.jobs.is_empty() {
            // The driver is asked again when the last of them is done.
            return;
        }
        match process.driver.due(now) {
            Some(job) => self.give_job(at, Job::Write(job)),
            None => self.schedule_disk(at),
        }
    }

    /// Entries were read.
    pub(super) fn fetch_done(&mut self, at: usize, from: LogIndex, to: LogIndex, bytes_max: usize) {
        self.damage_before_read(at, from.get());
        let Some(process) = self.nodes[at].process.as_ref() else {
            return;
        };
        let step = process.reading.fetch(&Fetch { from, to, bytes_max });
        // A trouble may have begun with this read.
        let is_in_trouble = self.nodes[at].disk.trouble().is_some();
        match step {
            FetchStep::Done {
                input: Input::FetchFailed { from },
                damage,
            } => {
                if self.atlas.has_damaged(at, from.get()) {
                    self.journal.counters.disks.holes += 1;
                    self.arrive(at, Input::FetchFailed { from });
                } else if is_in_trouble {
                    self.end_by_disk(at);
                } else {
                    self.broken_read(at, &format!("entry {}: {damage:?}", from.get()));
                }
            }
            FetchStep::Done { input, .. } => {
                if let Input::Fetched { records, .. } = &input {
                    // What is being cut by the batch in flight may be read as it was.
                    let kept = self.checks.certain(at);
                    let known = records
                        .iter()
                        .take_while(|record| record.position.index.get() <= kept);
                    let checked = self.checks.fetched(at, known);
                    self.check(checked);
                }
                self.arrive(at, input);
            }
            FetchStep::Stop(_) if is_in_trouble => self.end_by_disk(at),
            FetchStep::Stop(stop) => self.broken_read(at, &stop.to_string()),
            FetchStep::Retry(why) => self.broken_read(at, &why.to_string()),
        }
    }

    fn broken_read(&mut self, at: usize, said: &str) {
        self.fail(Rule::SyncedIsKept, format!("n{}: {said}", at + 1));
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
        let (read, news) = (process.reading.scrub(), process.reading.news());
        process.reading.note_reported();
        let found = match read {
            Ok(read) => read.and_then(|Scrubbed { damaged, .. }| damaged),
            Err(_) if self.nodes[at].disk.trouble().is_some() => return self.end_by_disk(at),
            Err(stop) => return self.broken_read(at, &stop.to_string()),
        };
        if let Some(index) = found {
            self.journal.counters.disks.scrubbed += 1;
            let checked = ensure(
                self.atlas.has_damaged(at, index.get()),
                Rule::DamageRecognized,
                || {
                    format!(
                        "the scrub of n{} calls entry {} damaged, which is not",
                        at + 1,
                        index.get()
                    )
                },
            );
            self.check(checked);
        }
        if let Some(news) = news {
            self.arrive(at, news);
        }
    }
}

/// The longest that a disk in trouble takes: what it was given before the heal ends soon after it.
const SLOW_MAX: u64 = 1000 * MILLI;
