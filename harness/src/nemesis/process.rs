//! Processes killed, paused, and without power.
//!
//! Invariant: a process that was taken down here is started again here; one that cannot be started is found missing at
//! the end of the run.

use tokio::time::Instant;

use super::{Claim, Effect, Evidence, Injection, Nemesis, evidence_of, rest, round};
use crate::cluster::cut::{Aim, Cut};
use crate::cluster::{CutId, Node};
use crate::op::EventKind;
use crate::plan::CutMode;
use crate::results::Lost;

/// How a process is taken away.
#[derive(Clone, Copy)]
enum Taking {
    Kill,
    Pause,
}

impl Nemesis {
    pub(super) async fn kill(&self, fault: &mut Injection<'_>) -> Evidence {
        let killed = self.take(fault, Taking::Kill).await;
        fault.rest().await;
        let back = self.bring_back(fault.claim).await;
        killed.map(|killed| format!("{killed}; restarted: {back}"))
    }

    /// Stops the targets in order and starts them, one after the other: each is back before the next one goes.
    pub(super) async fn restart(&self, fault: &mut Injection<'_>) -> Evidence {
        let (mut restarted, mut against) = (Vec::new(), Vec::new());
        for node in self.targets(fault.claim) {
            match node.process.stop().await {
                Ok(which) => restarted.push(format!("n{} ({which}) stopped when asked to", node.id)),
                Err(error) => against.push(format!("n{}: {error}", node.id)),
            }
            if !node.process.is_down() {
                continue;
            }
            self.record(EventKind::FaultOk, fault, restarted.last().map(String::as_str));
            fault.rest().await;
            let back = self.start_again(&[node]).await;
            if let Some(shown) = restarted.last_mut() {
                shown.push_str(&format!("; started: {back}"));
            }
        }
        evidence_of(restarted, against)
    }

    /// Stops every node in order and starts it in the next form, one after the other.
    pub(super) async fn roll(&self, fault: &mut Injection<'_>) -> Evidence {
        let Some(form) = self.cluster.next_form() else {
            return Err("the cluster has one form only".to_owned());
        };
        let mut rolled = Vec::new();
        for node in self.targets(fault.claim) {
            let which = node
                .process
                .stop()
                .await
                .map_err(|error| format!("n{}: {error}", node.id))?;
            node.process.become_form(form);
            fault.rest().await;
            let back = self.start_again(&[node]).await;
            rolled.push(format!("n{} ({which}) became {}: {back}", node.id, form.name()));
            self.record(EventKind::FaultOk, fault, rolled.last().map(String::as_str));
        }
        Ok(rolled.join(", "))
    }

    /// Kills, and takes what was not synced. Without evidence where the plan's tier is not possible.
    pub(super) async fn power(&self, fault: &mut Injection<'_>) -> Effect {
        if let Some(refused) = self.cluster.power_refused() {
            return Effect::from(Err(refused.to_string()));
        }
        let nodes: Vec<&Node> = self.targets(fault.claim).collect();
        // Half of the cuts come whenever they come, in the middle of a sync too.
        let aim = match fault.decision.roll % 4 {
            0 => Aim::AtRoll,
            2 => Aim::AtUnsynced,
            _ => Aim::Anywhere,
        };
        let cuts = self.cluster.cut_power(&nodes, aim).await;
        let mut lost = Lost::default();
        cuts.iter().for_each(|cut| lost += cut.lost);
        let shown = cuts.iter().map(describe_cut).collect::<Vec<_>>().join(", ");
        self.record(EventKind::FaultOk, fault, Some(&shown));
        fault.rest().await;
        let back = self.bring_back(fault.claim).await;
        if cuts.is_empty() {
            return Effect::from(Err("no node was running".to_owned()));
        }
        Effect {
            evidence: Ok(format!("{shown}; restarted: {back}")),
            lost: Some(lost),
            is_prevented: false,
        }
    }

    pub(super) async fn pause(&self, fault: &mut Injection<'_>) -> Evidence {
        let paused = self.take(fault, Taking::Pause).await;
        fault.rest().await;
        for node in self.targets(fault.claim) {
            // One that died meanwhile is reported as a crash.
            let _ = node.process.resume().await;
        }
        paused
    }

    /// Kills or pauses each target, and records which of them that worked on.
    async fn take(&self, fault: &Injection<'_>, taking: Taking) -> Evidence {
        let (mut taken, mut against) = (Vec::new(), Vec::new());
        for node in self.targets(fault.claim) {
            let (result, now) = match taking {
                Taking::Kill => (node.process.kill().await, "is gone"),
                Taking::Pause => (node.process.pause().await, "was stopped"),
            };
            match result {
                Ok(which) => taken.push(format!("n{} ({which}) {now}", node.id)),
                Err(error) => against.push(format!("n{}: {error}", node.id)),
            }
        }
        self.record(EventKind::FaultOk, fault, Some(&taken.join(", ")));
        evidence_of(taken, against)
    }

    /// Stops the leader and cuts it off; lets it go on, still cut off; and connects it again.
    pub(super) async fn coup(&self, fault: &mut Injection<'_>, mode: CutMode) -> Evidence {
        let (network, claim) = (self.cluster.network(), fault.claim);
        let links = &claim.targets.links;
        let before = network.stats(links).await?;
        let half = fault.duration() / 2;
        network
            .cut(CutId(claim.id), mode, fault.decision.fault.lanes(), links)
            .await?;
        let paused = self.take(fault, Taking::Pause).await;
        rest(half, fault.stop).await;
        for node in self.targets(claim) {
            // One that died meanwhile is reported as a crash.
            let _ = node.process.resume().await;
        }
        rest(half, fault.stop).await;
        network.heal(CutId(claim.id)).await?;
        let cut = network.stats(links).await?.evidence_since(&before);
        let cut = cut.ok_or_else(|| "nothing was sent over the links".to_owned())?;
        paused.map(|paused| format!("{paused}, {cut}"))
    }

    /// Starts the targets that are down, and reports how long they took to answer.
    pub(super) async fn bring_back(&self, claim: &Claim) -> String {
        let down: Vec<&Node> = self
            .targets(claim)
            .filter(|node| node.process.is_down())
            .collect();
        self.start_again(&down).await
    }

    pub(super) async fn start_again(&self, down: &[&Node]) -> String {
        let started = Instant::now();
        let launched: Vec<_> = down.iter().map(|node| self.cluster.launch(node)).collect();
        let mut back = Vec::new();
        for (node, launched) in down.iter().zip(launched) {
            let id = node.id;
            back.push(match launched {
                Err(error) => format!("n{id} did not start: {error}"),
                Ok(()) => match self.cluster.await_answer(node).await {
                    Ok(()) => format!("n{id} answered {:?} after", round(started.elapsed())),
                    Err(_) => format!("n{id} did not answer again"),
                },
            });
        }
        back.join(", ")
    }
}

fn describe_cut(cut: &Cut) -> String {
    let Cut { node, which, lost } = cut;
    let Lost { bytes, names } = lost;
    format!("n{node} ({which}) lost power, and {bytes} bytes and {names} names that were not synced")
}
