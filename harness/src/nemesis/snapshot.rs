//! Snapshots on demand: a node is asked for one after the other, so that its log begins later and later, whatever else happens meanwhile.
//!
//! Invariant: a snapshot has evidence only when a node says that it has a later one than before.

use std::collections::BTreeMap;
use std::time::Duration;

use noraftd::prng::Prng;
use tokio::time::{Instant, sleep};

use super::{Evidence, Injection, Nemesis, evidence_of, rest};
use crate::client::own::{Stored, stored};
use crate::cluster::Node;
use crate::op::EventKind;

/// Which of `nodes` are asked: one of them, or one time in four all.
pub(crate) fn takers(roll: u64, nodes: &[u64]) -> Vec<u64> {
    let mut prng = Prng::new(roll).fork(FORK_SNAPSHOT);
    if prng.chance(1, ALL_ONE_IN) {
        return nodes.to_vec();
    }
    prng.choose(nodes).copied().into_iter().collect()
}

impl Nemesis {
    /// Asks for snapshots as long as the fault lasts, and until a node has a later one.
    pub(super) async fn take_snapshots(&self, fault: &mut Injection<'_>) -> Evidence {
        let ids: Vec<u64> = self.cluster.members().map(|node| node.id).collect();
        let mut asked = takers(fault.decision.roll, &ids);
        let (started, mut taking) = (Instant::now(), Taking::default());
        let mut is_shown = false;
        loop {
            for node in asked.clone().iter().filter_map(|id| self.cluster.node(*id)) {
                taking.look(node).await;
                if let Err(error) = node.orders().take_snapshot(ANSWER_MAX).await {
                    taking.against.insert(node.id, error.to_string());
                    // It is down or starts at the moment: any other is as good.
                    asked.clone_from(&ids);
                }
            }
            if !is_shown && let Some(seen) = taking.seen().first() {
                is_shown = true;
                self.record(EventKind::FaultOk, fault, Some(seen));
            }
            let is_over = started.elapsed() >= fault.duration();
            if is_over && (is_shown || started.elapsed() >= fault.duration() + self.bite_max) {
                return evidence_of(taking.seen(), taking.why(&asked));
            }
            if is_over {
                sleep(ASK_AGAIN).await;
            } else if rest(ASK_AGAIN, fault.stop).await {
                for node in self.cluster.members() {
                    taking.look(node).await;
                }
                return evidence_of(taking.seen(), taking.why(&asked));
            }
        }
    }
}

/// What nodes said of their snapshots.
#[derive(Debug, Default)]
struct Taking {
    /// By node: what it had when it was asked first, and what it has.
    stored: BTreeMap<u64, (Stored, Stored)>,
    /// Why a node was not asked.
    against: BTreeMap<u64, String>,
}

impl Taking {
    async fn look(&mut self, node: &Node) {
        if let Some(now) = stored(node.door.address, ANSWER_MAX).await {
            self.note(node.id, now);
        }
    }

    fn note(&mut self, node: u64, now: Stored) {
        self.stored.entry(node).or_insert((now, now)).1 = now;
    }

    /// Of each node that has a later snapshot, what it says.
    fn seen(&self) -> Vec<String> {
        let later = self
            .stored
            .iter()
            .filter(|(_, (before, now))| now.snapshot_index > before.snapshot_index);
        later
            .map(|(node, (before, now))| {
                let (old, new) = (before.snapshot_index, now.snapshot_index);
                let (began, begins) = (before.base_index, now.base_index);
                format!("n{node} has a snapshot of entry {new} (before: {old}), and its log begins after entry {begins} (before: {began})")
            })
            .collect()
    }

    fn why(&self, asked: &[u64]) -> Vec<String> {
        let why = |node: &u64| match (self.stored.get(node), self.against.get(node)) {
            (_, Some(why)) => format!("n{node}: {why}"),
            (None, None) => format!("n{node} does not say which snapshot it has"),
            (Some((_, now)), None) => format!(
                "n{node} has the snapshot of entry {} as before",
                now.snapshot_index
            ),
        };
        asked.iter().map(why).collect()
    }
}

/// Separates the draw of nodes from that of targets.
const FORK_SNAPSHOT: u64 = 0x736e_6170;
/// One time in so many, every node is asked.
const ALL_ONE_IN: u64 = 4;
const ANSWER_MAX: Duration = Duration::from_millis(500);
const ASK_AGAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_is_asked_or_all() {
        let nodes = [1, 2, 3];
        let drawn: Vec<Vec<u64>> = (0..100).map(|roll| takers(roll, &nodes)).collect();
        assert!(drawn.iter().all(|drawn| drawn.len() == 1 || drawn == &nodes));
        let ones = |id: u64| drawn.iter().filter(|drawn| **drawn == [id]).count();
        assert!(nodes.iter().all(|id| ones(*id) > 5), "{drawn:?}");
        assert!(drawn.iter().any(|drawn| drawn == &nodes));
        assert_eq!(takers(7, &nodes), takers(7, &nodes));
    }

    #[test]
    fn evidence_is_a_later_snapshot() {
        let said = |snapshot_index, base_index| Stored {
            snapshot_index,
            base_index,
        };
        let mut taking = Taking::default();
        taking.note(1, said(40, 20));
        taking.note(2, said(40, 20));
        taking.note(1, said(40, 20));
        taking.against.insert(3, "refused".to_owned());
        assert!(taking.seen().is_empty());
        let why = taking.why(&[1, 2, 3, 4]).join(", ");
        let expected = "n1 has the snapshot of entry 40 as before, n2 has the snapshot of entry 40 as before, n3: refused, \
                        n4 does not say which snapshot it has";
        assert_eq!(why, expected);
        taking.note(2, said(90, 40));
        let expected =
            "n2 has a snapshot of entry 90 (before: 40), and its log begins after entry 40 (before: 20)";
        assert_eq!(taking.seen(), [expected]);
        // A directory that was lost has none.
        taking.note(1, said(0, 0));
        assert_eq!(taking.seen().len(), 1);
    }
}
