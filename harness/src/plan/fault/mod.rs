//! The faults that a plan may ask for.
//!
//! Invariant: a fault names what happens and the *role* of the nodes it happens to; which nodes have that
//! role is decided at that moment.

mod arguments;
mod clock;
mod damage;
mod kind;
mod links;
mod name;
mod rare;
mod scarce;
mod target;
mod together;

use serde::{Deserialize, Serialize};

pub use clock::ClockChange;
pub use damage::FileDamage;
pub use kind::FaultKind;
pub use links::{CutMode, LANES, LinkEffect, Shape};
pub use name::{KindName, Worlds};
pub use rare::{Cause, RareOperation, RareOperations};
pub use scarce::Scarce;
pub use target::{DiskTrouble, Target};
pub(super) use together::agree;

use crate::plan::error::{PlanError, require};
use crate::plan::span::SpanRange;
use arguments::Arguments;

/// A fault, how often, and how long.
///
/// Invariant: the arguments are those that its kind takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct FaultPlan {
    kind: KindName,
    arguments: Arguments,
    /// How long it lasts.
    pub duration: SpanRange,
    /// How often it happens, relative to the other faults.
    pub weight: u32,
}

/// A fault as a plan file has it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// What happens: a name of `FaultKind`. What it takes is in the next nine keys.
    kind: KindName,
    /// Which nodes it affects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    /// Which links it cuts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shape: Option<Shape>,
    /// What a link in trouble does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    effect: Option<LinkEffect>,
    /// What a cut link does; drawn each time when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<CutMode>,
    /// What is wrong with the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trouble: Option<DiskTrouble>,
    /// Which operations a crash is aimed at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operations: Option<RareOperations>,
    /// What becomes of the clocks; when absent, they jump and run at another rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    change: Option<ClockChange>,
    /// What becomes of the files; drawn each time when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    damage: Option<FileDamage>,
    /// What the process gets too little of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scarce: Option<Scarce>,
    /// How long it lasts.
    duration: SpanRange,
    /// How often it happens, relative to the other faults; 1 when absent.
    #[serde(default = "one")]
    weight: u32,
}

impl TryFrom<Table> for FaultPlan {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let Table {
            kind,
            target,
            shape,
            effect,
            mode,
            trouble,
            operations,
            change,
            damage,
            scarce,
            duration,
            weight,
        } = table;
        let arguments = Arguments {
            target,
            shape,
            effect,
            mode,
            trouble,
            operations,
            change,
            damage,
            scarce,
        };
        kind.check(&arguments)?;
        Ok(Self {
            kind,
            arguments,
            duration,
            weight,
        })
    }
}

impl From<FaultPlan> for Table {
    fn from(plan: FaultPlan) -> Self {
        let Arguments {
            target,
            shape,
            effect,
            mode,
            trouble,
            operations,
            change,
            damage,
            scarce,
        } = plan.arguments;
        Self {
            kind: plan.kind,
            target,
            shape,
            effect,
            mode,
            trouble,
            operations,
            change,
            damage,
            scarce,
            duration: plan.duration,
            weight: plan.weight,
        }
    }
}

impl FaultPlan {
    /// Which kind it is.
    pub fn kind(&self) -> KindName {
        self.kind
    }

    /// Its name, such as `kill-leader`, without how links are cut.
    pub fn name(&self) -> String {
        let Arguments {
            target,
            shape,
            effect,
            trouble,
            change,
            damage,
            scarce,
            ..
        } = &self.arguments;
        let words = [
            Some(self.kind.name()),
            effect.map(LinkEffect::name),
            trouble.map(DiskTrouble::name),
            scarce.map(Scarce::name),
            change.and_then(ClockChange::suffix),
            damage.and_then(FileDamage::suffix),
            target.map(Target::name),
            shape.map(Shape::name),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join("-")
    }

    /// The fault, where links are cut in the way that the plan says, or else as `drawn`.
    pub fn fault(&self, drawn: CutMode) -> FaultKind {
        let arguments = Arguments {
            mode: self.arguments.mode.or(Some(drawn)),
            ..self.arguments
        };
        FaultKind::of(self.kind, &arguments).expect("a fault is made with the arguments of its kind")
    }

    /// Why real processes cannot have it.
    pub(crate) fn obstacle_on_processes(&self) -> Option<&'static str> {
        match self.kind.worlds() {
            Worlds::Simulation(why) => Some(why),
            Worlds::Both | Worlds::Processes(_) => None,
        }
    }

    /// Why a simulation cannot have it.
    pub(crate) fn obstacle_in_simulation(&self) -> Option<&'static str> {
        match self.kind.worlds() {
            Worlds::Processes(why) => Some(why),
            Worlds::Both | Worlds::Simulation(_) => None,
        }
    }

    /// Whether a cluster of `nodes` is large enough for it.
    pub fn fits(&self, nodes: usize) -> bool {
        self.nodes_min().0 <= nodes
    }

    /// How many of `nodes` nodes cannot take part while it lasts, when all are free before it.
    pub(crate) fn impairs(&self, nodes: usize) -> usize {
        match (self.kind, self.arguments.target) {
            (KindName::StallKill | KindName::VoteRace | KindName::Roll, _) => nodes,
            (KindName::Clock, _) => 0,
            (_, Some(target)) => target.count(nodes),
            (_, None) => 1,
        }
    }

    /// Why it is not possible without proxies: the key that says so, and what it takes.
    pub(crate) fn needs_proxies(&self) -> Option<(&'static str, &'static str)> {
        let Arguments { shape, effect, .. } = &self.arguments;
        let reasons = [
            (
                self.kind == KindName::VoteRace,
                "kind",
                "holds back single frames, which only a proxy sees",
            ),
            (
                self.kind == KindName::Roll,
                "kind",
                "begins with an older program, which may not know how to do without a secret off loopback",
            ),
            (
                effect.is_some_and(|effect| !effect.is_of_packets()),
                "effect",
                "is about frames, which only a proxy sees",
            ),
            (
                shape.is_some_and(|shape| shape.lanes().len() < LANES.len()),
                "shape",
                "is about one of the two connections of a pair, which only a proxy can tell apart",
            ),
        ];
        let first = reasons.into_iter().find(|(needs, ..)| *needs);
        first.map(|(_, key, why)| (key, why))
    }

    pub(super) fn validate(&self, table: &str, nodes: usize) -> Result<(), PlanError> {
        require(
            (1..=WEIGHT_MAX).contains(&self.weight),
            &format!("{table}.weight"),
            || format!("must be 1 to {WEIGHT_MAX}; leave the fault out to disable it"),
        )?;
        let duration = format!("{table}.duration");
        self.duration.validate(&duration)?;
        require(!self.duration.low.is_zero(), &duration, || {
            "must not be zero".to_owned()
        })?;
        let (needed, key, name) = self.nodes_min();
        require(needed <= nodes, &format!("{table}.{key}"), || {
            format!("{name} needs {needed} nodes")
        })
    }

    /// The nodes it needs, the key that says so, and that key's value.
    fn nodes_min(&self) -> (usize, &'static str, &'static str) {
        let Arguments { target, shape, .. } = &self.arguments;
        let by_target = target.map(|target| (target.nodes_min(), "target", target.name()));
        let by_shape = shape.map(|shape| (shape.nodes_min(), "shape", shape.name()));
        let by_kind = (self.kind.nodes_min(), "kind", self.kind.name());
        by_target.or(by_shape).unwrap_or(by_kind)
    }
}

/// Enough for any proportion; sums of weights stay far from overflow.
const WEIGHT_MAX: u32 = 1000;

fn one() -> u32 {
    1
}
