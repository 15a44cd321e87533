//! Opening: what each state of the bytes means.
//!
//! Invariant: pure. [`judge`] looks at what was read and says what it means; nothing is written before it
//! has spoken, and nothing at all when it refuses.
//!
//! | found | verdict |
//! |-|-|
//! | batch valid | take it |
//! | batch invalid, a later valid batch of the same salt exists (this or a later segment) | **damage**: keep identities that are readable, mark holes, repair from peers |
//! | the same, and what it held is not known | the log ends before it: **cut**, abstain |
//! | last batch invalid, nothing valid after | **ambiguous tail**: cut it, abstain; but see below |
//! | the same, after the mark of a cut, and before the mark that its tail is blank | the rest of that cut: blank it, the first mark's verdict holds |
//! | last batch invalid after a SEAL or a clean-stop mark | damage |
//! | header page invalid | second copy at the segment's end; both bad: damage of the whole segment |
//! | damage, and no other voter can have what it took | refuse |
//! | the record of where the log begins is lost | a header says it again; or a snapshot that is whole: the log begins there; neither: refuse |
//! | something is lost, and no whole snapshot leads to where the log begins | another that is whole: the log begins there; none: refuse |
//! | a batch found behind its own place, and nothing after it | **cut**, abstain: what it covers is not known |
//! | hard_state: one slot valid | newest valid of slots and stream |
//! | hard_state: one slot valid, and a part of the log damaged for certain that may have repeated the other | as none valid |
//! | hard_state: none valid | refuse to vote; rejoin as a new incarnation |
//! | no segment, but a snapshot or the marker of a setting up, and a term and vote that were never written | refuse: to be set up again |
//! | the mark that a cluster begins again out of this state | refuse: `noraftd recover` has to be finished |
//! | segment missing in the middle, gap between snapshot and log, wrong cluster/node/incarnation id | refuse |
//!
//! **What proves that a batch was durable.** One batch is in flight at a time, so the header of any later
//! batch does, whole or not: an entry, a SEAL, or a mark written when the node was idle or stopped.
//!
//! **What damage takes.** Of a record whose payload is damaged, the header still names term, index and crc; of one
//! whose header is damaged, the SEAL of its segment does; and where both are gone, the positions around it may
//! show them (`replay.rs`). Such an entry is a *hole*: the log keeps its shape, so the node may go on voting and
//! replicating, and the payload comes from a peer (`replica/repair.rs`) and is written again as a PATCH. Where
//! not even the place of entries is known, the log ends before them, durably, by a TRUNCATE with a mark; the
//! node has then forgotten what it acknowledged, and abstains exactly as after an ambiguous tail.
//!
//! **Why an ambiguous tail is cut.** An interrupted write leaves each sector old (zero: segments are
//! zero-filled) or new. Such a tail is what a power cut leaves of a batch that was acknowledged to no one, and so
//! may be dropped. But a disk that lost sectors of the *last* batch after its sync looks the same, and that
//! batch may have been acknowledged. The node cannot know, so it says so: it abstains. A tail with bytes
//! that no interrupted write leaves is damaged for certain; it is cut and abstained from as well, because
//! the others have its entries, and [`RecoveryReport::tail_damaged`] says it.
//!
//! **Why abstaining does not wedge a cluster whose power failed everywhere.** Let there be `n` voters, a
//! majority being `q`. A committed entry was on `q` of them; a set `G` of granted votes meets those in at
//! least `|G| + q - n`. Votes of nodes that abstain may all be votes of nodes that lost the entry. So votes
//! of nodes that do not abstain count as ever: `q` of them elect. And if *every* voter grants, `G` holds all
//! `q` owners, so as long as fewer than `q` disks lost it, one of the granting nodes still has the entry,
//! and the candidate is as up to date as that node: it is elected safely. The rule, for each half of a joint
//! configuration: **the votes of abstaining nodes, the candidate's own included, count only when all voters
//! have granted.** After a power cut of all nodes, that is met as soon as all are back; a node that stays
//! away for good needs a person. A node abstains until its log holds the last entry of a current leader;
//! [`crate::store::Store::mark_caught_up`] makes that durable. Until then every opening says `abstain` again.
//!
//! **One voter alone** has no other node to ask. Its interrupted writes are cut (`G` is all voters), but a tail
//! damaged for certain, or any other damage, is refused: with `q = 1`, no loss is covered.
//!
//! **What remains undetected**: the disk loses *every* sector of the last batch, after its sync and before
//! any later batch, idle mark or clean stop. Zeros on a zero-filled page look as if nothing was written.

mod ends;
mod files;

use std::collections::BTreeMap;

use noraft::{Log, LogPosition};

use crate::record::{Abstain, Base};
use crate::store::format::hard_state::{Slot, Slots};
use crate::store::format::segment::{Link, SegmentHeader};
use crate::store::recovery::replay::{RecoveredLog, Replayed};
use crate::store::recovery::scan::SegmentScan;
use crate::store::recovery::verdict::{Finding, RecoveryReport, Verdict};
use crate::store::types::Owner;
use crate::store::write::active::LogEnd;

/// What was read of a directory.
pub(in crate::store) struct DirectoryContents<'a> {
    /// Whose directory it must be; any node's when absent.
    pub(in crate::store) owner: Option<Owner>,
    pub(in crate::store) segments: BTreeMap<u64, SegmentScan>,
    pub(in crate::store) hard_state: Slots,
    pub(in crate::store) snapshots: SnapshotSource<'a>,
}

/// The snapshots of a directory. They are read only when the log does not say where it begins, or lost something.
pub(in crate::store) struct SnapshotSource<'a> {
    /// As their names say, in any order.
    pub(in crate::store) positions: Vec<LogPosition>,
    /// What the snapshot at a position says, if every byte of it is what was written.
    pub(in crate::store) load: &'a dyn Fn(LogPosition) -> Option<Base>,
}

/// What it means.
pub(in crate::store) struct Judgement {
    pub(in crate::store) report: RecoveryReport,
    /// Absent when a verdict forbids to use the directory.
    pub(in crate::store) state: Option<State>,
}

/// What a store starts from.
pub(in crate::store) struct State {
    pub(in crate::store) log: Log,
    /// The headers of all segments with batches.
    pub(in crate::store) headers: Vec<SegmentHeader>,
    pub(in crate::store) recovered: RecoveredLog,
    pub(in crate::store) abstain: Abstain,
    /// Where the next batch goes.
    pub(in crate::store) end: LogEnd,
    /// The last valid batch.
    pub(in crate::store) last: Link,
    /// What is behind it.
    pub(in crate::store) tail: Tail,
    pub(in crate::store) repairs: Repairs,
    /// Segments without content, for later.
    pub(in crate::store) spares: Vec<u64>,
    pub(in crate::store) slot: NewestSlot,
}

/// The newest hard state.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct NewestSlot {
    pub(in crate::store) number: usize,
    pub(in crate::store) slot: Slot,
    /// True when that slot has to be written first.
    pub(in crate::store) is_stale: bool,
}

/// What is behind the last valid batch, in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Tail {
    Blank,
    /// To be cut, from the front up to this byte.
    Uncut {
        until: u64,
    },
    /// The last batch is the mark of its cut, and it is not on record that what is behind that mark is blank. Where it
    /// is not, something is left up to this byte.
    Cut {
        left_until: Option<u64>,
    },
}

impl Tail {
    /// The end of what is left of a tail whose cut is on record.
    pub(in crate::store) fn left_until(self) -> Option<u64> {
        match self {
            Self::Cut { left_until } => left_until,
            Self::Blank | Self::Uncut { .. } => None,
        }
    }
}

/// What has to be written again, so that the bytes say what was judged.
#[derive(Default)]
pub(in crate::store) struct Repairs {
    /// True when the log ends earlier than its batches say, which has to be made durable.
    pub(in crate::store) cut_log: bool,
    /// A segment behind the active one of which nothing can be read: a new one is begun in its place.
    pub(in crate::store) replace: Option<u64>,
    /// Files that were cut, to be made as long as their headers say.
    pub(in crate::store) resize: Vec<SegmentHeader>,
    /// Header pages to write again.
    pub(in crate::store) broken_headers: Vec<BrokenHeader>,
    /// Where the log begins, when that has to be said again.
    pub(in crate::store) rebase: Option<Base>,
}

/// A header page to write again at byte `at`.
pub(in crate::store) struct BrokenHeader {
    pub(in crate::store) header: SegmentHeader,
    pub(in crate::store) base: Option<Base>,
    pub(in crate::store) at: u64,
}

/// Says what the bytes of a directory mean.
pub(in crate::store) fn judge(found: DirectoryContents<'_>) -> Judgement {
    let mut judge = Judge {
        report: RecoveryReport::default(),
        tail: Tail::Blank,
        repairs: Repairs::default(),
    };
    let state = judge.judge(found);
    let Judge { mut report, .. } = judge;
    report.abstain = state.as_ref().is_some_and(|state| state.abstain.abstains());
    report.holes = state
        .as_ref()
        .map_or(0, |state| state.recovered.holes.len() as u64);
    let refused = report.findings.iter().any(|finding| finding.verdict.is_fatal());
    Judgement {
        report,
        state: state.filter(|_| !refused),
    }
}

struct Judge {
    report: RecoveryReport,
    tail: Tail,
    repairs: Repairs,
}

impl Judge {
    fn find(&mut self, verdict: Verdict, file: &str, offset: u64, found: impl Into<String>) {
        self.report.findings.push(Finding {
            verdict,
            file: file.to_owned(),
            offset,
            found: found.into(),
        });
    }

    /// `None` after a finding that forbids to go on.
    fn judge(&mut self, found: DirectoryContents<'_>) -> Option<State> {
        let DirectoryContents {
            owner,
            segments,
            hard_state,
            snapshots,
        } = found;
        self.check_numbers(&segments);
        let (active, spares) = self.split_spares(&segments)?;
        let identity = self.check_identities(owner, &segments, &active, &hard_state)?;
        self.check_headers(&segments, &active);
        let newest_slot = self.check_hard_state(&hard_state);
        self.check_ends(&segments, &active, &spares)?;
        let mut replay = self.replay(&segments, &active)?;
        self.begin_at_snapshot(&mut replay, &snapshots, *active.last()?);
        let replayed = replay.finish();
        if replayed.is_cut {
            self.note_cut(&replayed.recovered, *active.last()?);
        }
        let log = self.check_base(&replayed.recovered, active[0])?;
        self.check_covered(&replayed.recovered, identity.owner.node_id, *active.last()?);
        let slot = self.choose_slot(&hard_state, newest_slot?, &replayed)?;
        self.state(segments, &active, spares, replayed, log, slot)
    }

    /// The newest slot, and whether it has to be written.
    fn choose_slot(
        &mut self,
        slots: &Slots,
        (number, slot): (usize, Slot),
        replayed: &Replayed,
    ) -> Option<NewestSlot> {
        let last_term = replayed.recovered.shape.last_position().term;
        let newest = self.newest_hard_state(slots, slot, replayed, last_term)?;
        // A vote that overtook its batch may be in one place only.
        let state = Some(newest.hard_state);
        let in_stream = replayed.hard_state.map(|(_, state)| state);
        let is_alone = slots.beside(number) != state && in_stream != state;
        let newest = Slot {
            // Slots of one LSN are one slot that damage has copied over the other.
            lsn: newest.lsn + u64::from(is_alone),
            ..newest
        };
        let is_stale = newest != slot || slots.broken().is_some();
        let number = if is_stale {
            slots.broken().unwrap_or(1 - number)
        } else {
            number
        };
        Some(NewestSlot {
            number,
            slot: newest,
            is_stale,
        })
    }

    fn state(
        &mut self,
        mut segments: BTreeMap<u64, SegmentScan>,
        active: &[u64],
        spares: Vec<u64>,
        replayed: Replayed,
        log: Log,
        slot: NewestSlot,
    ) -> Option<State> {
        let is_readable = |number: &&u64| segments[number].valid_header().is_some();
        let written = *active.iter().rfind(is_readable)?;
        let replace = active.last().copied().filter(|last| *last != written);
        let scans = || segments.values();
        let headers = scans().filter_map(SegmentScan::valid_header).copied().collect();
        self.repairs.broken_headers = scans().filter_map(files::broken_header).collect();
        self.repairs.replace = replace;
        self.repairs.cut_log |= replace.is_some();
        let cut_log = self.repairs.cut_log;
        let last = segments.remove(&written)?;
        let forgot = match self.tail {
            _ if cut_log => Abstain::Loss,
            Tail::Uncut { .. } if self.report.tail_damaged => Abstain::Loss,
            Tail::Uncut { .. } => Abstain::Tail,
            Tail::Blank | Tail::Cut { .. } => Abstain::No,
        };
        if self.tail == Tail::Blank && last.is_cut_open() {
            self.tail = Tail::Cut { left_until: None };
        }
        let (end, last) = last.into_end()?;
        Some(State {
            headers,
            log,
            recovered: replayed.recovered,
            abstain: replayed.abstain.max(forgot),
            end,
            last,
            tail: self.tail,
            repairs: std::mem::take(&mut self.repairs),
            spares,
            slot,
        })
    }
}
