//! The fault atlas: what was damaged on which disk, by log index, and so what has to come of it.
//!
//! Damage strikes at most a minority of the disks at a time, and of every set of voters that may have to decide (where
//! voters change, a minority of the nodes may be all of them); until a disk is whole again, no other one is struck
//! beyond that, nor are voters asked for of which it would be more than a minority. Inside this budget nothing may be lost and everything has to be repaired, and so the atlas says:
//!
//! | what a node does | when it may |
//! |-|-|
//! | calls an entry damaged | the bytes of its batch were struck |
//! | comes back with less than it had synced | it was struck, and says so: it abstains |
//! | refuses to start | what no other node gives back was struck: every copy of where the log begins, of term and vote, of the state |
//! | starts | not when both copies of term and vote were struck |
//!
//! Not struck is what `recovery/judge/mod.rs` says cannot be noticed: the whole of the last batch, blanked before a later one
//! was written.
//!
//! Invariant: what is damaged is drawn from the run's seed and from bytes that were written, and noted before it
//! happens.

use std::collections::{BTreeMap, BTreeSet};

use noraft::{LogIndex, LogPosition, NodeId};
use noraftd::prng::Prng;
use noraftd::store::inspect::{Inspection, SegmentView};
use noraftd::store::{Kind, ReadError, snapshot_file_name};

use super::Phase;
use super::World;
use crate::sim::parts::node::Process;

/// The files of one directory.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// What has happened to all disks.
pub(crate) struct Atlas {
    disks: Vec<Struck>,
    prng: Prng,
    /// True when a majority of the disks was damaged at a time.
    went_beyond: bool,
}

/// What has happened to one disk.
#[derive(Debug, Clone, Default)]
struct Struck {
    /// True until the node was seen whole again.
    is_damaged: bool,
    /// Entries whose batches were struck.
    entries: BTreeSet<u64>,
    /// A record was struck that says that the log begins behind this entry: all up to it may be missed.
    covered_until: u64,
    /// What no other node can give back was struck.
    may_refuse: bool,
    must_refuse: bool,
    /// Ever, not only since it was last whole.
    log_was_struck: bool,
    hard_state_was_struck: bool,
    refused: bool,
    /// Entries that were damaged under a running node, and are not readable yet.
    rotten: BTreeSet<u64>,
    /// Since the node last started, which is when these are written again.
    slots: [bool; 2],
    headers: BTreeSet<(String, HeaderCopy)>,
    /// The record of where the log begins, beyond entry 0.
    base_was_struck: bool,
    /// Snapshot files, until they are gone.
    snapshots: BTreeSet<String>,
}

/// A segment's header stands on its first page and on its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum HeaderCopy {
    First,
    Last,
}

/// Bytes to put in the place of others; or where a file ends from now on.
#[derive(Debug, Clone)]
enum Change {
    Put { offset: usize, bytes: Vec<u8> },
    Cut { length: usize },
}

impl Change {
    fn of(&self, old: &[u8]) -> Vec<u8> {
        let mut new = old.to_vec();
        match self {
            Self::Put { offset, bytes } => {
                let end = new.len().min(offset + bytes.len());
                let start = end.min(*offset);
                new[start..end].copy_from_slice(&bytes[..end - start]);
            }
            Self::Cut { length } => new.truncate(*length),
        }
        new
    }
}

/// One act of damage.
struct Blow {
    file: String,
    change: Change,
    words: String,
}

impl Atlas {
    pub(crate) fn new(nodes: usize, prng: Prng) -> Self {
        Self {
            disks: vec![Struck::default(); nodes],
            prng,
            went_beyond: false,
        }
    }

    pub(super) fn is_damaged(&self, at: usize) -> bool {
        self.disks[at].is_damaged
    }

    /// True when the batch that holds the entry was struck.
    pub(super) fn has_struck(&self, at: usize, index: u64) -> bool {
        let disk = &self.disks[at];
        disk.entries.contains(&index) || index <= disk.covered_until
    }

    pub(super) fn may_refuse(&self, at: usize) -> bool {
        let disk = &self.disks[at];
        disk.may_refuse || disk.log_was_struck && disk.hard_state_was_struck
    }

    pub(super) fn must_refuse(&self, at: usize) -> bool {
        self.disks[at].must_refuse
    }

    pub(super) fn has_refused(&self, at: usize) -> bool {
        self.disks[at].refused
    }

    pub(super) fn note_refused(&mut self, at: usize) {
        self.disks[at].refused = true;
    }

    /// What has a good copy was written again from it.
    pub(super) fn note_started(&mut self, at: usize) {
        let disk = &mut self.disks[at];
        (disk.slots, disk.base_was_struck) = ([false; 2], false);
        disk.headers.clear();
        disk.rotten.clear();
    }

    pub(super) fn went_beyond(&self) -> bool {
        self.went_beyond
    }
}

impl World {
    /// Forgets damage under running nodes that is made good, void or covered.
    pub(super) fn look_at_rot(&mut self) {
        for (node, disk) in self.nodes.iter().zip(&mut self.atlas.disks) {
            let Some(process) = node.process.as_ref().filter(|_| node.disk.trouble().is_none()) else {
                continue;
            };
            let is_unreadable = |index: &u64| {
                let index = LogIndex::new(*index);
                let read = process.reader.read(index, index, 1);
                matches!(read, Err(ReadError::Damaged { .. }))
            };
            disk.rotten.retain(is_unreadable);
        }
    }

    /// Notes which disks are whole again.
    fn look_at_disks(&mut self) {
        self.look_at_rot();
        for at in 0..self.nodes.len() {
            let process = self.nodes[at].process.as_ref();
            let is_whole = process.is_some_and(has_nothing_damaged) && self.atlas.disks[at].rotten.is_empty();
            let disk = &mut self.atlas.disks[at];
            // A snapshot that was struck is only noticed when it is needed.
            disk.snapshots.retain(|name| self.nodes[at].disk.has(name));
            if is_whole && disk.is_damaged && disk.snapshots.is_empty() {
                (disk.is_damaged, disk.may_refuse) = (false, false);
                disk.entries.clear();
                disk.covered_until = 0;
            }
        }
    }

    /// True when fewer than half of these disks are damaged, `and` counted as one of them.
    fn is_minority_damaged(&self, set: &BTreeSet<NodeId>, and: Option<usize>) -> bool {
        let index = |id: &NodeId| id.get() as usize - 1;
        let is_damaged = |at: &usize| self.atlas.is_damaged(*at) || and == Some(*at);
        set.iter().map(index).filter(is_damaged).count() <= (set.len() - 1) / 2
    }

    /// True when voters may be asked for: whatever is damaged is a minority of them.
    pub(super) fn may_become_voters(&mut self, voters: &BTreeSet<NodeId>) -> bool {
        self.look_at_disks();
        self.is_minority_damaged(voters, None)
    }

    /// True when this disk may be damaged, so that a majority of all disks stays whole, and one of each set of voters
    /// that it is in.
    fn may_damage(&mut self, at: usize) -> bool {
        self.look_at_disks();
        let mut sets = self.checks.deciding_sets();
        sets.extend(self.voters.asked_for().cloned());
        sets.insert(self.nodes.iter().map(|node| node.id).collect());
        sets.retain(|set| set.contains(&self.nodes[at].id));
        let is_within = sets.iter().all(|set| self.is_minority_damaged(set, Some(at)));
        let is_calm = self.phase == Phase::Disturbed && self.nodes[at].disk.trouble().is_none();
        if is_calm && !is_within && self.plan.sim.disk.damage_beyond {
            self.atlas.went_beyond = true;
        }
        is_calm && (is_within || self.plan.sim.disk.damage_beyond)
    }

    /// Damages an entry of a running node that nobody is about to read, now and then.
    pub(super) fn damage_cold(&mut self, at: usize) {
        let share = self.plan.sim.disk.rot_permille;
        if share == 0 || !self.atlas.prng.chance(share, 1000) || !self.may_damage(at) {
            return;
        }
        let Some(process) = self.nodes[at].process.as_ref() else {
            return;
        };
        let status = process.replica.status();
        let (first, last) = (status.base_index.get() + 1, status.durable_index.get());
        if first > last {
            return;
        }
        let index = self.atlas.prng.between(first, last);
        let files = self.nodes[at].disk.files();
        let view = Inspection::of_files(&files);
        let Some(blow) = rot(&mut self.atlas.prng, &files, &view, index) else {
            return;
        };
        let before = self.counters.damages;
        self.strike_disk(at, &files, &view, &blow);
        if self.counters.damages > before {
            self.atlas.disks[at].rotten.insert(index);
        }
    }

    /// True when an entry is damaged under a running node.
    pub(super) fn has_rot(&self) -> bool {
        let is_rotten =
            |at: usize| self.nodes[at].process.is_some() && !self.atlas.disks[at].rotten.is_empty();
        (0..self.nodes.len()).any(is_rotten)
    }

    /// Damages a disk while its node is down, now and then.
    pub(super) fn damage_at_rest(&mut self, at: usize) {
        let share = self.plan.sim.disk.damage_permille;
        if share == 0 || !self.atlas.prng.chance(share, 1000) || !self.may_damage(at) {
            return;
        }
        let blows = 1 + self.atlas.prng.below(3) * self.atlas.prng.below(2);
        for _ in 0..blows {
            let files = self.nodes[at].disk.files();
            let view = Inspection::of_files(&files);
            if let Some(blow) = draw(&mut self.atlas.prng, &files, &view) {
                self.strike_disk(at, &files, &view, &blow);
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
        let mut names: Vec<&String> = files.keys().filter(|name| name.starts_with(SNAPSHOT)).collect();
        if names.len() > 1 && !self.atlas.prng.chance(1, 5) {
            let kept = self.atlas.prng.below(names.len() as u64) as usize;
            names = vec![names[kept]];
        }
        for name in names.into_iter().filter(|name| !files[*name].is_empty()) {
            let blow = in_snapshot(&mut self.atlas.prng, name, &files[name]);
            self.strike_disk(at, &files, &view, &blow);
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
        if let Some(blow) = rot(&mut self.atlas.prng, &files, &view, index) {
            self.strike_disk(at, &files, &view, &blow);
            self.atlas.disks[at].rotten.insert(index);
        }
    }

    fn strike_disk(&mut self, at: usize, files: &Files, view: &Inspection, blow: &Blow) {
        let Some(old) = files.get(&blow.file) else { return };
        let new = blow.change.of(old);
        if new == *old || leaves_no_trace(view, &blow.file, &new) {
            return;
        }
        // What is written and not synced may be gone by the time that it is looked for.
        if let Some(files) = self.nodes[at].disk.platter_files()
            && let Some(old) = files.get(&blow.file)
            && leaves_no_trace(&Inspection::of_files(&files), &blow.file, &blow.change.of(old))
        {
            return;
        }
        self.note_blow(at, view, &blow.file, old, &new);
        self.nodes[at].disk.overwrite(&blow.file, new);
        self.counters.damages += 1;
        let words = &blow.words;
        self.trace
            .note(self.now, &[0xda, at as u64, self.counters.damages], || {
                format!("the disk of n{}: {}: {words}", at + 1, blow.file)
            });
    }

    fn note_blow(&mut self, at: usize, view: &Inspection, file: &str, old: &[u8], new: &[u8]) {
        let disk = &mut self.atlas.disks[at];
        disk.is_damaged = true;
        if file == HARD_STATE {
            disk.hard_state_was_struck = true;
            let is_slot_struck = |slot: usize| {
                let range = slot * PAGE..slot * PAGE + SLOT_BYTES;
                old.get(range.clone()) != new.get(range)
            };
            (0..2).for_each(|slot| disk.slots[slot] |= is_slot_struck(slot));
            let both = disk.slots == [true; 2];
            disk.may_refuse |= both;
            // A slot that took the other's place is a valid one.
            disk.must_refuse |= (0..2).all(is_slot_struck)
                && (0..2).all(|slot| new.get(slot * PAGE..slot * PAGE + 8) != old.get(..8));
            return;
        }
        if file.starts_with(SNAPSHOT) {
            disk.snapshots.insert(file.to_owned());
            disk.may_refuse |= disk.lacks_state(view);
            return;
        }
        disk.log_was_struck = true;
        let Some(segment) = view.segments.iter().find(|segment| segment.file == file) else {
            return;
        };
        let page_differs = |page: usize| {
            let range = page * PAGE..(page + 1) * PAGE;
            old.get(range.clone()) != new.get(range)
        };
        // What was cut before has lost its last page already.
        let copies = [(HeaderCopy::First, 0), (HeaderCopy::Last, old.len() / PAGE - 1)];
        let struck = copies.into_iter().filter(|(_, page)| page_differs(*page));
        disk.headers
            .extend(struck.map(|(copy, _)| (file.to_owned(), copy)));
        // Without its salt nothing in a segment can be told from garbage.
        let no_header = copies
            .into_iter()
            .all(|(copy, _)| disk.headers.contains(&(file.to_owned(), copy)));
        disk.may_refuse |= no_header;
        for batch in &segment.batches {
            let end = batch.offset + BATCH_HEADER_BYTES + batch.length;
            let pages = batch.offset as usize / PAGE..(end as usize).div_ceil(PAGE);
            if no_header || pages.into_iter().any(page_differs) {
                for record in &batch.records {
                    match record.kind {
                        Kind::Term | Kind::Config | Kind::Command | Kind::Patch => {
                            disk.entries.insert(record.index);
                        }
                        // Headers repeat where the log begins, and snapshots know it.
                        Kind::Snapshot => {
                            disk.base_was_struck |= record.index > 0;
                            disk.covered_until = disk.covered_until.max(record.index);
                        }
                        Kind::HardState | Kind::Truncate | Kind::Seal | Kind::Mark => {}
                    }
                }
            }
        }
        disk.may_refuse |= disk.lacks_state(view);
    }
}

impl Struck {
    /// True when no snapshot may be left that the log goes on from; or one less than is needed to know where it
    /// begins.
    fn lacks_state(&self, view: &Inspection) -> bool {
        let Some(recovered) = &view.recovered else {
            return !self.snapshots.is_empty();
        };
        let leads_on = |position: &&LogPosition| position.index <= recovered.last.index;
        let is_struck = |position: &LogPosition| self.snapshots.contains(&snapshot_file_name(*position));
        let mut leading = view.snapshots.iter().filter(leads_on);
        let begins_later = recovered.base.index.get() > 0;
        let all = begins_later && leading.all(is_struck);
        all || self.base_was_struck && view.snapshots.iter().any(is_struck)
    }
}

/// True when a running node misses nothing, and no more is on its disk than it goes by: what the replica has let go of,
/// because it lies before a base or behind a cut, is still there until the disk has, and the scrub reads it.
fn has_nothing_damaged(process: &Process) -> bool {
    let Process { replica, store, .. } = process;
    let status = replica.status();
    let is_on_disk = status.base_index == store.base().index
        && replica.node().log().entries().contains(store.last_position());
    status.holes == 0 && !status.abstaining && is_on_disk
}

/// True when the last batch would be blank: nobody can tell that it ever was there.
fn leaves_no_trace(view: &Inspection, file: &str, new: &[u8]) -> bool {
    let begun = |segment: &&SegmentView| !segment.batches.is_empty();
    let Some(segment) = view.segments.iter().rfind(begun) else {
        return true;
    };
    if file != segment.file {
        // A spare that is not blank, and a begun segment that is, are told apart by their headers.
        return false;
    }
    let Some(batch) = segment.batches.iter().max_by_key(|batch| batch.lsn) else {
        return false;
    };
    let (start, end) = (
        batch.offset as usize,
        (batch.offset + BATCH_HEADER_BYTES + batch.length) as usize,
    );
    let is_blank = |range: std::ops::Range<usize>| {
        new.get(range)
            .is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
    };
    is_blank(start..end) || is_blank(0..new.len())
}

/// Draws what is damaged, and how.
fn draw(prng: &mut Prng, files: &Files, view: &Inspection) -> Option<Blow> {
    let begun: Vec<&SegmentView> = view
        .segments
        .iter()
        .filter(|segment| !segment.batches.is_empty())
        .collect();
    let segment = *prng.choose(&begun)?;
    let old = files.get(&segment.file)?;
    let pages = old.len() / PAGE;
    if pages < 3 {
        return None;
    }
    match prng.below(20) {
        0 => Some(cut(prng, &segment.file, old)),
        1 => in_hard_state(prng, files),
        2 => {
            let page = if prng.chance(1, 2) { 0 } else { pages - 1 };
            Some(on_page(prng, &segment.file, old, page, old))
        }
        _ => {
            let batch = prng.choose(&segment.batches)?;
            let end = batch.offset + BATCH_HEADER_BYTES + batch.length;
            let of_batch = (end as usize).div_ceil(PAGE) - batch.offset as usize / PAGE;
            let page = batch.offset as usize / PAGE + prng.below(of_batch as u64) as usize;
            let other = *prng.choose(&begun)?;
            Some(on_page(prng, &segment.file, old, page, files.get(&other.file)?))
        }
    }
}

/// Damages a snapshot: a bit flips, a part is zero, or it is cut.
fn in_snapshot(prng: &mut Prng, file: &str, old: &[u8]) -> Blow {
    let at = prng.below(old.len() as u64) as usize;
    let (change, words) = match prng.below(4) {
        0 => return cut(prng, file, old),
        1 => {
            let length = (old.len() - at).min(PAGE);
            let bytes = vec![0; length];
            (
                Change::Put { offset: at, bytes },
                format!("{length} bytes from {at} on are zero"),
            )
        }
        _ => {
            let bytes = vec![old[at] ^ (1 << prng.below(8))];
            (
                Change::Put { offset: at, bytes },
                format!("a bit of it flips (byte {at})"),
            )
        }
    };
    let file = file.to_owned();
    Blow { file, change, words }
}

fn cut(prng: &mut Prng, file: &str, old: &[u8]) -> Blow {
    let length = prng.below(old.len() as u64) as usize;
    Blow {
        file: file.to_owned(),
        change: Change::Cut { length },
        words: format!("cut to {length} bytes"),
    }
}

fn in_hard_state(prng: &mut Prng, files: &Files) -> Option<Blow> {
    let old = files.get(HARD_STATE)?;
    let slot = prng.below(2) as usize;
    let blow = on_page(prng, HARD_STATE, old, slot, old);
    let Change::Put { offset, bytes } = &blow.change else {
        return None;
    };
    // Both slots, now and then.
    if prng.chance(1, 8) {
        let bytes = vec![0xff; 2 * PAGE].into_iter().take(old.len()).collect();
        return Some(Blow {
            change: Change::Put { offset: 0, bytes },
            words: "both slots overwritten".to_owned(),
            ..blow
        });
    }
    // Only what is in use of a slot matters.
    let in_use = *offset % PAGE < SLOT_BYTES || bytes.len() >= PAGE;
    in_use.then_some(blow)
}

/// Damages a page: bits flip, it is zero, garbage, or another page that was written to the wrong place.
fn on_page(prng: &mut Prng, file: &str, old: &[u8], page: usize, other: &[u8]) -> Blow {
    let start = page * PAGE;
    let bytes = &old[start..(start + PAGE).min(old.len())];
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(1, |last| last + 1);
    let (at, put, how) = match prng.below(10) {
        0..=4 => {
            let at = prng.below(used as u64) as usize;
            (at, vec![bytes[at] ^ (1 << prng.below(8))], "a bit of it flips")
        }
        5 | 6 => (0, vec![0; bytes.len()], "is zero"),
        7 => {
            let sector = prng.below(bytes.len() as u64 / 512) as usize * 512;
            let garbage = (0..512).map(|_| prng.next_u64() as u8).collect();
            (sector, garbage, "a sector of it is garbage")
        }
        _ => {
            let from = prng.below(other.len() as u64 / PAGE as u64) as usize * PAGE;
            (0, other[from..from + bytes.len()].to_vec(), "holds another page")
        }
    };
    Blow {
        file: file.to_owned(),
        words: format!("page {page}: {how} (byte {})", start + at),
        change: Change::Put {
            offset: start + at,
            bytes: put,
        },
    }
}

/// Flips a bit of the entry at `index` where it is read from.
fn rot(prng: &mut Prng, files: &Files, view: &Inspection, index: u64) -> Option<Blow> {
    let is_entry = |kind| matches!(kind, Kind::Term | Kind::Config | Kind::Command | Kind::Patch);
    let all = view
        .segments
        .iter()
        .flat_map(|segment| segment.batches.iter().map(move |batch| (segment, batch)));
    let records =
        all.flat_map(|(segment, batch)| batch.records.iter().map(move |record| (segment, batch, record)));
    let (segment, _, record) = records
        .filter(|(_, _, record)| record.index == index && is_entry(record.kind) && record.length > 0)
        .max_by_key(|(_, batch, _)| batch.lsn)?;
    let at = (record.offset + RECORD_HEADER_BYTES + prng.below(record.length)) as usize;
    let byte = *files.get(&segment.file)?.get(at)?;
    Some(Blow {
        file: segment.file.clone(),
        change: Change::Put {
            offset: at,
            bytes: vec![byte ^ (1 << prng.below(8))],
        },
        words: format!("a bit of entry {index} flips (byte {at})"),
    })
}

const HARD_STATE: &str = "hard_state";
const SNAPSHOT: &str = "snapshot-";
const PAGE: usize = 4096;
const BATCH_HEADER_BYTES: u64 = 32;
const RECORD_HEADER_BYTES: u64 = 40;
const SLOT_BYTES: usize = 68;
