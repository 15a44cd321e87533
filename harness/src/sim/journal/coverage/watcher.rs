//! Watches one run: which states its nodes were in, and which states they were in together.
//!
//! A cluster's state is the sorted outlines of its nodes' states: which node is in which one makes no difference. A node is
//! looked at when something happened to it.
//!
//! Invariant: what is remembered does not depend on the order in which states were reached.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;

use noraftd::protocol::peer::PeerMessage;

use super::Coverage;
use super::dimensions::{Arrival, FATES, Fate, MESSAGES, TERMLESS, Termed, Termless};
use super::state::NodeState;
use crate::recording::hash::FoldHasher;
use crate::sim::parts::network::{Loss, Way};

/// What was seen of one run so far.
pub(crate) struct Watcher {
    now: Vec<NodeState>,
    nodes: BTreeSet<NodeState>,
    /// With the time at which each was reached.
    clusters: BTreeMap<u64, u64>,
    has_changed: bool,
    /// Kept for its allocation.
    sorted: Vec<u128>,
    /// A bit for each kind of message in each dimension.
    messages: [u16; MESSAGES.len()],
}

impl Watcher {
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            now: vec![NodeState::default(); nodes],
            nodes: BTreeSet::new(),
            clusters: BTreeMap::new(),
            has_changed: false,
            sorted: Vec::with_capacity(nodes),
            messages: [0; MESSAGES.len()],
        }
    }

    /// A node is in this state.
    pub(crate) fn saw(&mut self, at: usize, state: NodeState) {
        let before = std::mem::replace(&mut self.now[at], state);
        if before != state {
            self.nodes.insert(state);
            self.has_changed |= before.outline() != state.outline();
        }
    }

    /// All nodes that were touched have been seen at `now`.
    pub(crate) fn saw_cluster(&mut self, now: u64) {
        if !std::mem::take(&mut self.has_changed) {
            return;
        }
        self.sorted.clear();
        self.sorted.extend(self.now.iter().map(|state| state.outline()));
        self.sorted.sort_unstable();
        let mut hasher = FoldHasher::default();
        for outline in &self.sorted {
            hasher.write_u64(*outline as u64);
            hasher.write_u64((*outline >> 64) as u64);
        }
        self.clusters.entry(hasher.finish()).or_insert(now);
    }

    /// A message arrives at a node that is in `term`.
    pub(crate) fn heard(&mut self, message: &PeerMessage, term: u64) {
        let (dimension, kind) = place_of(message, term);
        self.messages[dimension] |= 1 << kind;
    }

    /// A message is sent at `now`; most take about `usual`, in nanoseconds.
    pub(crate) fn sent(&mut self, way: Way, now: u64, usual: u64) {
        let fate = match way {
            Way::Arrives(at) if at.saturating_sub(now) >= usual * LATE => Fate::Late,
            Way::Arrives(_) => Fate::InTime,
            Way::Twice(..) => Fate::Twice,
            Way::Garbled(_) => Fate::Garbled,
            Way::Lost(Loss::NoConnection) => Fate::NoConnection,
            Way::Lost(Loss::Cut) => Fate::Cut,
            Way::Lost(Loss::Chance) => Fate::Lost,
            Way::Held => Fate::Held,
            Way::Rotten(_) => Fate::Rotten,
        };
        self.messages[FATES] |= 1 << fate as u16;
    }

    /// A message arrives over a later connection than it was sent on.
    pub(crate) fn crossed(&mut self) {
        self.messages[FATES] |= 1 << Fate::Crosses as u16;
    }

    pub(crate) fn into_coverage(self) -> Coverage {
        let bits = self.messages.iter().enumerate();
        let heard = bits.flat_map(|(dimension, bits)| {
            let kinds = (0..u16::BITS as usize).filter(move |kind| bits >> kind & 1 == 1);
            kinds.map(move |kind| (dimension, kind))
        });
        Coverage::of_run(self.nodes, self.clusters, heard)
    }
}

/// The dimension of a message, and its kind in it.
fn place_of(message: &PeerMessage, receiver: u64) -> (usize, usize) {
    let (term, kind) = match message {
        PeerMessage::RequestVote { term, .. } => (term, Termed::RequestVote),
        PeerMessage::Vote { term, .. } => (term, Termed::Vote),
        PeerMessage::Append { term, records, .. } if records.is_empty() => (term, Termed::EmptyAppend),
        PeerMessage::Append { term, .. } => (term, Termed::Append),
        PeerMessage::Appended { term, .. } => (term, Termed::Appended),
        PeerMessage::PreVote { term, .. } => (term, Termed::PreVote),
        PeerMessage::PreVoted { term, .. } => (term, Termed::PreVoted),
        PeerMessage::Forward { term, .. } => (term, Termed::Forward),
        PeerMessage::SnapshotChunk { term, .. } => (term, Termed::SnapshotChunk),
        PeerMessage::SnapshotReply { term, .. } => (term, Termed::SnapshotReply),
        PeerMessage::Pulse { term, .. } => (term, Termed::Pulse),
        PeerMessage::Pulsed { term, .. } => (term, Termed::Pulsed),
        PeerMessage::TimeoutNow { term, .. } => (term, Termed::TimeoutNow),
        PeerMessage::Forwarded { .. } => return (TERMLESS, Termless::Forwarded as usize),
        PeerMessage::RepairRequest { .. } => return (TERMLESS, Termless::RepairRequest as usize),
        PeerMessage::Repair { .. } => return (TERMLESS, Termless::Repair as usize),
        PeerMessage::Compare { .. } => return (TERMLESS, Termless::Compare as usize),
        PeerMessage::Compared { .. } => return (TERMLESS, Termless::Compared as usize),
    };
    let arrival = match term.get().cmp(&receiver) {
        std::cmp::Ordering::Equal => Arrival::Same,
        std::cmp::Ordering::Less => Arrival::Earlier,
        std::cmp::Ordering::Greater => Arrival::Later,
    };
    (arrival as usize, kind as usize)
}

/// Times as long as most: beyond what delays scatter.
const LATE: u64 = 10;
