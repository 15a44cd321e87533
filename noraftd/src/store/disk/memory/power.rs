//! What a power cut leaves on a disk.
//!
//! Invariant: what was synced stays. Of the rest each 512-byte sector is as new, as old, or as any write in
//! between left it, by itself; some, where the plan wants it, hold neither (torn, zero, garbage). A file that
//! grew has either length. Names that changed after the last directory sync are as old or as new.

use std::collections::BTreeMap;

use super::inode::{Inode, Undo};
use super::{State, apply};
use crate::prng::Prng;
use crate::store::format::layout::{SECTOR, is_zero};

impl State {
    /// The same directory on a disk of its own.
    pub(super) fn copy(&self) -> Self {
        let mut copy = self.clone();
        copy.inodes.iter_mut().for_each(Inode::close);
        copy
    }

    pub(super) fn lose_power(&mut self, prng: &mut Prng, torn_permille: u64) -> u64 {
        let mut lost = self.lose_names(prng);
        for inode in &mut self.inodes {
            lost += inode.lose(prng, torn_permille, None);
        }
        lost
    }

    /// The power goes while all that is not synced is being written: each sector fares by itself.
    pub(super) fn lose_power_in_writes(&mut self, prng: &mut Prng, torn_permille: u64) -> u64 {
        let mut lost = self.lose_names(prng);
        for inode in &mut self.inodes {
            lost += inode.lose(prng, torn_permille, Some(Fate::Mixed));
        }
        lost
    }

    fn lose_names(&mut self, prng: &mut Prng) -> u64 {
        let count = self.changes.len() as u64;
        // File systems with a journal keep a beginning of the changes; POSIX promises not even that.
        let kept = prng.below(count + 1);
        let in_order = prng.chance(3, 4);
        let mut names = self.durable_names.clone();
        let mut lost = 0;
        for (at, change) in (0..).zip(&self.changes) {
            if if in_order { at < kept } else { prng.chance(1, 2) } {
                apply(&mut names, change);
            } else {
                lost += 1;
            }
        }
        self.changes.clear();
        self.durable_names.clone_from(&names);
        self.names = names;
        lost
    }
}

/// How a file's unsynced sectors fare. Whole losses and whole gains are as likely as mixtures.
#[derive(Clone, Copy)]
enum Fate {
    New,
    Old,
    /// The first writes made it.
    Beginning,
    Mixed,
}

impl Inode {
    /// Where `fate` is not given, it is drawn.
    fn lose(&mut self, prng: &mut Prng, torn_permille: u64, fate: Option<Fate>) -> u64 {
        let grown = self.live.len() != self.durable_length;
        if self.undo.is_empty() && self.left_out.is_empty() && !grown {
            return 0;
        }
        let fates = [Fate::New, Fate::Old, Fate::Beginning, Fate::Mixed];
        let fate = fate.unwrap_or_else(|| fates[prng.below(4) as usize]);
        let undo = std::mem::take(&mut self.undo);
        let lost = match fate {
            Fate::New => 0,
            Fate::Old => self.revert(undo.iter().rev()),
            Fate::Beginning => {
                let kept = prng.below(undo.len() as u64 + 1) as usize;
                self.revert(undo.iter().skip(kept).rev())
            }
            Fate::Mixed => self.mix(&undo, prng, torn_permille),
        };
        let left_out = std::mem::take(&mut self.left_out);
        for (sector, old) in &left_out {
            self.put(*sector, old);
        }
        let lost = lost + left_out.len() as u64;
        if grown && prng.chance(1, 2) {
            self.live.resize(self.durable_length, 0);
            self.room_until = self.room_until.min(self.durable_length);
        }
        self.durable_length = self.live.len();
        lost
    }

    /// The bytes without whatever is not synced.
    pub(super) fn on_platter(&self) -> Vec<u8> {
        let mut platter = self.clone();
        platter.revert(self.undo.iter().rev());
        for (sector, old) in &self.left_out {
            platter.put(*sector, old);
        }
        platter.live
    }

    /// Undoes writes, the latest first.
    fn revert<'a>(&mut self, undo: impl Iterator<Item = &'a Undo>) -> u64 {
        let mut lost = 0;
        for write in undo {
            for offset in 0..write.sectors {
                self.put(write.sector + offset, &write.old_sector(offset));
                lost += 1;
            }
        }
        lost
    }

    fn mix(&mut self, undo: &[Undo], prng: &mut Prng, torn_permille: u64) -> u64 {
        let mut versions: BTreeMap<usize, Vec<[u8; SECTOR]>> = BTreeMap::new();
        for write in undo {
            for offset in 0..write.sectors {
                let old = write.old_sector(offset);
                versions.entry(write.sector + offset).or_default().push(old);
            }
        }
        let mut lost = 0;
        for (sector, old) in versions {
            if prng.chance(torn_permille, 1000) {
                let torn = self.torn(sector, &old, prng);
                self.put(sector, &torn);
                lost += 1;
            } else if prng.chance(1, 2) {
                let version = old[prng.below(old.len() as u64) as usize];
                self.put(sector, &version);
                lost += 1;
            }
        }
        lost
    }

    /// A sector whose write the power cut interrupted.
    fn torn(&self, sector: usize, old: &[[u8; SECTOR]], prng: &mut Prng) -> [u8; SECTOR] {
        let mut bytes = [0; SECTOR];
        match prng.below(3) {
            0 => {}
            1 => bytes.iter_mut().for_each(|byte| *byte = prng.next_u64() as u8),
            _ => {
                let cut = prng.below(SECTOR as u64) as usize;
                let start = sector * SECTOR;
                let end = (start + cut).min(self.live.len());
                bytes = old[0];
                let new = self.live.get(start..end).unwrap_or_default();
                bytes[..new.len()].copy_from_slice(new);
            }
        }
        bytes
    }

    pub(super) fn put(&mut self, sector: usize, bytes: &[u8; SECTOR]) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.live.len());
        if start < end {
            self.is_blank &= is_zero(bytes);
            self.live[start..end].copy_from_slice(&bytes[..end - start]);
        }
    }
}

impl Undo {
    /// The parts of it that lie before the sector `first`, and from `end` on.
    pub(super) fn outside(self, first: usize, end: usize) -> Vec<Self> {
        let own_end = self.sector + self.sectors;
        if own_end <= first || end <= self.sector {
            return vec![self];
        }
        let part = |from: usize, to: usize| {
            let byte = |sector: usize| ((sector - self.sector) * SECTOR).min(self.old.len());
            (from < to).then(|| Self {
                sector: from,
                sectors: to - from,
                old: self.old[byte(from)..byte(to)].to_vec(),
            })
        };
        let parts = [part(self.sector, first), part(end, own_end)];
        parts.into_iter().flatten().collect()
    }

    pub(super) fn old_sector(&self, offset: usize) -> [u8; SECTOR] {
        let mut bytes = [0; SECTOR];
        let start = (offset * SECTOR).min(self.old.len());
        let end = (start + SECTOR).min(self.old.len());
        bytes[..end - start].copy_from_slice(&self.old[start..end]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;
    use crate::store::disk::Disk;
    use crate::store::disk::memory::{Fault, MemDisk};

    impl MemDisk {
        fn live(&self, name: &str) -> Option<Vec<u8>> {
            self.files().remove(name)
        }
    }

    fn disk() -> MemDisk {
        let disk = MemDisk::new();
        let file = disk.create("f").unwrap();
        file.allocate(4 * SECTOR as u64).unwrap();
        file.write_at(0, &[IoSlice::new(&[1; 4 * SECTOR])]).unwrap();
        file.sync_all().unwrap();
        disk.sync_dir().unwrap();
        disk
    }

    #[test]
    fn what_was_synced_survives_a_power_cut() {
        for seed in 0..50 {
            let disk = disk();
            disk.cut_power(&mut Prng::new(seed), 500);
            assert_eq!(disk.live("f"), Some(vec![1; 4 * SECTOR]), "seed {seed}");
        }
    }

    #[test]
    fn each_sector_fares_by_itself_when_the_power_goes_in_the_middle_of_a_write() {
        let mut mixed = 0;
        for seed in 0..100 {
            let disk = disk();
            let file = disk.open("f").unwrap();
            file.write_at(0, &[IoSlice::new(&[2; 4 * SECTOR])]).unwrap();
            disk.cut_power_in_writes(&mut Prng::new(seed), 0);
            let live = disk.live("f").unwrap();
            let sectors: Vec<&[u8]> = live.chunks(SECTOR).collect();
            for sector in &sectors {
                assert!(
                    [[1; SECTOR], [2; SECTOR]].iter().any(|whole| whole == sector),
                    "seed {seed}"
                );
            }
            mixed += u64::from(sectors.iter().any(|sector| *sector != sectors[0]));
        }
        assert!(mixed > 70, "only {mixed} of 100 are mixtures");
    }

    #[test]
    fn zeros_over_garbage_of_a_power_cut_are_written() {
        for seed in 0..50 {
            let disk = MemDisk::new();
            let file = disk.create("f").unwrap();
            file.allocate(4 * SECTOR as u64).unwrap();
            file.sync_all().unwrap();
            disk.sync_dir().unwrap();
            let zeros = [0; 4 * SECTOR];
            file.write_at(0, &[IoSlice::new(&zeros)]).unwrap();
            disk.cut_power(&mut Prng::new(seed), 1000);
            let file = disk.open("f").unwrap();
            file.write_at(0, &[IoSlice::new(&zeros)]).unwrap();
            assert_eq!(disk.live("f"), Some(zeros.to_vec()), "seed {seed}");
        }
    }

    #[test]
    fn a_file_without_a_name_lives_as_long_as_it_is_open() {
        let disk = disk();
        let file = disk.open("f").unwrap();
        disk.remove("f").unwrap();
        disk.sync_dir().unwrap();
        let mut seen = Vec::new();
        file.scan(&mut |bytes| seen.extend_from_slice(bytes)).unwrap();
        assert_eq!(seen, vec![1; 4 * SECTOR]);
        drop(file);
        disk.create("g").unwrap();
        disk.rename("g", "h").unwrap();
        disk.sync_dir().unwrap();
        assert!(disk.live("g").is_none() && disk.live("h").is_some());
    }

    #[test]
    fn unsynced_sectors_are_old_or_new_each_by_itself() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..300 {
            let disk = disk();
            let file = disk.open("f").unwrap();
            file.write_at(0, &[IoSlice::new(&[2; 2 * SECTOR])]).unwrap();
            disk.cut_power(&mut Prng::new(seed), 0);
            let bytes = disk.live("f").unwrap();
            let sectors: Vec<u8> = bytes.chunks(SECTOR).map(|sector| sector[0]).collect();
            assert!(
                bytes
                    .chunks(SECTOR)
                    .all(|sector| sector.iter().all(|byte| *byte == sector[0]))
            );
            assert_eq!(sectors[2..], [1, 1]);
            seen.insert(sectors[..2].to_vec());
        }
        assert_eq!(seen.len(), 4, "{seen:?}");
    }

    #[test]
    fn a_direct_write_is_durable_or_in_part_any_of_its_sectors_are() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..300 {
            let disk = disk();
            disk.write_directly_from(SECTOR);
            let file = disk.open("f").unwrap();
            // Not synced: the direct write takes the place of some of it.
            file.write_at(0, &[IoSlice::new(&[2; 4 * SECTOR])]).unwrap();
            let op = disk.operations();
            disk.arm(Some(Fault::PowerWithin { op, seed }));
            let bytes = [3; 2 * SECTOR];
            assert!(
                file.write_durably(SECTOR as u64, &[IoSlice::new(&bytes)])
                    .is_err()
            );
            let cached = disk.live("f").unwrap();
            disk.cut_power(&mut Prng::new(seed), 0);
            let bytes = disk.live("f").unwrap();
            assert_eq!(
                bytes[SECTOR..3 * SECTOR],
                cached[SECTOR..3 * SECTOR],
                "seed {seed}: what a direct write did is certain"
            );
            let sectors: Vec<u8> = bytes.chunks(SECTOR).map(|sector| sector[0]).collect();
            assert!(sectors[1..3].iter().all(|byte| [2, 3].contains(byte)));
            assert!([sectors[0], sectors[3]].iter().all(|byte| [1, 2].contains(byte)));
            seen.insert(sectors[1..3].to_vec());
        }
        assert_eq!(seen.len(), 4, "{seen:?}");
        let disk = disk();
        disk.write_directly_from(SECTOR);
        let file = disk.open("f").unwrap();
        assert!(!file.write_durably(0, &[IoSlice::new(&[3; SECTOR - 1])]).unwrap());
        assert!(file.write_durably(0, &[IoSlice::new(&[3; 4 * SECTOR])]).unwrap());
        disk.cut_power(&mut Prng::new(1), 500);
        assert_eq!(disk.live("f"), Some(vec![3; 4 * SECTOR]));
    }

    #[test]
    fn a_kill_keeps_what_was_written_and_a_later_power_cut_may_still_take_it() {
        let mut outcomes = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let disk = disk();
            disk.open("f")
                .unwrap()
                .write_at(0, &[IoSlice::new(&[2; SECTOR])])
                .unwrap();
            disk.release();
            assert_eq!(disk.live("f").unwrap()[0], 2);
            disk.cut_power(&mut Prng::new(seed), 0);
            outcomes.insert(disk.live("f").unwrap()[0]);
        }
        assert_eq!(outcomes.len(), 2);
    }

    #[test]
    fn names_without_a_directory_sync_may_be_lost() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let disk = disk();
            disk.rename("f", "g").unwrap();
            disk.cut_power(&mut Prng::new(seed), 0);
            seen.insert((disk.live("f").is_some(), disk.live("g").is_some()));
        }
        assert!(
            seen.contains(&(true, false)) && seen.contains(&(false, true)),
            "{seen:?}"
        );
    }
}
