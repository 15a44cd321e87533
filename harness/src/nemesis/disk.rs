//! Disks that are in trouble, or stopped, alone or followed by a kill.
//!
//! Invariant: a disk that was stopped continues before the fault ends, unless its process is gone; a disk in trouble is out of it
//! by then, and its node runs.

use std::time::Duration;

use noraftd::exit::Exit;
use noraftd::prng::Prng;
use noraftd::store::shadow::{Control, Order, disturbed_calls};
use tokio::time::{Instant, sleep};

use super::{BITE_STEP, Evidence, Injection, Nemesis, evidence_of, rest};
use crate::cluster::power::Ground;
use crate::cluster::{Node, Stall};
use crate::op::EventKind;
use crate::plan::DiskTrouble;

impl Nemesis {
    pub(super) async fn disk_stall(&self, fault: &mut Injection<'_>) -> Evidence {
        let (stalls, evidence) = stall(self.targets(fault.claim));
        self.record(EventKind::FaultOk, fault, evidence.as_deref().ok());
        fault.rest().await;
        drop(stalls);
        evidence
    }

    /// Puts the targets' disks into trouble, and out of it.
    pub(super) async fn disk_trouble(&self, fault: &mut Injection<'_>, trouble: DiskTrouble) -> Evidence {
        let mut prng = Prng::new(fault.decision.roll).fork(FORK_DISK);
        let delay = Duration::from_millis(prng.between(SLOW_MIN_MS, SLOW_MAX_MS));
        let (mut troubled, mut against) = (Vec::new(), Vec::new());
        for node in self.targets(fault.claim) {
            match Troubled::begin(node, trouble, delay) {
                Ok(node) => troubled.push(node),
                Err(why) => against.push(why),
            }
        }
        let restarts = is_lack_of_room(trouble) && prng.chance(1, RESTARTS_ONE_IN);
        let restart_after = fault.duration().mul_f64(prng.below(1000) as f64 / 1000.0);
        self.endure(fault, &troubled, restarts.then_some(restart_after))
            .await;
        for node in &troubled {
            node.control.set(None).map_err(|error| error.to_string())?;
        }
        // A call that has failed may still be on its way to ending the process.
        sleep(OPERATOR).await;
        let back = self.bring_back(fault.claim).await;
        let mut shown = Vec::new();
        for node in &troubled {
            let (id, count) = (node.node.id, node.count());
            node.node.process.tolerate(&[]);
            if count > 0 {
                shown.push(format!("{count} calls of the disk of n{id} {}", past(trouble)));
            } else {
                against.push(format!("no call of the disk of n{id} was disturbed"));
            }
        }
        if let (Some(last), false) = (shown.last_mut(), back.is_empty()) {
            last.push_str(&format!("; restarted: {back}"));
        }
        evidence_of(shown, against)
    }

    /// Waits as long as the trouble lasts. A node that ends because of it is started again, as an operator would; where there is no room, some are
    /// started again in any case.
    async fn endure(
        &self,
        fault: &mut Injection<'_>,
        troubled: &[Troubled<'_>],
        mut restart_after: Option<Duration>,
    ) {
        let (started, duration) = (Instant::now(), fault.duration());
        let mut is_shown = false;
        loop {
            let bites = troubled.iter().any(|node| node.count() > 0);
            if bites && !std::mem::replace(&mut is_shown, true) {
                self.record(
                    EventKind::FaultOk,
                    fault,
                    Some("calls of a disk fail or take long"),
                );
            }
            // A disk that is idle at the moment stays in trouble until it is used.
            let lasts = if bites { duration } else { duration + self.bite_max };
            if started.elapsed() >= lasts || rest(BITE_STEP, fault.stop).await {
                return;
            }
            if restart_after
                .take_if(|after| started.elapsed() >= *after)
                .is_some()
            {
                for Troubled { node, .. } in troubled {
                    // One that has just ended is started below.
                    let _ = node.process.kill().await;
                }
            }
            for Troubled { node, .. } in troubled {
                if node.process.is_down() {
                    sleep(OPERATOR).await;
                    // One that cannot be started is tried again, and found missing at the end of the run.
                    let _ = self.cluster.launch(node);
                }
            }
        }
    }

    /// Stops the followers' disks, kills all nodes at one moment, and starts the followers well before the leader.
    pub(super) async fn stall_kill(&self, fault: &mut Injection<'_>) -> Evidence {
        let nodes: Vec<&Node> = self.targets(fault.claim).collect();
        let (leader, followers) = nodes.split_first().ok_or("there is no leader")?;
        let (stalls, evidence) = stall(followers.iter().copied());
        self.record(EventKind::FaultOk, fault, evidence.as_deref().ok());
        fault.rest().await;
        let killed: Vec<(&Node, Vec<i32>)> = nodes
            .iter()
            .filter_map(|node| Some((*node, node.process.strike().ok()?)))
            .collect();
        let any_killed = !killed.is_empty();
        for (node, pids) in killed {
            // One that does not go cannot be started either, and is found so at the end of the run.
            let _ = node.process.until_gone(&pids).await;
        }
        drop(stalls);
        for node in followers {
            let _ = self.cluster.restart(node).await;
        }
        sleep(ELECTION).await;
        let _ = self.cluster.restart(leader).await;
        let disks = evidence.unwrap_or_else(|why| format!("no disk could be stopped ({why})"));
        if any_killed {
            Ok(format!("{disks}; all were killed, n{} came back last", leader.id))
        } else {
            Err("no node was running".to_owned())
        }
    }
}

fn stall<'a>(nodes: impl Iterator<Item = &'a Node>) -> (Vec<Stall>, Evidence) {
    let (mut stalls, mut shown, mut against) = (Vec::new(), Vec::new(), Vec::new());
    for node in nodes {
        // Where tracing is not allowed there is no evidence, and no claim that a disk was stopped.
        match node.process.pid().map(Stall::begin) {
            Some(Ok(stall)) => {
                stalls.push(stall);
                shown.push(format!("the disk of n{} was stopped", node.id));
            }
            Some(Err(error)) => against.push(format!("n{}: {error}", node.id)),
            None => against.push(format!("n{} is not running", node.id)),
        }
    }
    (stalls, evidence_of(shown, against))
}

/// A node whose disk is in trouble.
struct Troubled<'a> {
    node: &'a Node,
    control: Control,
    before: u64,
}

impl<'a> Troubled<'a> {
    fn begin(node: &'a Node, trouble: DiskTrouble, delay: Duration) -> Result<Self, String> {
        let failed = |why: &dyn std::fmt::Display| format!("the disk of n{}: {why}", node.id);
        if !matches!(node.ground, Ground::Shadow) {
            return Err(failed(&"it is no shadow store"));
        }
        let control = Control::open(&node.data_dir).map_err(|error| failed(&error))?;
        let before = disturbed_calls(&node.data_dir).ok_or_else(|| failed(&"it has no ledger"))?;
        node.process.tolerate(may_end_with(trouble));
        let trouble = trouble.of_disks();
        control
            .set(Some(Order { trouble, delay }))
            .map_err(|error| failed(&error))?;
        Ok(Self {
            node,
            control,
            before,
        })
    }

    /// Calls that failed or took long since the trouble began.
    fn count(&self) -> u64 {
        let now = disturbed_calls(&self.node.data_dir).unwrap_or(self.before);
        now.saturating_sub(self.before)
    }
}

fn is_lack_of_room(trouble: DiskTrouble) -> bool {
    match trouble {
        DiskTrouble::Full | DiskTrouble::FullOverwrite => true,
        DiskTrouble::Slow | DiskTrouble::Error | DiskTrouble::ShortWrite => false,
    }
}

/// The exit codes of a node that ends, or does not start, for a good reason. A slow disk is none, nor is one on which no file can grow: a
/// start needs no room, except to write a slot of its vote again.
fn may_end_with(trouble: DiskTrouble) -> &'static [i32] {
    const FAILED: i32 = Exit::Disk as i32;
    const NO_ROOM: i32 = Exit::CannotCreate as i32;
    const SHORTAGE: i32 = Exit::System as i32;
    match trouble {
        DiskTrouble::Slow | DiskTrouble::Full => &[],
        DiskTrouble::Error => &[FAILED],
        DiskTrouble::FullOverwrite => &[NO_ROOM],
        DiskTrouble::ShortWrite => &[NO_ROOM, SHORTAGE],
    }
}

fn past(trouble: DiskTrouble) -> &'static str {
    match trouble {
        DiskTrouble::Slow => "took long",
        DiskTrouble::Error => "failed with EIO",
        DiskTrouble::Full => "found no room to grow",
        DiskTrouble::FullOverwrite => "found no room",
        DiskTrouble::ShortWrite => "ended in the middle",
    }
}

/// Separates these draws from those of the targets.
const FORK_DISK: u64 = 0x6469_736b;
/// Of the faults without room, so many are met by a start, too.
const RESTARTS_ONE_IN: u64 = 3;
/// Syncs take tens to hundreds of times as long: up to an election timeout.
const SLOW_MIN_MS: u64 = 20;
const SLOW_MAX_MS: u64 = 400;
/// How soon a node is started again that has ended.
const OPERATOR: Duration = Duration::from_millis(150);

/// Time for the nodes that are back to elect a leader.
const ELECTION: Duration = Duration::from_millis(1500);
