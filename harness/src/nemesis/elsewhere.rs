//! Faults that only the commands of a cluster elsewhere can make: clocks set wrong, disks in trouble.
//!
//! Invariant: what a command disturbed, the same command puts right before the fault ends; where that fails, the evidence says so.

use noraftd::prng::Prng;

use super::{Evidence, Injection, Nemesis, evidence_of};
use crate::op::EventKind;
use crate::plan::DiskTrouble;

/// What is done to a node.
#[derive(Clone, Copy)]
enum Act {
    Clock(i64),
    Disk(&'static str),
}

impl Nemesis {
    /// Sets the clocks of the targets off, all by the same.
    pub(super) async fn set_clocks(&self, fault: &mut Injection<'_>) -> Evidence {
        let mut prng = Prng::new(fault.decision.roll);
        let size = prng.between(OFFSET_MS_MIN, OFFSET_MS_MAX).cast_signed();
        let offset = if prng.chance(1, 2) { size } else { -size };
        self.act(fault, Act::Clock(offset), Act::Clock(0)).await
    }

    /// Puts the disks of the targets into trouble.
    pub(super) async fn trouble_disks(&self, fault: &mut Injection<'_>, trouble: DiskTrouble) -> Evidence {
        self.act(fault, Act::Disk(trouble.name()), Act::Disk("none"))
            .await
    }

    async fn act(&self, fault: &mut Injection<'_>, begin: Act, end: Act) -> Evidence {
        let done = self.command(fault, begin).await;
        self.record(EventKind::FaultOk, fault, done.as_deref().ok());
        fault.rest().await;
        let undone = self.command(fault, end).await;
        match (done, undone) {
            (Ok(done), Ok(_)) => Ok(done),
            (Ok(done), Err(why)) => Ok(format!("{done}; not put right: {why}")),
            (Err(why), _) => Err(why),
        }
    }

    async fn command(&self, fault: &Injection<'_>, act: Act) -> Evidence {
        let (mut seen, mut against) = (Vec::new(), Vec::new());
        for node in self.targets(fault.claim) {
            let Some(elsewhere) = node.process.elsewhere() else {
                against.push(format!("n{}: it is not elsewhere", node.id));
                continue;
            };
            let (done, what) = match act {
                Act::Clock(offset_ms) => (
                    elsewhere.set_clock(offset_ms).await,
                    format!("its clock was set off by {offset_ms} ms"),
                ),
                Act::Disk(trouble) => (
                    elsewhere.trouble_disk(trouble).await,
                    format!("its disk was put into trouble: {trouble}"),
                ),
            };
            match done {
                Ok(which) => seen.push(format!("n{}: {what} {which}", node.id)),
                Err(error) => against.push(format!("n{}: {error}", node.id)),
            }
        }
        evidence_of(seen, against)
    }
}

/// Beyond what clocks of one network differ by.
const OFFSET_MS_MIN: u64 = 200;
/// Beyond every timeout of a plan.
const OFFSET_MS_MAX: u64 = 60_000;
