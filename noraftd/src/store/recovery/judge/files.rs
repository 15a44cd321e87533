//! What the files are: all there, all of this node, with headers and term and vote that can be read.

use std::collections::BTreeMap;

use super::{BrokenHeader, Judge};
use crate::store::format::hard_state::{FILE as HARD_STATE_FILE, Slot, SlotFault, Slots};
use crate::store::format::layout::{FORMAT_VERSION, PAGE};
use crate::store::format::segment::{HeaderFault, file_name, is_whole};
use crate::store::recovery::replay::Replayed;
use crate::store::recovery::scan::{HeaderFound, SegmentScan, TailState};
use crate::store::recovery::verdict::Verdict;
use crate::store::types::{Identity, Owner};

impl Judge {
    /// Segment missing in the middle.
    pub(super) fn check_numbers(&mut self, segments: &BTreeMap<u64, SegmentScan>) {
        let mut expected = None;
        for number in segments.keys().copied() {
            if let Some(expected) = expected.filter(|expected| *expected != number) {
                let text = format!("the file is not there, but {} is", file_name(number));
                self.find(Verdict::SegmentMissing, &file_name(expected), 0, text);
            }
            expected = number.checked_add(1);
        }
    }

    /// Segments that were begun, and those after them that never were.
    pub(super) fn split_spares(
        &mut self,
        segments: &BTreeMap<u64, SegmentScan>,
    ) -> Option<(Vec<u64>, Vec<u64>)> {
        let is_begun = |scan: &SegmentScan| !is_unbegun(scan);
        let last = segments
            .iter()
            .rfind(|(_, scan)| is_begun(scan))
            .map(|(number, _)| *number);
        let (active, spares): (Vec<u64>, Vec<u64>) = segments
            .keys()
            .copied()
            .partition(|number| last.is_some_and(|last| *number <= last));
        for number in &active {
            if let HeaderFound::None { fault } = segments[number].header {
                self.find_lost_header(*number, fault);
            }
        }
        let mut readable = active.iter().map(|number| segments[number].valid_header());
        if readable.all(|header| header.is_none()) {
            for number in &active {
                let text = "no segment is left that says whose log this is";
                self.find(Verdict::DamageUncovered, &file_name(*number), 0, text);
            }
            if active.is_empty() {
                // Term and vote alone: an opening without any file finds no store at all.
                let text = "no segment is there, though the node has a term";
                self.find(Verdict::SegmentMissing, &file_name(1), 0, text);
            }
            return None;
        }
        Some((active, spares))
    }

    fn find_lost_header(&mut self, number: u64, fault: HeaderFault) {
        let name = file_name(number);
        match fault {
            HeaderFault::Version(version) => {
                self.find(
                    Verdict::UnknownFormat,
                    &name,
                    8,
                    format!("format version {version}, this code knows {FORMAT_VERSION}"),
                );
            }
            HeaderFault::Blank | HeaderFault::Damaged => {
                let text = "neither header page is what was written";
                self.find(Verdict::HeaderLost, &name, 0, text);
            }
        }
    }

    /// Wrong cluster, node or incarnation id.
    pub(super) fn check_identities(
        &mut self,
        owner: Option<Owner>,
        segments: &BTreeMap<u64, SegmentScan>,
        active: &[u64],
        hard_state: &Slots,
    ) -> Option<Identity> {
        let header = |number: &u64| segments.get(number)?.valid_header();
        let first = active.iter().find_map(header)?.identity;
        let expected = Identity {
            owner: owner.unwrap_or(first.owner),
            ..first
        };
        let before = self.report.findings.len();
        for number in active {
            let Some(header) = header(number) else { continue };
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
    pub(super) fn check_headers(&mut self, segments: &BTreeMap<u64, SegmentScan>, active: &[u64]) {
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

    /// hard_state: one slot valid, or none.
    pub(super) fn check_hard_state(&mut self, slots: &Slots) -> Option<(usize, Slot)> {
        for fault in slots.0.iter().filter_map(|slot| slot.err()) {
            if let SlotFault::Version(version) = fault {
                let text = format!("format version {version}, this code knows {FORMAT_VERSION}");
                self.find(Verdict::UnknownFormat, HARD_STATE_FILE, 8, text);
            }
        }
        if let Some(number) = slots.broken() {
            let offset = (number * PAGE) as u64;
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

    /// Newest valid of slots and stream.
    pub(super) fn newest_hard_state(
        &mut self,
        slots: &Slots,
        slot: Slot,
        replayed: &Replayed,
        last_term: noraft::Term,
    ) -> Option<Slot> {
        // A loss of power may tear a slot and the batch that was written beside it. That tail is torn, and holds nothing that was
        // synced; a tail that is damaged for certain may have repeated what the slot held.
        let may_have_held_it = slots.broken().is_some() && self.report.tail_damaged;
        if slots.is_single() && replayed.hard_state_is_doubtful || may_have_held_it {
            let text = "a slot is damaged, and so is a part of the log that may have held a newer state";
            self.find(Verdict::HardStateLost, HARD_STATE_FILE, 0, text);
            return None;
        }
        let newest = match replayed.hard_state {
            Some((lsn, hard_state)) if slot.is_before(lsn, hard_state) => Slot {
                lsn,
                hard_state,
                ..slot
            },
            Some(_) | None => slot,
        };
        let term = newest.hard_state.term();
        if last_term > term {
            let text = format!(
                "term {} is older than the log's last entry, of term {}",
                term.get(),
                last_term.get()
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
        } => scan.end == TailState::Blank && is_whole(scan.size),
        HeaderFound::None {
            fault: HeaderFault::Version(_),
        }
        | HeaderFound::Both(_)
        | HeaderFound::One { .. } => false,
    }
}

/// True when a crash came between the two header pages, before the first batch: nothing to report.
fn is_being_begun(scan: &SegmentScan, broken: HeaderFault) -> bool {
    broken == HeaderFault::Blank && scan.reached.batches == 0 && scan.end == TailState::Blank
}

pub(super) fn broken_header(scan: &SegmentScan) -> Option<BrokenHeader> {
    match scan.header {
        HeaderFound::One {
            header, broken_at, ..
        } => Some(BrokenHeader {
            header,
            base: scan.base.clone(),
            at: broken_at,
        }),
        HeaderFound::Both(_) | HeaderFound::None { .. } => None,
    }
}
