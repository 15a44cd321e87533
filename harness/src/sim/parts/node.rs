//! One simulated node: a disk that outlives its processes, clocks, and the process that runs at the moment.
//!
//! Invariant: what a process knew is gone with it. Only the disk and the clocks go on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use noraft::NodeId;
use noraftd::prng::Prng;
use noraftd::replica::event::{Input, Output};
use noraftd::replica::{Limits, Replica, ReplicaConfig, SnapshotConfig};
use noraftd::storage::{Driver, ReadDriver, VoteJob, WriteJob};
use noraftd::store::disk::Disk;
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::{HARD_STATE_FILE, StoreError};
use noraftd::time::{Instant, Stamp};

use super::connections::Connections;
use super::disk::SimDisk;
use super::event::Event;
use super::hello::Greeter;
use super::job::{Job, Ran};
use super::members::first_place;
use super::table::Table;
use crate::plan::{NodePlan, Plan};

/// One node.
pub(crate) struct SimNode {
    pub(crate) id: NodeId,
    pub(crate) disk: SimDisk,
    pub(crate) clock: NodeClock,
    /// Counts processes: what was meant for an earlier one is not done.
    pub(crate) life: u64,
    pub(crate) process: Option<Process>,
    /// Where it writes down which directories the other nodes have: its disk, where directories are lost in the plan.
    /// Elsewhere a disk of its own, on which nothing fails.
    pub(crate) met: Arc<dyn Disk>,
    pub(crate) loss: Loss,
    /// Whether it is a node of the cluster at all.
    pub(crate) standing: Standing,
    /// Where the others reach it.
    pub(crate) place: String,
    /// The nemesis keeps it down.
    pub(crate) is_kept_down: bool,
    /// Only the last start that was scheduled counts.
    pub(crate) attempt: u64,
    pub(crate) is_paused: bool,
    /// What happened to it while it stood still.
    pub(crate) held: Vec<Event>,
    /// Its disk does not answer: what it has done is kept here until it does.
    pub(crate) stalled: Option<Vec<Event>>,
    /// Kept for its allocation.
    pub(crate) outputs: Vec<Output>,
}

/// Whether there is a node of this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No machine has its id yet.
    Absent,
    /// It has a directory.
    There,
    /// It heard that it was removed, and stays out.
    Gone,
}

/// What became of a node's directory.
#[derive(Default)]
pub(crate) struct Loss {
    /// It is lost, and was not set up again: no other node may listen to this one.
    pub(crate) is_outcast: bool,
    /// An old copy of it, which the operator took while the node was down.
    pub(crate) copy: Option<BTreeMap<String, Vec<u8>>>,
    /// A second process, with a copy of it.
    pub(crate) twin: Option<Twin>,
    /// The operator stopped the node, which is no voter any more.
    pub(crate) is_stopped: bool,
    /// The operator will set it up again.
    pub(crate) rejoin_is_due: bool,
}

/// A second process with a copy of a node's directory: no more of it than the other nodes can notice.
pub(crate) struct Twin {
    pub(crate) disk: MemDisk,
    pub(crate) greeter: Greeter,
    /// How often it will say hello yet.
    pub(crate) calls: u64,
}

/// A running process.
pub(crate) struct Process {
    pub(crate) replica: Replica,
    pub(crate) driver: Driver,
    pub(crate) reading: ReadDriver,
    pub(crate) greeter: Greeter,
    pub(crate) table: Table,
    /// What the disk has to do, the first of it now.
    pub(crate) jobs: VecDeque<Job>,
    /// Since when a batch of entries is on its way to the disk, by the node's clock.
    pub(crate) writes_since: Option<Instant>,
    /// And beside them, the first of it now: the log does not wait for a snapshot.
    pub(crate) snapshots: VecDeque<Job>,
    /// And beside both, the first of it now: a vote does not wait for a batch.
    pub(crate) votes: VecDeque<VoteJob>,
    /// When the disk's driver wants to do something by itself.
    pub(crate) disk_due: Option<u64>,
    pub(crate) inbox: Vec<Input>,
    pub(crate) connections: Connections,
    pub(crate) round_is_due: bool,
    /// When the earliest wake-up comes that is scheduled.
    pub(crate) wake: Option<u64>,
    pub(crate) is_abstaining: bool,
    /// After so many bytes of entries it takes a snapshot.
    pub(crate) snapshot_log_bytes: u64,
    pub(crate) unfinished: Unfinished,
}

/// Where a write ended early and was not made good yet: what it left is not certain, and counts for nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unfinished {
    /// At the end of the log.
    pub(crate) log: bool,
    /// In the older slot of term and vote.
    pub(crate) slot: bool,
}

impl Unfinished {
    /// A write into `file` ended early.
    fn note(&mut self, why: &StoreError) {
        let (StoreError::Full { file, .. } | StoreError::Short { file, .. }) = why else {
            return;
        };
        let part = if file == HARD_STATE_FILE {
            &mut self.slot
        } else {
            &mut self.log
        };
        *part = true;
    }
}

impl Process {
    /// True when it would abstain after a crash although it has caught up: the mark that says so waits for what is written
    /// before it, or for room. One that is never tried again is no reason.
    pub(crate) fn is_about_to_mark(&self) -> bool {
        let is_mark = |job: &Job| matches!(job, Job::Write(WriteJob::MarkCaughtUp));
        let waits = self.unfinished.log || self.jobs.iter().any(is_mark);
        waits && self.driver.store().abstains()
    }

    /// The first of its jobs was run.
    pub(crate) fn note_unfinished(&mut self, ran: &Ran) {
        let (syncs, why) = match ran {
            Ran::Done { stats, missed, .. } => (stats.syncs, missed.as_ref()),
            Ran::Retry { why, .. } => (0, Some(why)),
            Ran::Wrong(_) | Ran::Failed(_) => return,
        };
        if let Some(Job::Write(job)) = self.jobs.front()
            && syncs > 0
        {
            let writes_slot = job.batch().is_some_and(|batch| batch.hard_state.is_some());
            self.unfinished.log = false;
            self.unfinished.slot &= !(writes_slot && self.votes.is_empty());
        }
        // A mark that is owed is tried behind what the job wrote.
        why.into_iter().for_each(|why| self.unfinished.note(why));
    }

    /// A vote was written, or waits because of this.
    pub(crate) fn note_vote(&mut self, waits: Option<&StoreError>) {
        self.unfinished.slot = false;
        waits.into_iter().for_each(|why| self.unfinished.note(why));
    }

    /// True when its disk has nothing to do.
    pub(crate) fn has_idle_disk(&self) -> bool {
        self.jobs.is_empty() && self.snapshots.is_empty() && self.votes.is_empty()
    }

    /// Does the first of what was asked for its snapshots, as far as the disk goes on; the process learns nothing of it.
    pub(crate) fn run_snapshot(&mut self, now: Instant) {
        if let Some(job) = self.snapshots.front() {
            let _ = job.run(now, &mut self.driver);
        }
    }

    /// Does what was asked for its votes, as far as the disk goes on; the process learns nothing of it.
    pub(crate) fn run_votes(&self) {
        let votes = self.driver.store().votes();
        let _ = self.votes.iter().try_for_each(|job| job.run(&votes).map(drop));
    }
}

impl SimNode {
    /// A node of `plan` that was never started.
    pub(crate) fn new(id: u64, prng: &Prng, clock: NodeClock, plan: &Plan) -> Self {
        let disk = SimDisk::new(prng.fork(id), plan.sim.disk.direct_bytes_min());
        let met = if plan.loses_directories() {
            disk.open()
        } else {
            Arc::new(MemDisk::new())
        };
        Self {
            id: NodeId::new(id),
            disk,
            met,
            loss: Loss::default(),
            standing: if id <= plan.cluster.nodes as u64 {
                Standing::There
            } else {
                Standing::Absent
            },
            place: first_place(NodeId::new(id)),
            clock,
            life: 0,
            process: None,
            is_kept_down: false,
            attempt: 0,
            is_paused: false,
            held: Vec::new(),
            stalled: None,
            outputs: Vec::new(),
        }
    }
}

/// A node's clocks: a monotonic one that runs at its own rate, and a wall clock that jumps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeClock {
    /// The monotonic clock showed `local` at the virtual time `since`.
    since: u64,
    local: u64,
    /// Local thousandths a virtual second.
    rate: u64,
    wall_offset_ms: i64,
    /// The virtual time at which the wall clock stopped.
    wall_stopped: Option<u64>,
}

impl NodeClock {
    pub(crate) fn new(rate: u64, wall_offset_ms: i64) -> Self {
        Self {
            since: 0,
            local: 0,
            rate,
            wall_offset_ms,
            wall_stopped: None,
        }
    }

    /// What the monotonic clock shows.
    pub(crate) fn instant(&self, now: u64) -> Instant {
        Instant::from_nanos(self.local + (now - self.since) * self.rate / NORMAL)
    }

    /// When it will show `instant`, rounded up; now, if it did already.
    pub(crate) fn when(&self, instant: Instant, now: u64) -> u64 {
        let ahead = instant.as_nanos().saturating_sub(self.local);
        let takes = u128::from(ahead) * u128::from(NORMAL);
        let takes = match self.rate {
            // What lets it run again looks once more.
            0 => {
                if ahead == 0 {
                    0
                } else {
                    u64::MAX
                }
            }
            rate => u64::try_from(takes.div_ceil(u128::from(rate))).unwrap_or(u64::MAX),
        };
        self.since.saturating_add(takes).max(now)
    }

    /// What the wall clock shows.
    pub(crate) fn stamp(&self, now: u64) -> Stamp {
        let millis = EPOCH_MS + self.wall_stopped.unwrap_or(now) / 1_000_000;
        Stamp::from_millis(millis.saturating_add_signed(self.wall_offset_ms))
    }

    /// At how many thousandths the monotonic clock runs.
    pub(crate) fn rate(&self) -> u64 {
        self.rate
    }

    /// How far the wall clock is ahead, in milliseconds.
    pub(crate) fn wall_offset_ms(&self) -> i64 {
        self.wall_offset_ms
    }

    /// Runs at `rate` thousandths from now on.
    pub(crate) fn set_rate(&mut self, now: u64, rate: u64) {
        self.local = self.instant(now).as_nanos();
        (self.since, self.rate) = (now, rate);
    }

    /// The monotonic clock goes on from a later time.
    pub(crate) fn leap(&mut self, millis: u64) {
        self.local += millis * 1_000_000;
    }

    /// The wall clock stands still.
    pub(crate) fn stop_wall(&mut self, now: u64) {
        self.wall_stopped.get_or_insert(now);
    }

    /// Both run at the usual rate from now on.
    pub(crate) fn calm(&mut self, now: u64) {
        self.set_rate(now, NORMAL);
        if let Some(stopped) = self.wall_stopped.take() {
            self.wall_offset_ms -= ((now - stopped) / 1_000_000) as i64;
        }
    }

    /// Moves the wall clock.
    pub(crate) fn jump(&mut self, millis: i64) {
        self.wall_offset_ms += millis;
    }
}

/// What a node is started with, where that is not what the plan says: another size of segments, in KiB, and other limits; parts of
/// snapshots have at least two to the power of `chunk_bits_min` bytes.
pub(crate) fn other_settings(limits: &NodePlan, chunk_bits_min: u64, prng: &mut Prng) -> (u64, NodePlan) {
    let segment_kib = 32 << prng.below(5);
    let limits = NodePlan {
        batch_bytes_max: 1 << prng.between(6, 16),
        in_flight_messages_max: 1 << prng.between(0, 6),
        cache_bytes_max: 1 << prng.between(8, 18),
        snapshot_log_bytes: 1 << prng.between(10, 20),
        snapshot_chunk_bytes: 1 << prng.between(chunk_bits_min, 16),
        ..limits.clone()
    };
    (segment_kib, limits)
}

/// How a node of `plan` with these limits behaves.
pub(crate) fn replica_config(plan: &Plan, limits: &NodePlan, id: NodeId) -> ReplicaConfig {
    let election = plan.cluster.election.as_duration();
    ReplicaConfig {
        heartbeat_interval: plan.cluster.heartbeat.as_duration(),
        election_timeout: election,
        disk_stall_max: election,
        request_timeout: limits.request_timeout.as_duration().max(Duration::from_millis(1)),
        limits: Limits {
            batch_bytes_max: limits.batch_bytes_max,
            in_flight_messages_max: limits.in_flight_messages_max,
            payload_cache_bytes_max: limits.cache_bytes_max,
            ..Limits::default()
        },
        snapshots: SnapshotConfig {
            log_bytes: limits.snapshot_log_bytes,
            chunk_bytes: limits.snapshot_chunk_bytes,
            ..SnapshotConfig::default()
        },
        members: (1..=plan.cluster.nodes as u64).map(NodeId::new).collect(),
        ..ReplicaConfig::new(id)
    }
}

/// The cluster's number in frames.
pub(crate) const CLUSTER_ID: u64 = 0x7369_6d75_6c61_7465;
/// Thousandths: a clock that neither gains nor loses.
pub(crate) const NORMAL: u64 = 1000;
/// The wall clock at virtual time zero: some day in 2026.
const EPOCH_MS: u64 = 1_790_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_an_instant_when_it_says_so() {
        let mut clock = NodeClock::new(1300, 0);
        for (now, rate) in [(1_000_003, 700), (9_000_017, 1900), (10_000_000, 1000)] {
            let before = clock.instant(now);
            clock.set_rate(now, rate);
            assert_eq!(clock.instant(now), before, "a change of rate is no jump");
            let target = before + Duration::from_nanos(777_777);
            let when = clock.when(target, now);
            assert!(clock.instant(when) >= target && clock.instant(when - 2) < target);
            assert_eq!(clock.when(Instant::ZERO, now), now);
        }
    }
}
