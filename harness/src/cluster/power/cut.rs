//! The cut itself, on one node or several at one moment.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::ext4::Victims;
use super::{Ground, shadow_unsynced};
use crate::cluster::{Cluster, Life, Node};
use crate::results::Lost;

/// What a cut did to one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Which.
    pub node: u64,
    /// The process that ended.
    pub pid: i32,
    /// What was not synced, and is gone.
    pub lost: Lost,
}

impl Cluster {
    /// Cuts the power of `nodes` at one moment; when `aimed`, at one at which something is lost, if such a moment
    /// comes soon. A node without a process is left out.
    pub async fn cut_power(&self, nodes: &[&Node], aimed: bool) -> Vec<Cut> {
        let nodes: Vec<&Node> = nodes
            .iter()
            .copied()
            .filter(|node| matches!(node.process.life(), Life::Up { .. }))
            .collect();
        if aimed {
            aim(&nodes).await;
        }
        let victims: Vec<Option<Victims>> = nodes.iter().map(|node| shut_down(node)).collect();
        let struck: Vec<Option<i32>> = nodes.iter().map(|node| node.process.strike().ok()).collect();
        let mut cuts = Vec::new();
        for ((node, pid), victims) in nodes.into_iter().zip(struck).zip(victims) {
            let Some(pid) = pid else { continue };
            // One that does not go cannot be started again either, and is found so at the end of the run.
            if node.process.until_gone(pid).await.is_ok() {
                let lost = lost(node, victims);
                cuts.push(Cut {
                    node: node.id,
                    pid,
                    lost,
                });
            }
        }
        cuts
    }
}

/// Waits for a moment when one of the nodes has something to lose, and stops them all in it; or until that takes
/// too long.
async fn aim(nodes: &[&Node]) {
    let deadline = Instant::now() + AIM_MAX;
    loop {
        let halted: Vec<_> = nodes.iter().map(|node| node.process.halt()).collect();
        for (node, pid) in nodes.iter().zip(halted) {
            // One that ended meanwhile is noticed when it is struck.
            if let Ok(pid) = pid {
                let _ = node.process.until_still(pid).await;
            }
        }
        if nodes.iter().any(has_unsynced) || Instant::now() >= deadline {
            return;
        }
        for node in nodes {
            let _ = node.process.resume().await;
        }
        sleep(AIM_STEP).await;
    }
}

fn has_unsynced(node: &&Node) -> bool {
    match &node.ground {
        Ground::Plain => false,
        Ground::Shadow => shadow_unsynced(&node.data_dir).is_some(),
        Ground::Ext4(ext4) => ext4.victims().lost_bytes() > 0,
    }
}

/// The file system first: a process that goes on for a moment gets errors, and none of its writes anywhere.
fn shut_down(node: &Node) -> Option<Victims> {
    match &node.ground {
        Ground::Plain | Ground::Shadow => None,
        Ground::Ext4(ext4) => {
            node.process.condemn();
            let victims = ext4.victims();
            // Not shut down it is only killed, and nothing is lost: the evidence shows that.
            ext4.shut_down().is_ok().then_some(victims)
        }
    }
}

fn lost(node: &Node, victims: Option<Victims>) -> Lost {
    match &node.ground {
        Ground::Plain => Lost::default(),
        Ground::Shadow => shadow_unsynced(&node.data_dir),
        Ground::Ext4(ext4) => {
            let bytes = victims.map_or(0, |victims| victims.lost_bytes());
            // What stays mounted cannot be mounted again; the restart tells.
            let _ = ext4.unmount();
            Lost { bytes, names: 0 }
        }
    }
}

/// A batch is written every few hundred microseconds: an idle node is not waited for.
const AIM_MAX: Duration = Duration::from_millis(700);
const AIM_STEP: Duration = Duration::from_millis(1);
