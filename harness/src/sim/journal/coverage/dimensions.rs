//! The ways in which states of nodes differ, and the kinds that each way distinguishes.
//!
//! A state has one kind in each of the first [`STATES`]; a message that arrives has one in each of [`MESSAGES`] that
//! apply to it. What is left out is left out on purpose: exact numbers (there is no end of them), and what no node can be
//! in (nodes without a vote that are members: the daemon makes none).
//!
//! Invariant: names are what files and users have, so they are not changed without need; a dimension of states has at
//! most [`KINDS_MAX`] kinds.

/// A way in which states differ.
#[derive(Debug)]
pub(super) struct Dimension {
    pub(super) name: &'static str,
    pub(super) kinds: &'static [&'static str],
}

/// Four bits a dimension, and zero for a node that has no process to ask.
const KINDS_MAX: usize = 15;

/// An enum of kinds with their names.
macro_rules! dimension {
    ($(#[$doc:meta])* $name:ident $title:literal { $($kind:ident $words:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $name { $($kind,)+ }

        impl $name {
            pub(super) const DIMENSION: Dimension = Dimension { name: $title, kinds: &[$($words,)+] };
        }
    };
}

dimension! {
    /// What becomes of the process. That it is paused matters more than that the others may not hear it.
    Process "process" {
        New "not started yet",
        Down "down",
        Running "running for the first time",
        Again "running, started again",
        Paused "paused",
        Refused "down, and refused to start",
        Outcast "running with a lost directory, heard by no other",
    }
}

dimension! {
    /// What it is to the others, and how far it is with an election.
    Office "role" {
        Follower "follower of a known leader",
        Waiting "follower without a leader",
        Canvassing "asks for pre-votes",
        Won "won the pre-vote, waits for its disk",
        Candidate "candidate",
        NewLeader "leader, nothing of its term committed",
        Leader "leader",
    }
}

dimension! {
    /// Its term, compared with those of all running nodes.
    RelativeTerm "term" {
        Greatest "the greatest, shared",
        Ahead "the greatest, alone",
        OneBehind "one behind",
        Behind "several behind",
        FarBehind "far behind",
    }
}

dimension! {
    /// Its log, compared with all that is committed anywhere.
    LogRelation "log" {
        Empty "empty",
        Ends "ends where the committed log ends",
        Shorter "a little shorter",
        MuchShorter "much shorter",
        Longer "holds all that is committed, and a little more",
        MuchLonger "holds all that is committed, and much more",
        DiffersBefore "differs, and is not longer",
        DiffersAfter "differs, and is longer",
    }
}

dimension! {
    /// Where its log begins.
    LogStart "log start" {
        First "at the first entry",
        Snapshot "after a snapshot",
        SnapshotOnly "after a snapshot, no entry since",
    }
}

dimension! {
    /// What it knows to be committed, compared with all that is.
    CommitKnown "commit index" {
        Nothing "not known yet",
        All "current",
        Behind "a little behind",
        FarBehind "far behind",
    }
}

dimension! {
    /// What it has applied, compared with what it knows to be committed.
    AppliedLag "applied index" {
        All "at the commit index",
        Behind "a little behind it",
        FarBehind "far behind it",
        Ahead "beyond it, by a snapshot",
    }
}

dimension! {
    /// How much of its log is in memory only.
    DurabilityLag "durable index" {
        All "the whole log",
        Few "without the last few entries",
        Many "without many entries",
    }
}

dimension! {
    /// The configuration in force here; pending where the commit index has not reached it.
    Configuration "configuration" {
        None "none",
        One "one voter",
        Two "two voters",
        Odd "three or more, odd",
        Even "four or more, even",
        Joint "joint",
        OnePending "one voter, pending",
        TwoPending "two voters, pending",
        OddPending "three or more, odd, pending",
        EvenPending "four or more, even, pending",
        JointPending "joint, pending",
    }
}

dimension! {
    /// What the node itself is in that configuration.
    Membership "membership" {
        Voter "voter",
        Joining "voter to be",
        Leaving "voter, to be removed",
        Outside "no member",
    }
}

dimension! {
    /// What its disk is writing of log and votes.
    Sync "sync" {
        Nothing "nothing in flight",
        Batch "a batch",
        Vote "a vote",
        BatchAndVote "a batch, overtaken by a vote",
        Patch "repaired entries",
    }
}

dimension! {
    /// Where entries are missing.
    HoleKind "holes" {
        None "none",
        Applied "applied entries",
        Committed "committed entries",
        AppliedAndCommitted "applied and committed entries",
        Open "entries that may not be committed",
        AppliedAndOpen "applied entries, and some that may not be committed",
        CommittedAndOpen "committed entries, and some that may not be",
        Everywhere "applied, committed, and some that may not be",
    }
}

dimension! {
    /// Whether it is sure of what it once acknowledged.
    Certainty "memory" {
        Sure "sure of what it acknowledged",
        Tail "abstains: ambiguous tail",
        Loss "abstains: lost entries",
    }
}

dimension! {
    /// Snapshots that are written or sent; what is received comes first.
    SnapshotKind "snapshot" {
        Nothing "none under way",
        Takes "takes one",
        Sends "sends one",
        TakesAndSends "takes one and sends one",
        WaitsForPart "waits for a part",
        WritesPart "writes a part",
        Whole "received, not installed",
    }
}

dimension! {
    /// What reads wait for.
    ReadKind "reads" {
        Nothing "none",
        Waiting "wait for a round",
        InRound "in a round",
        InRoundAndWaiting "in a round, others wait",
        Confirmed "confirmed, wait for the state",
    }
}

dimension! {
    /// What other requests wait for.
    RequestKind "requests" {
        Nothing "none",
        Queued "wait for a leader",
        Proposed "proposed",
        Forwarded "forwarded",
        ProposedAndForwarded "proposed, and others forwarded",
        Change "a change of the voters",
    }
}

dimension! {
    /// What its disk is like.
    DiskKind "disk" {
        Plenty "has room",
        Low "is nearly full",
        Spent "is full",
        SlowPlenty "has room, syncs slowly",
        SlowLow "is nearly full, syncs slowly",
        SlowSpent "is full, syncs slowly",
    }
}

dimension! {
    /// Which of its links to the others are cut: the worst that is true of them.
    Links "links" {
        Whole "none cut",
        OneLane "one of the two connections to some is cut",
        OneWay "some are cut one way, a majority is linked",
        BothWays "some are cut both ways, a majority is linked",
        Bridge "links nodes that are not linked to each other",
        NoMajority "linked to a minority",
        HearsNone "hears no other",
        HeardByNone "heard by no other",
        Isolated "isolated",
        LeaderNoMajority "leads, linked to a minority",
        LeaderHearsNone "leads, hears no other",
        LeaderHeardByNone "leads, heard by no other",
        LeaderIsolated "leads, isolated",
    }
}

dimension! {
    /// How fast its monotonic clock runs.
    ClockRate "clock" {
        Normal "runs as it should",
        Drifts "drifts",
        Slow "slow",
        Fast "fast",
    }
}

dimension! {
    /// What its wall clock shows.
    WallClock "wall clock" {
        Right "within a second",
        Off "seconds off",
        FarAhead "far ahead",
        FarBehind "far behind",
    }
}

/// Kinds of messages; all arrive in some term.
const MESSAGE_KINDS: &[&str] = &[
    "vote request",
    "vote",
    "append",
    "heartbeat or probe",
    "append reply",
    "pre-vote request",
    "pre-vote",
    "forwarded request",
    "snapshot part",
    "snapshot reply",
    "pulse",
    "pulse reply",
    "order to campaign",
];

dimension! {
    /// Messages that name no term.
    Termless "message without a term" {
        Forwarded "answer to a forwarded request",
        RepairRequest "repair request",
        Repair "repair",
        Compare "comparison",
        Compared "comparison reply",
    }
}

dimension! {
    /// What becomes of a message that is sent.
    Fate "way of a message" {
        InTime "arrives",
        Late "arrives much later than most",
        Twice "arrives twice",
        Garbled "arrives garbled",
        Lost "is lost",
        NoConnection "has no connection",
        Cut "does not pass a cut",
        Held "is held back until a cut is healed",
        Rotten "rots before it is sent",
        Crosses "arrives over a later connection",
    }
}

/// The place of a message's kind in [`MESSAGE_KINDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Termed {
    RequestVote,
    Vote,
    Append,
    EmptyAppend,
    Appended,
    PreVote,
    PreVoted,
    Forward,
    SnapshotChunk,
    SnapshotReply,
    Pulse,
    Pulsed,
    TimeoutNow,
}

/// A message's term, compared with the receiver's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    Same,
    Earlier,
    Later,
}

/// What each state has a kind in, in the order of its bits.
pub(super) const STATES: [Dimension; 20] = [
    Process::DIMENSION,
    Office::DIMENSION,
    RelativeTerm::DIMENSION,
    LogRelation::DIMENSION,
    LogStart::DIMENSION,
    CommitKnown::DIMENSION,
    AppliedLag::DIMENSION,
    DurabilityLag::DIMENSION,
    Configuration::DIMENSION,
    Membership::DIMENSION,
    Sync::DIMENSION,
    HoleKind::DIMENSION,
    Certainty::DIMENSION,
    SnapshotKind::DIMENSION,
    ReadKind::DIMENSION,
    RequestKind::DIMENSION,
    DiskKind::DIMENSION,
    Links::DIMENSION,
    ClockRate::DIMENSION,
    WallClock::DIMENSION,
];

/// What a message that arrives at a running node has a kind in: one of the first three, or that at [`TERMLESS`]. The last
/// is of what is sent.
pub(super) const MESSAGES: [Dimension; 5] = [
    Dimension {
        name: "message of the receiver's term",
        kinds: MESSAGE_KINDS,
    },
    Dimension {
        name: "message of an earlier term",
        kinds: MESSAGE_KINDS,
    },
    Dimension {
        name: "message of a later term",
        kinds: MESSAGE_KINDS,
    },
    Termless::DIMENSION,
    Fate::DIMENSION,
];

/// The place in [`MESSAGES`] of those that name no term.
pub(super) const TERMLESS: usize = 3;
/// The place in [`MESSAGES`] of what becomes of a message.
pub(super) const FATES: usize = 4;

/// The dimensions of which a cluster's state is made, by their places: what the nodes are to each other. The rest changes
/// with every request.
pub(super) const OUTLINE: [usize; 8] = [0, 1, 2, 3, 8, 11, 12, 13];

// Every kind has a place in a state.
const _: () = {
    let mut at = 0;
    while at < STATES.len() {
        assert!(STATES[at].kinds.len() <= KINDS_MAX);
        at += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for dimension in STATES.iter().chain(&MESSAGES) {
            for (at, kind) in dimension.kinds.iter().enumerate() {
                assert!(
                    !dimension.kinds[..at].contains(kind),
                    "{}: {kind}",
                    dimension.name
                );
            }
        }
        let names: Vec<&str> = STATES.iter().chain(&MESSAGES).map(|d| d.name).collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!names[..at].contains(name), "{name}");
        }
        let outline = OUTLINE.map(|at| STATES[at].name);
        let wanted = [
            "process",
            "role",
            "term",
            "log",
            "configuration",
            "holes",
            "memory",
            "snapshot",
        ];
        assert_eq!(outline, wanted);
        assert_eq!(MESSAGE_KINDS.len(), Termed::TimeoutNow as usize + 1);
        assert_eq!(MESSAGES[TERMLESS].name, Termless::DIMENSION.name);
        assert_eq!(MESSAGES[FATES].name, Fate::DIMENSION.name);
    }
}
