//! Which links a fault cuts, and what a cut link does.

use noraftd::protocol::peer::Lane;
use serde::{Deserialize, Serialize};

/// Which directed links a partition cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// One node can neither send nor receive.
    IsolateOne,
    /// The leader can neither send nor receive.
    IsolateLeader,
    /// Two groups of nearly equal size cannot reach each other.
    Halves,
    /// Two groups reach each other only through one node that is in both.
    Bridge,
    /// Every node reaches a majority, and no two nodes reach the same one.
    MajorityRing,
    /// One node can send, but receives from no other node.
    OneWayIn,
    /// One node can receive, but reaches no other node.
    OneWayOut,
    /// The leader can send, but receives from no other node.
    LeaderOneWayIn,
    /// The leader can receive, but reaches no other node.
    LeaderOneWayOut,
    /// Of the two connections between the leader and every other node, the one that carries entries is cut, in both directions.
    LeaderFirstLane,
    /// The other connection is cut: the one that carries pulses and votes.
    LeaderUrgentLane,
}

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

    pub(super) fn nodes_min(self) -> usize {
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

/// What a cut link does with the data that is sent over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutMode {
    /// Drops it; sockets stay open until the heal. Between namespaces, TCP sends it again after the heal.
    Drop,
    /// Closes connections, and refuses new ones.
    Reset,
    /// Holds it back, sockets open, and delivers it late at the heal. Between namespaces the same as `drop`.
    Stall,
}

impl CutMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Drop, Self::Reset, Self::Stall];
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

/// What a link in trouble does with what is sent over it. How bad it is, is drawn each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkEffect {
    /// Frames arrive late, each by another time, in their order.
    Delay,
    /// Some frames never arrive. Between namespaces: some packets, which TCP sends again.
    Loss,
    /// Some frames arrive twice.
    Duplicate,
    /// Some frames are overtaken by the next one.
    Reorder,
    /// A bit of some frames flips.
    Corrupt,
    /// Only so many bytes a second pass. Between namespaces, the packets that are too many are lost, and TCP sends them again.
    Narrow,
    /// The beginning of each frame arrives in small pieces.
    Slice,
    /// The connection is reset in the middle of some frames.
    Tear,
    /// The receiver learns that nothing more comes, and nothing does; the other direction continues.
    HalfClose,
}

impl LinkEffect {
    /// Every effect.
    pub const ALL: [Self; 9] = [
        Self::Delay,
        Self::Loss,
        Self::Duplicate,
        Self::Reorder,
        Self::Corrupt,
        Self::Narrow,
        Self::Slice,
        Self::Tear,
        Self::HalfClose,
    ];

    /// The name used in plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Loss => "loss",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::Corrupt => "corrupt",
            Self::Narrow => "narrow",
            Self::Slice => "slice",
            Self::Tear => "tear",
            Self::HalfClose => "half-close",
        }
    }

    /// Whether it can happen to packets, too: what else a packet filter does to one, TCP undoes or never sees.
    pub(super) fn is_of_packets(self) -> bool {
        match self {
            Self::Loss | Self::Narrow => true,
            Self::Delay
            | Self::Duplicate
            | Self::Reorder
            | Self::Corrupt
            | Self::Slice
            | Self::Tear
            | Self::HalfClose => false,
        }
    }

    /// What it does to frames, in the past.
    pub fn past(self) -> &'static str {
        match self {
            Self::Delay => "delayed",
            Self::Loss => "lost",
            Self::Duplicate => "repeated",
            Self::Reorder => "overtaken",
            Self::Corrupt => "damaged",
            Self::Narrow => "slowed down",
            Self::Slice => "sliced",
            Self::Tear => "torn",
            Self::HalfClose => "not said any more",
        }
    }
}

/// Every connection between two nodes.
pub const LANES: [Lane; 2] = [Lane::First, Lane::Urgent];
