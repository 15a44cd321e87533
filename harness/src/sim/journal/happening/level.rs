//! What happens to the level of a cluster.

use std::fmt::{self, Display};
use std::hash::{Hash, Hasher};

use noraftd::level::Level;
use noraftd::protocol::outcome::Outcome;
use noraftd::replica::event::RequestId;

use super::write_all;

/// Something that the operator does who changes the nodes' programs.
#[derive(Debug)]
pub(crate) enum LevelHappening<'a> {
    /// A node has another program from now on.
    Changes { node: usize, level: Level },
    /// A node is asked to raise the level.
    Asks { node: usize, id: RequestId },
    /// It answers.
    Answers {
        node: usize,
        id: RequestId,
        outcome: &'a Outcome,
    },
}

impl Hash for LevelHappening<'_> {
    fn hash<H: Hasher>(&self, to: &mut H) {
        match self {
            Self::Changes { node, level } => write_all(to, &[0xc0, *node as u64, u64::from(level.get())]),
            Self::Asks { node, id } => write_all(to, &[0xc1, *node as u64, id.0]),
            Self::Answers { node, id, outcome } => {
                let is_done = matches!(outcome, Outcome::Done(_));
                write_all(to, &[0xc2, *node as u64, id.0, u64::from(is_done)]);
            }
        }
    }
}

impl Display for LevelHappening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changes { node, level } => write!(f, "n{} supports level {level} from now on", node + 1),
            Self::Asks { node, .. } => write!(f, "n{} is asked to raise the level", node + 1),
            Self::Answers { node, outcome, .. } => {
                write!(
                    f,
                    "n{} answers the request to raise the level: {outcome:?}",
                    node + 1
                )
            }
        }
    }
}
