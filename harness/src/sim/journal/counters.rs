//! What happened in a simulated run, in figures.

use crate::plan::RareOperation;
use crate::sim::parts::disk::EndedWrites;

/// What happened, in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages sent between nodes.
    pub messages: u64,
    /// Batches made durable.
    pub batches: u64,
    /// Elections won.
    pub elections: u64,
    /// Snapshots taken.
    pub snapshots: u64,
    /// Snapshots of other nodes installed.
    pub installs: u64,
    /// Changes of the voters made.
    pub voter_changes: u64,
    /// Runs at whose end a bare majority had to serve everything alone.
    pub bare_majorities: u64,
    /// Runs that ended because too much was damaged to go on, and rightly.
    pub stalls: u64,
    /// What happened on links.
    pub links: LinkCounters,
    /// What happened to processes.
    pub processes: ProcessCounters,
    /// What happened to disks.
    pub disks: DiskCounters,
}

/// What happened on links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Messages that arrived over a later connection than they were sent on.
    pub crossed: u64,
    /// Answers to earlier processes that met a request of the same number.
    pub repeated: u64,
    /// Entries that rotted before they were sent, and were refused.
    pub rotten: u64,
    /// Parts of snapshots that rotted before they were sent.
    pub rotten_parts: u64,
}

/// What happened to processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessCounters {
    /// Processes started.
    pub starts: u64,
    /// Processes killed.
    pub crashes: u64,
    /// Of these, in the middle of a rare operation that was aimed at, by its place in [`RareOperation::ALL`].
    pub aimed: [u64; RareOperation::ALL.len()],
    /// And within milliseconds of their start, or in it, again and again.
    pub stumbles: u64,
    /// Starts that were killed while they read the disk.
    pub recovery_crashes: u64,
    /// Nodes that refused to start, and rightly.
    pub refusals: u64,
    /// Connections that were refused.
    pub hellos_refused: u64,
    /// Nodes that were set up again after they had lost their directories.
    pub rejoins: u64,
    /// Nodes that were stopped when they were no voters any more.
    pub removals: u64,
    /// Hellos of second processes with a node's directory that were refused.
    pub twins_refused: u64,
    /// Directories of other nodes that were refused.
    pub foreign_refused: u64,
    /// Processes and directories with nearly the number of those before.
    pub alike: u64,
}

/// What happened to disks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskCounters {
    /// Sectors and names that power cuts took.
    pub sectors_lost: u64,
    /// Acts of damage.
    pub damages: u64,
    /// Damaged entries that nodes found when they started, or while they read.
    pub holes: u64,
    /// Damaged entries that only the scrub has found.
    pub scrubbed: u64,
    /// Times that a disk had no room left.
    pub full: u64,
    /// Directories that were lost.
    pub lost: u64,
    /// What came of faults in the middle of a write.
    pub writes: WriteCounters,
}

/// Writes that ended early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteCounters {
    /// Writes into reserved room that had none.
    pub overwrites_full: u64,
    /// Writes that ended in the middle, with an error that passes.
    pub short: u64,
    /// Writes past the cache that a crash or an error ended in the middle: any of their sectors are durable.
    pub divided: u64,
}

impl WriteCounters {
    pub(crate) fn note(&mut self, ended: EndedWrites) {
        self.add(&Self {
            overwrites_full: ended.overwrites_full,
            short: ended.short,
            divided: ended.divided,
        });
    }

    fn add(&mut self, other: &Self) {
        let Self {
            overwrites_full,
            short,
            divided,
        } = other;
        self.overwrites_full += overwrites_full;
        self.short += short;
        self.divided += divided;
    }
}

impl Counters {
    pub(crate) fn add(&mut self, other: &Self) {
        let Self {
            messages,
            batches,
            elections,
            snapshots,
            installs,
            voter_changes,
            bare_majorities,
            stalls,
            links,
            processes,
            disks,
        } = other;
        self.messages += messages;
        self.batches += batches;
        self.elections += elections;
        self.snapshots += snapshots;
        self.installs += installs;
        self.voter_changes += voter_changes;
        self.bare_majorities += bare_majorities;
        self.stalls += stalls;
        self.links.add(links);
        self.processes.add(processes);
        self.disks.add(disks);
    }
}

impl LinkCounters {
    fn add(&mut self, other: &Self) {
        let Self {
            crossed,
            repeated,
            rotten,
            rotten_parts,
        } = other;
        self.crossed += crossed;
        self.repeated += repeated;
        self.rotten += rotten;
        self.rotten_parts += rotten_parts;
    }
}

impl ProcessCounters {
    fn add(&mut self, other: &Self) {
        let Self {
            starts,
            crashes,
            aimed,
            stumbles,
            recovery_crashes,
            refusals,
            hellos_refused,
            rejoins,
            removals,
            twins_refused,
            foreign_refused,
            alike,
        } = other;
        self.starts += starts;
        self.crashes += crashes;
        for (sum, met) in self.aimed.iter_mut().zip(aimed) {
            *sum += met;
        }
        self.stumbles += stumbles;
        self.recovery_crashes += recovery_crashes;
        self.refusals += refusals;
        self.hellos_refused += hellos_refused;
        self.rejoins += rejoins;
        self.removals += removals;
        self.twins_refused += twins_refused;
        self.foreign_refused += foreign_refused;
        self.alike += alike;
    }
}

impl DiskCounters {
    fn add(&mut self, other: &Self) {
        let Self {
            sectors_lost,
            damages,
            holes,
            scrubbed,
            full,
            lost,
            writes,
        } = other;
        self.sectors_lost += sectors_lost;
        self.damages += damages;
        self.holes += holes;
        self.scrubbed += scrubbed;
        self.full += full;
        self.lost += lost;
        self.writes.add(writes);
    }
}
