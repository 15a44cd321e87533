//! Opening: what each state of the bytes means.
//!
//! Invariant: pure. [`judge`] looks at what was read and says what it means; nothing is written before it
//! has spoken, and nothing at all when it refuses.
//!
//! | found | verdict |
//! |-|-|
//! | batch valid | take it |
//! | batch invalid, a later valid batch of the same salt exists (this or a later segment) | **damage** |
//! | last batch invalid, nothing valid after | **ambiguous tail**: cut it, abstain; but see below |
//! | last batch invalid after a SEAL or a clean-stop mark | damage |
//! | header page invalid | second copy at the segment's end; both bad: damage |
//! | hard_state: one slot valid | newest valid of slots and stream |
//! | hard_state: none valid | refuse to vote; rejoin as a new incarnation |
//! | segment missing in the middle, gap between snapshot and log, wrong cluster/node/incarnation id | refuse |
//!
//! **What proves that a batch was durable.** One batch is in flight at a time, so the header of any later
//! batch does, whole or not: an entry, a SEAL, or a mark written when the node was idle or stopped.
//!
//! **Why an ambiguous tail is cut.** An interrupted write leaves each sector old (zero: segments are
//! zero-filled) or new. Such a tail is what a power cut leaves of a batch that nobody was told of, and so
//! may be dropped. But a disk that lost sectors of the *last* batch after its sync looks the same, and that
//! batch may have been acknowledged. The node cannot tell, so it says so: it abstains. A tail with bytes
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
//! [`super::Store::mark_caught_up`] makes that durable. Until then every opening says `abstain` again.
//!
//! **One voter alone** has nobody to ask. Its interrupted writes are cut (`G` is all voters), but a tail
//! damaged for certain is refused: with `q = 1`, no loss is covered.
//!
//! **What remains undetected**: the disk loses *every* sector of the last batch, after its sync and before
//! any later batch, idle mark or clean stop. Zeros on a zero-filled page look as if nothing was written.

use std::collections::BTreeMap;

use noraft::{ClusterConfig, Log, NodeId};

use super::hard_state::{FILE as HARD_STATE_FILE, Slot, SlotFault, Slots};
use super::log::{Extents, Shape};
use super::replay::Replay;
use super::scan::{HeaderFound, Later, Rest, SegmentScan};
use super::seal::SealIndex;
use super::segment::{HeaderFault, Link, SegmentHeader, file_name, is_whole};
use super::verdict::{Finding, RecoveryReport, Verdict};
use super::{Identity, Owner};
use crate::record::HardState;

/// What was read of a directory.
pub(super) struct Found {
    /// Whose directory it must be; anybody's when absent.
    pub(super) owner: Option<Owner>,
    pub(super) segments: BTreeMap<u64, SegmentScan>,
    pub(super) hard_state: Slots,
}

/// What it means.
pub(super) struct Judgement {
    pub(super) report: RecoveryReport,
    /// Absent when a verdict forbids to use the directory.
    pub(super) state: Option<State>,
}

/// What a store starts from.
pub(super) struct State {
    pub(super) hard_state: HardState,
    pub(super) log: Log,
    /// The first index that may be in the log.
    pub(super) log_first: u64,
    /// The headers of all segments with batches.
    pub(super) headers: Vec<SegmentHeader>,
    pub(super) shape: Shape,
    pub(super) extents: Extents,
    pub(super) abstain: bool,
    /// The segment with the record that says where the log begins.
    pub(super) base_segment: u64,
    /// The segment that is written.
    pub(super) active: SegmentHeader,
    pub(super) front: u64,
    pub(super) sealed: bool,
    pub(super) index: SealIndex,
    pub(super) last: Link,
    /// The end of the tail to cut, which begins at the front.
    pub(super) cut_until: Option<u64>,
    /// Header pages to write again.
    pub(super) broken_headers: Vec<(SegmentHeader, u64)>,
    /// Segments without content, for later.
    pub(super) spares: Vec<u64>,
    /// The newest hard state as a slot, and the slot's number.
    pub(super) slot: (usize, Slot),
    /// True when that slot has to be written first.
    pub(super) slot_is_stale: bool,
}

/// Says what the bytes of a directory mean.
pub(super) fn judge(found: Found) -> Judgement {
    let mut judge = Judge {
        report: RecoveryReport::default(),
        cut_until: None,
    };
    let state = judge.judge(found);
    let Judge { mut report, .. } = judge;
    report.abstain = state.as_ref().is_some_and(|state| state.abstain);
    let refused = report.findings.iter().any(|finding| finding.verdict.is_fatal());
    Judgement {
        report,
        state: state.filter(|_| !refused),
    }
}

struct Judge {
    report: RecoveryReport,
    cut_until: Option<u64>,
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
    fn judge(&mut self, found: Found) -> Option<State> {
        let Found {
            owner,
            mut segments,
            hard_state,
        } = found;
        self.check_numbers(&segments);
        let (active, spares) = self.split_spares(&segments)?;
        let identity = self.check_identities(owner, &segments, &active, &hard_state)?;
        self.check_headers(&segments, &active);
        let newest_slot = self.check_hard_state(&hard_state);
        self.check_ends(&segments, &active, &spares)?;
        let replay = self.replay(&segments, &active)?;
        let log = self.check_base(&replay, active[0])?;
        self.check_lone_voter(&replay.shape, identity.owner.node_id, *active.last()?);
        let newest = self.newest_hard_state(newest_slot?.1, &replay)?;
        let slot_is_stale = newest != newest_slot?.1 || hard_state.broken().is_some();
        let slot_number = if slot_is_stale {
            hard_state.broken().unwrap_or(1 - newest_slot?.0)
        } else {
            newest_slot?.0
        };
        let (header, last) = (
            *segments.get(active.last()?)?.valid_header()?,
            segments.remove(active.last()?)?,
        );
        let scans = || segments.values().chain([&last]);
        let broken_headers = scans().filter_map(broken_header).collect();
        let headers = scans().filter_map(SegmentScan::valid_header).copied().collect();
        Some(State {
            hard_state: newest.hard_state,
            log_first: log.snapshot_position().index.get() + 1,
            headers,
            log,
            shape: replay.shape,
            extents: replay.extents,
            abstain: replay.abstain || self.cut_until.is_some(),
            base_segment: replay.base_segment,
            active: header,
            front: last.front,
            sealed: last.sealed,
            index: last.index,
            last: last.last,
            cut_until: self.cut_until,
            broken_headers,
            spares,
            slot: (slot_number, newest),
            slot_is_stale,
        })
    }

    /// Segment missing in the middle.
    fn check_numbers(&mut self, segments: &BTreeMap<u64, SegmentScan>) {
        let mut expected = None;
        for number in segments.keys().copied() {
            if let Some(expected) = expected.filter(|expected| *expected != number) {
                let text = format!("the file is not there, but {} is", file_name(number));
                self.find(Verdict::SegmentMissing, &file_name(expected), 0, text);
            }
            expected = number.checked_add(1);
        }
    }

    /// Segments with batches, and those after them that were never begun.
    fn split_spares(&mut self, segments: &BTreeMap<u64, SegmentScan>) -> Option<(Vec<u64>, Vec<u64>)> {
        let active: Vec<u64> = segments
            .iter()
            .filter(|(_, scan)| !is_unbegun(scan))
            .map(|(number, _)| *number)
            .collect();
        let last = active.last().copied();
        let unbegun = segments.keys().copied().filter(|number| !active.contains(number));
        let (lost, spares): (Vec<u64>, Vec<u64>) =
            unbegun.partition(|number| last.is_none_or(|last| *number < last));
        for number in &lost {
            let text = "no header page is valid, though the segment must have been begun";
            self.find(Verdict::HeaderLost, &file_name(*number), 0, text);
        }
        for number in &active {
            if let HeaderFound::None { fault } = segments[number].header {
                self.find_lost_header(*number, fault);
            }
        }
        let readable = active
            .iter()
            .all(|number| segments[number].valid_header().is_some());
        (lost.is_empty() && readable && !active.is_empty()).then_some((active, spares))
    }

    fn find_lost_header(&mut self, number: u64, fault: HeaderFault) {
        let name = file_name(number);
        match fault {
            HeaderFault::Version(version) => {
                self.find(
                    Verdict::UnknownFormat,
                    &name,
                    8,
                    format!("format version {version}, this code knows 1"),
                );
            }
            HeaderFault::Blank | HeaderFault::Damaged => {
                self.find(
                    Verdict::HeaderLost,
                    &name,
                    0,
                    "neither header page is what was written",
                );
            }
        }
    }

    /// Wrong cluster, node or incarnation id.
    fn check_identities(
        &mut self,
        owner: Option<Owner>,
        segments: &BTreeMap<u64, SegmentScan>,
        active: &[u64],
        hard_state: &Slots,
    ) -> Option<Identity> {
        let first = segments.get(active.first()?)?.valid_header()?.identity;
        let expected = Identity {
            owner: owner.unwrap_or(first.owner),
            ..first
        };
        let before = self.report.findings.len();
        for number in active {
            let header = segments[number].valid_header()?;
            if header.number != *number {
                let text = format!("its header says that it is segment {}", header.number);
                self.find(Verdict::WrongIdentity, &file_name(*number), 40, text);
            }
            self.check_identity(&file_name(*number), 16, header.identity, expected);
        }
        for slot in hard_state.0.iter().flatten() {
            self.check_identity(HARD_STATE_FILE, 16, slot.identity, expected);
        }
        (self.report.findings.len() == before).then_some(expected)
    }

    fn check_identity(&mut self, file: &str, offset: u64, found: Identity, expected: Identity) {
        if found != expected {
            let text = format!("belongs to {found}, expected {expected}");
            self.find(Verdict::WrongIdentity, file, offset, text);
        }
    }

    /// Header page invalid: second copy.
    fn check_headers(&mut self, segments: &BTreeMap<u64, SegmentScan>, active: &[u64]) {
        for number in active {
            let scan = &segments[number];
            if let HeaderFound::One {
                header,
                broken,
                broken_at,
            } = scan.header
                && header.segment_bytes == scan.size
                && !is_being_begun(scan, broken)
            {
                let text = match broken {
                    HeaderFault::Blank => "a header page is blank".to_owned(),
                    HeaderFault::Damaged => "a header page is not what was written".to_owned(),
                    HeaderFault::Version(version) => format!("a header page is of format version {version}"),
                };
                self.find(Verdict::HeaderFromCopy, &file_name(*number), broken_at, text);
            }
        }
    }

    /// How each segment ends.
    fn check_ends(
        &mut self,
        segments: &BTreeMap<u64, SegmentScan>,
        active: &[u64],
        spares: &[u64],
    ) -> Option<()> {
        let before = self.report.findings.len();
        for (at, number) in active.iter().enumerate() {
            let scan = &segments[number];
            let next = active.get(at + 1).map(|next| &segments[next]);
            self.check_size(*number, scan);
            match next.and_then(SegmentScan::valid_header) {
                Some(next) => self.check_inner_end(*number, scan, next),
                None => self.check_last_end(*number, scan, spares),
            }
        }
        let fatal = self.report.findings[before..]
            .iter()
            .any(|finding| finding.verdict.is_fatal());
        (!fatal).then_some(())
    }

    fn check_size(&mut self, number: u64, scan: &SegmentScan) {
        if let Some(header) = scan.valid_header()
            && header.segment_bytes != scan.size
        {
            let text = format!(
                "the file has {} bytes, its header says {}",
                scan.size, header.segment_bytes
            );
            self.find(Verdict::Damage, &file_name(number), scan.size, text);
        }
    }

    /// The end of a segment that is followed by another.
    fn check_inner_end(&mut self, number: u64, scan: &SegmentScan, next: &SegmentHeader) {
        let name = file_name(number);
        match scan.rest {
            Rest::Invalid(rest) if scan.sealed => {
                self.find(Verdict::DamageAtMark, &name, rest.offset, "bytes after the SEAL");
            }
            Rest::Invalid(rest) => {
                let verdict = match rest.later {
                    Later::Marks(_) => Verdict::DamageAtMark,
                    Later::None | Later::Batches(_) => Verdict::Damage,
                };
                self.find(
                    verdict,
                    &name,
                    rest.offset,
                    format!("{}; a later segment was begun", rest.found),
                );
            }
            Rest::Blank if !scan.sealed => {
                let text = "the segment ends without a SEAL, but a later segment was begun";
                self.find(Verdict::Damage, &name, scan.front, text);
            }
            Rest::Blank if scan.last != next.link => {
                let text = format!(
                    "ends with batch {}, the next segment follows batch {}",
                    scan.last.lsn, next.link.lsn
                );
                self.find(Verdict::Damage, &name, scan.front, text);
            }
            Rest::Blank => {}
        }
    }

    /// The end of the log.
    fn check_last_end(&mut self, number: u64, scan: &SegmentScan, spares: &[u64]) {
        let name = file_name(number);
        match scan.rest {
            Rest::Invalid(rest) if scan.sealed => {
                self.find(Verdict::DamageAtMark, &name, rest.offset, "bytes after the SEAL");
            }
            Rest::Invalid(rest) => match rest.later {
                Later::Batches(at) => {
                    self.find(
                        Verdict::Damage,
                        &name,
                        rest.offset,
                        format!("{}; byte {at} begins a later batch", rest.found),
                    );
                }
                Later::Marks(at) => {
                    let text = format!("{}; byte {at} holds a mark that was written later", rest.found);
                    self.find(Verdict::DamageAtMark, &name, rest.offset, text);
                }
                Later::None => {
                    let how = if rest.interrupted {
                        "as an interrupted write leaves it"
                    } else {
                        "damaged for certain"
                    };
                    self.find(
                        Verdict::AmbiguousTail,
                        &name,
                        rest.offset,
                        format!("{}; {how}", rest.found),
                    );
                    self.report.tail_damaged = !rest.interrupted;
                    self.cut_until = Some(rest.end);
                }
            },
            Rest::Blank if scan.sealed && spares.is_empty() => {
                let text = format!("{name} is sealed, which is done only when the next one exists");
                self.find(Verdict::SegmentMissing, &file_name(number + 1), 0, text);
            }
            Rest::Blank => {}
        }
    }

    /// hard_state: one slot valid, or none.
    fn check_hard_state(&mut self, slots: &Slots) -> Option<(usize, Slot)> {
        for fault in slots.0.iter().filter_map(|slot| slot.err()) {
            if let SlotFault::Version(version) = fault {
                let text = format!("format version {version}, this code knows 1");
                self.find(Verdict::UnknownFormat, HARD_STATE_FILE, 8, text);
            }
        }
        if let Some(number) = slots.broken() {
            let offset = (number * super::segment::PAGE) as u64;
            self.find(
                Verdict::HardStateOneSlot,
                HARD_STATE_FILE,
                offset,
                "a slot is not what was written",
            );
        }
        let newest = slots.newest();
        if newest.is_none() {
            self.find(
                Verdict::HardStateLost,
                HARD_STATE_FILE,
                0,
                "no slot is what was written",
            );
        }
        newest
    }

    /// Runs through everything that valid batches say.
    fn replay(&mut self, segments: &BTreeMap<u64, SegmentScan>, active: &[u64]) -> Option<Replay> {
        let header = segments.get(active.first()?)?.valid_header()?;
        let mut replay = Replay::new(header);
        for number in active {
            let scan = &segments[number];
            self.report.segments += 1;
            self.report.batches += scan.batches;
            self.report.entries += scan.entries;
            for event in &scan.events {
                if let Err(found) = replay.take(*number, event) {
                    self.find(Verdict::Gap, &file_name(*number), 0, found);
                    return None;
                }
            }
        }
        Some(replay)
    }

    /// Gap between snapshot and log.
    fn check_base(&mut self, replay: &Replay, first: u64) -> Option<Log> {
        let log = replay.shape.to_log();
        if log.is_none() {
            let text = "no batch says from which snapshot or genesis the log goes on";
            self.find(Verdict::Gap, &file_name(first), 0, text);
        }
        log
    }

    /// Damage that is certain, where nobody else can have what was lost.
    fn check_lone_voter(&mut self, shape: &Shape, node: NodeId, active: u64) {
        if self.report.tail_damaged
            && shape
                .latest_config()
                .is_some_and(|config| decides_alone(config, node))
        {
            let text = "the last batch is damaged for certain, and no other voter can have what it held";
            self.find(Verdict::Damage, &file_name(active), 0, text);
        }
    }

    /// Newest valid of slots and stream.
    fn newest_hard_state(&mut self, slot: Slot, replay: &Replay) -> Option<Slot> {
        let newest = match replay.hard_state {
            Some((lsn, hard_state)) if lsn > slot.lsn && hard_state != slot.hard_state => Slot {
                lsn,
                hard_state,
                ..slot
            },
            Some(_) | None => slot,
        };
        let (last, term) = (replay.shape.last_position(), newest.hard_state.term());
        if last.term > term {
            let text = format!(
                "term {} is older than the log's last entry, of term {}",
                term.get(),
                last.term.get()
            );
            self.find(Verdict::HardStateLost, HARD_STATE_FILE, 0, text);
            return None;
        }
        Some(newest)
    }
}

/// True for a segment whose header was never completed, and which holds nothing.
fn is_unbegun(scan: &SegmentScan) -> bool {
    match scan.header {
        // A segment has its full size before it has its name, so a smaller one is damaged.
        HeaderFound::None {
            fault: HeaderFault::Blank | HeaderFault::Damaged,
        } => scan.rest == Rest::Blank && is_whole(scan.size),
        HeaderFound::None {
            fault: HeaderFault::Version(_),
        }
        | HeaderFound::Both(_)
        | HeaderFound::One { .. } => false,
    }
}

/// True when a crash came between the two header pages, before the first batch: nothing to report.
fn is_being_begun(scan: &SegmentScan, broken: HeaderFault) -> bool {
    broken == HeaderFault::Blank && scan.batches == 0 && scan.rest == Rest::Blank
}

fn broken_header(scan: &SegmentScan) -> Option<(SegmentHeader, u64)> {
    match scan.header {
        HeaderFound::One {
            header, broken_at, ..
        } => Some((header, broken_at)),
        HeaderFound::Both(_) | HeaderFound::None { .. } => None,
    }
}

/// True when `node` is a majority by itself.
fn decides_alone(config: &ClusterConfig, node: NodeId) -> bool {
    let alone = |voters: &std::collections::BTreeSet<NodeId>| voters.len() == 1 && voters.contains(&node);
    alone(&config.voters) || alone(&config.new_voters)
}
