//! Faults of links: cut, flapping, in trouble.
//!
//! Invariant: what a fault did to links is over when it ends; where that cannot be had, it has no evidence, and says why.

use std::time::Duration;

use noraftd::prng::Prng;
use tokio::time::{Instant, sleep, timeout};

use super::{Evidence, Injection, Nemesis, rest, round};
use crate::cluster::{CutId, LinkStats};
use crate::op::EventKind;
use crate::plan::{CutMode, LinkEffect};

impl Nemesis {
    /// Cuts the links, and heals them.
    pub(super) async fn partition(&self, fault: &mut Injection<'_>, mode: CutMode) -> Evidence {
        let (network, duration) = (self.cluster.network(), fault.duration());
        let (decision, claim) = (fault.decision, fault.claim);
        let links = &claim.targets.links;
        let before = network.stats(links).await?;
        network
            .cut(CutId(claim.id), mode, decision.fault.lanes(), links)
            .await?;
        let started = Instant::now();
        // Links that carry nothing at the moment (all nodes down, say) are kept cut until something is lost.
        let bitten = timeout(duration + self.bite_max, self.until_bitten(links, before)).await;
        if let Ok(evidence) = &bitten {
            self.record(EventKind::FaultOk, fault, Some(evidence));
        }
        rest(duration.saturating_sub(started.elapsed()), fault.stop).await;
        network.heal(CutId(claim.id)).await?;
        let nothing = || {
            let waited = round(started.elapsed());
            format!("nothing was sent over the links in {waited:?}")
        };
        let after = network.stats(links).await?;
        after.evidence_since(&before).ok_or_else(nothing)
    }

    /// Cuts the links and heals them again and again, each time for up to two heartbeats and then for up to an election timeout.
    pub(super) async fn flap(&self, fault: &mut Injection<'_>, mode: CutMode) -> Evidence {
        let network = self.cluster.network();
        let (decision, claim) = (fault.decision, fault.claim);
        let (links, id) = (&claim.targets.links, CutId(claim.id));
        let (before, ends) = (network.stats(links).await?, Instant::now() + fault.duration());
        let mut prng = Prng::new(decision.roll).fork(FORK_FLAP);
        let mut is_cut = false;
        while Instant::now() < ends {
            is_cut = !is_cut;
            if is_cut {
                network.cut(id, mode, decision.fault.lanes(), links).await?;
            } else {
                network.heal(id).await?;
            }
            let stays = Duration::from_millis(prng.between(1, FLAP_MAX_MS));
            if rest(stays.min(ends.duration_since(Instant::now())), fault.stop).await {
                break;
            }
        }
        network.heal(id).await?;
        let nothing = || "nothing was sent over the links while they were cut".to_owned();
        let after = network.stats(links).await?;
        after.evidence_since(&before).ok_or_else(nothing)
    }

    /// Links carry what is sent otherwise than it was sent.
    pub(super) async fn trouble_links(&self, fault: &mut Injection<'_>, effect: LinkEffect) -> Evidence {
        let network = self.cluster.network();
        let (decision, claim) = (fault.decision, fault.claim);
        let links = &claim.targets.links;
        let before = network.stats(links).await?;
        let lanes = decision.fault.lanes();
        network
            .trouble(CutId(claim.id), (effect, decision.roll), lanes, links)
            .await?;
        fault.rest().await;
        // Links over which hardly anything is sent at the moment stay in trouble until something has met it.
        let most = Instant::now() + self.bite_max;
        let seen = loop {
            let seen = network.stats(links).await?.trouble_since(&before, effect);
            let is_over = seen.is_some() || Instant::now() > most;
            if is_over || rest(network.look_after(), fault.stop).await {
                break seen;
            }
        };
        network.heal(CutId(claim.id)).await?;
        seen.ok_or_else(|| format!("nothing that was sent was {}", effect.past()))
    }

    /// Waits until the links have kept something from passing; gives the evidence.
    pub(super) async fn until_bitten(&self, links: &[(u64, u64)], before: LinkStats) -> String {
        let network = self.cluster.network();
        loop {
            // What cannot be read now is read at the end, and then it says why not.
            let stats = network.stats(links).await.ok();
            match stats.and_then(|stats| stats.evidence_since(&before)) {
                Some(evidence) => return evidence,
                None => sleep(network.look_after()).await,
            }
        }
    }
}

/// Links that flap stay as they are for up to so long: some heartbeats.
const FLAP_MAX_MS: u64 = 250;
/// Separates the draws of a flapping link from those of its targets.
const FORK_FLAP: u64 = 0x0066_6c61_7073;
