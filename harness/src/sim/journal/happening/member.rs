//! What happens to the members of a cluster.

use std::fmt::{self, Display};
use std::hash::{Hash, Hasher};

use noraft::NodeId;
use noraftd::protocol::command::MemberChange;
use noraftd::protocol::outcome::Outcome;
use noraftd::replica::event::RequestId;

use super::write_all;

/// Something that the operator does who changes the members, or what comes of it.
#[derive(Debug)]
pub(crate) enum MemberHappening<'a> {
    /// A node is asked for a change.
    Asks {
        node: usize,
        id: RequestId,
        change: &'a MemberChange,
    },
    /// It answers.
    Answers {
        node: usize,
        id: RequestId,
        outcome: &'a Outcome,
    },
    /// It reserves an id.
    Reserves { node: usize, id: NodeId },
    /// A machine has the state, and is this member from now on.
    Joins { id: NodeId },
    /// A node hears that it was removed.
    Leaves { node: usize },
}

impl Hash for MemberHappening<'_> {
    fn hash<H: Hasher>(&self, to: &mut H) {
        match self {
            Self::Asks { node, id, .. } => write_all(to, &[0xc8, *node as u64, id.0]),
            Self::Answers { node, id, outcome } => {
                let is_done = matches!(outcome, Outcome::Done(_));
                write_all(to, &[0xc9, *node as u64, id.0, u64::from(is_done)]);
            }
            Self::Reserves { node, id } => write_all(to, &[0xca, *node as u64, id.get()]),
            Self::Joins { id } => write_all(to, &[0xcb, id.get()]),
            Self::Leaves { node } => write_all(to, &[0xcc, *node as u64]),
        }
    }
}

impl Display for MemberHappening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asks { node, change, .. } => write!(f, "n{} is asked for {change:?}", node + 1),
            Self::Answers { node, outcome, .. } => {
                write!(f, "n{} answers the request about members: {outcome:?}", node + 1)
            }
            Self::Reserves { node, id } => write!(f, "n{} reserves the id {}", node + 1, id.get()),
            Self::Joins { id } => write!(f, "a machine has the state, and is n{}", id.get()),
            Self::Leaves { node } => write!(f, "n{} hears that it was removed, and ends", node + 1),
        }
    }
}
