//! One directed link between two nodes: whether it is cut, and what it did.
//!
//! Invariant: a link that reports no effect carried every byte that it was given while cut; the
//! counters only grow, so that the effect of a cut is the difference of two snapshots.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use noraftd::protocol::peer::Lane;
use tokio::sync::watch;

use super::effects::Trouble;
use super::gate::Gate;
use crate::plan::{CutMode, LANES, LinkEffect};

/// A directed link. Shared by the proxy that carries it and the nemesis that cuts it.
#[derive(Debug)]
pub struct Link {
    /// Who sends.
    pub from: u64,
    /// Who receives.
    pub to: u64,
    cuts: Mutex<BTreeMap<CutId, Cut>>,
    /// What becomes of connections of the first lane, of the urgent one, and of those whose lane is not known yet.
    policies: [watch::Sender<Policy>; 3],
    gate: Gate,
    troubles: Mutex<BTreeMap<CutId, (Trouble, &'static [Lane])>>,
    counters: Counters,
}

/// One cut, and the connections that it concerns.
type Cut = (CutMode, &'static [Lane]);

/// Names one cut, so that overlapping faults heal only their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CutId(pub u64);

/// What a link does at the moment with what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Carries it.
    Open,
    /// Does not.
    Cut(CutMode),
}

#[derive(Debug, Default)]
struct Counters {
    bytes_carried: AtomicU64,
    bytes_dropped: AtomicU64,
    bytes_held: AtomicU64,
    connections_refused: AtomicU64,
    connections_severed: AtomicU64,
    frames_troubled: AtomicU64,
    /// Since the last trouble began.
    frames_met: AtomicU64,
}

/// What a link did since the run began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Bytes delivered.
    pub bytes_carried: u64,
    /// Bytes swallowed by a cut.
    pub bytes_dropped: u64,
    /// Bytes delayed by a cut.
    pub bytes_held: u64,
    /// Connections that a cut did not let through.
    pub connections_refused: u64,
    /// Connections that a cut, or its heal, closed.
    pub connections_severed: u64,
    /// Frames that a trouble kept from just passing.
    pub frames_troubled: u64,
    /// Packets that a cut between namespaces dropped.
    pub packets_dropped: u64,
    /// Packets that it answered with a reset.
    pub packets_refused: u64,
    /// Packets that a trouble between namespaces lost.
    pub packets_lost: u64,
    /// Links elsewhere that a command cut.
    pub links_cut: u64,
}

impl Link {
    pub(super) fn new(from: u64, to: u64) -> Self {
        Self {
            from,
            to,
            cuts: Mutex::new(BTreeMap::new()),
            policies: [(); 3].map(|()| watch::Sender::new(Policy::Open)),
            gate: Gate::default(),
            troubles: Mutex::new(BTreeMap::new()),
            counters: Counters::default(),
        }
    }

    /// Cuts connections of these lanes until [`Link::heal`] is called with the same `id`.
    pub fn cut(&self, id: CutId, mode: CutMode, lanes: &'static [Lane]) {
        let mut cuts = self.lock();
        cuts.insert(id, (mode, lanes));
        self.publish(&cuts);
    }

    /// Puts connections of these lanes into trouble until [`Link::heal`] is called with the same `id`.
    pub fn trouble(&self, id: CutId, effect: LinkEffect, seed: u64, lanes: &'static [Lane]) {
        let trouble = Trouble::draw(effect, seed);
        self.lock_troubles().insert(id, (trouble, lanes));
        self.counters.frames_met.store(0, Ordering::Relaxed);
    }

    /// The trouble of connections of `lane`, the one that began last.
    pub(super) fn trouble_of(&self, lane: Lane) -> Option<Trouble> {
        let troubles = self.lock_troubles();
        let of_lane = troubles.values().rev().find(|(_, lanes)| lanes.contains(&lane));
        of_lane.map(|(trouble, _)| *trouble)
    }

    /// The number of the next frame that meets a trouble.
    pub(super) fn next_frame(&self) -> u64 {
        self.counters.frames_met.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends the cut or trouble `id`; the link opens when it was the last one.
    pub fn heal(&self, id: CutId) {
        self.lock_troubles().remove(&id);
        let mut cuts = self.lock();
        cuts.remove(&id);
        self.publish(&cuts);
    }

    /// Ends every cut and trouble.
    pub fn heal_all(&self) {
        let mut cuts = self.lock();
        cuts.clear();
        self.lock_troubles().clear();
        self.gate.open();
        self.publish(&cuts);
    }

    /// What holds back single frames.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    fn publish(&self, cuts: &BTreeMap<CutId, Cut>) {
        let [first, urgent] = LANES.map(|lane| policy_of(cuts, lane));
        // While only one lane is cut, what will be reported soon may pass.
        let unknown = if urgent == Policy::Open {
            Policy::Open
        } else {
            first
        };
        for (policy, sender) in [first, urgent, unknown].into_iter().zip(&self.policies) {
            sender.send_replace(policy);
        }
    }

    /// Whether no lane is cut.
    pub fn is_open(&self) -> bool {
        self.policies
            .iter()
            .all(|policy| *policy.borrow() == Policy::Open)
    }

    /// Follows what the link does with connections of `lane`, or with those whose lane is not known yet.
    pub fn watch(&self, lane: Option<Lane>) -> watch::Receiver<Policy> {
        let [first, urgent, unknown] = &self.policies;
        match lane {
            Some(Lane::First) => first.subscribe(),
            Some(Lane::Urgent) => urgent.subscribe(),
            None => unknown.subscribe(),
        }
    }

    /// What the link did so far.
    pub fn stats(&self) -> LinkStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LinkStats {
            bytes_carried: read(&self.counters.bytes_carried),
            bytes_dropped: read(&self.counters.bytes_dropped),
            bytes_held: read(&self.counters.bytes_held),
            connections_refused: read(&self.counters.connections_refused),
            connections_severed: read(&self.counters.connections_severed),
            frames_troubled: read(&self.counters.frames_troubled),
            ..LinkStats::default()
        }
    }

    pub(super) fn count(&self, what: Carried) {
        let (counter, amount) = match what {
            Carried::Delivered(bytes) => (&self.counters.bytes_carried, bytes),
            Carried::Dropped(bytes) => (&self.counters.bytes_dropped, bytes),
            Carried::Held(bytes) => (&self.counters.bytes_held, bytes),
            Carried::Refused => (&self.counters.connections_refused, 1),
            Carried::Severed => (&self.counters.connections_severed, 1),
            Carried::Troubled(frames) => (&self.counters.frames_troubled, frames),
        };
        counter.fetch_add(amount as u64, Ordering::Relaxed);
    }

    fn lock_troubles(&self) -> MutexGuard<'_, BTreeMap<CutId, (Trouble, &'static [Lane])>> {
        // As for the cuts.
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CutId, Cut>> {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        self.cuts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something to count.
#[derive(Debug, Clone, Copy)]
pub(super) enum Carried {
    Delivered(usize),
    Dropped(usize),
    Held(usize),
    Refused,
    Severed,
    Troubled(usize),
}

impl LinkStats {
    /// How the cut showed between `earlier` and now; `None` when nothing was kept from passing.
    pub fn evidence_since(&self, earlier: &Self) -> Option<String> {
        let grown = [
            (self.bytes_dropped - earlier.bytes_dropped, "bytes dropped"),
            (self.bytes_held - earlier.bytes_held, "bytes held back"),
            (
                self.connections_refused - earlier.connections_refused,
                "connections refused",
            ),
            (
                self.connections_severed - earlier.connections_severed,
                "connections severed",
            ),
            (self.packets_dropped - earlier.packets_dropped, "packets dropped"),
            (self.links_cut - earlier.links_cut, "links cut by `cut`"),
            (
                self.packets_refused - earlier.packets_refused,
                "packets answered with a reset",
            ),
        ];
        let shown: Vec<String> = grown
            .iter()
            .filter(|(by, _)| *by > 0)
            .map(|(by, what)| format!("{by} {what}"))
            .collect();
        (!shown.is_empty()).then(|| shown.join(", "))
    }

    /// How the trouble `effect` showed between `earlier` and now; `None` when everything just passed.
    pub fn trouble_since(&self, earlier: &Self, effect: LinkEffect) -> Option<String> {
        let frames = self.frames_troubled - earlier.frames_troubled;
        let packets = self.packets_lost - earlier.packets_lost;
        match (frames, packets) {
            (0, 0) => None,
            (0, _) => Some(format!("{packets} packets were lost")),
            (_, _) => Some(format!("{frames} frames were {}", effect.past())),
        }
    }
}

impl std::ops::Add for LinkStats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            bytes_carried: self.bytes_carried + other.bytes_carried,
            bytes_dropped: self.bytes_dropped + other.bytes_dropped,
            bytes_held: self.bytes_held + other.bytes_held,
            connections_refused: self.connections_refused + other.connections_refused,
            connections_severed: self.connections_severed + other.connections_severed,
            frames_troubled: self.frames_troubled + other.frames_troubled,
            packets_dropped: self.packets_dropped + other.packets_dropped,
            packets_refused: self.packets_refused + other.packets_refused,
            packets_lost: self.packets_lost + other.packets_lost,
            links_cut: self.links_cut + other.links_cut,
        }
    }
}

/// Of overlapping cuts the one that lets least through decides.
fn policy_of(cuts: &BTreeMap<CutId, Cut>, lane: Lane) -> Policy {
    let strictness = |mode: &CutMode| match mode {
        CutMode::Stall => 0,
        CutMode::Drop => 1,
        CutMode::Reset => 2,
    };
    cuts.values()
        .filter(|(_, lanes)| lanes.contains(&lane))
        .map(|(mode, _)| *mode)
        .max_by_key(strictness)
        .map_or(Policy::Open, Policy::Cut)
}
