//! Another node leads: the leader is asked to hand over, or stopped in order, which hands over too.
//!
//! Invariant: evidence is that another node leads.

use std::time::Duration;

use noraftd::prng::Prng;
use tokio::time::{Instant, sleep};

use super::{Evidence, Injection, Nemesis, round};
use crate::cluster::Node;
use crate::op::EventKind;

impl Nemesis {
    /// Has another node lead.
    pub(super) async fn transfer(&self, fault: &mut Injection<'_>) -> Evidence {
        if !fault.claim.targets.nodes.is_empty() {
            return self.leave(fault).await;
        }
        let started = Instant::now();
        let mut prng = Prng::new(fault.decision.roll).fork(FORK_TRANSFER);
        let handed_over = loop {
            match self.try_to_transfer(&mut prng).await {
                Err(_) if started.elapsed() < fault.duration() + self.bite_max => sleep(ASK_AGAIN).await,
                tried => break tried,
            }
        };
        self.record(EventKind::FaultOk, fault, handed_over.as_deref().ok());
        fault.rest().await;
        handed_over
    }

    async fn try_to_transfer(&self, prng: &mut Prng) -> Evidence {
        let leader = self.cluster.leader().await.ok_or("there is no leader")?;
        let node = self.cluster.node(leader).ok_or("there is no leader")?;
        let others = self.cluster.members().filter(|other| other.id != leader);
        let others: Vec<u64> = others.filter_map(Node::member_id).collect();
        let to = prng.choose(&others).copied().filter(|_| prng.chance(1, 2));
        let leads = node.orders().transfer(to, ANSWER_MAX).await;
        let leads = leads.map_err(|error| format!("n{leader}: {error}"))?;
        match self.cluster.member(leads).map(|node| node.id) {
            Some(same) if same == leader => Err(format!("n{leader} leads as before")),
            Some(other) => Ok(format!("n{other} leads instead of n{leader}")),
            None => Ok(format!("node {leads} leads instead of n{leader}")),
        }
    }

    /// The leader is stopped in order, and started at the end.
    async fn leave(&self, fault: &mut Injection<'_>) -> Evidence {
        let Some(node) = self.targets(fault.claim).next() else {
            return Err("there is no leader".to_owned());
        };
        let stopped = node.process.stop().await;
        if !node.process.is_down() {
            return stopped
                .map(|_| String::new())
                .map_err(|error| format!("n{}: {error}", node.id));
        }
        let since = Instant::now();
        let leads = loop {
            match self.cluster.leader().await {
                Some(leader) if leader != node.id => break Some(leader),
                _ if since.elapsed() < self.bite_max => sleep(LOOK_AGAIN).await,
                _ => break None,
            }
        };
        let said = leads.map(|leader| {
            let took = round(since.elapsed());
            format!(
                "n{} stopped when asked to, and n{leader} was seen to lead {took:?} after",
                node.id
            )
        });
        self.record(EventKind::FaultOk, fault, said.as_deref());
        fault.rest().await;
        let back = self.start_again(&[node]).await;
        stopped.map_err(|error| format!("n{}: {error}", node.id))?;
        let said = said.ok_or_else(|| format!("n{} stopped, and no other node led", node.id))?;
        Ok(format!("{said}; started: {back}"))
    }
}

/// Separates the draw of nodes from that of targets.
const FORK_TRANSFER: u64 = 0x0074_7261_6e73;
/// A transfer takes an election timeout at most.
const ANSWER_MAX: Duration = Duration::from_millis(1500);
const ASK_AGAIN: Duration = Duration::from_millis(100);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
