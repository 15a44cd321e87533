//! Disks that are stopped, alone or followed by a kill.
//!
//! Invariant: a disk that was stopped continues before the fault ends, unless its process is gone.

use std::time::Duration;

use tokio::time::sleep;

use super::{Evidence, Injection, Nemesis, evidence_of};
use crate::cluster::{Node, Stall};
use crate::op::EventKind;

impl Nemesis {
    pub(super) async fn disk_stall(&self, fault: &mut Injection<'_>) -> Evidence {
        let (stalls, evidence) = stall(self.targets(fault.claim));
        self.record(EventKind::FaultOk, fault, evidence.as_deref().ok());
        fault.rest().await;
        drop(stalls);
        evidence
    }

    /// Stops the followers' disks, kills all nodes at one moment, and starts the followers well before the leader.
    pub(super) async fn stall_kill(&self, fault: &mut Injection<'_>) -> Evidence {
        let nodes: Vec<&Node> = self.targets(fault.claim).collect();
        let (leader, followers) = nodes.split_first().ok_or("there is no leader")?;
        let (stalls, evidence) = stall(followers.iter().copied());
        self.record(EventKind::FaultOk, fault, evidence.as_deref().ok());
        fault.rest().await;
        let killed: Vec<(&Node, i32)> = nodes
            .iter()
            .filter_map(|node| Some((*node, node.process.strike().ok()?)))
            .collect();
        let any_killed = !killed.is_empty();
        for (node, pid) in killed {
            // One that does not go cannot be started either, and is found so at the end of the run.
            let _ = node.process.until_gone(pid).await;
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

/// Time for the nodes that are back to elect a leader.
const ELECTION: Duration = Duration::from_millis(1500);
