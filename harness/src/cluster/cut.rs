//! The cut itself, on one node or several at one moment.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::Cluster;
use super::node::Node;
use super::power::{Ground, Victims, shadow_unsynced};
use super::stall::Unsynced;
use crate::results::Lost;

/// What a cut did to one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Which.
    pub node: u64,
    /// The processes that ended.
    pub which: String,
    /// What was not synced, and is gone.
    pub lost: Lost,
}

/// The moment of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Any.
    Anywhere,
    /// One at which something is lost.
    AtUnsynced,
    /// One at which a segment has just been begun, and the next is being made: until that is done, no process has had a
    /// reason to sync anything that makes the begun one's name durable by the way. (Where the file system is no real
    /// one, names are lost as readily as bytes.)
    AtRoll,
}

impl Cluster {
    /// Cuts the power of `nodes` at one moment, and at one as it is wanted if such a moment comes soon. A node without
    /// a process is left out.
    pub async fn cut_power(&self, nodes: &[&Node], aim: Aim) -> Vec<Cut> {
        let nodes: Vec<&Node> = nodes
            .iter()
            .copied()
            .filter(|node| node.process.is_up())
            .collect();
        // Held until the processes are gone.
        let held = match aim {
            Aim::Anywhere => Vec::new(),
            Aim::AtRoll if await_roll(&nodes).await => {
                take_aim(&nodes, is_rolling).await;
                Vec::new()
            }
            Aim::AtUnsynced | Aim::AtRoll => stop_at_sync(&nodes).await,
        };
        let victims: Vec<Option<Victims>> = nodes.iter().map(|node| shut_down(node)).collect();
        let killed: Vec<Option<Vec<i32>>> = nodes.iter().map(|node| node.process.strike().ok()).collect();
        drop(held);
        let mut cuts = Vec::new();
        for ((node, pids), victims) in nodes.into_iter().zip(killed).zip(victims) {
            let Some(pids) = pids else { continue };
            // One that does not go cannot be started again either, and is found so at the end of the run.
            if let Ok(which) = node.process.until_gone(&pids).await {
                let lost = lost(node, victims);
                cuts.push(Cut {
                    node: node.id,
                    which,
                    lost,
                });
            }
        }
        cuts
    }
}

/// Looks, without stopping anybody, until a node makes a segment; false when that takes too long.
async fn await_roll(nodes: &[&Node]) -> bool {
    let deadline = Instant::now() + ROLL_MAX;
    while Instant::now() < deadline {
        if nodes.iter().any(|node| is_rolling(node)) {
            return true;
        }
        sleep(ROLL_STEP).await;
    }
    false
}

/// Stops nodes when they have written something that is not synced. On a real file system that moment is too short to be met by
/// chance: there the thread that writes is stopped between the two calls.
async fn stop_at_sync(nodes: &[&Node]) -> Vec<Unsynced> {
    if nodes.iter().any(|node| !matches!(node.ground, Ground::Ext4(_))) {
        take_aim(nodes, has_unsynced).await;
        return Vec::new();
    }
    let pids = nodes.iter().filter_map(|node| node.process.pid());
    let caught: Vec<_> = pids
        .map(|pid| spawn_blocking(move || Unsynced::catch(pid, AIM_MAX)))
        .collect();
    let mut held = Vec::new();
    for caught in caught {
        // Where tracing is not allowed the cut comes at any moment, and the run says what it took.
        if let Ok(Ok(Some(unsynced))) = caught.await {
            held.push(unsynced);
        }
    }
    held
}

/// Waits for a moment that is `wanted` of one of the nodes, and stops them all in it; or until that takes too long.
async fn take_aim(nodes: &[&Node], wanted: impl Fn(&Node) -> bool) {
    let deadline = Instant::now() + AIM_MAX;
    loop {
        let halted: Vec<_> = nodes.iter().map(|node| node.process.halt()).collect();
        for (node, pids) in nodes.iter().zip(halted) {
            // One that ended meanwhile is noticed when it is killed.
            if let Ok(pids) = pids {
                let _ = node.process.until_still(&pids).await;
            }
        }
        if nodes.iter().any(|node| wanted(node)) || Instant::now() >= deadline {
            return;
        }
        for node in nodes {
            let _ = node.process.resume().await;
        }
        sleep(AIM_STEP).await;
    }
}

fn is_rolling(node: &Node) -> bool {
    match &node.ground {
        Ground::Plain => false,
        Ground::Shadow => has_unsynced(node),
        Ground::Ext4(ext4) => ext4.makes_segment(),
    }
}

fn has_unsynced(node: &Node) -> bool {
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
            // What stays mounted cannot be mounted again; the restart shows it.
            let _ = ext4.unmount();
            Lost { bytes, names: 0 }
        }
    }
}

/// A batch is written every few hundred microseconds: an idle node is not waited for.
const AIM_MAX: Duration = Duration::from_millis(700);
const AIM_STEP: Duration = Duration::from_millis(1);
/// Small segments are full several times a second.
const ROLL_MAX: Duration = Duration::from_millis(700);
/// Making one takes a few milliseconds.
const ROLL_STEP: Duration = Duration::from_micros(200);
