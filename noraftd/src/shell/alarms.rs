//! Looks for what is wrong with this node, now and then, and says when that changes.
//!
//! Invariant: looking changes nothing but the list of alarms.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use noraft::NodeId;

use super::clock;
use super::node_info::NodeInfo;
use super::resources;
use crate::local::alarms::{Alarms, Change, Symptoms};
use crate::local::events::Event;
use crate::replica::event::Status;

/// Looks for as long as the process lives.
pub(super) async fn watch(node: Rc<NodeInfo>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let symptoms = symptoms(&node);
        let changes = node
            .observed
            .alarms
            .borrow_mut()
            .update(clock::now(), clock::wall(), &symptoms);
        for change in changes {
            node.journal.note(&match change {
                Change::Raised(kind, why) => Event::AlarmRaised { kind, why },
                Change::Over(kind) => Event::AlarmOver { kind },
            });
        }
    }
}

/// An operator has seen them.
pub(super) fn clear(alarms: &RefCell<Alarms>) {
    let count = alarms.borrow_mut().clear();
    tracing::info!("SIGUSR2: {count} alarms that were over are taken off the list");
}

fn symptoms(node: &NodeInfo) -> Symptoms {
    let replica = node.replica.borrow();
    let status = replica.status();
    Symptoms {
        is_full: node.figures.is_full(),
        memory: resources::memory_bounds(),
        divergence: status.damage.divergence.map(|divergence| divergence.to_string()),
        clock_offset_ms: replica.clock_offset_ms(clock::wall()),
        is_disk_slow: status.elections.disk_too_slow,
        in_flight: node.figures.in_flight(clock::now()),
        missing: missing(node, &status),
        election_timeout: node.config.time.election_timeout,
    }
}

/// The other members that a leader does not hear, or that there is no connection to.
fn missing(node: &NodeInfo, status: &Status) -> Vec<u64> {
    let connected = node.peers.connected();
    let members: BTreeSet<NodeId> = match status.role.is_leader() {
        true => status.followers.match_indexes.iter().map(|(id, _)| *id).collect(),
        false => status
            .voters
            .iter()
            .copied()
            .filter(|id| *id != status.id)
            .collect(),
    };
    let is_heard = |id: &NodeId| !status.role.is_leader() || status.followers.heard.contains(id);
    let gone = members
        .into_iter()
        .filter(|id| !connected.contains(id) || !is_heard(id));
    gone.map(NodeId::get).collect()
}

/// Often enough for what lasts for seconds.
const LOOK_EVERY: Duration = Duration::from_millis(500);
