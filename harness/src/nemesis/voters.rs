//! Other voters, now and then, and all nodes voters again at the end.
//!
//! Invariant: a change has evidence only when the leader said that the new voters' configuration is committed, and they
//! are others than before. What was asked for and not answered may still happen: the next attempt looks first.

use std::collections::BTreeSet;
use std::time::Duration;

use noraftd::prng::Prng;
use tokio::time::{Instant, sleep};

use super::members::is_written;
use super::{Effect, Evidence, Injection, Nemesis};
use crate::client::own::{VoterView, voters};
use crate::cluster::Cluster;
use crate::op::EventKind;

/// Whether the voters may become others by themselves.
#[derive(Debug, Default)]
pub(super) struct Voting {
    /// When a change was asked for last that was not answered: it may still come.
    unanswered: Option<Instant>,
}

impl Voting {
    /// Whether no change is on its way that was not answered.
    pub(super) fn is_settled(&self) -> bool {
        self.unanswered.is_none_or(|at| at.elapsed() > FORGOTTEN)
    }
}

impl Nemesis {
    /// Asks the leader for other voters until it has them; not while a disk is damaged, for those that are to repair it might be no voters then.
    pub(super) async fn change_voters(&self, fault: &mut Injection<'_>) -> Effect {
        let started = Instant::now();
        let mut prng = Prng::new(fault.decision.roll);
        let Ok(mut voting) = self.voting.try_lock() else {
            return Effect::prevented("a disk is damaged");
        };
        if self.cluster.nodes().iter().any(|node| self.is_damaged(node)) {
            return Effect::prevented("a disk is damaged");
        }
        if self.has_table().await {
            return Effect::prevented(WRITTEN);
        }
        let changed = loop {
            match self.try_to_change(&mut prng, &mut voting).await {
                // Two members are left, and a lone voter is never asked for.
                Err(why) if why == NO_OTHERS => return Effect::prevented(NO_OTHERS),
                Err(_) if self.has_table().await => return Effect::prevented(WRITTEN),
                Err(_) if started.elapsed() < fault.duration() + self.bite_max => sleep(ASK_AGAIN).await,
                tried => break tried,
            }
        };
        drop(voting);
        self.record(EventKind::FaultOk, fault, changed.as_deref().ok());
        fault.rest().await;
        changed.into()
    }

    /// Every set of voters that a node knows, with the nodes that say so. `None` when one of them is not known here.
    pub(super) async fn known_voters(&self) -> Option<(BTreeSet<u64>, BTreeSet<BTreeSet<u64>>)> {
        let (mut said, mut sets) = (BTreeSet::new(), BTreeSet::new());
        for (id, view) in views(&self.cluster).await {
            let Some(view) = view else { continue };
            said.insert(id);
            for set in [view.voters, view.new_voters] {
                let nodes = set.into_iter().map(|id| Some(self.cluster.member(id)?.id));
                let nodes: BTreeSet<u64> = nodes.collect::<Option<_>>()?;
                sets.extend((!nodes.is_empty()).then_some(nodes));
            }
        }
        Some((said, sets))
    }

    async fn try_to_change(&self, prng: &mut Prng, voting: &mut Voting) -> Evidence {
        let leader = self.cluster.leader().await.ok_or("there is no leader")?;
        let node = self.cluster.node(leader).ok_or("there is no leader")?;
        let silent = || format!("n{leader} does not say who votes");
        let view = voters(node.door.address, ANSWER_MAX).await.ok_or_else(silent)?;
        if !view.new_voters.is_empty() {
            return Err("another change is in progress".to_owned());
        }
        let all: Vec<u64> = self.cluster.members().map(|node| node.id).collect();
        let wanted = draw(prng, &all, &view.voters).ok_or(NO_OTHERS)?;
        let asked = node.orders().set_voters(&wanted, ANSWER_MAX).await;
        asked.map_err(|error| {
            voting.unanswered = Some(Instant::now());
            format!("n{leader}: {error}")
        })?;
        Ok(format!(
            "the voters were {} and became {}",
            names(&view.voters),
            names(&wanted)
        ))
    }
}

/// A set of at least two nodes (a lone voter that is away takes everything with it), and not the present one.
fn draw(prng: &mut Prng, all: &[u64], present: &BTreeSet<u64>) -> Option<BTreeSet<u64>> {
    (0..DRAWS_MAX).find_map(|_| {
        let mut nodes = all.to_vec();
        prng.shuffle(&mut nodes);
        let least = VOTERS_MIN.min(nodes.len());
        nodes.truncate(prng.between(least as u64, nodes.len() as u64) as usize);
        let drawn: BTreeSet<u64> = nodes.into_iter().collect();
        (drawn != *present).then_some(drawn)
    })
}

/// Makes all nodes voters, if they are not, and waits until every one of them knows it, or until the members are written down.
///
/// # Errors
///
/// What the nodes say, when they do not become voters within `patience`.
pub async fn restore_voters(cluster: &Cluster, patience: Duration) -> Result<(), String> {
    let all: BTreeSet<u64> = cluster.members().map(|node| node.id).collect();
    let deadline = Instant::now() + patience;
    loop {
        if is_written(cluster).await {
            return Ok(());
        }
        let views = views(cluster).await;
        let is_back = |view: &Option<VoterView>| {
            view.as_ref()
                .is_some_and(|view| view.voters == all && view.new_voters.is_empty())
        };
        if views.iter().all(|(_, view)| is_back(view)) {
            return Ok(());
        }
        let leader = match cluster.leader().await {
            Some(leader) => cluster.node(leader),
            None => None,
        };
        let asked = match leader {
            Some(node) => node
                .orders()
                .set_voters(&all, ANSWER_MAX)
                .await
                .map_err(|error| format!("n{}: {error}", node.id)),
            None => Err("there is no leader".to_owned()),
        };
        if Instant::now() > deadline {
            let shown: Vec<String> = views
                .iter()
                .map(|(id, view)| describe(*id, view.as_ref()))
                .collect();
            let asked = asked
                .err()
                .unwrap_or_else(|| "the leader says they are".to_owned());
            return Err(format!(
                "not every node is a voter again within {patience:?}: {}; asked again: {asked}",
                shown.join(", ")
            ));
        }
        sleep(ASK_AGAIN).await;
    }
}

async fn views(cluster: &Cluster) -> Vec<(u64, Option<VoterView>)> {
    let mut views = Vec::new();
    for node in cluster.members() {
        views.push((node.id, voters(node.door.address, ANSWER_MAX).await));
    }
    views
}

fn describe(id: u64, view: Option<&VoterView>) -> String {
    match view {
        None => format!("n{id} does not say"),
        Some(VoterView { voters, new_voters }) if new_voters.is_empty() => {
            format!("n{id} knows {}", names(voters))
        }
        Some(VoterView { voters, new_voters }) => {
            format!("n{id} knows {} becoming {}", names(voters), names(new_voters))
        }
    }
}

fn names(ids: &BTreeSet<u64>) -> String {
    ids.iter()
        .map(|id| format!("n{id}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// With two nodes alone there is one set of at least two.
const VOTERS_MIN: usize = 2;
const NO_OTHERS: &str = "there is no other set of voters";
const WRITTEN: &str = "the members are written down: who votes is changed there";
/// Of three nodes there are four sets of at least two.
const DRAWS_MAX: usize = 16;
/// A change takes a few round trips and syncs; the daemon answers within its request timeout of a second.
const ANSWER_MAX: Duration = Duration::from_millis(1500);
/// A request that waits for longer than that at a node that stands still is given up by it.
const FORGOTTEN: Duration = Duration::from_secs(5);
const ASK_AGAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawn_voters_are_others_and_at_least_two() {
        let all = [1, 2, 3];
        let mut drawn = BTreeSet::new();
        for seed in 0..200 {
            let present = BTreeSet::from([1, 2]);
            let wanted = draw(&mut Prng::new(seed), &all, &present).unwrap();
            assert!(wanted.len() >= 2 && wanted != present, "seed {seed}: {wanted:?}");
            drawn.insert(wanted);
        }
        assert_eq!(drawn.len(), 3);
        let both = BTreeSet::from([1, 2]);
        assert_eq!(draw(&mut Prng::new(1), &[1, 2], &both), None);
    }
}
