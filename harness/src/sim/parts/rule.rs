//! The rules that are checked while a simulation runs.

use std::fmt;

use noraft::invariants::Invariant;

/// A rule, with the same name in every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// What should be served is served, within bounded virtual time.
    Liveness,
    /// Nothing panics.
    NoPanic,
    /// When a commit index rises, majorities of the disks hold the entry.
    CommittedOnMajority,
    /// A node uses the last configuration that its log holds.
    ConfigurationInForce,
    /// A committed entry is the same on every node, for the whole run.
    CommittedPermanently,
    /// No command is committed twice.
    WrittenOnce,
    /// A write that was acknowledged to a client is committed.
    Acknowledged,
    /// What a store acknowledged is there after any crash, and reads back as it was written.
    SyncedIsKept,
    /// No node finds that its state or its log differs from another's.
    NodesAgree,
    /// Nodes and snapshots of one index have one state.
    EqualStates,
    /// The state of a process never goes back.
    StateGoesOn,
    /// The requests of one connection are carried out in order.
    ConnectionOrder,
    /// A node campaigns when majorities have granted it the pre-vote, and only then.
    PreVote,
    /// A vote goes to a log that is as long.
    Grants,
    /// A leader that hears no majority leads no more.
    LeadsAMajority,
    /// A leader that has another node campaign has nothing under way, and goes on in time if nothing comes of it.
    HandsOver,
    /// A leader whose disk does not answer says nothing that keeps it in office.
    StalledIsSilent,
    /// A node that hears the leader of its term does not campaign.
    HearsItsLeader,
    /// A majority that lacks nothing has a leader before long.
    HasALeader,
    /// A leader that hears a majority commits, and a follower that hears its leader gets what is committed.
    GetsOn,
    /// A log stays short: snapshots are taken, and it begins later.
    ShortLog,
    /// A snapshot that is on its way to another node is kept.
    SentIsKept,
    /// A request is passed on over a connection.
    PassedOnOverAConnection,
    /// What a node misses is in its log.
    MissingIsInTheLog,
    /// What a node cannot read is what it misses.
    DamageIsMissed,
    /// A snapshot in parts goes on where what is written of it ends.
    ReceivedInOrder,
    /// A pulse says the term that is on its sender's disk.
    Pulses,
    /// What is sent is what arrives, and flipped bits are noticed.
    Frames,
    /// A record has the payload that its checksum is of.
    IntactPayloads,
    /// A command is understood, answered and carried out as the second implementation of the commands says.
    Semantics,
    /// Every operation of a workload is a command of the daemon.
    Commands,
    /// A store accepts what the replica gives it, and fails only when its disk does.
    Store,
    /// A segment has its name when it has its room.
    RoomFirst,
    /// A replica goes by the room that its disk has.
    RoomIsKnown,
    /// Only what was damaged is called damaged.
    DamageRecognized,
    /// A node whose vote is lost does not start.
    DamageRefused,
    /// A node whose disk is whole starts.
    StartsAgain,
    /// A read is answered from a state that is at least as late as what was committed when it came.
    ReadsAreCurrent,
    /// A read that may be old is answered from a state within its bound, and not before what its connection saw.
    ReadsAreYoung,
    /// A block of commands takes effect as one, and only if what it depends on is as it was.
    BlocksAreWhole,
    /// What a client asks for in a session, however often, is applied once, and answered alike.
    AppliedOnce,
    /// A leader answers a read when a majority of its voters has said, since the read came, that it follows.
    ReadsAreConfirmed,
    /// A write that was refused is never committed.
    RefusedIsNotDone,
    /// What a node is asked is answered in time.
    AskedIsAnswered,
    /// Who asked for other voters is answered when the committed configuration has them, and needs no other node.
    VotersAreCommitted,
    /// Who accepted entries of the leader of a term is no candidate in it.
    FollowsInItsTerm,
    /// What is called durable would survive any loss of power.
    DurableIsOnDisk,
    /// A node that forgot what it had acknowledged abstains until it has it again.
    Remembers,
    /// What no other node can give back is on a disk twice.
    TwiceOnDisk,
    /// A node that lost its directory is heard by no other until all have accepted its new one.
    LostIsNotHeard,
    /// Of two processes with copies of one directory, a node that has met one hears no other.
    OneTwinIsHeard,
    /// The directory of another node is refused, and every file of it stays as it was.
    ForeignIsRefused,
    /// An entry is appended only at a level that covers it, and a level is raised only when every member supports it.
    LevelIsCovered,
    /// Who asks after a level was acknowledged to somebody is not refused for it.
    LevelIsKnown,
    /// An id is one machine's permanently.
    IdsAreNotReused,
    /// Who hears that it was removed was, and is needed no more.
    RemovedIsOut,
    /// One of the core's own.
    Core(Invariant),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Liveness => "liveness",
            Self::NoPanic => "panic",
            Self::CommittedOnMajority => "committed on a majority",
            Self::ConfigurationInForce => "configuration in force",
            Self::CommittedPermanently => "committed permanently",
            Self::WrittenOnce => "written once",
            Self::Acknowledged => "acknowledged",
            Self::SyncedIsKept => "synced is kept",
            Self::NodesAgree => "the nodes agree",
            Self::EqualStates => "equal states",
            Self::StateGoesOn => "a state goes on",
            Self::ConnectionOrder => "order of a connection",
            Self::PreVote => "pre-vote",
            Self::Grants => "grants",
            Self::LeadsAMajority => "leads a majority",
            Self::HandsOver => "who hands over is at rest",
            Self::StalledIsSilent => "a stalled leader is silent",
            Self::HearsItsLeader => "who hears its leader does not campaign",
            Self::HasALeader => "a majority has a leader",
            Self::GetsOn => "who is heard gets on",
            Self::ShortLog => "a log stays short",
            Self::SentIsKept => "what is sent is kept",
            Self::PassedOnOverAConnection => "passed on over a connection",
            Self::MissingIsInTheLog => "what is missed is in the log",
            Self::DamageIsMissed => "what is found damaged is missed",
            Self::ReceivedInOrder => "what is received goes on where it ended",
            Self::Pulses => "pulses",
            Self::Frames => "frames",
            Self::IntactPayloads => "intact payloads",
            Self::Semantics => "what commands mean",
            Self::Commands => "commands",
            Self::Store => "store",
            Self::RoomFirst => "room is there before it is needed",
            Self::RoomIsKnown => "the room is known",
            Self::DamageRecognized => "only damage is called damage",
            Self::DamageRefused => "damage is refused",
            Self::StartsAgain => "starts again",
            Self::ReadsAreCurrent => "reads are current",
            Self::ReadsAreYoung => "reads are as young as they say",
            Self::BlocksAreWhole => "blocks are whole",
            Self::AppliedOnce => "applied once",
            Self::ReadsAreConfirmed => "reads are confirmed",
            Self::RefusedIsNotDone => "what is refused is not done",
            Self::AskedIsAnswered => "what is asked is answered",
            Self::VotersAreCommitted => "voters are committed",
            Self::FollowsInItsTerm => "follows in its term",
            Self::DurableIsOnDisk => "durable is on disk",
            Self::Remembers => "abstains until it remembers",
            Self::TwiceOnDisk => "twice on disk",
            Self::LostIsNotHeard => "a node that lost its directory is not heard",
            Self::OneTwinIsHeard => "of two copies of a directory one is heard",
            Self::ForeignIsRefused => "a directory of another node is refused",
            Self::LevelIsCovered => "the level covers what is appended",
            Self::LevelIsKnown => "a level that is known is not refused",
            Self::IdsAreNotReused => "ids are not reused",
            Self::RemovedIsOut => "who was removed is out",
            Self::Core(invariant) => return write!(f, "{invariant:?}"),
        })
    }
}

/// A broken rule, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) rule: Rule,
    pub(crate) detail: String,
}

/// What a check finds.
pub(crate) type Checked = Result<(), Broken>;

/// A rule holds, or is broken as `detail` says.
pub(crate) fn ensure(holds: bool, rule: Rule, detail: impl FnOnce() -> String) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(Broken {
            rule,
            detail: detail(),
        })
    }
}

/// A broken rule of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenRule {
    /// Which rule.
    pub rule: Rule,
    /// What was seen.
    pub detail: String,
    /// When, in virtual nanoseconds.
    pub at_ns: u64,
}
