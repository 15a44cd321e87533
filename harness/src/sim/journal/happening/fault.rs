//! What the nemesis does.

use std::fmt::{self, Display};
use std::hash::{Hash, Hasher};

use super::write_all;
use crate::nemesis::{Targets, describe};
use crate::op::EventKind;
use crate::plan::CutMode;

/// Something that the nemesis has done.
#[derive(Debug)]
pub(crate) enum FaultHappening<'a> {
    /// A fault begins or ends.
    Steps {
        step: EventKind,
        decision: u64,
        name: &'a str,
        targets: &'a Targets,
    },
    /// A lane's fault cuts links.
    Cuts {
        lane: usize,
        links: usize,
        mode: CutMode,
    },
    /// And heals them.
    Heals { lane: usize },
    /// A leader is cut off as it rises; `way` draws in which directions.
    CutsLeader { node: usize, way: u64, mode: CutMode },
    /// A node is stopped that is no voter any more.
    StopsRemoved { node: usize, is_wiped: bool },
    /// A second process with a copy of a node's directory says hello to others; `refused` is by how many it is refused.
    TwinCalls { node: usize, refused: u64 },
    /// A node is started with the directory of another one.
    StartsForeign { node: usize, other: usize },
    /// The disturbed part of the run is over.
    HealsAll,
}

impl Hash for FaultHappening<'_> {
    fn hash<H: Hasher>(&self, to: &mut H) {
        match self {
            Self::Steps { step, decision, .. } => write_all(to, &[0xf6, *step as u64, *decision]),
            Self::Cuts { lane, mode, .. } => write_all(to, &[0xf4, *lane as u64, *mode as u64]),
            Self::Heals { lane } => write_all(to, &[0xf5, *lane as u64]),
            Self::CutsLeader { node, way, mode } => {
                write_all(to, &[0xf7, *node as u64, *way, *mode as u64]);
            }
            Self::StopsRemoved { node, is_wiped } => {
                write_all(to, &[0xf8, *node as u64, u64::from(*is_wiped)]);
            }
            Self::TwinCalls { node, refused } => write_all(to, &[0xf9, *node as u64, *refused]),
            Self::StartsForeign { node, other } => write_all(to, &[0xfa, *node as u64, *other as u64]),
            Self::HealsAll => write_all(to, &[0xff]),
        }
    }
}

impl Display for FaultHappening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps {
                step, name, targets, ..
            } => {
                let begins = *step == EventKind::FaultBegin;
                let step = if begins { "begins" } else { "ends" };
                write!(f, "fault {} {step}", describe(name, targets))
            }
            Self::Cuts { links, mode, .. } => write!(f, "{links} links are cut ({})", mode.name()),
            Self::Heals { .. } => f.write_str("links are healed"),
            Self::CutsLeader { node, mode, .. } => {
                write!(
                    f,
                    "n{} is cut off, having been elected ({})",
                    node + 1,
                    mode.name()
                )
            }
            Self::StopsRemoved { node, is_wiped } => {
                let wiped = if *is_wiped { ", and wiped" } else { "" };
                write!(f, "n{} is no voter any more: it is stopped{wiped}", node + 1)
            }
            Self::TwinCalls { node, refused } => write!(
                f,
                "a second process with the directory of n{} says hello: refused by {refused}",
                node + 1
            ),
            Self::StartsForeign { node, other } => {
                write!(f, "n{} is started with the directory of n{}", node + 1, other + 1)
            }
            Self::HealsAll => f.write_str("all is healed"),
        }
    }
}
