//! Swarm testing: each seed draws another plan out of one.
//!
//! A plan that has everything on at once never shows what some of it hides (Groce et al., "Swarm testing",
//! 2012): a node that is killed every second never stays partitioned for long. So each seed leaves some
//! faults out, and chooses sizes and limits.
//!
//! Invariant: the drawn plan is complete and says nothing of the swarm: it, with the seed, repeats the run.

use noraftd::prng::Prng;
use serde::{Deserialize, Serialize};

use super::Plan;
use super::error::{PlanError, require};
use super::fault::FaultPlan;
use super::sim::READ_US;
use super::span::{Span, SpanRange};
use super::workload::WorkloadPlan;

/// What a seed draws; everything else is as the plan says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwarmPlan {
    /// Numbers of nodes to choose from; a number given twice is twice as likely.
    pub nodes: Vec<usize>,
    /// The smallest and the largest number of clients.
    pub clients: [usize; 2],
    /// The lowest and the highest rate of all clients together, in operations a second.
    pub rate: [u64; 2],
    /// The smallest and the largest number of keys of each workload.
    pub keys: [usize; 2],
    /// Shortest and longest election timeout; heartbeats are a fifth to a tenth of it.
    pub election: SpanRange,
    /// Smallest and largest segments, in KiB.
    pub segment_kib: [u64; 2],
    /// How many of a thousand faults a seed keeps.
    pub fault_permille: u64,
}

impl Default for SwarmPlan {
    fn default() -> Self {
        Self {
            nodes: vec![1, 3, 3, 3, 3, 5],
            clients: [1, 12],
            rate: [50, 600],
            keys: [1, 5],
            election: SpanRange::new(Span::from_millis(50), Span::from_millis(400)),
            segment_kib: [32, 128],
            fault_permille: 400,
        }
    }
}

impl SwarmPlan {
    pub(super) fn validate(&self) -> Result<(), PlanError> {
        require(!self.nodes.is_empty(), "swarm.nodes", || {
            "must name a number of nodes".to_owned()
        })?;
        let ordered = |key: &str, low: u64, high: u64| {
            require(low > 0 && low <= high, key, || {
                format!("must begin above zero and end above its begin, not {low} and {high}")
            })
        };
        ordered("swarm.clients", self.clients[0] as u64, self.clients[1] as u64)?;
        ordered("swarm.rate", self.rate[0], self.rate[1])?;
        ordered("swarm.keys", self.keys[0] as u64, self.keys[1] as u64)?;
        ordered("swarm.segment_kib", self.segment_kib[0], self.segment_kib[1])?;
        ordered(
            "swarm.election",
            self.election.low.as_millis() / HEARTBEATS_MAX,
            self.election.high.as_millis() / HEARTBEATS_MAX,
        )
    }

    pub(super) fn draw_load(&self, plan: &mut Plan, prng: &mut Prng) {
        let declared = plan.clients.count;
        plan.clients.count = prng.between(self.clients[0] as u64, self.clients[1] as u64) as usize;
        // As large a part of them as the plan says, and never all.
        plan.clients.readers = plan.clients.readers * plan.clients.count / declared.max(1);
        plan.clients.rate = prng.between(self.rate[0], self.rate[1]);
        let mut kept: Vec<WorkloadPlan> = plan.workloads.clone();
        if kept.len() > 1 && prng.chance(1, 2) {
            kept = vec![kept.swap_remove(prng.below(kept.len() as u64) as usize)];
        }
        for workload in &mut kept {
            let keys = prng.between(self.keys[0] as u64, self.keys[1] as u64) as usize;
            *workload.keys_mut() = keys;
            if let Some(padding) = workload.padding_mut() {
                *padding = some(&mut prng.fork(FORK_PADDING), *padding);
            }
        }
        plan.workloads = kept;
    }

    pub(super) fn draw_faults(&self, plan: &mut Plan, prng: &mut Prng) {
        let nodes = plan.cluster.nodes;
        plan.faults
            .retain(|fault| fault.fits(nodes) && prng.chance(self.fault_permille, 1000));
        plan.faults.iter_mut().for_each(|fault| shorten(fault, prng));
        plan.nemesis.lanes = prng.between(1, plan.nemesis.lanes as u64) as usize;
        let impaired = [
            Some(nodes.div_ceil(2)),
            Some(nodes.saturating_sub(1).max(1)),
            None,
        ];
        plan.nemesis.impaired_max = prng.choose(&impaired).copied().flatten();
        let calm = &mut plan.nemesis.calm;
        calm.high = Span::from_millis(prng.between(calm.low.as_millis(), calm.high.as_millis()));
    }
}

impl Plan {
    /// The plan that `seed` runs: what its `[swarm]` table leaves open is drawn.
    #[must_use]
    pub fn drawn(&self, seed: u64) -> Self {
        let mut plan = self.clone().seeded(seed);
        let Some(swarm) = plan.swarm.take() else {
            return plan;
        };
        let prng = &mut Prng::new(seed).fork(FORK_SWARM);
        draw_cluster(&mut plan, &swarm, prng);
        swarm.draw_load(&mut plan, prng);
        draw_network(&mut plan, prng);
        draw_disk(&mut plan, &swarm, prng);
        draw_slow_nodes(&mut plan, prng);
        draw_node(&mut plan, prng);
        swarm.draw_faults(&mut plan, prng);
        plan
    }
}

fn draw_cluster(plan: &mut Plan, swarm: &SwarmPlan, prng: &mut Prng) {
    plan.cluster.nodes = prng.choose(&swarm.nodes).copied().unwrap_or(plan.cluster.nodes);
    let election = prng.between(swarm.election.low.as_millis(), swarm.election.high.as_millis());
    plan.cluster.election = Span::from_millis(election);
    plan.cluster.heartbeat = Span::from_millis((election / prng.between(5, HEARTBEATS_MAX)).max(1));
    plan.sim.clock.skew = Span::from_millis(some(prng, plan.sim.clock.skew.as_millis()));
    plan.sim.clock.drift_permille = some(prng, plan.sim.clock.drift_permille);
}

fn draw_network(plan: &mut Plan, prng: &mut Prng) {
    let network = &mut plan.sim.network;
    network.delay_us = prng.between(10, network.delay_us.max(10));
    for share in [
        &mut network.late_permille,
        &mut network.loss_permille,
        &mut network.duplicate_permille,
        &mut network.reorder_permille,
        &mut network.corrupt_permille,
    ] {
        *share = some(prng, *share);
    }
    network.coup_permille = some(&mut prng.fork(FORK_COUPS), network.coup_permille);
    network.stale_permille = some(&mut prng.fork(FORK_STALE), network.stale_permille);
    network.cross_permille = some(&mut prng.fork(FORK_CROSS), network.cross_permille);
    network.repeat_permille = some(&mut prng.fork(FORK_REPEAT), network.repeat_permille);
    network.rotten_permille = some(&mut prng.fork(FORK_ROTTEN), network.rotten_permille);
}

fn draw_disk(plan: &mut Plan, swarm: &SwarmPlan, prng: &mut Prng) {
    let disk = &mut plan.sim.disk;
    disk.sync_us = prng.between(10, disk.sync_us.max(10));
    if disk.read_us > READ_US {
        disk.read_us = prng.fork(FORK_READS).between(READ_US, disk.read_us);
    }
    disk.segment_kib = prng.between(swarm.segment_kib[0] / 4, swarm.segment_kib[1] / 4) * 4;
    disk.slow_permille = some(prng, disk.slow_permille);
    disk.torn_permille = some(prng, disk.torn_permille);
    if disk.damage_permille > 0 {
        disk.damage_permille = some(prng, disk.damage_permille);
    }
    if disk.rot_permille > 0 {
        disk.rot_permille = some(prng, disk.rot_permille);
    }
    disk.recovery_crash_permille = some(prng, disk.recovery_crash_permille);
    disk.snapshot_damage_permille = some(
        &mut prng.fork(FORK_SNAPSHOT_DAMAGE),
        disk.snapshot_damage_permille,
    );
    if prng.fork(FORK_DIRECT).chance(1, 2) {
        disk.direct_kib = 0;
    }
    if plan.cluster.nodes == 1 {
        // A lone voter has no peer to ask what a torn sector held: it refuses to start, and rightly.
        disk.torn_permille = 0;
        (disk.damage_permille, disk.rot_permille) = (0, 0);
        disk.snapshot_damage_permille = 0;
    }
    if (disk.damage_permille, disk.rot_permille) == (0, 0) {
        // There is nothing to find.
        disk.scrub = Span::from_millis(0);
    }
    if prng.fork(FORK_SCRUB).chance(1, 2) {
        // What finds damage anyway must not hide that reads do not.
        disk.scrub = Span::from_millis(0);
    }
}

/// A run has to have room for the operations that are asked of it: each waits for some syncs of the slow disks.
fn draw_slow_nodes(plan: &mut Plan, prng: &mut Prng) {
    let prng = &mut prng.fork(FORK_SLOW_NODES);
    if let Some(sync) = plan.sim.disk.draw_slow_nodes(plan.cluster.nodes as u64, prng) {
        let room = plan.time.as_millis() / (sync.as_millis() * SYNCS_PER_OPERATION).max(1);
        let least = &mut plan.limits.operations_min;
        *least = (*least).min(room.max(1));
    }
}

fn draw_node(plan: &mut Plan, prng: &mut Prng) {
    let chunk_bits_min = plan.chunk_bits_min();
    let node = &mut plan.sim.node;
    node.loop_us = some(prng, node.loop_us);
    node.batch_bytes_max = 1 << prng.between(6, 16);
    node.in_flight_messages_max = 1 << prng.between(0, 6);
    node.cache_bytes_max = 1 << prng.between(8, 18);
    let sizes = &mut prng.fork(FORK_SNAPSHOTS);
    node.snapshot_log_bytes = 1 << sizes.between(10, 20);
    node.snapshot_chunk_bytes = 1 << sizes.between(chunk_bits_min, 16);
    node.resettings_permille = some(&mut prng.fork(FORK_RESETTINGS), node.resettings_permille);
    node.alike_permille = some(&mut prng.fork(FORK_ALIKE), node.alike_permille);
}

/// In some seeds a kind of fault is always short.
fn shorten(fault: &mut FaultPlan, prng: &mut Prng) {
    if prng.chance(1, 3) {
        let range = &mut fault.duration;
        let low = range.low.as_millis();
        range.high = Span::from_millis(low + (range.high.as_millis() - low) / 8);
    }
}

/// Nothing half of the time, up to `max` else.
fn some(prng: &mut Prng, max: u64) -> u64 {
    let drawn = prng.between(0, max);
    if prng.chance(1, 2) { drawn } else { 0 }
}

/// Separates the draws of a plan from those of its run.
const FORK_SWARM: u64 = 0x0073_7761_726d;
/// Separates the draws for snapshots from the others.
const FORK_SNAPSHOTS: u64 = 0x736e_6170;
/// Separates the draw for coups from the others.
const FORK_SCRUB: u64 = 0x7363_7275;
const FORK_COUPS: u64 = 0x636f_7570;
/// Separates the draw for answers that come too late from the others.
const FORK_STALE: u64 = 0x7374_616c;
/// Separate the draws for what crosses connections, meets an earlier answer, and rots.
const FORK_CROSS: u64 = 0x6372_6f73;
const FORK_REPEAT: u64 = 0x7265_7065;
const FORK_ROTTEN: u64 = 0x726f_7474;
/// Separates those of the time that reading takes.
const FORK_READS: u64 = 0x7265_6164;
/// Separates that of how long records are.
const FORK_PADDING: u64 = 0x7061_6464;
/// Separates the draw for numbers that are alike from the others.
const FORK_ALIKE: u64 = 0x616c_696b;
/// Separates the draw of how often settings change from the others.
const FORK_RESETTINGS: u64 = 0x7265_7365;
/// What keeps the draws of damage to snapshots apart.
const FORK_SNAPSHOT_DAMAGE: u64 = 0x736e_646d;
/// What keeps the draw of direct writes apart.
const FORK_DIRECT: u64 = 0x6469_7265;
/// What keeps the draws of slow disks apart.
const FORK_SLOW_NODES: u64 = 0x736c_6f77;
/// Syncs of a slow disk that an operation may wait for, elections among faults included.
const SYNCS_PER_OPERATION: u64 = 8;
/// An election timeout is at most so many heartbeats.
const HEARTBEATS_MAX: u64 = 10;
