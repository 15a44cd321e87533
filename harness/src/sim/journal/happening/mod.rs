//! What happens in a run, as its trace notes it: in numbers for the hash, in words for a reader.
//!
//! Invariant: the numbers are the trace. A code, or the order of the numbers behind it, changes with the traces of all
//! seeds only.

mod client;
mod fault;
mod level;
mod link;
mod member;
mod node;

use std::fmt::{self, Display};
use std::hash::{Hash, Hasher};

pub(crate) use client::{ClientHappening, Probe, SessionHappening, TransferHappening, TransferStep};
pub(crate) use fault::FaultHappening;
pub(crate) use level::LevelHappening;
pub(crate) use link::LinkHappening;
pub(crate) use member::MemberHappening;
pub(crate) use node::{DiskHappening, NodeHappening};

use crate::sim::parts::rule::Rule;

/// Something that has happened, by the part that it happened to.
#[derive(Debug)]
pub(crate) enum Happening<'a> {
    Client(ClientHappening<'a>),
    Node(NodeHappening<'a>),
    Disk(DiskHappening<'a>),
    Link(LinkHappening<'a>),
    Fault(FaultHappening<'a>),
    Level(LevelHappening<'a>),
    Member(MemberHappening<'a>),
    Run(RunHappening<'a>),
}

/// Something that happened to the run as a whole.
#[derive(Debug)]
pub(crate) enum RunHappening<'a> {
    /// Too much was damaged to go on.
    Stalls { detail: &'a str },
    /// All is healed, and these nodes stay away.
    LeavesAway { nodes: &'a [usize] },
    /// A rule is broken.
    Fails { rule: Rule, detail: &'a str },
    /// From here on, other numbers are drawn.
    Branches { seed: u64 },
}

impl Hash for Happening<'_> {
    fn hash<H: Hasher>(&self, to: &mut H) {
        match self {
            Self::Client(happening) => happening.hash(to),
            Self::Node(happening) => happening.hash(to),
            Self::Disk(happening) => happening.hash(to),
            Self::Link(happening) => happening.hash(to),
            Self::Fault(happening) => happening.hash(to),
            Self::Level(happening) => happening.hash(to),
            Self::Member(happening) => happening.hash(to),
            Self::Run(happening) => happening.hash(to),
        }
    }
}

impl Display for Happening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(happening) => Display::fmt(happening, f),
            Self::Node(happening) => Display::fmt(happening, f),
            Self::Disk(happening) => Display::fmt(happening, f),
            Self::Link(happening) => Display::fmt(happening, f),
            Self::Fault(happening) => Display::fmt(happening, f),
            Self::Level(happening) => Display::fmt(happening, f),
            Self::Member(happening) => Display::fmt(happening, f),
            Self::Run(happening) => Display::fmt(happening, f),
        }
    }
}

impl Hash for RunHappening<'_> {
    fn hash<H: Hasher>(&self, to: &mut H) {
        match self {
            Self::Stalls { .. } => to.write_u64(0xe6),
            Self::LeavesAway { nodes } => write_all(to, &[0xe9, nodes.len() as u64]),
            Self::Fails { rule, .. } => write_all(to, &[u64::MAX, rule.to_string().len() as u64]),
            Self::Branches { seed } => write_all(to, &[0xe7, *seed]),
        }
    }
}

impl Display for RunHappening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalls { detail } => write!(f, "the run ends here, and rightly: {detail}"),
            Self::LeavesAway { nodes } => {
                let names: Vec<String> = nodes.iter().map(|at| format!("n{}", at + 1)).collect();
                write!(
                    f,
                    "away for now are {}: the others are just a majority",
                    names.join(", ")
                )
            }
            Self::Branches { seed } => write!(f, "from here on, the run draws from seed {seed}"),
            Self::Fails { rule, detail } => write!(f, "BROKEN: {rule}: {detail}"),
        }
    }
}

fn write_all<H: Hasher>(to: &mut H, numbers: &[u64]) {
    numbers.iter().for_each(|number| to.write_u64(*number));
}
