//! Entries that are damaged on this node's disk: fetched from the others, outside of Raft, and written again.
//!
//! A *hole* is an entry whose place in the log is known and whose payload is not readable here. It is found when
//! the directory is opened, when an entry is read back, or by the scrub. The node asks one peer after the other
//! for the entries at those positions, compares what comes, makes it durable as a patch, and then the hole is
//! gone. Neither a leader nor a majority is needed, so nodes that are damaged in different places help each other
//! before any node can be elected.
//!
//! **Why any peer's record will do.** The same index and term mean the same entry (Raft 5.3, Log Matching), whether
//! it is committed or not; every hole's term is known, or the log would have ended before it. Kind and crc, where
//! they survived, are compared as well. A peer gives only what it read with the right crc.
//!
//! **What a node with a hole does not do.** It does not apply past it, and so answers nothing that depends on it. It
//! does not campaign: as leader it could not give the entry to others; if it leads and loses an entry that
//! may not be committed, it steps down, for others may have to be elected without that entry. It does not acknowledge it: while the entry is
//! not known to be committed, it reports to the leader that the log ends before it, so that no copy counts
//! that cannot be read; the leader's answer happens to bring the entry.
//!
//! **Why it may vote.** A vote compares positions, and every position of the log is intact: it refuses a candidate
//! that lacks the entry, exactly as if it could read it. Were it silent instead, damage to single sectors on a majority
//! would stop a cluster in which nothing is lost.
//!
//! **What no node can give any more**, because other logs begin after it, and the remaining nodes have lost it too or
//! are silent,
//! is in every state that has applied it: in this node's own, then the log is made to begin after it; or else in a
//! snapshot of the leader's. A leader that waits for such a snapshot leaves office, for no node sends it one. Every
//! known node is asked, whether it votes or not: a former voter may be the last to hold the entry.
//!
//! Invariant: a hole goes only when its entry is repaired, void, or covered by a snapshot; the deadline to
//! ask again always lies ahead once it was acted on, even where no node can be asked.

mod asking;
mod giving;
mod patching;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use noraft::{Log, LogEntry, LogIndex, LogPosition, Node, NodeId, Term};

use crate::record::{BatchId, Hole, Record, RecordKind};
use crate::time::Instant;

use self::giving::Serving;
use super::counts::EndReason;
use super::glance::Holes;
use super::void::Lacking;
use super::{Replica, ReplicaConfig};

#[derive(Debug)]
pub(super) struct Repair {
    holes: BTreeMap<u64, Hole>,
    /// Entries for some of the holes, not durable yet.
    filled: BTreeMap<u64, Record>,
    /// The patch in flight.
    writing: Option<(BatchId, Vec<Record>)>,
    /// The last batch was a patch: others come first now.
    just_wrote: bool,
    /// Which node was asked last, and when to ask the next.
    asked: Option<NodeId>,
    ask_after: Instant,
    /// Nodes whose log begins after the first hole.
    gone: BTreeSet<NodeId>,
    /// How often each was asked without success since the first hole last changed: it had nothing missing, or was
    /// silent.
    unanswered: BTreeMap<NodeId, u32>,
    repaired: u64,
    serving: VecDeque<Serving>,
    /// The index that the last fetch began with.
    last_fetched: Option<LogIndex>,
    /// What other nodes said that they lack.
    pub(super) lacking: Lacking,
}

impl Repair {
    /// For a node that starts in `term` with these holes.
    pub(super) fn new(holes: Vec<Hole>, term: Term) -> Self {
        Self {
            lacking: Lacking::new(&holes, term),
            holes: holes
                .into_iter()
                .map(|hole| (hole.position.index.get(), hole))
                .collect(),
            filled: BTreeMap::new(),
            writing: None,
            just_wrote: false,
            asked: None,
            ask_after: Instant::ZERO,
            gone: BTreeSet::new(),
            unanswered: BTreeMap::new(),
            repaired: 0,
            serving: VecDeque::new(),
            last_fetched: None,
        }
    }

    /// True when no entry is missing.
    pub(super) fn is_whole(&self) -> bool {
        self.holes.is_empty()
    }

    pub(super) fn is_hole(&self, index: LogIndex) -> bool {
        self.holes.contains_key(&index.get())
    }

    /// Entries that are missing.
    pub(super) fn holes(&self) -> u64 {
        self.holes.len() as u64
    }

    /// Entries that were missing, and are durable again.
    pub(super) fn repaired(&self) -> u64 {
        self.repaired
    }

    /// True while repaired entries are being written.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Where entries are missing, at a glance; `commit` is at least `applied`.
    pub(super) fn where_holes(&self, applied: LogIndex, commit: LogIndex) -> Holes {
        let (applied, commit) = (applied.get(), commit.get());
        Holes {
            applied: self.holes.range(..=applied).next().is_some(),
            committed: self
                .holes
                .range(applied.saturating_add(1)..)
                .next()
                .is_some_and(|(index, _)| *index <= commit),
            open: self
                .holes
                .last_key_value()
                .is_some_and(|(index, _)| *index > commit),
        }
    }

    pub(super) fn on_fetched(&mut self, from: LogIndex) {
        self.last_fetched = Some(from);
    }

    /// When to ask again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.unfilled().next().map(|_| self.ask_after)
    }

    fn unfilled(&self) -> impl '_ + Iterator<Item = &Hole> {
        let is_unfilled = |(index, _): &(&u64, &Hole)| !self.filled.contains_key(index);
        self.holes.iter().filter(is_unfilled).map(|(_, hole)| hole)
    }

    /// Missing entries up to `last` that may be configurations, as far as is known.
    pub(super) fn may_be_configs(&self, last: LogIndex) -> impl '_ + Iterator<Item = LogIndex> {
        let upto = self.holes.range(..=last.get());
        let may_be = upto.filter(|(_, hole)| hole.kind.is_none_or(|kind| kind == RecordKind::Config));
        may_be.map(|(index, _)| LogIndex::new(*index))
    }

    /// The first entry behind `commit` that is missing and was not given back yet.
    pub(super) fn first_unfilled_after(&self, commit: LogIndex) -> Option<LogPosition> {
        let mut unfilled = self.unfilled().map(|hole| hole.position);
        unfilled.find(|position| position.index > commit)
    }

    /// Takes `record` if it is one that is missing; true if it is.
    fn fill(&mut self, record: &Record) -> bool {
        let index = record.position.index.get();
        let fits = !self.filled.contains_key(&index)
            && self
                .holes
                .get(&index)
                .is_some_and(|hole| hole.is_filled_by(record));
        if fits {
            self.filled.insert(index, record.clone());
        }
        fits
    }

    /// Takes `record` if it is one that is missing in `log`; true if it is.
    fn take(&mut self, log: &Log, record: &Record) -> bool {
        let entry = log.entries().get_entry(record.position.index);
        // Of a hole whose kind is not known, the core believes that it is a command.
        let fits = match (entry, record.kind) {
            (Some(LogEntry::Term(_)), kind) => kind == RecordKind::Term,
            (Some(LogEntry::ClusterConfig(_) | LogEntry::Command), kind) => kind != RecordKind::Term,
            (None, _) => false,
        };
        fits && self.fill(record)
    }

    /// A leader happened to send entries that are missing.
    pub(super) fn take_from(&mut self, log: &Log, records: &[Record]) {
        if self.is_whole() {
            return;
        }
        for record in records {
            self.take(log, record);
        }
    }

    /// What `log` no longer holds, or begins after, need not be repaired.
    pub(super) fn forget_void(&mut self, log: &Log) {
        if self.is_whole() {
            return;
        }
        let (entries, base) = (log.entries(), log.snapshot_position().index);
        self.retain(|position| position.index > base && entries.contains(position));
    }

    fn retain(&mut self, is_held: impl Fn(LogPosition) -> bool) {
        let first = self.holes.keys().next().copied();
        self.holes.retain(|_, hole| is_held(hole.position));
        let holes = &self.holes;
        self.filled.retain(|index, _| holes.contains_key(index));
        if self.holes.keys().next().copied() != first {
            self.reset_attempts();
        }
    }

    /// Another hole is the first one: nodes that lacked the one before may have it.
    fn reset_attempts(&mut self) {
        self.gone.clear();
        self.unanswered.clear();
    }

    /// True when `peer` has not got the first hole's entry, as far as can be known of one that is silent.
    fn is_exhausted(&self, peer: NodeId) -> bool {
        self.gone.contains(&peer)
            || self
                .unanswered
                .get(&peer)
                .is_some_and(|asked| *asked >= ASKED_MAX)
    }
}

impl Replica {
    /// The positions of the entries that are damaged here, for invariant checks.
    pub fn missing(&self) -> impl '_ + Iterator<Item = LogPosition> {
        self.repair.holes.values().map(|hole| hole.position)
    }

    /// The entry at `index` cannot be read.
    pub(super) fn note_hole(&mut self, index: LogIndex) {
        if index > self.durability.durable_index() || index <= self.node.log().snapshot_position().index {
            // It was cut or covered meanwhile.
            return;
        }
        let Some(position) = self.position_at(index) else {
            return;
        };
        let kind = match self.node.log().entries().get_entry(index) {
            Some(LogEntry::Term(_)) => RecordKind::Term,
            Some(LogEntry::ClusterConfig(_)) => RecordKind::Config,
            Some(LogEntry::Command) => RecordKind::Command,
            None => return,
        };
        let hole = Hole {
            position,
            kind: Some(kind),
            payload_crc: None,
        };
        self.repair.holes.entry(index.get()).or_insert(hole);
        self.repair
            .lacking
            .may_have_acknowledged(self.node.current_term());
        if let Some(record) = self.content.payloads.intact(position).cloned() {
            self.repair.fill(&record);
        }
    }

    /// True when no node gives an entry that is missing here, and that is not applied: only a snapshot of another node
    /// can help. One whose log begins after the entry has such a snapshot: what is there is committed.
    pub(super) fn needs_snapshot(&self) -> bool {
        let applied = self.applied.index().get();
        let has_snapshot = self.node.peers().any(|id| self.repair.gone.contains(&id));
        has_snapshot && self.gone_for_good().is_some_and(|first| first > applied)
    }

    /// The first entry that is missing, if no node gives it any more. A silent node may stay silent.
    fn gone_for_good(&self) -> Option<u64> {
        let first = self.repair.unfilled().next()?.position.index.get();
        let is_gone = others(&self.config, &self.node).all(|id| self.repair.is_exhausted(id));
        is_gone.then_some(first)
    }

    /// An entry that is applied here needs no other node: the state has its effect. So the log begins after it from
    /// now on, with a snapshot of that state.
    pub(super) fn cover_holes(&mut self) {
        let applied = self.applied.index().get();
        if self.gone_for_good().is_some_and(|first| first <= applied) {
            self.snapshots.cover();
        }
    }

    /// How much of the log the leader may count on.
    pub(super) fn acknowledgeable(&self, last: LogPosition) -> LogPosition {
        let from = if self.needs_snapshot() {
            0
        } else {
            self.node.commit_index().get() + 1
        };
        let hole = self.repair.holes.range(from..).next().map(|(index, _)| *index);
        let before = hole.and_then(|index| self.position_at(LogIndex::new(index - 1)));
        before.map_or(last, |before| before.min(last))
    }

    /// A leader that lost an entry which may not be committed cannot give it to others: those that lack it have to
    /// be led by one of them. (If they are no majority, it may be committed, and is waited for.) One that can go on
    /// only from another node's snapshot has to be led by a node that sends it.
    pub(super) fn leave_to_others(&mut self) {
        let first = self.node.commit_index().get() + 1;
        let mut lost = self.repair.holes.range(first..);
        let has_lost = lost.any(|(index, _)| !self.repair.filled.contains_key(index));
        if self.is_leader() && (has_lost || self.needs_snapshot()) {
            self.step_down(EndReason::Damage);
        }
    }
}

/// Every other node that may hold an entry of this log: the members, and those that the log makes members.
fn others(config: &ReplicaConfig, node: &Node) -> impl Iterator<Item = NodeId> {
    let mut known: BTreeSet<NodeId> = node.peers().collect();
    known.extend(&config.members);
    known.remove(&config.id);
    known.into_iter()
}

/// How often a peer is asked without success before a snapshot has to do. Nothing is lost if it would have answered
/// later.
const ASKED_MAX: u32 = 8;
