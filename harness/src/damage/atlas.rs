//! The fault atlas: what was damaged on which disk, by log index, and so what has to come of it.
//!
//! Damage strikes at most a minority of the disks at a time, and of every set of voters that may have to decide (where
//! voters change, a minority of the nodes may be all of them); until a disk is whole again, no other one is damaged
//! beyond that, nor are voters asked for of which it would be more than a minority. A node that abstains for another reason counts as
//! damaged there: a write that failed or a loss of power leaves it unsure of what it held. Inside this budget nothing may be lost and
//! everything has to be repaired, and so the atlas says:
//!
//! | what a node does | when it may |
//! |-|-|
//! | calls an entry damaged | the bytes of its batch were damaged |
//! | comes back with less than it had synced | it was damaged, and says so: it abstains |
//! | refuses to start | what no other node gives back was damaged: every copy of where the log begins, of term and vote, of the state |
//! | starts | not when both copies of term and vote were damaged |
//!
//! Not damaged is what `recovery/judge/mod.rs` says cannot be noticed: the whole of the last batch, blanked before a later one
//! was written.
//!
//! Invariant: what is damaged is drawn from the run's seed and from bytes that were written, and noted before it
//! happens.

use std::collections::BTreeSet;

use noraft::{LogPosition, NodeId};
use noraftd::prng::Prng;
use noraftd::store::inspect::Inspection;
use noraftd::store::layout::{BATCH_HEADER_BYTES, PAGE};
use noraftd::store::{HARD_STATE_FILE, Kind, SLOT_BYTES, SNAPSHOT_PREFIX, snapshot_file_name};

/// What has happened to all disks.
#[derive(Debug, Clone)]
pub(crate) struct Atlas {
    disks: Vec<DiskFaults>,
    /// What was damaged on each disk when a copy of its directory was taken.
    copies: Vec<DiskFaults>,
    /// Decides what is damaged, and when.
    pub(crate) prng: Prng,
    /// Disks of which something was damaged, or replaced by something older, at any time.
    ever_touched: BTreeSet<usize>,
    /// Disks that may hold torn sectors since the power went: what a node finds of them is damage for certain.
    torn: BTreeSet<usize>,
    /// True when a majority of the disks was damaged at a time.
    went_beyond: bool,
    /// The entry that is lost on each disk that has it, when its node starts, and until when.
    pub(crate) common: Option<(LogPosition, u64)>,
}

/// What has happened to one disk.
#[derive(Debug, Clone, Default)]
struct DiskFaults {
    /// True until the node was seen whole again.
    is_damaged: bool,
    /// Entries whose batches were damaged.
    entries: BTreeSet<u64>,
    /// A record was damaged that says that the log begins behind this entry: all up to it may be missed.
    covered_until: u64,
    /// What no other node can give back was damaged.
    may_refuse: bool,
    must_refuse: bool,
    /// Ever, not only since it was last whole.
    log_was_damaged: bool,
    hard_state_was_damaged: bool,
    refused: bool,
    /// Entries that were damaged under a running node, and are not readable yet.
    rotten: BTreeSet<u64>,
    /// Since the node last started, which is when these are written again.
    slots: [bool; 2],
    headers: BTreeSet<(String, HeaderCopy)>,
    /// The record of where the log begins, beyond entry 0.
    base_was_damaged: bool,
    /// Snapshot files, until they are gone.
    snapshots: BTreeSet<String>,
}

/// A segment's header is on its first page and on its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum HeaderCopy {
    First,
    Last,
}

impl Atlas {
    pub(crate) fn new(nodes: usize, prng: Prng) -> Self {
        Self {
            disks: vec![DiskFaults::default(); nodes],
            copies: vec![DiskFaults::default(); nodes],
            prng,
            ever_touched: BTreeSet::new(),
            torn: BTreeSet::new(),
            went_beyond: false,
            common: None,
        }
    }

    pub(crate) fn is_damaged(&self, at: usize) -> bool {
        self.disks[at].is_damaged
    }

    /// True when a log or votes were damaged, ever: a copy of something may be missing that was not needed since.
    pub(crate) fn was_damaged(&self, at: usize) -> bool {
        let disk = &self.disks[at];
        disk.log_was_damaged || disk.hard_state_was_damaged
    }

    /// True when some byte of the disk was damaged, or is older than what was written last, at any time of the run.
    pub(crate) fn was_ever_touched(&self, at: usize) -> bool {
        self.ever_touched.contains(&at)
    }

    /// The power went, and sectors of the disk may be neither old nor new.
    pub(crate) fn note_torn(&mut self, at: usize) {
        self.torn.insert(at);
    }

    /// True when there is a reason for the node to say that it has lost entries for certain.
    pub(crate) fn may_have_lost(&self, at: usize) -> bool {
        self.is_damaged(at) || self.torn.contains(&at)
    }

    /// True when the batch that holds the entry was damaged.
    pub(crate) fn has_damaged(&self, at: usize, index: u64) -> bool {
        let disk = &self.disks[at];
        disk.entries.contains(&index) || index <= disk.covered_until
    }

    pub(crate) fn may_refuse(&self, at: usize) -> bool {
        let disk = &self.disks[at];
        disk.may_refuse || disk.log_was_damaged && disk.hard_state_was_damaged
    }

    pub(crate) fn must_refuse(&self, at: usize) -> bool {
        self.disks[at].must_refuse
    }

    pub(crate) fn has_refused(&self, at: usize) -> bool {
        self.disks[at].refused
    }

    pub(crate) fn note_refused(&mut self, at: usize) {
        self.disks[at].refused = true;
    }

    /// What has a good copy was written again from it.
    pub(crate) fn note_started(&mut self, at: usize) {
        let disk = &mut self.disks[at];
        (disk.slots, disk.base_was_damaged) = ([false; 2], false);
        disk.headers.clear();
        disk.rotten.clear();
    }

    /// The whole directory is gone: nothing of what was damaged in it is there any more, and the node misses everything.
    pub(crate) fn note_lost(&mut self, at: usize) {
        self.disks[at] = DiskFaults {
            is_damaged: true,
            ..DiskFaults::default()
        };
    }

    /// The machine is given an empty directory, and has no part in anything until a state is in it.
    pub(crate) fn note_new(&mut self, at: usize) {
        (self.disks[at], self.copies[at]) = (DiskFaults::default(), DiskFaults::default());
    }

    /// A copy of the directory is taken, with what is damaged in it.
    pub(crate) fn note_copied(&mut self, at: usize) {
        self.copies[at] = self.disks[at].clone();
    }

    /// The copy is put in the place of the directory.
    pub(crate) fn note_put_back(&mut self, at: usize) {
        self.ever_touched.insert(at);
        self.disks[at] = DiskFaults {
            is_damaged: true,
            ..self.copies[at].clone()
        };
    }

    /// True when a node has refused to start: no other one can be set up again.
    pub(crate) fn has_any_refused(&self) -> bool {
        self.disks.iter().any(|disk| disk.refused)
    }

    pub(crate) fn went_beyond(&self) -> bool {
        self.went_beyond
    }

    /// A majority of the disks of some voters is damaged now.
    pub(crate) fn note_beyond(&mut self) {
        self.went_beyond = true;
    }

    /// True when fewer than half of these disks are damaged.
    pub(crate) fn is_minority_damaged(&self, set: &BTreeSet<NodeId>) -> bool {
        self.is_minority(set, |_| false)
    }

    /// True when this disk may be damaged, too, and of each of these sets that it is in a majority stays whole, and sure of what it
    /// holds.
    pub(crate) fn leaves_majorities(
        &self,
        at: usize,
        sets: &BTreeSet<BTreeSet<NodeId>>,
        is_unsure: impl Fn(usize) -> bool,
    ) -> bool {
        let with_it = sets
            .iter()
            .filter(|set| set.iter().map(index).any(|other| other == at));
        with_it
            .into_iter()
            .all(|set| self.is_minority(set, |other| other == at || is_unsure(other)))
    }

    /// True when fewer than half of these disks are damaged or hurt otherwise.
    fn is_minority(&self, set: &BTreeSet<NodeId>, is_hurt: impl Fn(usize) -> bool) -> bool {
        let hurt = |at: &usize| self.is_damaged(*at) || is_hurt(*at);
        set.iter().map(index).filter(hurt).count() <= (set.len() - 1) / 2
    }

    /// True when one of these sets of voters cannot decide, and for a good reason: some of them are gone for good, and
    /// those that are sure of what they hold are no majority. One that abstains needs every other one.
    /// Gone is a node that refuses to start, and rightly, and `is_lost` one whose directory is gone, or that misses what no other
    /// has.
    pub(crate) fn excuses(
        &self,
        sets: &BTreeSet<BTreeSet<NodeId>>,
        is_lost: impl Fn(usize) -> bool,
        is_sure: impl Fn(usize) -> bool,
    ) -> bool {
        sets.iter().any(|voters| {
            let is_gone = |at: usize| self.has_refused(at) || is_lost(at);
            let is_one_gone = voters.iter().map(index).any(is_gone);
            // A process in an empty directory is sure of what is in it, and not heard.
            let decides = |at: &usize| is_sure(*at) && !is_gone(*at);
            let sure = voters.iter().map(index).filter(decides).count();
            is_one_gone && sure <= voters.len() / 2
        })
    }

    /// An entry was damaged under a running node.
    pub(crate) fn note_rot(&mut self, at: usize, index: u64) {
        self.disks[at].rotten.insert(index);
    }

    /// Entries that were damaged under a running node are forgotten, but for those that are still unreadable.
    pub(crate) fn forget_rot(&mut self, at: usize, is_unreadable: impl Fn(u64) -> bool) {
        self.disks[at].rotten.retain(|index| is_unreadable(*index));
    }

    /// True when an entry is damaged under the node while it runs.
    pub(crate) fn has_rot(&self, at: usize) -> bool {
        !self.disks[at].rotten.is_empty()
    }

    /// Snapshots that were damaged are forgotten when their files are gone: one is only noticed when it is needed.
    pub(crate) fn forget_snapshots(&mut self, at: usize, is_there: impl Fn(&str) -> bool) {
        self.disks[at].snapshots.retain(|name| is_there(name));
    }

    /// The node misses nothing: its disk is whole again, unless something damaged has not been read yet.
    pub(crate) fn note_whole(&mut self, at: usize) {
        let disk = &mut self.disks[at];
        if disk.is_damaged && disk.rotten.is_empty() && disk.snapshots.is_empty() {
            (disk.is_damaged, disk.may_refuse) = (false, false);
            disk.entries.clear();
            disk.covered_until = 0;
        }
    }

    pub(crate) fn note_corruption(
        &mut self,
        at: usize,
        view: &Inspection,
        file: &str,
        old: &[u8],
        new: &[u8],
    ) {
        self.ever_touched.insert(at);
        let disk = &mut self.disks[at];
        disk.is_damaged = true;
        if file == HARD_STATE_FILE {
            disk.hard_state_was_damaged = true;
            let is_slot_damaged = |slot: usize| {
                let range = slot * PAGE..slot * PAGE + SLOT_BYTES;
                old.get(range.clone()) != new.get(range)
            };
            (0..2).for_each(|slot| disk.slots[slot] |= is_slot_damaged(slot));
            let both = disk.slots == [true; 2];
            disk.may_refuse |= both;
            // A slot that took the other's place is a valid one.
            disk.must_refuse |= (0..2).all(is_slot_damaged)
                && (0..2).all(|slot| new.get(slot * PAGE..slot * PAGE + 8) != old.get(..8));
            return;
        }
        if file.starts_with(SNAPSHOT_PREFIX) {
            disk.snapshots.insert(file.to_owned());
            disk.may_refuse |= disk.lacks_state(view);
            return;
        }
        disk.log_was_damaged = true;
        let Some(segment) = view.segments.iter().find(|segment| segment.file == file) else {
            return;
        };
        let page_differs = |page: usize| {
            let range = page * PAGE..(page + 1) * PAGE;
            old.get(range.clone()) != new.get(range)
        };
        // What was cut before has lost its last page already.
        let copies = [(HeaderCopy::First, 0), (HeaderCopy::Last, old.len() / PAGE - 1)];
        let damaged = copies.into_iter().filter(|(_, page)| page_differs(*page));
        disk.headers
            .extend(damaged.map(|(copy, _)| (file.to_owned(), copy)));
        // Without its salt nothing in a segment can be distinguished from garbage.
        let no_header = copies
            .into_iter()
            .all(|(copy, _)| disk.headers.contains(&(file.to_owned(), copy)));
        disk.may_refuse |= no_header;
        for batch in &segment.batches {
            let end = batch.offset + BATCH_HEADER_BYTES as u64 + batch.length;
            let pages = batch.offset as usize / PAGE..(end as usize).div_ceil(PAGE);
            if no_header || pages.into_iter().any(page_differs) {
                for record in &batch.records {
                    match record.kind {
                        Kind::Term | Kind::Config | Kind::Command | Kind::Patch => {
                            disk.entries.insert(record.index);
                        }
                        // Headers repeat where the log begins, and snapshots know it.
                        Kind::Snapshot => {
                            disk.base_was_damaged |= record.index > 0;
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

impl DiskFaults {
    /// True when no snapshot may be left that the log goes on from; or one less than is needed to know where it
    /// begins.
    fn lacks_state(&self, view: &Inspection) -> bool {
        let Some(recovered) = &view.recovered else {
            return !self.snapshots.is_empty();
        };
        // Older ones are there until a compaction has come to its end.
        let log = recovered.base.index..=recovered.last.index;
        let leads_on = |position: &&LogPosition| log.contains(&position.index);
        let is_damaged_file =
            |position: &LogPosition| self.snapshots.contains(&snapshot_file_name(*position));
        let mut leading = view.snapshots.iter().filter(leads_on);
        let begins_later = recovered.base.index.get() > 0;
        let all = begins_later && leading.all(is_damaged_file);
        all || self.base_was_damaged && view.snapshots.iter().any(is_damaged_file)
    }
}

/// Nodes count from one.
fn index(id: &NodeId) -> usize {
    id.get() as usize - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId::new).collect()
    }

    fn atlas(damaged: &[usize], refused: &[usize]) -> Atlas {
        let mut atlas = Atlas::new(5, Prng::new(1));
        damaged.iter().for_each(|at| atlas.disks[*at].is_damaged = true);
        refused.iter().for_each(|at| atlas.note_refused(*at));
        atlas
    }

    fn leaves(atlas: &Atlas, at: usize, sets: &BTreeSet<BTreeSet<NodeId>>) -> bool {
        atlas.leaves_majorities(at, sets, |_| false)
    }

    /// What decides is voters: a minority of the nodes may be all of them.
    #[test]
    fn damage_is_counted_in_the_voters_of_every_set() {
        let (all, two, one) = (set(&[1, 2, 3, 4, 5]), set(&[1, 2]), set(&[1]));
        let none = atlas(&[], &[]);
        assert!(leaves(&none, 0, &BTreeSet::from([all.clone()])));
        assert!(!leaves(&none, 0, &BTreeSet::from([all.clone(), two.clone()])));
        assert!(!leaves(&none, 0, &BTreeSet::from([all.clone(), one.clone()])));
        assert!(leaves(&none, 2, &BTreeSet::from([all.clone(), two])));

        let second = atlas(&[1], &[]);
        let halves = BTreeSet::from([set(&[3, 4, 5]), set(&[1, 2, 3])]);
        assert!(!leaves(&second, 2, &halves), "it is in both halves");
        assert!(leaves(&second, 3, &halves), "the other half loses nothing");
        assert!(second.is_minority_damaged(&all) && second.is_minority_damaged(&one));
        assert!(!second.is_minority_damaged(&set(&[2])));
    }

    /// Of three, one that abstains and one with damage are two that cannot elect.
    #[test]
    fn a_node_that_abstains_counts_as_damaged() {
        let (three, five) = (
            BTreeSet::from([set(&[1, 2, 3])]),
            BTreeSet::from([set(&[1, 2, 3, 4, 5])]),
        );
        let atlas = atlas(&[], &[]);
        let abstains = |at| at == 0;
        assert!(!atlas.leaves_majorities(2, &three, abstains));
        assert!(
            atlas.leaves_majorities(0, &three, abstains),
            "it is the same node"
        );
        assert!(atlas.leaves_majorities(2, &five, abstains));
    }

    /// What was damaged before the copy was taken is damaged again when it is put back, and nothing else.
    #[test]
    fn a_copy_has_the_damage_of_its_time() {
        let mut atlas = atlas(&[], &[]);
        atlas.disks[1].entries.insert(7);
        atlas.note_copied(1);
        atlas.disks[1].entries.insert(9);
        atlas.note_whole(1);
        atlas.note_put_back(1);
        assert!(atlas.is_damaged(1) && atlas.has_damaged(1, 7) && !atlas.has_damaged(1, 9));
        atlas.note_lost(1);
        assert!(atlas.is_damaged(1) && !atlas.has_damaged(1, 7));
    }

    #[test]
    fn only_a_set_that_lost_its_majority_to_nodes_that_refuse_is_excused() {
        let is_sure = |refused: &'static [usize]| move |at: usize| !refused.contains(&at);
        let nowhere = |_| false;
        let (all, half) = (set(&[1, 2, 3, 4, 5]), set(&[1, 2]));
        let one_gone = atlas(&[0], &[0]);
        assert!(!one_gone.excuses(&BTreeSet::from([all.clone()]), nowhere, is_sure(&[0])));
        assert!(
            one_gone.excuses(
                &BTreeSet::from([all.clone(), half.clone()]),
                nowhere,
                is_sure(&[0])
            ),
            "one of two is gone: that half cannot decide"
        );
        let other = set(&[3, 4, 5]);
        assert!(
            !one_gone.excuses(&BTreeSet::from([all.clone(), other]), nowhere, is_sure(&[0])),
            "who is no voter takes no majority"
        );
        assert!(
            one_gone.excuses(&BTreeSet::from([set(&[1, 2, 3])]), nowhere, is_sure(&[0, 1])),
            "one refuses, one abstains"
        );
        let none_gone = atlas(&[0, 1], &[]);
        assert!(
            !none_gone.excuses(&BTreeSet::from([all, half]), nowhere, is_sure(&[0, 1, 2, 3, 4])),
            "no node refuses: whatever is missing has to come back"
        );
        let three = BTreeSet::from([set(&[1, 2, 3])]);
        assert!(
            none_gone.excuses(&three, |at| at == 2, is_sure(&[1, 2])),
            "the directory of one is gone, and another one abstains"
        );
        assert!(!none_gone.excuses(&three, |at| at == 2, is_sure(&[2])));
        assert!(
            none_gone.excuses(&three, |at| at == 2, is_sure(&[1])),
            "the process in the empty directory decides nothing"
        );
    }
}
