//! What becomes of the files of a node that is down.

use serde::{Deserialize, Serialize};

/// What becomes of the files of a node that is down. But for `votes`, it is only what other nodes can repair, and never hits more than
/// a minority of the nodes before those that were hit are whole again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileDamage {
    /// One to three of the next four, or one copy of term and vote, drawn each time.
    #[default]
    Any,
    /// A bit of a page flips.
    Flip,
    /// A page is zero.
    Zero,
    /// A page holds another page, which was written to the wrong place.
    Misplaced,
    /// A segment ends early.
    Cut,
    /// A segment that was full is as it was before its last batches.
    Stale,
    /// Both copies of term and vote are overwritten. No other node can give them back, so the node has to refuse to start; then the
    /// bytes are put back.
    Votes,
}

impl FileDamage {
    /// The name that a fault has because of it.
    pub(super) fn suffix(self) -> Option<&'static str> {
        match self {
            Self::Any => None,
            Self::Flip => Some("flip"),
            Self::Zero => Some("zero"),
            Self::Misplaced => Some("misplaced"),
            Self::Cut => Some("cut"),
            Self::Stale => Some("stale"),
            Self::Votes => Some("votes"),
        }
    }
}
