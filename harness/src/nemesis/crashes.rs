//! Processes that are killed again and again, each time soon after their start.
//!
//! Invariant: a process that was killed here runs again when the fault ends; one that cannot be started is found missing at the end of
//! the run.

use std::time::Duration;

use noraftd::prng::Prng;
use tokio::time::Instant;

use super::{Evidence, Injection, Nemesis, evidence_of, rest};
use crate::cluster::Node;
use crate::op::EventKind;

/// When it is enough.
#[derive(Clone, Copy)]
enum Until {
    /// So many starts were ended.
    Starts(u64),
    /// This is the time.
    Time(Instant),
}

impl Nemesis {
    /// A kill, and two to four more, each soon after the start.
    pub(super) async fn crash_loop(&self, fault: &mut Injection<'_>) -> Evidence {
        let starts = Prng::new(fault.decision.roll)
            .fork(FORK_STARTS)
            .between(STARTS_MIN, STARTS_MAX);
        let killed = self.crash_again(fault, Until::Starts(starts)).await;
        fault.rest().await;
        let back = self.bring_back(fault.claim).await;
        killed.map(|killed| format!("{killed}; restarted: {back}"))
    }

    /// Kills until the end, each soon after the start.
    pub(super) async fn crash_storm(&self, fault: &mut Injection<'_>) -> Evidence {
        let end = Instant::now() + fault.duration();
        let killed = self.crash_again(fault, Until::Time(end)).await;
        let back = self.bring_back(fault.claim).await;
        killed.map(|killed| format!("{killed}; restarted: {back}"))
    }

    async fn crash_again(&self, fault: &mut Injection<'_>, until: Until) -> Evidence {
        let mut prng = Prng::new(fault.decision.roll).fork(FORK_CRASHES);
        let nodes: Vec<&Node> = self.targets(fault.claim).collect();
        let (mut against, mut kills, mut starts) = (Vec::new(), 0, 0);
        for node in &nodes {
            match node.process.kill().await {
                Ok(_) => kills += 1,
                Err(error) => against.push(format!("n{}: {error}", node.id)),
            }
        }
        if kills > 0 {
            self.record(EventKind::FaultOk, fault, Some(&names(&nodes, "is gone")));
        }
        loop {
            let is_enough = match until {
                Until::Starts(most) => starts >= most,
                Until::Time(end) => Instant::now() >= end,
            };
            if is_enough {
                break;
            }
            for node in &nodes {
                if let Err(error) = self.cluster.launch(node) {
                    against.push(error.to_string());
                }
            }
            starts += 1;
            let soon = Duration::from_micros(prng.between(SOON_MIN_US, SOON_MAX_US));
            let is_over = rest(soon, fault.stop).await;
            for node in &nodes {
                // One that ended by itself is reported as a crash.
                kills += u64::from(node.process.kill().await.is_ok());
            }
            if is_over {
                break;
            }
        }
        let shown = format!(
            "{}, and {starts} times more, each within {} ms of the start",
            names(&nodes, "was killed"),
            SOON_MAX_US / 1000
        );
        let seen = (kills > 0 && starts > 0).then_some(shown);
        evidence_of(seen.into_iter().collect(), against)
    }
}

fn names(nodes: &[&Node], what: &str) -> String {
    let shown: Vec<String> = nodes.iter().map(|node| format!("n{} {what}", node.id)).collect();
    shown.join(", ")
}

/// Separate these draws from those of the targets, and from each other.
const FORK_STARTS: u64 = 0x0073_7461_7274;
const FORK_CRASHES: u64 = 0x6372_6173_6865;
/// The simulation draws as many.
const STARTS_MIN: u64 = 2;
const STARTS_MAX: u64 = 4;
/// A start takes some ten milliseconds: it is hit before it has read its directory, while it reads, and soon after.
const SOON_MIN_US: u64 = 500;
const SOON_MAX_US: u64 = 40_000;
