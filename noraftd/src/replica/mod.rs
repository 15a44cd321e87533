//! The replica: consensus, group commit, linearizable reads and forwarding as a state machine without I/O.
//!
//! Invariant: no clock, no socket, no file, no thread; the same inputs at the same instants give the same
//! outputs. [`event`] is the whole interface and states the contract of use.
//!
//! One concept a file:
//!
//! - what arrives and leaves: `inbound`, `deferred` (what waits for the sync in flight), `outbound`, `outputs`;
//! - requests: `waiting` (all of them), `requests` (on their way), `order` (on one connection), `proposals` (in the log),
//!   `reads` (ReadIndex), `asking` (a follower's), `staleness` (reads that need not be current), `forwards` (passed to the leader), `membership` (changes of the voters), `members` (the
//!   configuration follows the membership table), `ahead` (what of it is not applied), `levels` (what all members understand), `replies`;
//! - the log: `content` (payloads, and the chain over them), `payloads` (records by position), `durability`, `fetch`,
//!   `applied` (the state machine), `log_clock` (its time), `expiry` (of keys), `snapshots`, `space` (what the disk has left);
//! - the other nodes: `leadership`, `replication`, `progress` (what is in flight to each peer), `pulses` (what overtakes
//!   it), `elections` (pre-vote, check-quorum), `transfer` (of leadership), `timers`;
//! - damage: `repair`, `void` (entries that were never committed), `rebuild` (a log whose configurations a snapshot
//!   corrects), `agreement` (whether the nodes hold the same);
//! - for those who watch: `glance`, `counts`, `notes`; for those who set it up: `config`.

mod agreement;
mod ahead;
mod applied;
mod asking;
mod config;
mod content;
pub mod counts;
mod deferred;
mod durability;
mod elections;
pub mod event;
mod expiry;
mod fetch;
mod forwards;
pub mod glance;
mod inbound;
mod leadership;
mod levels;
mod log_clock;
mod members;
mod membership;
pub mod notes;
mod order;
mod outbound;
mod outputs;
mod payloads;
mod pending;
mod progress;
mod proposals;
mod pulses;
mod queue;
mod quorum;
mod reads;
mod rebuild;
mod repair;
mod replication;
mod replies;
mod requests;
mod snapshots;
mod space;
mod staleness;
mod timers;
mod transfer;
mod void;
mod waiting;

use noraft::{LogEntry, LogIndex, LogPosition, Node, NodeGeneration};

use crate::machine::Machine;
use crate::prng::Prng;
use crate::record::SnapshotId;
use crate::recovered::Recovered;
use crate::time::{Instant, Stamp};

use self::agreement::Agreement;
use self::applied::Applied;
use self::content::Content;
use self::counts::Counts;
use self::deferred::Deferrals;
use self::durability::Durability;
use self::elections::Elections;
use self::event::{DamageStatus, ElectionStatus, Input, LogStatus, Output, Room, Snapshot, Status};
use self::expiry::Expiry;
use self::leadership::Leadership;
use self::levels::Levels;
use self::log_clock::LogClock;
use self::members::Following;
use self::notes::Notes;
use self::outputs::Outputs;
use self::pulses::Pulses;
use self::repair::Repair;
use self::snapshots::Snapshots;
use self::space::Space;
use self::staleness::Freshness;
use self::timers::Timers;
use self::transfer::Transfers;
use self::waiting::Waiting;

pub use self::ahead::{Ahead, Said};
pub use self::config::{Limits, ReplicaConfig, SnapshotConfig};
pub use self::members::MemberProgress;
pub use self::transfer::Transfer;

/// One node of the cluster, without its I/O.
///
/// A handler that needs a few of these parts borrows them (`Sender`, `Giver`, `Comparing` and others); what is a method of
/// the whole may cause anything.
#[derive(Debug)]
pub struct Replica {
    config: ReplicaConfig,
    /// The instant of the input being handled.
    now: Instant,
    /// What entries are stamped with.
    clock: LogClock,
    /// True from `handle` until the next `poll` has settled what it caused.
    unsettled: bool,

    // What arrives and what leaves.
    inbox: Deferrals,
    waiting: Waiting,
    freshness: Freshness,
    outputs: Outputs,

    // The log: what the core says of it, what is in it, how much of it is durable and applied.
    node: Node,
    content: Content,
    durability: Durability,
    applied: Applied,
    levels: Levels,
    following: Following,
    expiry: Expiry,
    snapshots: Snapshots,
    space: Space,

    // The others: which of them leads or may, and what holds them together.
    leadership: Leadership,
    pulses: Pulses,
    elections: Elections,
    transfers: Transfers,
    timers: Timers,

    // What is wrong with the log or the state.
    repair: Repair,
    agreement: Agreement,

    counts: Counts,
    notes: Notes,
}

impl Replica {
    /// A replica that continues from what its store recovered, and from the newest snapshot. `seed` decides its
    /// random timeouts and must differ from start to start (it also names this process to the other nodes).
    ///
    /// # Panics
    ///
    /// When the log begins after the snapshot.
    pub fn recover(
        config: &ReplicaConfig,
        seed: u64,
        recovered: Recovered,
        snapshot: Option<(SnapshotId, Snapshot)>,
    ) -> Self {
        let mut prng = Prng::new(seed);
        let boot = prng.next_u64();
        let durable = recovered.last_position();
        let base = recovered.log.snapshot_position();
        let newest = snapshot.as_ref().map(|(id, _)| *id);
        let covered = snapshot.as_ref().map(|(_, snapshot)| snapshot.head.base.clone());
        let (applied, machine) = match snapshot {
            Some((_, Snapshot { head, machine })) => (head.base.position.index, machine),
            None => (LogIndex::ZERO, Machine::new()),
        };
        assert!(
            base.index <= applied && applied <= durable.index,
            "a snapshot of entry {applied:?} in a log from {base:?} to {durable:?}"
        );
        let leadership = Leadership::new(recovered.log.latest_config().clone());
        let term = recovered.hard_state.term();
        let node = Node::restart(
            config.id,
            NodeGeneration::new(0),
            term,
            recovered.hard_state.voted_for(),
            recovered.log,
        );
        let mut replica = Self {
            config: config.clone(),
            now: Instant::ZERO,
            clock: LogClock::new(machine.clock().max(recovered.stamp)),
            unsettled: true,
            inbox: Deferrals::default(),
            waiting: Waiting::new(boot),
            freshness: Freshness::default(),
            outputs: Outputs::default(),
            node,
            content: Content::new(recovered.chain, config.limits.payload_cache_bytes_max),
            durability: Durability::new(durable, config.election_timeout / elections::SYNCS_PER_ELECTION),
            applied: Applied::new(machine, applied),
            levels: Levels::default(),
            following: Following::default(),
            expiry: Expiry::default(),
            snapshots: Snapshots::new(newest),
            space: Space::default(),
            leadership,
            pulses: Pulses::default(),
            elections: Elections::new(recovered.abstain, boot),
            transfers: Transfers::default(),
            timers: Timers::new(prng),
            repair: Repair::new(recovered.holes, term),
            agreement: Agreement::default(),
            counts: Counts::default(),
            notes: Notes::default(),
        };
        covered
            .into_iter()
            .for_each(|base| replica.log_start().trust(base));
        replica
    }

    /// Takes in what happened at `now`, when the wall clock shows `wall`, which may jump. Several inputs that are ready together may be handled one after
    /// the other; they share a batch.
    ///
    /// # Panics
    ///
    /// When the caller breaks the contract in [`event`]: an answer to a batch that is not in flight.
    pub fn handle(&mut self, now: Instant, wall: Stamp, input: Input) {
        self.now = self.now.max(now);
        self.clock.advance(self.now, wall, self.is_leader());
        self.unsettled = true;
        self.forget_silent_leader();
        self.accept(input);
    }

    /// The next thing to do, or `None` when it is time to wait for an input or for [`Self::deadline`].
    pub fn poll(&mut self) -> Option<Output> {
        if self.unsettled {
            self.unsettled = false;
            self.settle();
        }
        self.outputs.pop()
    }

    /// When to call `handle` with [`Input::Deadline`] at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        if self.unsettled || self.waiting.reads.is_cut_short() {
            return Some(Instant::ZERO);
        }
        self.timers.next(
            self.durability.is_in_flight(),
            self.is_leader(),
            self.waiting
                .earliest_deadline()
                .into_iter()
                .chain(self.snapshots.deadline(self.config.election_timeout))
                .chain(self.repair.deadline())
                .chain(self.leader_silence())
                .chain(self.transfers.deadline())
                .chain(self.outrun_deadline())
                .chain(self.compare_deadline())
                .chain(self.expiry_deadline())
                .chain(self.asking_deadline())
                .min(),
        )
    }

    /// What the node reports about itself.
    pub fn status(&self) -> Status {
        let (log, config) = (self.node.log(), self.node.config());
        Status {
            id: self.config.id,
            role: self.node.role(),
            term: self.node.current_term().get(),
            leader: self.leader(),
            level: self.level(),
            voters: config.voters.iter().copied().collect(),
            new_voters: config.new_voters.iter().copied().collect(),
            log: LogStatus {
                // What is in a snapshot is committed, though the core has not heard of it again yet.
                commit_index: self.node.commit_index().max(self.applied.index()),
                applied_index: self.applied.index(),
                applied_stamp: self.applied.stamp(),
                durable_index: self.durability.durable_index(),
                last_position: log.last_position(),
                base_index: log.snapshot_position().index,
                snapshot: self.snapshots.newest(),
            },
            elections: ElectionStatus {
                abstaining: self.elections.is_abstaining(),
                lost_majority: self.elections.has_lost_majority(),
                disk_too_slow: self.durability.is_slow(),
            },
            damage: DamageStatus {
                holes: self.repair.holes(),
                repaired: self.repair.repaired(),
                needs_snapshot: self.needs_snapshot(),
                divergence: self.divergence(),
            },
            followers: self.follower_status(),
        }
    }

    /// The replicated state, as far as it has been applied.
    pub fn machine(&self) -> &Machine {
        self.applied.machine()
    }

    /// The core, for invariant checks.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Entries of the core's log that it takes for commands because they cannot be read, and that may be
    /// configurations, for invariant checks.
    pub fn unread(&self) -> Vec<LogIndex> {
        let entries = self.node.log().entries();
        let is_taken_for_command = |index: &LogIndex| entries.get_entry(*index) == Some(LogEntry::Command);
        let may_be = self.repair.may_be_configs(entries.last_position().index);
        may_be.filter(is_taken_for_command).collect()
    }

    /// True while its vote does not count beside those of a mere majority, for invariant checks.
    pub fn abstains(&self) -> bool {
        self.elections.is_abstaining()
    }

    /// How much room its disk has, as it was last reported.
    pub fn room(&self) -> Room {
        self.space.room()
    }

    /// Highest index that is durable on this node's disk.
    pub fn durable_index(&self) -> LogIndex {
        self.durability.durable_index()
    }

    /// The position of the entry at `index`, or the snapshot's.
    pub(super) fn position_at(&self, index: LogIndex) -> Option<LogPosition> {
        content::position_at(self.node.log(), index)
    }

    fn is_leader(&self) -> bool {
        self.node.role().is_leader()
    }

    /// Lets everything that the handled inputs caused happen, in three stages. What may change the log comes first, and is
    /// handed out as one batch; then what only the state as it is now decides; then what is sent or read for others.
    fn settle(&mut self) {
        if !self.durability.is_in_flight() && !self.patcher().write() {
            self.begin_batch();
        }
        self.serve();
        self.provide();
        self.content
            .payloads
            .evict(self.durability.durable_index().min(self.applied.index()));
        self.unsettled = self.has_more_to_feed();
    }

    /// First stage, only while no sync is in flight: everything that needs the core.
    fn begin_batch(&mut self) {
        // Damaged entries that were never committed go before anything is appended behind them.
        self.cut_void();
        // Before the timers: a message that waits may be from a leader, and then no election is due.
        self.feed_inbox();
        if self.agreement.is_wrong() {
            self.withdraw();
        } else {
            self.check_timers();
            self.leave_to_others();
        }
        // Messages and timers change the role; what is drained below is of the new one.
        self.follow_role_change();
        self.elections.on_durable(self.durability.durable_index());
        // Where the log begins goes into the batch that is drained next, so both come before that.
        self.install_snapshot();
        self.log_start().compact();
        // Last, and once: all that this stage has caused is one batch with one sync.
        self.drain_actions();
    }

    /// Second stage: requests, and the state machine.
    fn serve(&mut self) {
        // The leader, or its absence, decides whether a request waits, goes on or is refused; what is late is refused
        // before it is sent anywhere.
        self.watch_leader();
        self.hand_over_when_outrun();
        self.end_transfer();
        self.expire_requests();
        self.refuse_in_doubt();
        self.route_requests();
        // What depends on the applied index comes after applying: comparisons, snapshots, reads, the end of a change.
        self.apply_committed();
        self.comparer().compare();
        self.cover_holes();
        self.taker().take_when_due();
        self.serve_reads();
        self.confirm_changes();
    }

    /// Third stage: what peers lack. After the first, so that entries leave with the batch that holds them, and after the second,
    /// because a read round goes out with them. Entries to apply are fetched before those that a peer lacks.
    fn provide(&mut self) {
        self.replicate();
        self.tell_successor();
        self.sender().send_due();
        self.asker().ask_when_due();
        self.giver().give();
        self.fetch_missing();
    }

    /// True when a limit left something waiting and no sync will come to take it up.
    fn has_more_to_feed(&self) -> bool {
        let waits = !self.inbox.is_empty()
            || self.may_propose()
            || self.repair.has_patch(self.durability.durable_index());
        !self.durability.is_in_flight() && waits
    }
}
