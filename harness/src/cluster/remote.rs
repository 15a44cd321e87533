//! The links between nodes that run elsewhere: each is cut by a command at the node that is not to hear the other one any more.
//!
//! Invariant: a link that two faults cut is cut by two commands and healed by two.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::elsewhere::Elsewhere;
use super::link::{CutId, LinkStats};

/// Every directed link of a cluster that runs elsewhere.
#[derive(Debug)]
pub(super) struct Remote {
    nodes: BTreeMap<u64, (IpAddr, Arc<Elsewhere>)>,
    cuts: Mutex<BTreeMap<CutId, Vec<(u64, u64)>>>,
    /// Links that were cut since the run began.
    links_cut: AtomicU64,
}

impl Remote {
    pub(super) fn new(nodes: Vec<(u64, IpAddr, Arc<Elsewhere>)>) -> Self {
        Self {
            nodes: nodes.into_iter().map(|(id, at, node)| (id, (at, node))).collect(),
            cuts: Mutex::default(),
            links_cut: AtomicU64::new(0),
        }
    }

    /// Where `node` is.
    pub(super) fn host(&self, node: u64) -> IpAddr {
        self.nodes[&node].0
    }

    /// Cuts every link of `pairs`, under one name. Those that were cut before one that could not be stay so until the heal.
    pub(super) async fn cut(&self, id: CutId, pairs: &[(u64, u64)]) -> Result<(), String> {
        for pair in pairs {
            self.command(*pair, false).await?;
            self.links_cut.fetch_add(1, Ordering::Relaxed);
            let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
            cuts.entry(id).or_default().push(*pair);
        }
        Ok(())
    }

    /// Ends the cut `id`.
    pub(super) async fn heal(&self, id: CutId) -> Result<(), String> {
        let cut = {
            let mut cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
            cuts.remove(&id).unwrap_or_default()
        };
        let mut failed = None;
        for pair in cut {
            failed = self.command(pair, true).await.err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Ends every cut.
    pub(super) async fn heal_all(&self) -> Result<(), String> {
        let ids: Vec<CutId> = {
            let cuts = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
            cuts.keys().copied().collect()
        };
        let mut failed = None;
        for id in ids {
            failed = self.heal(id).await.err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// What is known of the links: that commands cut them.
    pub(super) fn stats(&self, _: &[(u64, u64)]) -> LinkStats {
        LinkStats {
            links_cut: self.links_cut.load(Ordering::Relaxed),
            ..LinkStats::default()
        }
    }

    async fn command(&self, (from, to): (u64, u64), is_heard: bool) -> Result<(), String> {
        let (peer, _) = self.nodes[&from];
        let (_, node) = &self.nodes[&to];
        let done = node.hear(&peer.to_string(), is_heard).await;
        done.map(drop).map_err(|error| format!("n{to}: {error}"))
    }
}
