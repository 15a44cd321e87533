//! Corruption of a directory's files: what is drawn, and what it makes of the bytes.
//!
//! Invariant: what is corrupted is drawn from bytes that were written.

use std::collections::BTreeMap;
use std::ops::Range;

use noraftd::prng::Prng;
use noraftd::store::inspect::{BatchView, Inspection, SegmentView};
use noraftd::store::layout::{BATCH_HEADER_BYTES, PAGE, RECORD_HEADER_BYTES, SECTOR};
use noraftd::store::{HARD_STATE_FILE, Kind, SLOT_BYTES};

/// The files of one directory.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Bytes to put in the place of others; or where a file ends from now on.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Put { offset: usize, bytes: Vec<u8> },
    Cut { length: usize },
}

impl Change {
    pub(crate) fn of(&self, old: &[u8]) -> Vec<u8> {
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
#[derive(Debug)]
pub(crate) struct Corruption {
    pub(crate) file: String,
    pub(crate) change: Change,
    pub(crate) words: String,
}

/// True when the last batch would be blank: nothing shows that it ever was there. It may be one that an earlier act has
/// made unreadable, so that all that is known of it is bytes behind the batches that are.
pub(crate) fn leaves_no_trace(view: &Inspection, file: &str, old: &[u8], new: &[u8]) -> bool {
    if file == HARD_STATE_FILE {
        return takes_the_only_vote(old, new);
    }
    let begun = |segment: &&SegmentView| !segment.batches.is_empty();
    let Some(segment) = view.segments.iter().rfind(begun) else {
        return true;
    };
    if file != segment.file {
        // A spare that is not blank, and a begun segment that is, are distinguished by their headers.
        return false;
    }
    let Some(batch) = segment.batches.iter().max_by_key(|batch| batch.lsn) else {
        return false;
    };
    let is_blank = |bytes: &[u8], range: Range<usize>| {
        bytes
            .get(range)
            .is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
    };
    let behind = segment.batches.iter().map(end_of).max().unwrap_or(PAGE);
    let unread = behind..old.len().saturating_sub(PAGE).max(behind);
    is_blank(new, batch.offset as usize..end_of(batch))
        || is_blank(new, 0..new.len())
        || !is_blank(old, unread.clone()) && is_blank(new, unread)
}

/// Draws what is damaged, and how.
pub(crate) fn draw(prng: &mut Prng, files: &Files, view: &Inspection) -> Option<Corruption> {
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
            let end = batch.offset + BATCH_HEADER_BYTES as u64 + batch.length;
            let of_batch = (end as usize).div_ceil(PAGE) - batch.offset as usize / PAGE;
            let page = batch.offset as usize / PAGE + prng.below(of_batch as u64) as usize;
            let other = *prng.choose(&begun)?;
            if page >= pages {
                // It was cut off before.
                return None;
            }
            Some(on_page(prng, &segment.file, old, page, files.get(&other.file)?))
        }
    }
}

/// Damages a page of a batch in this way.
pub(crate) fn draw_spoiled(
    prng: &mut Prng,
    spoiling: Spoiling,
    files: &Files,
    view: &Inspection,
) -> Option<Corruption> {
    let begun: Vec<&SegmentView> = begun(view).collect();
    let segment = *prng.choose(&begun)?;
    let old = files.get(&segment.file)?;
    let batch = prng.choose(&segment.batches)?;
    let pages = batch.offset as usize / PAGE..(end_of(batch)).div_ceil(PAGE);
    let page = prng.between(pages.start as u64, pages.end as u64 - 1) as usize;
    let other = files.get(&prng.choose(&begun)?.file)?;
    (page < old.len() / PAGE).then(|| spoil(prng, spoiling, &segment.file, old, page, other))
}

/// A segment ends early.
pub(crate) fn draw_cut(prng: &mut Prng, files: &Files, view: &Inspection) -> Option<Corruption> {
    let begun: Vec<&SegmentView> = begun(view).collect();
    let segment = *prng.choose(&begun)?;
    Some(cut(prng, &segment.file, files.get(&segment.file)?))
}

/// A segment that was full is as it was before its last batches. (The one that is written, and that is how it was a moment ago, cannot
/// be distinguished from one to which no more came.)
pub(crate) fn draw_stale(prng: &mut Prng, files: &Files, view: &Inspection) -> Option<Corruption> {
    let mut full: Vec<&SegmentView> = begun(view).collect();
    full.pop();
    let segment = *prng.choose(&full)?;
    let old = files.get(&segment.file)?;
    let from = prng.choose(&segment.batches)?.offset as usize;
    let end = old.len().checked_sub(PAGE).filter(|end| *end > from)?;
    Some(Corruption {
        file: segment.file.clone(),
        change: Change::Put {
            offset: from,
            bytes: vec![0; end - from],
        },
        words: format!("is as it was before it had anything from byte {from} on"),
    })
}

/// Both copies of term and vote become unreadable.
pub(crate) fn without_votes(files: &Files) -> Option<Corruption> {
    let length = files.get(HARD_STATE_FILE)?.len();
    Some(Corruption {
        file: HARD_STATE_FILE.to_owned(),
        change: Change::Put {
            offset: 0,
            bytes: vec![0xff; length],
        },
        words: "both copies of term and vote are overwritten".to_owned(),
    })
}

/// The same directory, as if the segment that is written were its only one.
pub(crate) fn last_alone(view: &Inspection) -> Inspection {
    let mut view = view.clone();
    let last = view
        .segments
        .iter()
        .rposition(|segment| !segment.batches.is_empty());
    view.segments = last
        .map(|last| view.segments.swap_remove(last))
        .into_iter()
        .collect();
    view
}

/// The segments that have batches, oldest first.
fn begun(view: &Inspection) -> impl Iterator<Item = &SegmentView> {
    view.segments.iter().filter(|segment| !segment.batches.is_empty())
}

fn end_of(batch: &BatchView) -> usize {
    (batch.offset + BATCH_HEADER_BYTES as u64 + batch.length) as usize
}

/// Damages a snapshot: a bit flips, a part is zero, or it is cut.
pub(crate) fn in_snapshot(prng: &mut Prng, file: &str, old: &[u8]) -> Corruption {
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
    Corruption { file, change, words }
}

fn cut(prng: &mut Prng, file: &str, old: &[u8]) -> Corruption {
    let length = prng.below(old.len() as u64) as usize;
    Corruption {
        file: file.to_owned(),
        change: Change::Cut { length },
        words: format!("cut to {length} bytes"),
    }
}

fn in_hard_state(prng: &mut Prng, files: &Files) -> Option<Corruption> {
    let old = files.get(HARD_STATE_FILE)?;
    let slot = prng.below(2) as usize;
    // A vote that is written for the first time is there once until it is written again, and no node can know that it was.
    let slot = newer_slot(old).map_or(slot, |newer| 1 - newer);
    let corruption = on_page(prng, HARD_STATE_FILE, old, slot, old);
    let Change::Put { offset, bytes } = &corruption.change else {
        return None;
    };
    // Both slots, now and then.
    if prng.chance(1, 8) {
        let bytes = vec![0xff; 2 * PAGE].into_iter().take(old.len()).collect();
        return Some(Corruption {
            change: Change::Put { offset: 0, bytes },
            words: "both slots overwritten".to_owned(),
            ..corruption
        });
    }
    // Only what is in use of a slot matters.
    let in_use = *offset % PAGE < SLOT_BYTES || bytes.len() >= PAGE;
    in_use.then_some(corruption)
}

/// True when the only slot with the newer term and vote is damaged, and the other one is as it was.
fn takes_the_only_vote(old: &[u8], new: &[u8]) -> bool {
    let is_damaged = |slot: usize| {
        let range = slot * PAGE..slot * PAGE + SLOT_BYTES;
        old.get(range.clone()) != new.get(range)
    };
    newer_slot(old).is_some_and(|newer| is_damaged(newer) && !is_damaged(1 - newer))
}

/// The slot with the newer term and vote, where the two differ.
fn newer_slot(votes: &[u8]) -> Option<usize> {
    let state = |slot: usize| {
        let bytes = votes.get(slot * PAGE..slot * PAGE + SLOT_BYTES)?;
        let number = |from: usize| Some(u64::from_le_bytes(bytes.get(from..from + 8)?.try_into().ok()?));
        Some((number(48)?, bytes[12] & 1, number(56)?, number(40)?))
    };
    let (first, second) = (state(0)?, state(1)?);
    let is_same = (first.0, first.1, first.2) == (second.0, second.1, second.2);
    (!is_same).then(|| usize::from((second.0, second.1, second.3) > (first.0, first.1, first.3)))
}

/// What becomes of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoiling {
    /// A bit flips.
    Flip,
    Zero,
    /// A sector of it is anything.
    Garbage,
    /// Another page was written to its place.
    Misplaced,
}

impl Spoiling {
    fn draw(prng: &mut Prng) -> Self {
        match prng.below(10) {
            0..=4 => Self::Flip,
            5 | 6 => Self::Zero,
            7 => Self::Garbage,
            _ => Self::Misplaced,
        }
    }
}

/// Damages a page, somehow.
fn on_page(prng: &mut Prng, file: &str, old: &[u8], page: usize, other: &[u8]) -> Corruption {
    let spoiling = Spoiling::draw(prng);
    spoil(prng, spoiling, file, old, page, other)
}

fn spoil(
    prng: &mut Prng,
    spoiling: Spoiling,
    file: &str,
    old: &[u8],
    page: usize,
    other: &[u8],
) -> Corruption {
    let start = page * PAGE;
    let bytes = &old[start..(start + PAGE).min(old.len())];
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(1, |last| last + 1);
    let (at, put, how) = match spoiling {
        Spoiling::Flip => {
            let at = prng.below(used as u64) as usize;
            (at, vec![bytes[at] ^ (1 << prng.below(8))], "a bit of it flips")
        }
        Spoiling::Zero => (0, vec![0; bytes.len()], "is zero"),
        Spoiling::Garbage => {
            let sector = prng.below((bytes.len() / SECTOR) as u64) as usize * SECTOR;
            let garbage = (0..SECTOR).map(|_| prng.next_u64() as u8).collect();
            (sector, garbage, "a sector of it is garbage")
        }
        Spoiling::Misplaced => {
            let from = prng.below(other.len() as u64 / PAGE as u64) as usize * PAGE;
            (0, other[from..from + bytes.len()].to_vec(), "holds another page")
        }
    };
    Corruption {
        file: file.to_owned(),
        words: format!("page {page}: {how} (byte {})", start + at),
        change: Change::Put {
            offset: start + at,
            bytes: put,
        },
    }
}

/// Flips a bit of the entry at `index` where it is read from.
pub(crate) fn rot(prng: &mut Prng, files: &Files, view: &Inspection, index: u64) -> Option<Corruption> {
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
    let at = (record.offset + RECORD_HEADER_BYTES as u64 + prng.below(record.length)) as usize;
    let byte = *files.get(&segment.file)?.get(at)?;
    Some(Corruption {
        file: segment.file.clone(),
        change: Change::Put {
            offset: at,
            bytes: vec![byte ^ (1 << prng.below(8))],
        },
        words: format!("a bit of entry {index} flips (byte {at})"),
    })
}

/// The header of the batch that holds `index` becomes unreadable, and with it which entries it has.
pub(crate) fn unheaded(files: &Files, view: &Inspection, index: u64) -> Option<Corruption> {
    let all = view
        .segments
        .iter()
        .flat_map(|segment| segment.batches.iter().map(move |batch| (segment, batch)));
    let holds = |batch: &BatchView| batch.records.iter().any(|record| record.index == index);
    let (segment, batch) = all
        .filter(|(_, batch)| holds(batch))
        .max_by_key(|(_, batch)| batch.lsn)?;
    let offset = batch.offset as usize;
    let old = files.get(&segment.file)?.get(offset..offset + SECTOR)?;
    Some(Corruption {
        file: segment.file.clone(),
        change: Change::Put {
            offset,
            bytes: old.iter().map(|byte| !byte).collect(),
        },
        words: format!("the sector at byte {offset}, where the batch of entry {index} begins, turns over"),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use noraft::NodeId;
    use noraftd::record::{Batch, BatchId, HardState, genesis_config};
    use noraftd::store::disk::memory::MemDisk;
    use noraftd::store::{Identity, Options, Owner, SpareBy, Store};
    use noraftd::time::Instant;

    use super::*;

    /// A directory with two batches, and the file and the place of the second.
    fn two_batches() -> (Files, String, usize) {
        let disk = MemDisk::new();
        let (cluster_id, node_id) = (1, NodeId::new(1));
        let identity = Identity {
            owner: Owner { cluster_id, node_id },
            incarnation: 1,
        };
        let options = Options {
            segment_bytes: 32 << 10,
            spare: SpareBy::Caller,
            clock: || Instant::ZERO,
            salt_seed: 1,
        };
        let genesis = genesis_config([node_id]);
        let created = Store::create(Arc::new(disk.clone()), options, identity, &genesis);
        let (mut store, _) = created.expect("an empty disk");
        for term in 1..=2 {
            let hard_state = Some(HardState {
                term,
                voted_for: None,
            });
            let batch = Batch {
                id: BatchId(term),
                base: None,
                hard_state,
                append: None,
            };
            store.persist(&batch).expect("a whole disk");
        }
        let files = disk.files();
        let view = Inspection::of_files(&files);
        let segment = view.segments.first().expect("one segment");
        let last = segment.batches.last().expect("batches");
        (files.clone(), segment.file.clone(), last.offset as usize)
    }

    #[test]
    fn a_vote_that_is_there_once_is_spared() {
        let (mut files, ..) = two_batches();
        for newer in [0, 1] {
            let votes = files.get_mut(HARD_STATE_FILE).expect("votes");
            votes[newer * PAGE + 48] = 9 + newer as u8;
            for seed in 0..200 {
                let Some(corruption) = in_hard_state(&mut Prng::new(seed), &files) else {
                    continue;
                };
                let Change::Put { offset, bytes } = corruption.change else {
                    panic!("a page is damaged");
                };
                let is_older = offset / PAGE == 1 - newer;
                assert!(
                    is_older || bytes.len() > PAGE,
                    "both, or the older one: {}",
                    corruption.words
                );
            }
        }
    }

    /// Two slots that are equal in the cache may not be on the platter, after a write that failed.
    #[test]
    fn the_only_vote_on_the_platter_is_spared_too() {
        let (mut files, ..) = two_batches();
        let view = Inspection::of_files(&files);
        let votes = files.get_mut(HARD_STATE_FILE).expect("votes");
        votes[48] = votes[PAGE + 48];
        let takes = |old: &[u8], slots: &[usize]| {
            let mut new = old.to_vec();
            slots.iter().for_each(|slot| new[slot * PAGE + 45] ^= 1);
            leaves_no_trace(&view, HARD_STATE_FILE, old, &new)
        };
        for newer in [0, 1] {
            let mut votes = votes.clone();
            assert!(!takes(&votes, &[newer]), "it is there twice");
            votes[newer * PAGE + 48] += 1;
            assert!(takes(&votes, &[newer]));
            assert!(!takes(&votes, &[1 - newer]));
            assert!(!takes(&votes, &[0, 1]), "a start without either is refused");
        }
    }

    #[test]
    fn two_acts_on_the_last_page_may_not_blank_it_either() {
        let (mut files, file, at) = two_batches();
        let blanked = |old: &[u8]| {
            let mut new = old.to_vec();
            new[at..at + PAGE].fill(0);
            new
        };
        for flipped in [false, true] {
            let old = files.get_mut(&file).expect("the segment");
            if flipped {
                old[at + 9] ^= 1;
            }
            let (old, view) = (old.clone(), Inspection::of_files(&files));
            assert!(leaves_no_trace(&view, &file, &old, &blanked(&old)), "{flipped}");
            let mut garbled = old.clone();
            garbled[at..at + PAGE].fill(7);
            assert!(!leaves_no_trace(&view, &file, &old, &garbled), "{flipped}");
        }
    }
}
