//! The simulated world, as a plan says it: network, disks, clocks, and the limits of the nodes.
//!
//! Invariant: parameters only. In a plan with a `[swarm]` table they are the most that a seed may draw.

use noraftd::prng::Prng;
use serde::{Deserialize, Serialize};

use super::error::{PlanError, require};
use super::span::Span;

/// The world of `harness sim`. Runs of real processes ignore it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimPlan {
    /// Links between nodes.
    pub network: NetworkPlan,
    /// Disks.
    pub disk: DiskPlan,
    /// Clocks.
    pub clock: ClockPlan,
    /// Limits of the nodes; small ones, so that they are reached.
    pub node: NodePlan,
    /// Moments from which on the run draws other numbers.
    #[serde(rename = "branch", skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<BranchPlan>,
}

/// A moment at which a run leaves the one that it would be: up to then it is the same, event by event; from then on all that is
/// drawn (further faults, delays, what crashes leave) is drawn from another seed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BranchPlan {
    /// When, in virtual microseconds since the run began.
    pub at_us: u64,
    /// The seed from then on.
    pub seed: u64,
}

/// Links between nodes. Shares are per thousand messages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkPlan {
    /// The median delay of a message, in microseconds.
    pub delay_us: u64,
    /// Messages that take ten to a hundred times as long.
    pub late_permille: u64,
    /// Messages that are lost.
    pub loss_permille: u64,
    /// Messages that arrive twice.
    pub duplicate_permille: u64,
    /// Messages that others may overtake.
    pub reorder_permille: u64,
    /// Messages with flipped bits: the receiver must notice and drop the connection.
    pub corrupt_permille: u64,
    /// Leaders, of a thousand, that are isolated for a while within a few messages of their election.
    pub coup_permille: u64,
    /// Answers between nodes of which a copy arrives again, one or two terms later.
    pub stale_permille: u64,
    /// Leaders, of a thousand that continue in the middle of the fault `coup`, to which the last echoes that they were sent before
    /// arrive again at that moment: those of a round before the reads that came meanwhile.
    pub late_round_permille: u64,
    /// Messages that are on their way when their connection ends, and arrive over the next one; but no entries or pulses of a
    /// leader at a later process that abstains. With `stale_permille`, copies of answers do so, too, and of requests that
    /// were passed on.
    pub cross_permille: u64,
    /// Requests that a node passes on with a number that an earlier process of it used, and that meet the answer to that
    /// process.
    pub repeat_permille: u64,
    /// Messages with entries or a part of a snapshot, in which a bit of those has rotted in the sender's memory: the frame's
    /// checksum is right. An entry must be refused, and a snapshot not installed.
    pub rotten_permille: u64,
}

/// Disks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskPlan {
    /// The median time to make a batch durable, in microseconds.
    pub sync_us: u64,
    /// The median time to read a few entries or a part of a snapshot back, in microseconds; from the page cache, that of default.
    pub read_us: u64,
    /// Batches, of a thousand, that take up to `slow`.
    pub slow_permille: u64,
    /// The longest time that a slow batch takes.
    pub slow: Span,
    /// Nodes on which every sync takes at least `slow_node_sync` while faults happen. A swarm plan names none: a third
    /// of the seeds draw one or two, and the time from `slow_node_syncs`.
    slow_nodes: Vec<u64>,
    /// The shortest time that a sync takes on a slow node.
    slow_node_sync: Span,
    /// The times from which a seed draws `slow_node_sync`.
    slow_node_syncs: Vec<Span>,
    /// The size of a log segment, in KiB: small ones are rolled over often.
    pub segment_kib: u64,
    /// Sectors, of a thousand that a power cut interrupts, that hold neither the old nor the new bytes.
    pub torn_permille: u64,
    /// Of a thousand nodes that lose power while they write, those that lose it just before the sync: of what is written, each sector
    /// fares by itself.
    pub caught_permille: u64,
    /// Starts, of a thousand, before which the disk is damaged (at most a minority of disks at a time).
    pub damage_permille: u64,
    /// Reads of entries, of a thousand, before which the entry is damaged (with the same limit).
    pub rot_permille: u64,
    /// Of a thousand entries that are damaged under a running node otherwise, those that it does not know to be committed, where it has any.
    pub rot_tail_permille: u64,
    /// Of a thousand starts, and of a thousand reads of a part of a snapshot, those before which a snapshot is damaged
    /// (with the same limit).
    pub snapshot_damage_permille: u64,
    /// Disks of a majority may be damaged too. Then nodes may stop, but what they serve has to be right.
    pub damage_beyond: bool,
    /// Of a thousand times that all nodes are down, those after which the last committed entry is damaged on each disk that has it
    /// (with `damage_beyond`; otherwise with the same limit).
    pub common_permille: u64,
    /// How often a node reads a part of its log again to find damage; 0 is never. With a scrub, entries that are not
    /// read otherwise are damaged, too.
    pub scrub: Span,
    /// Starts, of a thousand, that are killed again while the node reads its disk.
    pub recovery_crash_permille: u64,
    /// Batches of at least so many KiB are written past the page cache and are durable at once, as on real disks; 0: none. One that
    /// a crash or an error interrupts leaves any of its sectors. In a swarm plan, half of the seeds have none.
    pub direct_kib: u64,
}

/// Clocks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClockPlan {
    /// How far a node's wall clock may be off at the start, in either direction.
    pub skew: Span,
    /// How much faster or slower a node's monotonic clock may run, in thousandths.
    pub drift_permille: u64,
}

/// Limits of the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodePlan {
    /// How long a node takes to turn to its input, in microseconds: everything that arrives meanwhile is handled
    /// together.
    pub loop_us: u64,
    /// Payload bytes of a batch.
    pub batch_bytes_max: usize,
    /// Messages sent to one peer that are not yet acknowledged.
    pub in_flight_messages_max: usize,
    /// Payload bytes kept in memory.
    pub cache_bytes_max: usize,
    /// Every request is answered after at most this long.
    pub request_timeout: Span,
    /// Bytes of entries after which a node takes a snapshot.
    pub snapshot_log_bytes: u64,
    /// Bytes of a snapshot that are sent at once.
    pub snapshot_chunk_bytes: usize,
    /// Starts, of a thousand, at which a node gets other limits than these, and segments of another size.
    pub resettings_permille: u64,
    /// Changes of the voters, of a thousand, after whose answer an operator stops the nodes that are no voters any more, and
    /// wipes the directory of one of them, where `wipe` might take it away. They come back before the end, the wiped one
    /// by `noraftd rejoin`.
    pub remove_permille: u64,
    /// Starts, of a thousand, at which the number by which a process names itself is, but for one bit, that of the process
    /// before; so it is with the numbers of new data directories.
    pub alike_permille: u64,
    /// Runs, of a thousand, at whose end as many nodes stay away at first as can be missed, where the others miss nothing: those have to
    /// serve everything alone. Where voters or members are changed, none does.
    pub bare_permille: u64,
}

impl Default for NetworkPlan {
    fn default() -> Self {
        Self {
            delay_us: 200,
            late_permille: 0,
            loss_permille: 0,
            duplicate_permille: 0,
            reorder_permille: 0,
            corrupt_permille: 0,
            coup_permille: 0,
            stale_permille: 0,
            late_round_permille: 0,
            cross_permille: 0,
            repeat_permille: 0,
            rotten_permille: 0,
        }
    }
}

impl Default for DiskPlan {
    fn default() -> Self {
        Self {
            sync_us: 150,
            read_us: READ_US,
            slow_permille: 0,
            slow: Span::from_millis(300),
            slow_nodes: Vec::new(),
            slow_node_sync: Span::from_millis(0),
            slow_node_syncs: Vec::new(),
            segment_kib: 64,
            torn_permille: 0,
            caught_permille: 0,
            damage_permille: 0,
            rot_permille: 0,
            rot_tail_permille: 0,
            snapshot_damage_permille: 0,
            damage_beyond: false,
            common_permille: 0,
            scrub: Span::from_millis(0),
            recovery_crash_permille: 0,
            direct_kib: 0,
        }
    }
}

impl Default for NodePlan {
    fn default() -> Self {
        Self {
            loop_us: 20,
            batch_bytes_max: 64 << 10,
            in_flight_messages_max: 64,
            cache_bytes_max: 64 << 10,
            request_timeout: Span::from_millis(1000),
            snapshot_log_bytes: 256 << 10,
            snapshot_chunk_bytes: 64 << 10,
            resettings_permille: 0,
            remove_permille: 0,
            alike_permille: 0,
            bare_permille: 0,
        }
    }
}

impl DiskPlan {
    /// The fewest bytes of a batch that is written past the page cache.
    pub(crate) fn direct_bytes_min(&self) -> Option<usize> {
        let bytes = usize::try_from(self.direct_kib << 10).unwrap_or(usize::MAX);
        (bytes > 0).then_some(bytes)
    }

    /// What every sync of `node` takes at least while the run is disturbed; `None` for a disk of the usual speed.
    pub fn slow_sync(&self, node: u64) -> Option<Span> {
        self.slow_nodes.contains(&node).then_some(self.slow_node_sync)
    }

    /// Draws slow disks, one or two of `nodes`, for every third seed; what their syncs take, if there are any.
    pub(super) fn draw_slow_nodes(&mut self, nodes: u64, prng: &mut Prng) -> Option<Span> {
        let syncs = std::mem::take(&mut self.slow_node_syncs);
        let sync = *prng.choose(&syncs)?;
        if !prng.chance(1, 3) {
            return None;
        }
        self.slow_nodes = (1..=nodes).collect();
        prng.shuffle(&mut self.slow_nodes);
        self.slow_nodes.truncate(prng.between(1, 2) as usize);
        self.slow_node_sync = sync;
        Some(sync)
    }
}

impl SimPlan {
    /// Shares of elections, answers and starts: nearly all of them may be affected.
    fn validate_rare(&self) -> Result<(), PlanError> {
        let network = &self.network;
        for (key, share, max) in [
            ("sim.network.coup_permille", network.coup_permille, COUPS_MAX),
            ("sim.network.stale_permille", network.stale_permille, 1000),
            (
                "sim.network.late_round_permille",
                network.late_round_permille,
                1000,
            ),
            ("sim.network.cross_permille", network.cross_permille, 1000),
            ("sim.network.repeat_permille", network.repeat_permille, 1000),
            (
                "sim.node.resettings_permille",
                self.node.resettings_permille,
                1000,
            ),
            ("sim.disk.caught_permille", self.disk.caught_permille, 1000),
            ("sim.disk.rot_tail_permille", self.disk.rot_tail_permille, 1000),
            ("sim.disk.common_permille", self.disk.common_permille, 1000),
            ("sim.node.remove_permille", self.node.remove_permille, 1000),
            ("sim.node.alike_permille", self.node.alike_permille, 1000),
            ("sim.node.bare_permille", self.node.bare_permille, 1000),
        ] {
            require(share <= max, key, || format!("must be at most {max}"))?;
        }
        self.validate_branches()
    }

    fn validate_branches(&self) -> Result<(), PlanError> {
        let is_late = |branch: &BranchPlan| branch.at_us > BRANCH_US_MAX;
        require(!self.branches.iter().any(is_late), "sim.branch.at_us", || {
            format!("must be at most {BRANCH_US_MAX}")
        })
    }

    pub(super) fn validate(&self) -> Result<(), PlanError> {
        let NetworkPlan {
            delay_us,
            late_permille,
            loss_permille,
            duplicate_permille,
            reorder_permille,
            corrupt_permille,
            coup_permille: _,
            stale_permille: _,
            late_round_permille: _,
            cross_permille: _,
            repeat_permille: _,
            rotten_permille,
        } = self.network;
        let disk = &self.disk;
        let shares = [
            ("sim.network.late_permille", late_permille),
            ("sim.network.loss_permille", loss_permille),
            ("sim.network.duplicate_permille", duplicate_permille),
            ("sim.network.reorder_permille", reorder_permille),
            ("sim.network.corrupt_permille", corrupt_permille),
            ("sim.network.rotten_permille", rotten_permille),
            ("sim.disk.slow_permille", disk.slow_permille),
            ("sim.disk.torn_permille", disk.torn_permille),
            ("sim.disk.damage_permille", disk.damage_permille),
            ("sim.disk.rot_permille", disk.rot_permille),
            ("sim.disk.snapshot_damage_permille", disk.snapshot_damage_permille),
            ("sim.disk.recovery_crash_permille", disk.recovery_crash_permille),
            ("sim.clock.drift_permille", self.clock.drift_permille),
        ];
        for (key, share) in shares {
            require(share <= SHARE_MAX, key, || format!("must be at most {SHARE_MAX}"))?;
        }
        self.validate_rare()?;
        for (key, micros) in [
            ("sim.network.delay_us", delay_us),
            ("sim.disk.sync_us", disk.sync_us),
            ("sim.disk.read_us", disk.read_us),
            ("sim.node.loop_us", self.node.loop_us),
        ] {
            require(micros <= MICROS_MAX, key, || {
                format!("must be at most {MICROS_MAX}")
            })?;
        }
        require(
            (SEGMENT_KIB_MIN..=SEGMENT_KIB_MAX).contains(&disk.segment_kib),
            "sim.disk.segment_kib",
            || format!("must be {SEGMENT_KIB_MIN} to {SEGMENT_KIB_MAX}"),
        )?;
        require(disk.direct_kib <= SEGMENT_KIB_MAX, "sim.disk.direct_kib", || {
            format!("must be at most {SEGMENT_KIB_MAX}")
        })?;
        require(self.node.batch_bytes_max > 0, "sim.node.batch_bytes_max", || {
            "must not be zero".to_owned()
        })?;
        require(
            self.node.snapshot_log_bytes > 0 && self.node.snapshot_chunk_bytes > 0,
            "sim.node.snapshot_log_bytes and snapshot_chunk_bytes",
            || "must not be zero".to_owned(),
        )?;
        require(
            self.node.in_flight_messages_max > 0,
            "sim.node.in_flight_messages_max",
            || "must not be zero".to_owned(),
        )?;
        require(
            !self.node.request_timeout.is_zero(),
            "sim.node.request_timeout",
            || "must not be zero".to_owned(),
        )
    }
}

/// A world in which every second message is lost still makes progress now and then.
const SHARE_MAX: u64 = 500;
/// Now and then a leader must last, or nothing is ever done.
const COUPS_MAX: u64 = 950;
/// A second.
const MICROS_MAX: u64 = 1_000_000;
/// A day, as long as a run may be.
const BRANCH_US_MAX: u64 = 24 * 60 * 60 * 1_000_000;
/// Reading a few entries from the page cache.
pub(super) const READ_US: u64 = 40;
/// Eight pages: what the store takes at least.
const SEGMENT_KIB_MIN: u64 = 32;
/// A simulated disk is in memory.
const SEGMENT_KIB_MAX: u64 = 64 << 10;
