//! The state of a node, as far as it is distinguished: one kind in each dimension.
//!
//! Terms are compared with those of the running nodes, logs with all that is committed anywhere: both from outside, not from
//! what the node believes.
//!
//! Invariant: a node without a process has a kind in the first dimension only.

use noraft::{ClusterConfig, LogIndex, Node, Role};
use noraftd::record::Abstain;
use noraftd::replica::Replica;
use noraftd::replica::event::Room;
use noraftd::replica::glance::{
    Canvassing, Glance, Holes, ReadWork, Receipt, RequestWork, SnapshotWork, Syncing,
};

use super::dimensions::{
    AppliedLag, Certainty, CommitKnown, Configuration, DiskKind, DurabilityLag, HoleKind, LogRelation,
    LogStart, Membership, OUTLINE, Office, Process, ReadKind, RelativeTerm, RequestKind, STATES,
    SnapshotKind, Sync,
};
use super::outside::{clock_rate, links, wall_clock};
use crate::sim::parts::checks::Checks;
use crate::sim::parts::network::Network;
use crate::sim::parts::node::SimNode;

/// A kind in each dimension, four bits each; zero where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct NodeState(u128);

/// What a node is compared with.
pub(crate) struct Surroundings<'a> {
    /// The greatest term of a running node.
    pub(crate) greatest: u64,
    /// How many are in it.
    pub(crate) in_greatest: usize,
    pub(crate) checks: &'a Checks,
    /// The links, where any is cut.
    pub(crate) cut: Option<&'a Network>,
}

impl NodeState {
    fn with(self, dimension: usize, kind: usize) -> Self {
        Self(self.0 | (kind as u128 + 1) << (dimension * BITS))
    }

    #[cfg(test)]
    pub(super) fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Its kind in the dimension at this place, if it has one.
    pub(super) fn kind(self, dimension: usize) -> Option<usize> {
        let bits = (self.0 >> (dimension * BITS)) as usize & MASK;
        bits.checked_sub(1)
    }

    /// What of it is part of a cluster's state.
    pub(super) fn outline(self) -> u128 {
        self.0 & OUTLINE_MASK
    }
}

/// The state of `node`.
pub(crate) fn state_of(node: &SimNode, has_refused: bool, around: &Surroundings<'_>) -> NodeState {
    let Some(process) = node.process.as_ref() else {
        let down = match node.life {
            _ if has_refused => Process::Refused,
            0 => Process::New,
            1.. => Process::Down,
        };
        return NodeState::default().with(0, down as usize);
    };
    let running = match (node.is_paused, node.loss.is_outcast) {
        (true, _) => Process::Paused,
        (false, true) => Process::Outcast,
        (false, false) if node.life > 0 => Process::Again,
        (false, false) => Process::Running,
    };
    let (core, glance) = (process.replica.node(), process.replica.glance());
    let (config, membership) = configuration(core);
    let kinds: [usize; STATES.len()] = [
        running as usize,
        office(&process.replica, &glance) as usize,
        relative_term(core, around) as usize,
        log_relation(core, around.checks) as usize,
        log_start(core) as usize,
        commit_known(core, around.checks) as usize,
        applied_lag(core, &glance) as usize,
        durability_lag(core, &glance) as usize,
        config as usize,
        membership as usize,
        sync(glance.sync) as usize,
        hole_kind(glance.holes) as usize,
        certainty(glance.abstain) as usize,
        snapshot_kind(glance.snapshots) as usize,
        read_kind(glance.reads) as usize,
        request_kind(glance.requests) as usize,
        disk_kind(&glance) as usize,
        links(around.cut, node.id.get() as usize - 1, core.role().is_leader()) as usize,
        clock_rate(&node.clock) as usize,
        wall_clock(&node.clock) as usize,
    ];
    let places = kinds.into_iter().enumerate();
    places.fold(NodeState::default(), |state, (dimension, kind)| {
        state.with(dimension, kind)
    })
}

fn office(replica: &Replica, glance: &Glance) -> Office {
    let core = replica.node();
    match (core.role(), glance.election) {
        (Role::Leader, _) if term_at(core, core.commit_index()) == Some(core.current_term().get()) => {
            Office::Leader
        }
        (Role::Leader, _) => Office::NewLeader,
        (Role::Candidate, _) => Office::Candidate,
        (Role::Follower, Canvassing::LeaderKnown) => Office::Follower,
        (Role::Follower, Canvassing::NoLeader) => Office::Waiting,
        (Role::Follower, Canvassing::Canvass) => Office::Canvassing,
        (Role::Follower, Canvassing::Won) => Office::Won,
    }
}

fn relative_term(core: &Node, around: &Surroundings<'_>) -> RelativeTerm {
    match around.greatest.saturating_sub(core.current_term().get()) {
        0 if around.in_greatest > 1 => RelativeTerm::Greatest,
        0 => RelativeTerm::Ahead,
        1 => RelativeTerm::OneBehind,
        2..=TERMS_FAR => RelativeTerm::Behind,
        _ => RelativeTerm::FarBehind,
    }
}

fn log_relation(core: &Node, checks: &Checks) -> LogRelation {
    let (last, end) = (core.log().last_position(), checks.committed_end());
    let index = last.index.get();
    if index == 0 {
        return LogRelation::Empty;
    }
    if index <= end {
        let is_same = checks.committed_term(index) == Some(last.term.get());
        return match end - index {
            _ if !is_same => LogRelation::DiffersBefore,
            0 => LogRelation::Ends,
            1..=ENTRIES_FAR => LogRelation::Shorter,
            _ => LogRelation::MuchShorter,
        };
    }
    // All up to where it begins is committed.
    let begins_after = core.log().snapshot_position().index.get() >= end;
    match index - end {
        _ if !begins_after && term_at(core, LogIndex::new(end)) != checks.committed_term(end) => {
            LogRelation::DiffersAfter
        }
        ..=ENTRIES_FAR => LogRelation::Longer,
        _ => LogRelation::MuchLonger,
    }
}

fn log_start(core: &Node) -> LogStart {
    match core.log().snapshot_position() {
        base if base.index.get() == 0 => LogStart::First,
        base if base == core.log().last_position() => LogStart::SnapshotOnly,
        _ => LogStart::Snapshot,
    }
}

fn commit_known(core: &Node, checks: &Checks) -> CommitKnown {
    let (knows, end) = (core.commit_index().get(), checks.committed_end());
    match end.saturating_sub(knows) {
        0 => CommitKnown::All,
        _ if knows == 0 => CommitKnown::Nothing,
        1..=ENTRIES_FAR => CommitKnown::Behind,
        _ => CommitKnown::FarBehind,
    }
}

fn applied_lag(core: &Node, glance: &Glance) -> AppliedLag {
    match core.commit_index().get().checked_sub(glance.applied.get()) {
        None => AppliedLag::Ahead,
        Some(0) => AppliedLag::All,
        Some(1..=ENTRIES_FAR) => AppliedLag::Behind,
        Some(_) => AppliedLag::FarBehind,
    }
}

fn durability_lag(core: &Node, glance: &Glance) -> DurabilityLag {
    let last = core.log().last_position().index.get();
    match last.saturating_sub(glance.durable.get()) {
        0 => DurabilityLag::All,
        1..=ENTRIES_FAR => DurabilityLag::Few,
        _ => DurabilityLag::Many,
    }
}

fn configuration(core: &Node) -> (Configuration, Membership) {
    let (config, id) = (core.config(), core.id());
    let is_pending = is_pending(core, config);
    let kind = match (config.is_joint_consensus(), config.voters.len(), is_pending) {
        (true, _, false) => Configuration::Joint,
        (true, _, true) => Configuration::JointPending,
        (false, 0, _) => Configuration::None,
        (false, 1, false) => Configuration::One,
        (false, 1, true) => Configuration::OnePending,
        (false, 2, false) => Configuration::Two,
        (false, 2, true) => Configuration::TwoPending,
        (false, voters, false) if voters % 2 == 1 => Configuration::Odd,
        (false, voters, true) if voters % 2 == 1 => Configuration::OddPending,
        (false, _, false) => Configuration::Even,
        (false, _, true) => Configuration::EvenPending,
    };
    let is_new = config.new_voters.contains(&id);
    let membership = match (config.voters.contains(&id), is_new) {
        (true, false) if config.is_joint_consensus() => Membership::Leaving,
        (true, _) => Membership::Voter,
        (false, true) => Membership::Joining,
        (false, false) => Membership::Outside,
    };
    (kind, membership)
}

/// True when the last configuration may still be cut off, as far as the node knows.
fn is_pending(core: &Node, config: &ClusterConfig) -> bool {
    let known = core.commit_index().max(core.log().snapshot_position().index);
    let committed = core.log().get_position_and_config(known);
    committed.is_some_and(|(_, committed)| committed != config)
}

fn sync(syncing: Syncing) -> Sync {
    match syncing {
        Syncing::Nothing => Sync::Nothing,
        Syncing::Batch => Sync::Batch,
        Syncing::Vote => Sync::Vote,
        Syncing::BatchAndVote => Sync::BatchAndVote,
        Syncing::Patch => Sync::Patch,
    }
}

fn hole_kind(holes: Holes) -> HoleKind {
    match (holes.applied, holes.committed, holes.open) {
        (false, false, false) => HoleKind::None,
        (true, false, false) => HoleKind::Applied,
        (false, true, false) => HoleKind::Committed,
        (true, true, false) => HoleKind::AppliedAndCommitted,
        (false, false, true) => HoleKind::Open,
        (true, false, true) => HoleKind::AppliedAndOpen,
        (false, true, true) => HoleKind::CommittedAndOpen,
        (true, true, true) => HoleKind::Everywhere,
    }
}

fn certainty(abstain: Abstain) -> Certainty {
    match abstain {
        Abstain::No => Certainty::Sure,
        Abstain::Tail => Certainty::Tail,
        Abstain::Loss => Certainty::Loss,
    }
}

fn snapshot_kind(work: SnapshotWork) -> SnapshotKind {
    match (work.receipt, work.takes, work.sends) {
        (Receipt::Waiting, _, _) => SnapshotKind::WaitsForPart,
        (Receipt::Writing, _, _) => SnapshotKind::WritesPart,
        (Receipt::Whole, _, _) => SnapshotKind::Whole,
        (Receipt::Nothing, true, true) => SnapshotKind::TakesAndSends,
        (Receipt::Nothing, true, false) => SnapshotKind::Takes,
        (Receipt::Nothing, false, true) => SnapshotKind::Sends,
        (Receipt::Nothing, false, false) => SnapshotKind::Nothing,
    }
}

fn read_kind(reads: ReadWork) -> ReadKind {
    match reads {
        ReadWork::Nothing => ReadKind::Nothing,
        ReadWork::Confirmed => ReadKind::Confirmed,
        ReadWork::Waiting => ReadKind::Waiting,
        ReadWork::InRound => ReadKind::InRound,
        ReadWork::InRoundAndWaiting => ReadKind::InRoundAndWaiting,
    }
}

fn request_kind(requests: RequestWork) -> RequestKind {
    match requests {
        RequestWork::Nothing => RequestKind::Nothing,
        RequestWork::Queued => RequestKind::Queued,
        RequestWork::Proposed => RequestKind::Proposed,
        RequestWork::Forwarded => RequestKind::Forwarded,
        RequestWork::ProposedAndForwarded => RequestKind::ProposedAndForwarded,
        RequestWork::Change => RequestKind::Change,
    }
}

fn disk_kind(glance: &Glance) -> DiskKind {
    match (glance.room, glance.is_slow) {
        (Room::Plenty, false) => DiskKind::Plenty,
        (Room::Low, false) => DiskKind::Low,
        (Room::Spent, false) => DiskKind::Spent,
        (Room::Plenty, true) => DiskKind::SlowPlenty,
        (Room::Low, true) => DiskKind::SlowLow,
        (Room::Spent, true) => DiskKind::SlowSpent,
    }
}

/// The term of the entry at `index`, or of the snapshot that ends there.
fn term_at(core: &Node, index: LogIndex) -> Option<u64> {
    let base = core.log().snapshot_position();
    if base.index == index {
        return Some(base.term.get());
    }
    core.log().entries().get_term(index).map(noraft::Term::get)
}

/// The bits of the dimensions at [`OUTLINE`].
const OUTLINE_MASK: u128 = {
    let (mut mask, mut at) = (0, 0);
    while at < OUTLINE.len() {
        mask |= (MASK as u128) << (OUTLINE[at] * BITS);
        at += 1;
    }
    mask
};
const BITS: usize = 4;
const MASK: usize = 0xf;
/// Entries that a batch or two make good.
const ENTRIES_FAR: u64 = 16;
/// Terms that pass in one contested election.
const TERMS_FAR: u64 = 4;
