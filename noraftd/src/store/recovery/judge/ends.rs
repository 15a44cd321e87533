//! How each segment ends, and what the log comes to.

use std::collections::{BTreeMap, BTreeSet};

use noraft::{ClusterConfig, Log, NodeId};

use super::{Judge, SnapshotSource, Tail};
use crate::record::Base;
use crate::store::format::layout::RECORD_HEADER_BYTES;
use crate::store::format::segment::{SegmentHeader, file_name};
use crate::store::recovery::replay::{RecoveredLog, Replay};
use crate::store::recovery::scan::{Damaged, SegmentScan, TailState};
use crate::store::recovery::tail::FollowingBatches;
use crate::store::recovery::verdict::Verdict;
use crate::store::snapshots;

impl Judge {
    /// Damage within segments, and how each ends.
    pub(super) fn check_ends(
        &mut self,
        segments: &BTreeMap<u64, SegmentScan>,
        active: &[u64],
        spares: &[u64],
    ) -> Option<()> {
        let before = self.report.findings.len();
        for (at, number) in active.iter().enumerate() {
            let scan = &segments[number];
            scan.damages
                .iter()
                .for_each(|found| self.note_damage(*number, found));
            if let Some(header) = scan.valid_header() {
                self.check_size(*number, scan, header, at + 1 == active.len());
                match active.get(at + 1) {
                    Some(next) => self.check_inner_end(*number, scan, segments[next].valid_header()),
                    None => self.check_last_end(*number, scan, spares),
                }
            }
        }
        let fatal = self.report.findings[before..]
            .iter()
            .any(|finding| finding.verdict.is_fatal());
        (!fatal).then_some(())
    }

    /// Batch invalid, a later valid batch of the same salt exists.
    fn note_damage(&mut self, number: u64, damaged: &Damaged) {
        let (verdict, text) = match damaged.following {
            FollowingBatches::Batches(at) => (
                Verdict::Damage,
                format!("{}; byte {at} begins a later batch", damaged.found),
            ),
            FollowingBatches::Marks(at) => (
                Verdict::DamageAtMark,
                format!("{}; byte {at} holds a mark that was written later", damaged.found),
            ),
        };
        self.find(verdict, &file_name(number), damaged.offset, text);
    }

    /// A file that was cut, or grew.
    fn check_size(&mut self, number: u64, scan: &SegmentScan, header: &SegmentHeader, is_last: bool) {
        if header.segment_bytes == scan.size {
            return;
        }
        let text = format!(
            "the file has {} bytes, its header says {}",
            scan.size, header.segment_bytes
        );
        self.find(Verdict::Damage, &file_name(number), scan.size, text);
        if header.segment_bytes > scan.size {
            self.repairs.resize.push(*header);
            self.report.tail_damaged |= is_last && !scan.is_sealed();
        }
    }

    /// The end of a segment that is followed by another.
    fn check_inner_end(&mut self, number: u64, scan: &SegmentScan, next: Option<&SegmentHeader>) {
        let name = file_name(number);
        match scan.end {
            TailState::Invalid(tail) if scan.is_sealed() => {
                self.find(Verdict::DamageAtMark, &name, tail.offset, "bytes after the SEAL");
            }
            TailState::Invalid(tail) => {
                let text = format!("{}; a later segment was begun", tail.found);
                self.find(Verdict::Damage, &name, tail.offset, text);
            }
            TailState::Blank if !scan.is_sealed() => {
                let text = "the segment ends without a SEAL, but a later segment was begun";
                self.find(Verdict::Damage, &name, scan.reached.front, text);
            }
            TailState::Blank => {}
        }
        if let Some(next) = next.filter(|next| scan.is_sealed() && scan.reached.last != next.link) {
            let text = format!(
                "ends with batch {}, the next segment follows batch {}",
                scan.reached.last.lsn, next.link.lsn
            );
            self.find(Verdict::Damage, &name, scan.reached.front, text);
        }
    }

    /// The end of the log.
    fn check_last_end(&mut self, number: u64, scan: &SegmentScan, spares: &[u64]) {
        let name = file_name(number);
        match scan.end {
            TailState::Invalid(tail) if scan.is_sealed() => {
                self.find(Verdict::DamageAtMark, &name, tail.offset, "bytes after the SEAL");
            }
            TailState::Invalid(tail) if tail.was_cut => {
                let left = format!("{}; left of a tail whose cut was interrupted", tail.found);
                self.find(Verdict::AmbiguousTail, &name, tail.offset, left);
                self.tail = Tail::Cut {
                    left_until: Some(tail.end),
                };
            }
            TailState::Invalid(tail) => {
                let how = if tail.interrupted {
                    "as an interrupted write leaves it"
                } else {
                    "damaged for certain"
                };
                let text = format!("{}; {how}", tail.found);
                self.find(Verdict::AmbiguousTail, &name, tail.offset, text);
                self.report.tail_damaged |= !tail.interrupted;
                self.tail = Tail::Uncut { until: tail.end };
            }
            TailState::Blank if scan.is_sealed() && spares.is_empty() => {
                let text = format!("{name} is sealed, which is done only when the next one exists");
                self.find(Verdict::SegmentMissing, &file_name(number + 1), 0, text);
            }
            TailState::Blank => {}
        }
    }

    /// Runs through everything that batches say.
    pub(super) fn replay(&mut self, segments: &BTreeMap<u64, SegmentScan>, active: &[u64]) -> Option<Replay> {
        let oldest = segments.get(active.first()?)?;
        let Some(header) = oldest.valid_header() else {
            let text = "the log begins in a segment without a header";
            self.find(Verdict::DamageUncovered, &file_name(active[0]), 0, text);
            return None;
        };
        let mut replay = Replay::new(header, entries_max(segments));
        for (at, number) in active.iter().enumerate() {
            let scan = &segments[number];
            let next = active.get(at + 1).map(|next| segments[next].valid_header());
            if let Err(found) = replay_segment(&mut replay, *number, scan, next) {
                self.find(Verdict::Gap, &file_name(*number), 0, found);
                return None;
            }
            self.report.segments += 1;
            self.report.batches += scan.reached.batches;
            self.report.entries += scan.noted.entries();
        }
        replay.end();
        Some(replay)
    }

    /// Where the log begins is said in the stream and by headers. Where both are lost, or no whole snapshot leads there after a
    /// loss, another one will do: what it covers was committed, so the log could be made to begin at any of them. One that makes
    /// a loss void is better than one that does not.
    pub(super) fn begin_at_snapshot(&mut self, replay: &mut Replay, kept: &SnapshotSource<'_>, active: u64) {
        let is_tail_lost = matches!(self.tail, Tail::Uncut { .. });
        let mut positions = kept.positions.clone();
        positions.sort_by_key(|position| (position.index, position.term));
        let is_whole = |position| (kept.load)(position).is_some();
        if !replay.lacks_base(&positions, is_whole, is_tail_lost) {
            return;
        }
        let mut best: Option<(Base, Replay)> = None;
        for base in positions.into_iter().filter_map(kept.load) {
            let mut tried = replay.clone();
            tried.begin_at(active, &base);
            if !tried.lacks_base(&[base.position], |_| true, is_tail_lost) {
                let explains_all = !tried.is_cut();
                best = Some((base, tried));
                if explains_all {
                    break;
                }
            }
        }
        if let Some((base, begun)) = best {
            let text = format!(
                "no batch says where the log begins, or no snapshot leads there; it begins after entry {} from now on",
                base.position.index.get()
            );
            self.find(
                Verdict::BaseFromSnapshot,
                &snapshots::file_name(base.position),
                0,
                text,
            );
            *replay = begun;
            self.repairs.rebase = Some(base);
        }
    }

    /// Gap between snapshot and log.
    pub(super) fn check_base(&mut self, recovered: &RecoveredLog, first: u64) -> Option<Log> {
        let log = recovered.shape.to_log();
        if log.is_none() {
            let text = "no batch says from which snapshot or genesis the log goes on";
            self.find(Verdict::Gap, &file_name(first), 0, text);
        }
        log
    }

    /// Damage that no other node can make good.
    pub(super) fn check_covered(&mut self, recovered: &RecoveredLog, node: NodeId, active: u64) {
        let is_damaged = self.report.tail_damaged || self.repairs.cut_log || !recovered.holes.is_empty();
        let config = recovered.shape.latest_config();
        if is_damaged && config.is_some_and(|config| decides_alone(config, node)) {
            let text = match recovered.holes.values().next() {
                Some(hole) => format!(
                    "entry {} is not readable, and no other voter can have it",
                    hole.position.index.get()
                ),
                None => "the last batch is damaged for certain, and no other voter can have what it held"
                    .to_owned(),
            };
            self.find(Verdict::DamageUncovered, &file_name(active), 0, text);
        }
    }

    /// What was lost is not known, so the log ends before it.
    pub(super) fn note_cut(&mut self, recovered: &RecoveredLog, active: u64) {
        let last = recovered.shape.last_position();
        let text = format!(
            "what came after entry {} of term {} can no longer be determined",
            last.index.get(),
            last.term.get()
        );
        self.repairs.cut_log = true;
        self.find(Verdict::DamageCut, &file_name(active), 0, text);
    }
}

/// `next` is absent for the last segment; the next segment's header may be lost itself.
fn replay_segment(
    replay: &mut Replay,
    number: u64,
    scan: &SegmentScan,
    next: Option<Option<&SegmentHeader>>,
) -> Result<(), String> {
    match scan.valid_header() {
        Some(header) => replay.begin_segment(header, scan.base.as_ref()),
        None => replay.lose(),
    }
    for event in scan.noted.events() {
        replay.take(number, event)?;
    }
    let is_cut_short = scan
        .valid_header()
        .is_some_and(|header| header.segment_bytes > scan.size);
    let Some(next) = next else {
        if is_cut_short && !scan.is_sealed() {
            replay.lose();
        }
        return Ok(());
    };
    if scan.is_sealed() && next.is_none_or(|next| scan.reached.last == next.link) {
        return Ok(());
    }
    for event in &scan.tail {
        replay.take(number, event)?;
    }
    replay.lose();
    Ok(())
}

/// As many entries as segments of these sizes have room for.
fn entries_max(segments: &BTreeMap<u64, SegmentScan>) -> u64 {
    let said = |scan: &SegmentScan| scan.valid_header().map_or(0, |header| header.segment_bytes);
    let bytes = |scan: &SegmentScan| scan.size.max(said(scan));
    segments.values().map(bytes).fold(0, u64::saturating_add) / RECORD_HEADER_BYTES as u64
}

/// True when `node` is a majority by itself.
fn decides_alone(config: &ClusterConfig, node: NodeId) -> bool {
    let alone = |voters: &BTreeSet<NodeId>| voters.len() == 1 && voters.contains(&node);
    alone(&config.voters) || alone(&config.new_voters)
}
