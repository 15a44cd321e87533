//! What happened in a simulated run, in figures.

/// What happened, in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages sent between nodes.
    pub messages: u64,
    /// Batches made durable.
    pub batches: u64,
    /// Processes started.
    pub starts: u64,
    /// Processes cut down.
    pub crashes: u64,
    /// Starts that were cut down while they read the disk.
    pub recovery_crashes: u64,
    /// Sectors and names that power cuts took.
    pub sectors_lost: u64,
    /// Acts of damage to disks.
    pub damages: u64,
    /// Damaged entries that nodes found when they started, or while they read.
    pub holes: u64,
    /// Nodes that refused to start, and rightly.
    pub refusals: u64,
    /// Damaged entries that nobody but the scrub has found.
    pub scrubbed: u64,
    /// Times that a disk had no room left.
    pub full_disks: u64,
    /// Runs that ended because too much was damaged to go on, and rightly.
    pub stalls: u64,
    /// Elections won.
    pub elections: u64,
    /// Snapshots taken.
    pub snapshots: u64,
    /// Snapshots of other nodes taken over.
    pub installs: u64,
    /// Changes of the voters made.
    pub voter_changes: u64,
}

impl Counters {
    pub(crate) fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.batches += other.batches;
        self.starts += other.starts;
        self.crashes += other.crashes;
        self.recovery_crashes += other.recovery_crashes;
        self.sectors_lost += other.sectors_lost;
        self.elections += other.elections;
        self.damages += other.damages;
        self.holes += other.holes;
        self.refusals += other.refusals;
        self.scrubbed += other.scrubbed;
        self.full_disks += other.full_disks;
        self.stalls += other.stalls;
        self.voter_changes += other.voter_changes;
    }
}
