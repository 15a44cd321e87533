//! What a store calls durable is certain, and what no other node could give back is there twice.
//!
//! | what | where |
//! |-|-|
//! | entries, term and vote, once they are acknowledged | synced, under names that are synced |
//! | term and vote | in both slots, when the second one is written; the only slot that holds what is durable is never written over |
//! | a segment's header | on its first page and on its last |
//! | where the log begins, with the state there | in the log, and in a snapshot of that place |
//!
//! Both are looked at where the disk is as the daemon made it: damage is the atlas' business.

use noraft::{LogIndex, LogPosition};
use noraftd::record::HardState;
use noraftd::store::layout::{PAGE, SEGMENT_CONFIG_AT, SEGMENT_MAGIC};
use noraftd::store::{HARD_STATE_FILE, snapshot_file_name};

use crate::sim::parts::disk::SimDisk;
use crate::sim::parts::node::Unfinished;
use crate::sim::parts::rule::{Checked, Rule, ensure};

/// A store has said that something is durable: no loss of power may take anything of its log, or of its votes, apart from what an
/// `unfinished` write left.
pub(crate) fn check_certain(at: usize, disk: &SimDisk, unfinished: Unfinished) -> Checked {
    // Nothing is promised of a segment that is not begun.
    let is_begun = |bytes: &[u8]| bytes.first().is_some_and(|byte| *byte != 0);
    let uncertain = disk.uncertain(|name, bytes| {
        let is_log = is_segment(name) && is_begun(bytes);
        (is_log && !unfinished.log) || (name == HARD_STATE_FILE && !unfinished.slot)
    });
    ensure(uncertain.is_none(), Rule::DurableIsOnDisk, || {
        format!(
            "n{} takes something for durable, and a loss of power could take a part of {}",
            at + 1,
            uncertain.unwrap_or_default()
        )
    })
}

/// What a replica calls durable, up to `durable`, is in its log, which ends at `last`: what was cut off is on the disk too, but as another entry.
pub(crate) fn check_held(at: usize, durable: LogIndex, last: LogIndex) -> Checked {
    ensure(durable <= last, Rule::DurableIsOnDisk, || {
        let (durable, last) = (durable.get(), last.get());
        format!(
            "n{} calls entry {durable} durable, and its log ends at entry {last}",
            at + 1
        )
    })
}

/// Both slots hold the same term and vote.
pub(crate) fn check_votes_are_twice(at: usize, disk: &SimDisk) -> Checked {
    let once = disk.find_wrong(|name| name == HARD_STATE_FILE, are_slots_equal);
    ensure(once.is_none(), Rule::TwiceOnDisk, || {
        format!("the slots of n{}'s {HARD_STATE_FILE} differ", at + 1)
    })
}

/// What the file of votes was, and is after one write: of the slots that held `state`, which is durable, one is as it was.
pub(crate) fn check_vote_is_kept(at: usize, state: HardState, before: &[u8], after: &[u8]) -> Checked {
    let slot = |bytes: &[u8], slot: usize| {
        bytes
            .get(slot * PAGE..slot * PAGE + SLOT_BYTES)
            .map(<[u8]>::to_vec)
    };
    let mut holding = (0..2)
        .filter(|number| state_of(before, *number) == Some(state))
        .peekable();
    let is_held = holding.peek().is_some();
    let is_kept = holding.any(|number| slot(before, number) == slot(after, number));
    ensure(!is_held || is_kept, Rule::TwiceOnDisk, || {
        format!(
            "n{} writes over the only slot of its {HARD_STATE_FILE} that holds {state:?}",
            at + 1
        )
    })
}

/// The term and the vote of a slot; `None` for one that is not whole.
fn state_of(bytes: &[u8], slot: usize) -> Option<HardState> {
    let slot = bytes.get(slot * PAGE..slot * PAGE + SLOT_BYTES)?;
    let number = |from: usize| {
        let bytes = slot[from..from + 8].iter().rev();
        bytes.fold(0, |all, byte| all << 8 | u64::from(*byte))
    };
    let sum = number(SLOT_BYTES - 8) >> 32;
    let is_whole = sum == u64::from(crc32fast::hash(&slot[..SLOT_BYTES - CRC_BYTES]));
    is_whole.then(|| HardState {
        term: number(48),
        voted_for: (slot[12] & 1 != 0).then(|| number(56)),
    })
}

/// Every segment has its header twice, and the log begins behind a snapshot that is there.
pub(crate) fn check_beginnings_are_twice(at: usize, disk: &SimDisk, base: LogPosition) -> Checked {
    let once = disk.find_wrong(is_segment, has_header_twice);
    ensure(once.is_none(), Rule::TwiceOnDisk, || {
        format!("n{}'s {} has its header once", at + 1, once.unwrap_or_default())
    })?;
    if base.index.get() == 0 {
        return Ok(());
    }
    let snapshot = snapshot_file_name(base);
    let is_there = disk.has(&snapshot) && disk.uncertain(|name, _| name == snapshot).is_none();
    ensure(is_there, Rule::TwiceOnDisk, || {
        format!(
            "n{}'s log begins at {base:?}, and no loss of power spares {snapshot}",
            at + 1
        )
    })
}

fn is_segment(name: &str) -> bool {
    name.starts_with(SEGMENT) && !name.ends_with(TEMPORARY)
}

/// Bytes of a slot that say which term it is, whether there is a vote, and for which node.
fn are_slots_equal(bytes: &[u8]) -> bool {
    let state = |slot: usize| {
        let part = |from: usize, to: usize| bytes.get(slot * PAGE + from..slot * PAGE + to);
        (part(12, 16), part(48, 64))
    };
    state(0).1.is_some() && state(0) == state(1)
}

/// What a loss of power tore is allowed: in a segment that is not begun, and behind what a header says.
fn has_header_twice(bytes: &[u8]) -> bool {
    let first = bytes.get(..PAGE);
    let last = bytes.len().checked_sub(PAGE).and_then(|from| bytes.get(from..));
    let (Some(first), Some(last)) = (first, last) else {
        return false;
    };
    let is_begun = [first, last].iter().any(|page| page.starts_with(&SEGMENT_MAGIC));
    !is_begun || header(first) == header(last)
}

/// A header page without the rest of it, which says nothing.
fn header(page: &[u8]) -> &[u8] {
    let length = page[SEGMENT_CONFIG_AT - 4..SEGMENT_CONFIG_AT].iter().rev();
    let config = length.fold(0, |length: usize, byte| length << 8 | usize::from(*byte));
    let end = SEGMENT_CONFIG_AT.saturating_add(config).saturating_add(CRC_BYTES);
    page.get(..end).unwrap_or(page)
}

const CRC_BYTES: usize = 4;
/// With its checksum.
const SLOT_BYTES: usize = 68;

const SEGMENT: &str = "segment-";
const TEMPORARY: &str = ".tmp";

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use noraft::Term;
    use noraftd::prng::Prng;
    use noraftd::store::disk::DiskFile;
    use noraftd::store::layout::SECTOR;

    use super::*;

    fn file(disk: &SimDisk, name: &str, bytes: &[u8]) -> std::sync::Arc<dyn DiskFile> {
        let file = disk.open().create(name).unwrap();
        file.write_at(0, &[IoSlice::new(bytes)]).unwrap();
        file
    }

    fn broken(checked: Checked) -> Option<Rule> {
        checked.err().map(|broken| broken.rule)
    }

    #[test]
    fn what_is_not_synced_or_has_no_synced_name_is_not_certain() {
        let disk = SimDisk::new(Prng::new(1), None);
        let segment = file(&disk, "segment-0000000000000001", &[1; PAGE]);
        segment.sync_data().unwrap();
        assert_eq!(
            broken(check_certain(0, &disk, Unfinished::default())),
            Some(Rule::DurableIsOnDisk)
        );
        disk.open().sync_dir().unwrap();
        assert_eq!(broken(check_certain(0, &disk, Unfinished::default())), None);
        segment.write_at(8, &[IoSlice::new(&[2])]).unwrap();
        assert_eq!(
            broken(check_certain(0, &disk, Unfinished::default())),
            Some(Rule::DurableIsOnDisk)
        );
        segment.sync_data().unwrap();
        assert_eq!(broken(check_certain(0, &disk, Unfinished::default())), None);
        file(&disk, "segment-0000000000000002.tmp", &[1; PAGE]);
        file(&disk, "segment-0000000000000003", &[0; PAGE]);
        assert_eq!(
            broken(check_certain(0, &disk, Unfinished::default())),
            None,
            "nothing is promised of it"
        );
        file(&disk, HARD_STATE_FILE, &[1; PAGE]);
        assert_eq!(
            broken(check_certain(0, &disk, Unfinished::default())),
            Some(Rule::DurableIsOnDisk)
        );
    }

    #[test]
    fn what_the_log_does_not_hold_is_not_durable() {
        let index = LogIndex::new;
        assert_eq!(broken(check_held(0, index(3), index(3))), None);
        assert_eq!(
            broken(check_held(0, index(4), index(3))),
            Some(Rule::DurableIsOnDisk)
        );
    }

    #[test]
    fn slots_that_differ_in_term_or_vote_are_noticed() {
        let disk = SimDisk::new(Prng::new(1), None);
        let mut slots = vec![0; 2 * PAGE];
        slots[48] = 3;
        let votes = file(&disk, HARD_STATE_FILE, &slots);
        assert_eq!(broken(check_votes_are_twice(0, &disk)), Some(Rule::TwiceOnDisk));
        votes.write_at(PAGE as u64 + 48, &[IoSlice::new(&[3])]).unwrap();
        votes.write_at(PAGE as u64 + 40, &[IoSlice::new(&[9])]).unwrap();
        assert_eq!(broken(check_votes_are_twice(0, &disk)), None, "LSNs differ");
        votes.write_at(12, &[IoSlice::new(&[1])]).unwrap();
        assert_eq!(broken(check_votes_are_twice(0, &disk)), Some(Rule::TwiceOnDisk));
    }

    fn slot(term: u8, lsn: u8) -> Vec<u8> {
        let mut page = vec![0; PAGE];
        (page[40], page[48]) = (lsn, term);
        let sum = crc32fast::hash(&page[..SLOT_BYTES - CRC_BYTES]);
        page[SLOT_BYTES - CRC_BYTES..SLOT_BYTES].copy_from_slice(&sum.to_le_bytes());
        page
    }

    #[test]
    fn the_only_slot_with_what_is_durable_is_not_written_over() {
        let durable = HardState {
            term: 2,
            voted_for: None,
        };
        let check = |before: [&[u8]; 2], after: [&[u8]; 2]| {
            broken(check_vote_is_kept(0, durable, &before.concat(), &after.concat()))
        };
        let [old, new, next, torn] = [slot(1, 1), slot(2, 2), slot(3, 3), vec![7; PAGE]];
        assert_eq!(check([&old, &new], [&next, &new]), None);
        assert_eq!(check([&old, &new], [&old, &next]), Some(Rule::TwiceOnDisk));
        assert_eq!(check([&new, &new], [&new, &next]), None, "both held it");
        assert_eq!(check([&torn, &new], [&new, &new]), None);
        assert_eq!(check([&torn, &new], [&torn, &next]), Some(Rule::TwiceOnDisk));
        assert_eq!(
            check([&next, &new], [&torn, &new]),
            None,
            "what is not durable yet"
        );
    }

    #[test]
    fn a_header_that_is_there_once_and_a_beginning_without_a_snapshot_are_noticed() {
        let disk = SimDisk::new(Prng::new(1), None);
        let index = LogIndex::new(4);
        let base = LogPosition {
            term: Term::new(1),
            index,
        };
        let mut bytes = vec![0; 4 * PAGE];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        let segment = file(&disk, "segment-0000000000000001", &bytes);
        let check = |base| broken(check_beginnings_are_twice(0, &disk, base));
        assert_eq!(check(LogPosition::ZERO), Some(Rule::TwiceOnDisk));
        let last = 3 * PAGE as u64;
        segment.write_at(last, &[IoSlice::new(&SEGMENT_MAGIC)]).unwrap();
        assert_eq!(check(LogPosition::ZERO), None);
        segment.write_at(last + 70, &[IoSlice::new(&[1])]).unwrap();
        assert_eq!(check(LogPosition::ZERO), Some(Rule::TwiceOnDisk), "they differ");
        segment.write_at(70, &[IoSlice::new(&[1])]).unwrap();
        segment.write_at(1024, &[IoSlice::new(&[1; SECTOR])]).unwrap();
        assert_eq!(check(LogPosition::ZERO), None, "a torn sector behind it");
        file(&disk, "segment-0000000000000002", &[5; 2 * PAGE][..PAGE + 9]);
        assert_eq!(check(LogPosition::ZERO), None, "it was torn before it was begun");
        assert_eq!(check(base), Some(Rule::TwiceOnDisk));
        let snapshot = file(&disk, &snapshot_file_name(base), &[1; 100]);
        snapshot.sync_data().unwrap();
        assert_eq!(check(base), Some(Rule::TwiceOnDisk), "its name is not synced");
        disk.open().sync_dir().unwrap();
        assert_eq!(check(base), None);
    }
}
