//! The faults that a plan may ask for.
//!
//! Invariant: a fault names *what* and *whom by role*; which node that is gets decided when it happens.

use noraftd::protocol::peer::Lane;
use serde::{Deserialize, Serialize};

use super::{PlanError, SpanRange, require};

/// One kind of fault, how often, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FaultPlan {
    /// SIGKILL, and a restart when the duration is over.
    Kill {
        /// Whom.
        target: Target,
        /// How long they stay down.
        duration: SpanRange,
        /// How often, relative to the other faults.
        #[serde(default = "one")]
        weight: u32,
    },
    /// SIGSTOP, and SIGCONT when the duration is over.
    Pause {
        /// Whom.
        target: Target,
        /// How long they stand still.
        duration: SpanRange,
        /// How often, relative to the other faults.
        #[serde(default = "one")]
        weight: u32,
    },
    /// SIGTERM, and a start with the same flags when the duration is over; one node after the other. Real processes
    /// only.
    Restart {
        /// Whom.
        target: Target,
        /// How long each stays down.
        duration: SpanRange,
        /// How often, relative to the other faults.
        #[serde(default = "one")]
        weight: u32,
    },
    /// Every node is stopped and started in its next form, one after the other: first with the old program, then with the
    /// new one that accepts peers with and without the secret, then with the new one that requires it, and back to
    /// accepting. Real processes only, with `--noraftd-old`.
    Roll {
        /// How long each node stays down.
        duration: SpanRange,
        /// How often, relative to the other faults.
        #[serde(default = "one")]
        weight: u32,
    },
    /// Links between nodes are cut. Clients still reach every node.
    Partition {
        /// Which links.
        shape: Shape,
        /// What a cut link does; drawn anew each time when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<CutMode>,
        /// How long they stay cut.
        duration: SpanRange,
        /// How often, relative to the other faults.
        #[serde(default = "one")]
        weight: u32,
    },
    /// The disk does not answer for a while: what was handed to it waits, the rest of the node goes on. Real
    /// processes only.
    DiskStall {
        /// Whom.
        target: Target,
        /// How long the disks stand still.
        duration: SpanRange,
        /// How often, relative to the other faults.
        #[serde(default = "one")]
        weight: u32,
    },
    /// The followers' disks stand still, then all nodes are killed at once, and the followers are started before
    /// the leader: whoever acknowledges what it has not written loses it. Real processes only.
    StallKill {
        /// How long the disks stand still before the kill; below the election timeout, or nobody leads by then.
        duration: SpanRange,
        /// How often, relative to the other faults.
        #[serde(default = "one")]
        weight: u32,
    },
    /// Two candidates ask one voter for its vote in the same term, and the voter is killed between the two
    /// requests: whoever forgets a vote over a restart makes two leaders of one term. Three nodes, real
    /// processes only.
    VoteRace {
        /// How long the two candidates stay apart after the race.
        duration: SpanRange,
        /// How often, relative to the other faults.
        #[serde(default = "one")]
        weight: u32,
    },
    /// Links between nodes are cut and healed again and again. Simulation only.
    Flap {
        /// Which links.
        shape: Shape,
        /// What a cut link does; drawn anew each time when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<CutMode>,
        /// How long it goes on.
        duration: SpanRange,
        /// How often, relative to the other faults.
        #[serde(default = "one")]
        weight: u32,
    },
    /// The power fails: what was not synced is lost in part; it is back when the duration is over. Real processes
    /// have it in the tier that the cluster's `power` names.
    Power {
        /// Whom.
        target: Target,
        /// How long they stay down.
        duration: SpanRange,
        /// How often, relative to the other faults.
        #[serde(default = "one")]
        weight: u32,
    },
    /// The disk is in trouble. Simulation only.
    Disk {
        /// Whose.
        target: Target,
        /// Which.
        trouble: DiskTrouble,
        /// How long.
        duration: SpanRange,
        /// How often, relative to the other faults.
        #[serde(default = "one")]
        weight: u32,
    },
    /// The clocks jump and run at another rate. Simulation only.
    Clock {
        /// Whose.
        target: Target,
        /// How long the rate is another one; the jump stays.
        duration: SpanRange,
        /// How often, relative to the other faults.
        #[serde(default = "one")]
        weight: u32,
    },
    /// The leader is asked to make some of the nodes the voters, drawn at random (in a simulation now and then another
    /// node is asked). Before the end all nodes are made voters again.
    Voters {
        /// How long before the lane goes on; on real processes, once they are the voters.
        duration: SpanRange,
        /// How often, relative to the other faults.
        #[serde(default = "one")]
        weight: u32,
    },
}

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskTrouble {
    /// Batches take tens to hundreds of times as long.
    Slow,
    /// Reads, writes and syncs fail now and then with EIO; the node then ends, and is started again.
    Error,
    /// No file can grow: ENOSPC.
    Full,
}

/// Whom a process fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Any one node.
    One,
    /// The leader of the moment; any one node while there is none.
    Leader,
    /// One node that does not lead.
    Follower,
    /// As many nodes as leave a quorum.
    Minority,
    /// As few nodes as leave no quorum.
    Majority,
    /// Every node.
    All,
}

/// Which directed links a partition cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// One node neither hears nor is heard.
    IsolateOne,
    /// The leader neither hears nor is heard.
    IsolateLeader,
    /// Two groups, as equal as can be, do not hear each other.
    Halves,
    /// Two groups hear each other only through one node between them.
    Bridge,
    /// Every node hears a majority, no two the same one.
    MajorityRing,
    /// One node is heard, but hears nobody.
    OneWayIn,
    /// One node hears, but is heard by nobody.
    OneWayOut,
    /// The leader is heard, but hears nobody.
    LeaderOneWayIn,
    /// The leader hears, but is heard by nobody.
    LeaderOneWayOut,
    /// Of the two connections between the leader and each other node, the one with entries is cut, both ways.
    LeaderFirstLane,
    /// The other one: pulses and votes.
    LeaderUrgentLane,
}

/// What a cut link does with what is sent over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutMode {
    /// Swallows it; sockets stay open until the heal.
    Drop,
    /// Closes connections, and refuses new ones.
    Reset,
    /// Holds it back, sockets open, and delivers it late at the heal.
    Stall,
}

/// Every connection between two nodes.
pub const LANES: [Lane; 2] = [Lane::First, Lane::Urgent];

impl Shape {
    /// Which of the two connections between nodes it cuts.
    pub fn lanes(self) -> &'static [Lane] {
        match self {
            Self::LeaderFirstLane => &[Lane::First],
            Self::LeaderUrgentLane => &[Lane::Urgent],
            Self::IsolateOne
            | Self::IsolateLeader
            | Self::Halves
            | Self::Bridge
            | Self::MajorityRing
            | Self::OneWayIn
            | Self::OneWayOut
            | Self::LeaderOneWayIn
            | Self::LeaderOneWayOut => &LANES,
        }
    }
}

impl CutMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Drop, Self::Reset, Self::Stall];
}

/// What a fault does, apart from how often and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL.
    Kill(Target),
    /// SIGSTOP.
    Pause(Target),
    /// SIGTERM and a start, one after the other.
    Restart(Target),
    /// SIGTERM and a start in another form, one after the other.
    Roll,
    /// Cut links.
    Partition(Shape, CutMode),
    /// Disks that stand still.
    DiskStall(Target),
    /// Disks that stand still, and a SIGKILL for all.
    StallKill,
    /// One vote, two candidates, a kill in between.
    VoteRace,
    /// Links cut and healed in turn.
    Flap(Shape, CutMode),
    /// Power cut.
    Power(Target),
    /// Trouble with the disk.
    Disk(Target, DiskTrouble),
    /// Clocks that jump and drift.
    Clock(Target),
    /// Other voters.
    Voters,
}

impl FaultKind {
    /// Which of the two connections between nodes it cuts.
    pub fn lanes(self) -> &'static [Lane] {
        match self {
            Self::Partition(shape, _) | Self::Flap(shape, _) => shape.lanes(),
            Self::Kill(_)
            | Self::Pause(_)
            | Self::Restart(_)
            | Self::DiskStall(_)
            | Self::StallKill
            | Self::VoteRace
            | Self::Power(_)
            | Self::Disk(..)
            | Self::Clock(_)
            | Self::Roll
            | Self::Voters => &LANES,
        }
    }

    /// The fault's name in histories and reports, such as `kill-leader`.
    pub fn name(self) -> String {
        match self {
            Self::Kill(target) => format!("kill-{}", target.name()),
            Self::Pause(target) => format!("pause-{}", target.name()),
            Self::Restart(target) => format!("restart-{}", target.name()),
            Self::Roll => "roll".to_owned(),
            Self::Partition(shape, mode) => format!("partition-{}-{}", shape.name(), mode.name()),
            Self::DiskStall(target) => format!("disk-stall-{}", target.name()),
            Self::StallKill => "stall-kill".to_owned(),
            Self::VoteRace => "vote-race".to_owned(),
            Self::Flap(shape, mode) => format!("flap-{}-{}", shape.name(), mode.name()),
            Self::Power(target) => format!("power-{}", target.name()),
            Self::Disk(target, trouble) => format!("disk-{}-{}", trouble.name(), target.name()),
            Self::Clock(target) => format!("clock-{}", target.name()),
            Self::Voters => "voters".to_owned(),
        }
    }

    /// Every kind that a plan may name.
    pub const KINDS: [&'static str; 13] = [
        "kill",
        "pause",
        "restart",
        "roll",
        "partition",
        "disk-stall",
        "stall-kill",
        "vote-race",
        "flap",
        "power",
        "disk",
        "clock",
        "voters",
    ];

    /// The kind that a plan names, such as `kill`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::Pause(_) => "pause",
            Self::Restart(_) => "restart",
            Self::Roll => "roll",
            Self::Partition(..) => "partition",
            Self::DiskStall(_) => "disk-stall",
            Self::StallKill => "stall-kill",
            Self::VoteRace => "vote-race",
            Self::Flap(..) => "flap",
            Self::Power(_) => "power",
            Self::Disk(..) => "disk",
            Self::Clock(_) => "clock",
            Self::Voters => "voters",
        }
    }
}

impl FaultPlan {
    /// How often, relative to the other faults.
    pub fn weight(&self) -> u32 {
        match self {
            Self::Kill { weight, .. }
            | Self::Pause { weight, .. }
            | Self::Restart { weight, .. }
            | Self::Roll { weight, .. }
            | Self::Partition { weight, .. }
            | Self::DiskStall { weight, .. }
            | Self::StallKill { weight, .. }
            | Self::VoteRace { weight, .. }
            | Self::Flap { weight, .. }
            | Self::Power { weight, .. }
            | Self::Disk { weight, .. }
            | Self::Clock { weight, .. }
            | Self::Voters { weight, .. } => *weight,
        }
    }

    /// How long it lasts.
    pub fn duration(&self) -> SpanRange {
        match self {
            Self::Kill { duration, .. }
            | Self::Pause { duration, .. }
            | Self::Restart { duration, .. }
            | Self::Roll { duration, .. }
            | Self::Partition { duration, .. }
            | Self::DiskStall { duration, .. }
            | Self::StallKill { duration, .. }
            | Self::VoteRace { duration, .. }
            | Self::Flap { duration, .. }
            | Self::Power { duration, .. }
            | Self::Disk { duration, .. }
            | Self::Clock { duration, .. }
            | Self::Voters { duration, .. } => *duration,
        }
    }

    /// How long it lasts, to be changed.
    pub fn duration_mut(&mut self) -> &mut SpanRange {
        match self {
            Self::Kill { duration, .. }
            | Self::Pause { duration, .. }
            | Self::Restart { duration, .. }
            | Self::Roll { duration, .. }
            | Self::Partition { duration, .. }
            | Self::DiskStall { duration, .. }
            | Self::StallKill { duration, .. }
            | Self::VoteRace { duration, .. }
            | Self::Flap { duration, .. }
            | Self::Power { duration, .. }
            | Self::Disk { duration, .. }
            | Self::Clock { duration, .. }
            | Self::Voters { duration, .. } => duration,
        }
    }

    /// The name of its kind, as a plan gives it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Pause { .. } => "pause",
            Self::Restart { .. } => "restart",
            Self::Roll { .. } => "roll",
            Self::Partition { .. } => "partition",
            Self::DiskStall { .. } => "disk-stall",
            Self::StallKill { .. } => "stall-kill",
            Self::VoteRace { .. } => "vote-race",
            Self::Flap { .. } => "flap",
            Self::Power { .. } => "power",
            Self::Disk { .. } => "disk",
            Self::Clock { .. } => "clock",
            Self::Voters { .. } => "voters",
        }
    }

    /// Whether only a simulation can do it.
    pub fn is_simulated_only(&self) -> bool {
        match self {
            Self::Kill { .. } | Self::Pause { .. } | Self::Partition { .. } | Self::Power { .. } => false,
            Self::DiskStall { .. } | Self::StallKill { .. } | Self::VoteRace { .. } => false,
            Self::Restart { .. } | Self::Roll { .. } | Self::Voters { .. } => false,
            Self::Flap { .. } | Self::Disk { .. } | Self::Clock { .. } => true,
        }
    }

    /// Whether only real processes can have it: it is about threads, frames and signals, which the simulation has not.
    pub fn is_real_only(&self) -> bool {
        matches!(
            self,
            Self::DiskStall { .. }
                | Self::StallKill { .. }
                | Self::VoteRace { .. }
                | Self::Restart { .. }
                | Self::Roll { .. }
        )
    }

    /// Whether a cluster of `nodes` is large enough for it.
    pub fn fits(&self, nodes: usize) -> bool {
        self.nodes_min().0 <= nodes
    }

    pub(super) fn validate(&self, table: &str, nodes: usize) -> Result<(), PlanError> {
        require(
            (1..=WEIGHT_MAX).contains(&self.weight()),
            &format!("{table}.weight"),
            || format!("must be 1 to {WEIGHT_MAX}; leave the fault out to disable it"),
        )?;
        let duration = format!("{table}.duration");
        self.duration().validate(&duration)?;
        require(!self.duration().low.is_zero(), &duration, || {
            "must not be zero".to_owned()
        })?;
        let (needed, key, name) = self.nodes_min();
        require(needed <= nodes, &format!("{table}.{key}"), || {
            format!("{name} needs {needed} nodes")
        })
    }

    /// The nodes it needs, the key that says so, and that key's value.
    fn nodes_min(&self) -> (usize, &'static str, &'static str) {
        match self {
            Self::Kill { target, .. }
            | Self::Pause { target, .. }
            | Self::Restart { target, .. }
            | Self::DiskStall { target, .. }
            | Self::Power { target, .. }
            | Self::Disk { target, .. }
            | Self::Clock { target, .. } => (target.nodes_min(), "target", target.name()),
            Self::Partition { shape, .. } | Self::Flap { shape, .. } => {
                (shape.nodes_min(), "shape", shape.name())
            }
            Self::StallKill { .. } => (2, "kind", "stall-kill"),
            Self::Roll { .. } => (3, "kind", "roll"),
            Self::VoteRace { .. } => (3, "kind", "vote-race"),
            Self::Voters { .. } => (2, "kind", "voters"),
        }
    }
}

impl DiskTrouble {
    /// The name used in plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Error => "error",
            Self::Full => "full",
        }
    }
}

impl Target {
    /// The name used in plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Minority => "minority",
            Self::Majority => "majority",
            Self::All => "all",
        }
    }

    fn nodes_min(self) -> usize {
        match self {
            Self::One | Self::Leader | Self::Majority | Self::All => 1,
            Self::Follower => 2,
            Self::Minority => 3,
        }
    }
}

impl Shape {
    /// The name used in plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::IsolateOne => "isolate-one",
            Self::IsolateLeader => "isolate-leader",
            Self::Halves => "halves",
            Self::Bridge => "bridge",
            Self::MajorityRing => "majority-ring",
            Self::OneWayIn => "one-way-in",
            Self::OneWayOut => "one-way-out",
            Self::LeaderOneWayIn => "leader-one-way-in",
            Self::LeaderOneWayOut => "leader-one-way-out",
            Self::LeaderFirstLane => "leader-first-lane",
            Self::LeaderUrgentLane => "leader-urgent-lane",
        }
    }

    fn nodes_min(self) -> usize {
        match self {
            Self::IsolateOne
            | Self::IsolateLeader
            | Self::Halves
            | Self::OneWayIn
            | Self::OneWayOut
            | Self::LeaderOneWayIn
            | Self::LeaderOneWayOut
            | Self::LeaderFirstLane
            | Self::LeaderUrgentLane => 2,
            Self::Bridge => 3,
            Self::MajorityRing => 5,
        }
    }
}

impl CutMode {
    /// The name used in plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Reset => "reset",
            Self::Stall => "stall",
        }
    }
}

/// Enough for any proportion; sums of weights stay far from overflow.
const WEIGHT_MAX: u32 = 1000;

fn one() -> u32 {
    1
}
