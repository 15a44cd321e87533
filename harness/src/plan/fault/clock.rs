//! What becomes of a node's clocks.

use serde::{Deserialize, Serialize};

/// What becomes of a node's clocks. What they have gained or lost when the fault ends stays; from then on they run as fast as others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockChange {
    /// The wall clock jumps by up to half a minute, forth or back, and the monotonic clock runs half to twice as fast.
    #[default]
    Drift,
    /// The wall clock jumps by up to half a minute, forth or back, and the monotonic clock by up to two seconds, forth.
    Jump,
    /// Both run half to twice as fast; in a simulation the monotonic clock does.
    Rate,
    /// Both stand still.
    Freeze,
    /// Every few tens of milliseconds the wall clock jumps, forth or back, and the monotonic clock stands still or hurries.
    Strobe,
}

impl ClockChange {
    /// The name that a fault has because of it.
    pub(super) fn suffix(self) -> Option<&'static str> {
        match self {
            Self::Drift => None,
            Self::Jump => Some("jump"),
            Self::Rate => Some("rate"),
            Self::Freeze => Some("freeze"),
            Self::Strobe => Some("strobe"),
        }
    }
}
