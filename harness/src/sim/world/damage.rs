//! Damage to disks: when it happens, and when a disk is whole again.
//!
//! Invariant: what is damaged is noted in the atlas before it happens, and only what the atlas allows is damaged.

use std::collections::BTreeSet;

use noraft::{LogIndex, NodeId};
use noraftd::store::inspect::Inspection;
use noraftd::store::{ReadError, SNAPSHOT_PREFIX};

use super::World;
use crate::damage::corruption::{Corruption, Files, draw, in_snapshot, leaves_no_trace, rot, unheaded};
use crate::sim::journal::happening::{DiskHappening, Happening};
use crate::sim::parts::MILLI;
use crate::sim::parts::node::{Process, Standing};
use crate::sim::parts::phase::Phase;

impl World {
    /// Forgets damage under running nodes that is repaired, void or covered.
    pub(super) fn look_at_rot(&mut self) {
        for (at, node) in self.nodes.iter().enumerate() {
            let Some(process) = node.process.as_ref().filter(|_| node.disk.trouble().is_none()) else {
                continue;
            };
            let is_unreadable = |index: u64| {
                let index = LogIndex::new(index);
                let read = process.reading.reader().read(index, index, 1);
                matches!(read, Err(ReadError::Damaged { .. }))
            };
            self.atlas.forget_rot(at, is_unreadable);
        }
    }

    /// Notes which disks are whole again.
    fn look_at_disks(&mut self) {
        self.look_at_rot();
        for (at, node) in self.nodes.iter().enumerate() {
            self.atlas.forget_snapshots(at, |name| node.disk.has(name));
            let is_whole = node.process.as_ref().is_some_and(has_nothing_damaged);
            if is_whole && !node.loss.is_outcast {
                self.atlas.note_whole(at);
            }
        }
    }

    /// True when voters may be asked for: whatever is damaged is a minority of them.
    pub(super) fn may_become_voters(&mut self, voters: &BTreeSet<NodeId>) -> bool {
        self.look_at_disks();
        self.atlas.is_minority_damaged(voters)
    }

    /// True when this disk may be damaged, so that a majority of all disks stays whole, and one of each set of voters
    /// that it is in, and these nodes are sure of what they hold.
    pub(super) fn may_damage(&mut self, at: usize) -> bool {
        self.look_at_disks();
        let mut sets = self.checks.deciding_sets();
        sets.extend(self.voters.asked_for().cloned());
        sets.extend(self.wanted_voters());
        let members = (0..self.nodes.len()).filter(|at| self.is_member(*at));
        sets.insert(members.map(|at| self.nodes[at].id).collect());
        let unsure: BTreeSet<usize> = (0..self.nodes.len()).filter(|at| self.is_unsure(*at)).collect();
        let is_within = self.atlas.leaves_majorities(at, &sets, |at| unsure.contains(&at));
        let is_calm = self.progress.phase == Phase::Disturbed && self.nodes[at].disk.trouble().is_none();
        if is_calm && !is_within && self.plan.sim.disk.damage_beyond {
            self.atlas.note_beyond();
        }
        is_calm && (is_within || self.plan.sim.disk.damage_beyond)
    }

    /// True when a node abstains, or would after its next start.
    fn is_unsure(&self, at: usize) -> bool {
        let node = &self.nodes[at];
        match node.process.as_ref() {
            None if node.standing != Standing::There => false,
            Some(process) => process.replica.abstains() || process.is_about_to_mark(),
            None => {
                let recovered = Inspection::of_files(&node.disk.files()).recovered;
                recovered.is_some_and(|recovered| recovered.abstain)
            }
        }
    }

    /// Damages an entry of a running node that is not about to be read, now and then.
    pub(super) fn damage_cold(&mut self, at: usize) {
        let share = self.plan.sim.disk.rot_permille;
        if share == 0 || !self.atlas.prng.chance(share, 1000) || !self.may_damage(at) {
            return;
        }
        self.damage_an_entry(at);
    }

    /// Damages an entry of a running node, which the scrub will find, where the plan damages disks.
    pub(super) fn damage_for_a_patch(&mut self, at: usize) {
        let disk = &self.plan.sim.disk;
        let damages = (disk.rot_permille, disk.damage_permille) != (0, 0) && !disk.scrub.is_zero();
        if damages && self.may_damage(at) {
            self.damage_an_entry(at);
        }
    }

    fn damage_an_entry(&mut self, at: usize) {
        let Some(process) = self.nodes[at].process.as_ref() else {
            return;
        };
        let status = process.replica.status();
        let (first, last) = (status.log.base_index.get() + 1, status.log.durable_index.get());
        if first > last {
            return;
        }
        let first = self.first_to_rot(at, first, last);
        let index = self.atlas.prng.between(first, last);
        let files = self.nodes[at].disk.files();
        let view = Inspection::of_files(&files);
        let Some(corruption) = rot(&mut self.atlas.prng, &files, &view, index) else {
            return;
        };
        if self.corrupt_disk(at, &files, &view, &corruption) {
            self.atlas.note_rot(at, index);
        }
    }

    /// The first entry that may be damaged: now and then, one that may be cut off yet.
    fn first_to_rot(&mut self, at: usize, first: u64, last: u64) -> u64 {
        let share = self.plan.sim.disk.rot_tail_permille;
        let process = self.nodes[at].process.as_ref();
        let commit = process.map_or(0, |process| process.replica.node().commit_index().get());
        let tail = (commit + 1).max(first);
        if share > 0 && tail <= last && self.atlas.prng.chance(share, 1000) {
            tail
        } else {
            first
        }
    }

    /// True when an entry is damaged under a running node.
    pub(super) fn has_rot(&self) -> bool {
        let is_rotten = |at: usize| self.nodes[at].process.is_some() && self.atlas.has_rot(at);
        (0..self.nodes.len()).any(is_rotten)
    }

    /// Damages one entry, the last that is committed, on each disk that has it, now and then when no node is up: the others may not
    /// have had it yet.
    pub(super) fn damage_in_common(&mut self, at: usize) {
        let (now, share) = (self.queue.now(), self.plan.sim.disk.common_permille);
        if share == 0 {
            return;
        }
        let is_first = self.nodes.iter().all(|node| node.process.is_none());
        if self.atlas.common.is_none_or(|(_, until)| until < now) {
            let last = self.checks.last_committed().filter(|_| is_first);
            let drawn = last.filter(|_| self.atlas.prng.chance(share, 1000));
            self.atlas.common = drawn.map(|position| (position, now + COMMON_SPAN));
        }
        let Some((position, _)) = self.atlas.common else {
            return;
        };
        if !self.checks.holds(at, position) || !self.may_damage(at) {
            return;
        }
        let files = self.nodes[at].disk.files();
        let view = Inspection::of_files(&files);
        if let Some(corruption) = unheaded(&files, &view, position.index.get()) {
            self.corrupt_disk(at, &files, &view, &corruption);
        }
    }

    /// Damages a disk while its node is down, now and then.
    pub(super) fn damage_at_rest(&mut self, at: usize) {
        let share = self.plan.sim.disk.damage_permille;
        if share == 0 || !self.atlas.prng.chance(share, 1000) || !self.may_damage(at) {
            return;
        }
        let count = 1 + self.atlas.prng.below(3) * self.atlas.prng.below(2);
        for _ in 0..count {
            let files = self.nodes[at].disk.files();
            let view = Inspection::of_files(&files);
            if let Some(corruption) = draw(&mut self.atlas.prng, &files, &view) {
                self.corrupt_disk(at, &files, &view, &corruption);
            }
        }
    }

    /// Damages a snapshot, now and then, or all that the disk has.
    pub(super) fn damage_snapshots(&mut self, at: usize) {
        let share = self.plan.sim.disk.snapshot_damage_permille;
        if share == 0 || !self.atlas.prng.chance(share, 1000) || !self.may_damage(at) {
            return;
        }
        let files = self.nodes[at].disk.files();
        let view = Inspection::of_files(&files);
        let mut names: Vec<&String> = files
            .keys()
            .filter(|name| name.starts_with(SNAPSHOT_PREFIX))
            .collect();
        if names.len() > 1 && !self.atlas.prng.chance(1, 5) {
            let kept = self.atlas.prng.below(names.len() as u64) as usize;
            names = vec![names[kept]];
        }
        for name in names.into_iter().filter(|name| !files[*name].is_empty()) {
            let corruption = in_snapshot(&mut self.atlas.prng, name, &files[name]);
            self.corrupt_disk(at, &files, &view, &corruption);
        }
    }

    /// Damages an entry that a running node is about to read, now and then.
    pub(super) fn damage_before_read(&mut self, at: usize, index: u64) {
        let share = self.plan.sim.disk.rot_permille;
        if share == 0 || !self.atlas.prng.chance(share, 1000) || !self.may_damage(at) {
            return;
        }
        let files = self.nodes[at].disk.files();
        let view = Inspection::of_files(&files);
        if let Some(corruption) = rot(&mut self.atlas.prng, &files, &view, index) {
            self.corrupt_disk(at, &files, &view, &corruption);
            self.atlas.note_rot(at, index);
        }
    }

    /// Damages a disk, unless nothing would be left to notice it by.
    fn corrupt_disk(&mut self, at: usize, files: &Files, view: &Inspection, corruption: &Corruption) -> bool {
        let Some(old) = files.get(&corruption.file) else {
            return false;
        };
        let new = corruption.change.of(old);
        if new == *old || leaves_no_trace(view, &corruption.file, old, &new) {
            return false;
        }
        // What is written and not synced may be gone by the time that it is looked for.
        if let Some(files) = self.nodes[at].disk.platter_files()
            && let Some(old) = files.get(&corruption.file)
            && leaves_no_trace(
                &Inspection::of_files(&files),
                &corruption.file,
                old,
                &corruption.change.of(old),
            )
        {
            return false;
        }
        self.atlas.note_corruption(at, view, &corruption.file, old, &new);
        self.nodes[at].disk.overwrite(&corruption.file, new);
        self.journal.counters.disks.damages += 1;
        self.journal.note(
            self.queue.now(),
            Happening::Disk(DiskHappening::IsCorrupted {
                node: at,
                count: self.journal.counters.disks.damages,
                corruption,
            }),
        );
        true
    }
}

/// True when a running node misses nothing, and no more is on its disk than it goes by: what the replica has let go of,
/// because it lies before a base or behind a cut, is still there until the disk has, and the scrub reads it. Nor is it
/// about to mark that it has caught up.
fn has_nothing_damaged(process: &Process) -> bool {
    let Process { replica, driver, .. } = process;
    let store = driver.store();
    let status = replica.status();
    let is_on_disk = status.log.base_index == store.base().index
        && replica.node().log().entries().contains(store.last_position());
    let is_sure = !status.elections.abstaining && !process.is_about_to_mark();
    status.damage.holes == 0 && is_sure && is_on_disk
}

/// All nodes that are to come back after they were down together have come back by then.
const COMMON_SPAN: u64 = 2000 * MILLI;
