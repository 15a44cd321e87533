//! Which links a fault cuts, and what a cut link does.

use noraftd::protocol::peer::Lane;
use serde::{Deserialize, Serialize};

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
    /// One node is heard, but hears no other node.
    OneWayIn,
    /// One node hears, but is heard by no other node.
    OneWayOut,
    /// The leader is heard, but hears no other node.
    LeaderOneWayIn,
    /// The leader hears, but is heard by no other node.
    LeaderOneWayOut,
    /// Of the two connections between the leader and each other node, the one with entries is cut, both ways.
    LeaderFirstLane,
    /// The other one: pulses and votes.
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

/// Every connection between two nodes.
pub const LANES: [Lane; 2] = [Lane::First, Lane::Urgent];
