//! What a node counts and measures, as [`metrics`](super::metrics) takes it: gathered when it is asked for.

use std::cell::Cell;

use super::facts::{ClientFacts, Resources};
use super::status::StatusReport;
use crate::histogram::Histogram;
use crate::replica::counts::Counts;

/// A node at one moment.
#[derive(Debug)]
pub struct Scrape<'a> {
    /// What it says of itself.
    pub report: &'a StatusReport,
    /// What the process takes of its machine.
    pub process: &'a ProcessFigures,
    /// What is known once it runs.
    pub running: Option<RunningFigures<'a>>,
}

/// What a process takes of its machine, and what its directory has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessFigures {
    /// Memory and processor time.
    pub resources: Resources,
    /// When it started, in seconds since the Unix epoch.
    pub started_seconds: u64,
    /// Files that it has open, and may have.
    pub files: (u64, u64),
    /// Bytes that the file system of its directory has, and those that are free for it.
    pub disk: (u64, u64),
    /// Segments, their bytes, and the bytes of snapshots.
    pub store: (u64, u64, u64),
}

/// What is known of a node that runs.
#[derive(Debug)]
pub struct RunningFigures<'a> {
    /// What the replica counts.
    pub counts: &'a Counts,
    /// What its loop counts.
    pub loops: &'a LoopFigures,
    /// How long batches take, on the disk and in front of it.
    pub disk: [&'a Histogram; 2],
    /// Requests, by command; those that were not asked for have none.
    pub commands: Vec<(&'static str, &'a Histogram)>,
    /// Its clients.
    pub clients: ClientFacts,
    /// What clients have sent and is no whole request yet, replies that they have not read, and what is kept for `EXEC`.
    pub buffers: [u64; 3],
    /// Keys, and those of them that go at some time.
    pub keys: (u64, u64),
    /// How far the wall clock is ahead of the log's, in milliseconds.
    pub clock_offset_ms: i64,
    /// Each alarm: whether it is raised, whether it is on the list, and how often it was raised.
    pub alarms: [(&'static str, bool, bool, u64); 6],
    /// Whether requests should be sent here.
    pub is_ready: bool,
    /// For a leader: the other members.
    pub followers: Vec<FollowerFigures>,
    /// Of each other member: how often sending began again at an earlier entry.
    pub resent: Vec<(u64, u64)>,
    /// Bytes that have left for each other member, and that wait to.
    pub sent: Vec<SentFigures>,
}

/// What a leader knows of another member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerFigures {
    /// The member.
    pub id: u64,
    /// Entries of this log that are not known to be durable there.
    pub lag_entries: u64,
    /// True when it has been heard within an election timeout.
    pub is_heard: bool,
}

/// What was sent to another member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentFigures {
    /// The member.
    pub id: u64,
    /// Bytes that have left.
    pub sent_bytes: u64,
    /// Bytes that wait.
    pub waiting_bytes: u64,
}

/// What the loop of a node counts.
#[derive(Debug, Default)]
pub struct LoopFigures {
    /// Its rounds.
    pub rounds: Histogram,
    /// Those in which it applied entries.
    pub applying: Histogram,
    /// How often it heard of another leader than before.
    pub leader_changes: Cell<u64>,
}
