//! How often the node was started with this directory, and a mark of each of the last starts: by that the others notice
//! that an old copy of it was put back, or that two processes run with copies of it.
//!
//! The number alone would not do: a copy that is started often enough has a higher one than the others know. The mark that it
//! has for the start that they know is another one.
//!
//! Invariant: number and mark are durable before any other node hears them, and the number only rises. A process that has no
//! room for its own says those of the one before: an old copy has to be known for one on a full disk too. A process that
//! knows none says none.
//!
//! The file `starts` has its room from the first start on. It holds the same bytes twice, each on a page of its own,
//! filled up with zeros; they are written one after the other, each synced, the earlier one first, so the latest is always whole. All
//! numbers are little-endian:
//!
//! | bytes | field |
//! |-|-|
//! | 0..8 | magic `nraftsta` |
//! | 8..12 | format version, 1 |
//! | 12..16 | number of marks, at most 64 |
//! | 16..24 | the starts so far, u64 |
//! | 24.. | the marks, u32, the latest first |
//! | then | crc u32 of all before it |
//!
//! A directory of an earlier version has no such file, and begins to count; an earlier version leaves the file alone.

use std::io::{self, IoSlice};

use crate::store::disk::shortage::{is_full, is_shortage};
use crate::store::disk::{Disk, DiskFile};
use crate::store::format::codec::{Fields, crc, unknown_version};
use crate::store::format::layout::PAGE;

/// The starts of a node with its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Starts {
    /// How many, the latest included.
    pub count: u64,
    /// The mark of the latest, and of those before it, as far back as [`MARKS_MAX`].
    pub marks: Vec<u32>,
}

/// Counts this start, whose mark is `mark`, durably; without room it gives what was counted before. `None` where nothing is: at the
/// first start without room, or when both copies are damaged. To be called by the process that has the directory locked.
///
/// # Errors
///
/// When the disk fails, or the file is of a version that this code does not know.
pub fn count_start(disk: &dyn Disk, mark: u32) -> io::Result<Option<Starts>> {
    if !disk.list()?.iter().any(|name| name == FILE) {
        let first = Starts {
            count: 1,
            marks: vec![mark],
        };
        return Ok(has_room(lay_out(disk, &first))?.then_some(first));
    }
    let file = disk.open(FILE)?;
    let mut found = Ok(None);
    file.scan(&mut |bytes| found = decode_latest(bytes))?;
    let Some(Latest { starts: before, page }) = found? else {
        return Ok(None);
    };
    let Some(count) = before.count.checked_add(1) else {
        return Ok(None);
    };
    let earlier = before.marks.iter().copied();
    let marks = std::iter::once(mark).chain(earlier).take(MARKS_MAX).collect();
    let starts = Starts { count, marks };
    if has_room(write_twice(&*file, &encode(&starts), page))? {
        return Ok(Some(starts));
    }
    // It may be of a start that was ended, or had no room, before it was durable.
    Ok(has_room(file.sync_data())?.then_some(before))
}

/// Whether there was room to write: a file system that copies on write wants some for bytes that take the place of others too. What
/// is left of an attempt was not said to any node, and the next start counts on from it.
fn has_room(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if is_full(&error) || is_shortage(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Where the latest is comes last: until the other copy is durable, it is the only one that may have been said.
fn write_twice(file: &dyn DiskFile, page: &[u8], latest: usize) -> io::Result<()> {
    for at in [PAGE - latest, latest] {
        file.write_at(at as u64, &[IoSlice::new(page)])?;
        file.sync_data()?;
    }
    Ok(())
}

fn lay_out(disk: &dyn Disk, starts: &Starts) -> io::Result<()> {
    let page = encode(starts);
    let file = disk.create(TEMPORARY)?;
    file.allocate(2 * PAGE as u64)?;
    file.write_at(0, &[IoSlice::new(&page), IoSlice::new(&page)])?;
    file.sync_all()?;
    disk.rename(TEMPORARY, FILE)?;
    disk.sync_dir()
}

fn encode(starts: &Starts) -> Vec<u8> {
    let marks = u32::try_from(starts.marks.len()).expect("at most MARKS_MAX marks");
    let mut out = Vec::with_capacity(PAGE);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&marks.to_le_bytes());
    out.extend_from_slice(&starts.count.to_le_bytes());
    for mark in &starts.marks {
        out.extend_from_slice(&mark.to_le_bytes());
    }
    let sum = crc(0, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    out.resize(PAGE, 0);
    out
}

/// The later one of the two copies.
struct Latest {
    starts: Starts,
    /// Where it is.
    page: usize,
}

/// After a crash between the two writes, one says more.
fn decode_latest(file: &[u8]) -> io::Result<Option<Latest>> {
    let mut latest: Option<Latest> = None;
    for (copy, page) in file.chunks(PAGE).zip([0, PAGE]) {
        let Some(starts) = decode(copy)? else { continue };
        if latest
            .as_ref()
            .is_none_or(|latest| latest.starts.count < starts.count)
        {
            latest = Some(Latest { starts, page });
        }
    }
    Ok(latest)
}

fn decode(copy: &[u8]) -> io::Result<Option<Starts>> {
    let Some(head) = copy.get(..HEAD_BYTES).map(Fields) else {
        return Ok(None);
    };
    let marks = head.u32(12) as usize;
    let end = HEAD_BYTES + marks.min(MARKS_MAX) * MARK_BYTES;
    let Some(sum) = copy.get(end..end + SUM_BYTES) else {
        return Ok(None);
    };
    if copy[..8] != MAGIC || marks > MARKS_MAX || Fields(sum).u32(0) != crc(0, &copy[..end]) {
        return Ok(None);
    }
    if head.u32(8) != FORMAT_VERSION {
        return Err(unknown_version(FILE, head.u32(8), FORMAT_VERSION));
    }
    let marks = copy[HEAD_BYTES..end].chunks_exact(MARK_BYTES);
    Ok(Some(Starts {
        count: head.u64(16),
        marks: marks.map(|mark| Fields(mark).u32(0)).collect(),
    }))
}

/// The file's name.
pub const FILE: &str = "starts";
const TEMPORARY: &str = "starts.tmp";
const MAGIC: [u8; 8] = *b"nraftsta";
const FORMAT_VERSION: u32 = 1;
const HEAD_BYTES: usize = 24;
const MARK_BYTES: usize = 4;
const SUM_BYTES: usize = 4;

/// So many starts may pass before another node meets this one again, and notices if the directory is an old copy. They all
/// fit into a greeting.
pub const MARKS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::memory::{Fault, MemDisk};

    /// Counts a start whose mark is its number, and gives that.
    fn count(disk: &MemDisk, mark: u32) -> Option<u64> {
        count_start(disk, mark).unwrap().map(|starts| starts.count)
    }

    /// A directory that was started three times, with the marks 11, 12 and 13.
    fn three() -> MemDisk {
        let disk = MemDisk::new();
        (11..=13).for_each(|mark| {
            count(&disk, mark);
        });
        disk
    }

    #[test]
    fn each_start_has_the_next_number_and_the_marks_of_those_before() {
        let disk = MemDisk::new();
        for expected in 1..100 {
            let starts = count_start(&disk, expected).unwrap().unwrap();
            assert_eq!(starts.count, u64::from(expected));
            let marks: Vec<u32> = (1..=expected).rev().take(MARKS_MAX).collect();
            assert_eq!(starts.marks, marks);
        }
    }

    /// What another node may have heard is never given again, and its mark stays known.
    #[test]
    fn no_number_is_given_twice_wherever_the_power_goes() {
        for op in 0..three().operations() {
            let disk = MemDisk::new();
            disk.arm(Some(Fault::PowerAfter { op }));
            let mut said = 0;
            while said < 3 {
                let Ok(Some(starts)) = count_start(&disk, 11 + said) else {
                    break;
                };
                said += 1;
                assert_eq!(starts.count, u64::from(said));
            }
            for seed in 0..20 {
                let after = disk.after_power_cut(seed);
                let next = count_start(&after, 99).unwrap().unwrap();
                let ahead = next.count - u64::from(said);
                assert!(
                    ahead == 1 || ahead == 2,
                    "operation {op}, seed {seed}: {next:?} after {said}"
                );
                if said > 0 {
                    let known = next.marks[ahead as usize];
                    assert_eq!(known, 10 + said, "operation {op}, seed {seed}");
                }
            }
        }
    }

    #[test]
    fn a_disk_without_room_keeps_no_node_from_starting() {
        let disk = MemDisk::new();
        disk.arm(Some(Fault::Full));
        assert_eq!(count(&disk, 1), None);
        disk.arm(None);
        assert_eq!(count(&disk, 2), Some(1));
        disk.arm(Some(Fault::Full));
        assert_eq!(count(&disk, 3), Some(2), "it has its room");
    }

    #[test]
    fn an_overwrite_without_room_keeps_no_node_from_starting_and_the_next_start_counts_on() {
        let before = three().operations();
        let whole = three();
        count(&whole, 14);
        let mut failed = 0;
        for op in before..whole.operations() {
            let disk = three();
            let errno = nix::libc::ENOSPC;
            disk.arm(Some(Fault::Once { op, errno }));
            // Looking for the file and reading it want no room.
            let Ok(Some(said)) = count_start(&disk, 14) else {
                continue;
            };
            if said.count == 4 {
                continue;
            }
            assert_eq!((said.count, said.marks), (3, vec![13, 12, 11]), "operation {op}");
            failed += 1;
            disk.arm(None);
            let starts = count_start(&disk, 15).unwrap().unwrap();
            assert!((4..=5).contains(&starts.count), "operation {op}: {starts:?}");
            let third = starts.count as usize - 3;
            assert_eq!(starts.marks[third], 13, "operation {op}");
        }
        assert!(failed >= 4, "two writes and two syncs");
    }

    /// A start that had no room leaves something in the cache, which the next one on the full disk reads.
    #[test]
    fn what_is_said_on_a_full_disk_survives_the_power() {
        for attempts in 1..5_u32 {
            let disk = three();
            disk.arm(Some(Fault::FullOverwrite));
            let mut said = None;
            for mark in 14..14 + attempts {
                said = count_start(&disk, mark).unwrap();
            }
            let said = said.unwrap();
            disk.arm(None);
            for seed in 0..20 {
                let next = count_start(&disk.after_power_cut(seed), 99).unwrap().unwrap();
                let since = (next.count - said.count) as usize;
                assert!(
                    since > 0,
                    "{attempts} attempts, seed {seed}: {next:?} after {said:?}"
                );
                let known = next.marks[since];
                assert_eq!(
                    known, said.marks[0],
                    "{attempts} attempts, seed {seed}: {next:?} after {said:?}"
                );
            }
        }
    }

    #[test]
    fn every_flipped_bit_leaves_a_copy_and_two_leave_no_number() {
        let disk = three();
        let used = HEAD_BYTES + 3 * MARK_BYTES + SUM_BYTES;
        for byte in (0..used).chain(PAGE..PAGE + used) {
            let mut files = disk.files();
            files.get_mut(FILE).unwrap()[byte] ^= 1 << (byte % 8);
            assert_eq!(
                count(&MemDisk::with_files(files.clone()), 14),
                Some(4),
                "byte {byte}"
            );
            files.get_mut(FILE).unwrap()[(byte + PAGE) % (2 * PAGE)] ^= 1;
            assert_eq!(count(&MemDisk::with_files(files), 14), None, "byte {byte}");
        }
        for length in 0..PAGE {
            let mut files = disk.files();
            files.get_mut(FILE).unwrap().truncate(length);
            let found = count(&MemDisk::with_files(files), 14);
            assert!(found.is_none() || found == Some(4), "cut to {length}");
        }
    }

    #[test]
    fn another_version_is_refused() {
        let disk = MemDisk::new();
        count(&disk, 1);
        let mut files = disk.files();
        let file = files.get_mut(FILE).unwrap();
        file[8] = 2;
        let end = HEAD_BYTES + MARK_BYTES;
        let sum = crc(0, &file[..end]);
        file[end..end + SUM_BYTES].copy_from_slice(&sum.to_le_bytes());
        let error = count_start(&MemDisk::with_files(files), 1).unwrap_err();
        assert!(error.to_string().contains("format version 2"), "{error}");
    }
}
