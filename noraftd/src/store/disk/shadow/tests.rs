//! What a cut loses: the process is dropped without a word, and another opens the directory.

use std::io::IoSlice;

use super::*;
use crate::store::format::layout::{PAGE, SECTOR};

struct Plug {
    directory: tempfile::TempDir,
    seed: u64,
}

impl Plug {
    fn new(seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, seed }
    }

    /// A process that opens the directory.
    fn boot(&self) -> ShadowDisk {
        self.boot_with(ShadowOptions {
            seed: self.seed,
            ..ShadowOptions::default()
        })
    }

    fn boot_with(&self, options: ShadowOptions) -> ShadowDisk {
        ShadowDisk::open(self.directory.path(), options).unwrap()
    }

    fn unsynced(&self) -> Unsynced {
        Unsynced::read(self.directory.path()).unwrap()
    }
}

fn write(file: &dyn DiskFile, offset: u64, bytes: &[u8]) {
    file.write_at(offset, &[IoSlice::new(bytes)]).unwrap();
}

fn content(file: &dyn DiskFile) -> Vec<u8> {
    let mut content = Vec::new();
    file.scan(&mut |bytes| content = bytes.to_vec()).unwrap();
    content
}

fn made(disk: &ShadowDisk, name: &str) -> Arc<dyn DiskFile> {
    let file = disk.create(name).unwrap();
    file.allocate(2 * PAGE as u64).unwrap();
    write(&*file, 0, &[1; 2 * PAGE]);
    file.sync_all().unwrap();
    disk.sync_dir().unwrap();
    file
}

#[test]
fn what_was_synced_survives_every_cut() {
    for seed in 0..50 {
        let plug = Plug::new(seed);
        let disk = plug.boot();
        let file = made(&disk, "a");
        write(&*file, 100, b"synced");
        file.sync_data().unwrap();
        disk.rename("a", "b").unwrap();
        disk.sync_dir().unwrap();
        assert_eq!(plug.unsynced(), Unsynced::default());
        drop((disk, file));
        let disk = plug.boot();
        assert_eq!(disk.list().unwrap(), ["b"]);
        let after = content(&*disk.open("b").unwrap());
        assert_eq!(&after[100..106], b"synced", "seed {seed}");
        assert_eq!(after.len(), 2 * PAGE);
    }
}

#[test]
fn unsynced_sectors_are_lost_each_by_itself_and_the_process_reads_what_it_wrote() {
    let (mut lost, mut kept, mut torn) = (0, 0, 0);
    for seed in 0..100 {
        let plug = Plug::new(seed);
        let disk = plug.boot();
        let file = made(&disk, "a");
        let new: Vec<u8> = std::iter::repeat_n(2, PAGE).collect();
        write(&*file, SECTOR as u64 / 2, &new);
        let mut seen = Vec::new();
        file.view(0, PAGE, &mut |bytes| seen = bytes.to_vec()).unwrap();
        assert_eq!((seen[0], seen[PAGE - 1]), (1, 2));
        let counted = plug.unsynced().sectors;
        drop((disk, file));
        let after = content(&*plug.boot().open("a").unwrap());
        let sectors: Vec<bool> = after
            .chunks(SECTOR)
            .take(9)
            .map(|s| s[SECTOR / 2 - 1..].contains(&2))
            .collect();
        let old = sectors.iter().filter(|new| !**new).count();
        assert_eq!(old as u64, counted, "seed {seed}: the ledger said so");
        match old {
            0 => kept += 1,
            9 => lost += 1,
            _ => torn += 1,
        }
    }
    assert!(lost > 0 && kept > 0 && torn > 0, "{lost} {kept} {torn}");
}

#[test]
fn names_are_lost_from_the_newest_on() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let plug = Plug::new(seed);
        let disk = plug.boot();
        made(&disk, "a");
        disk.rename("a", "b").unwrap();
        drop(disk.create("c").unwrap());
        disk.remove("b").unwrap();
        drop(disk);
        let after = plug.boot().list().unwrap();
        seen.insert(after.join(" "));
    }
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(seen, ["a", "b", "b c", "c"]);
}

#[test]
fn a_size_may_be_lost_with_what_was_written() {
    let mut sizes = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let plug = Plug::new(seed);
        let disk = plug.boot();
        let file = disk.create("a").unwrap();
        disk.sync_dir().unwrap();
        file.allocate(PAGE as u64).unwrap();
        assert_eq!(file.size().unwrap(), PAGE as u64);
        drop((disk, file));
        sizes.insert(plug.boot().open("a").unwrap().size().unwrap());
    }
    assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [0, PAGE as u64]);
}

#[test]
fn a_failed_sync_loses_what_it_left_out_even_when_the_next_succeeds() {
    let mut lost = 0;
    for seed in 0..20 {
        let plug = Plug::new(seed);
        drop(made(&plug.boot(), "a"));
        let disk = plug.boot_with(ShadowOptions {
            seed,
            fail_sync: Some(1),
            ..ShadowOptions::default()
        });
        let file = disk.open("a").unwrap();
        write(&*file, 0, &[2; PAGE]);
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(nix::libc::EIO));
        file.sync_data().unwrap();
        assert_eq!(content(&*file)[..PAGE], [2; PAGE], "the cache hides it");
        file.forget_cached().unwrap();
        let after = content(&*file)[..PAGE].to_vec();
        drop((disk, file));
        assert_eq!(content(&*plug.boot().open("a").unwrap())[..PAGE], after);
        lost += usize::from(after.contains(&1));
    }
    assert!(lost > 0);
}

#[test]
fn a_missing_name_is_refused_and_orphans_are_removed() {
    let plug = Plug::new(1);
    let disk = plug.boot();
    for refused in [disk.open("a").map(drop), disk.rename("a", "b"), disk.remove("a")] {
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
    std::fs::write(plug.directory.path().join("shadow-orphan-0"), "").unwrap();
    assert_eq!(plug.boot().list().unwrap(), [""; 0]);
    assert_eq!(
        std::fs::read_dir(plug.directory.path()).unwrap().count(),
        2,
        "the ledger, and what says which trouble the disk is in"
    );
}

fn trouble(plug: &Plug, trouble: Trouble, delay: Duration) -> Control {
    let control = Control::open(plug.directory.path()).unwrap();
    control.set(Some(Order { trouble, delay })).unwrap();
    control
}

#[test]
fn a_disk_in_trouble_fails_as_its_trouble_says_and_counts_what_it_did() {
    let plug = Plug::new(3);
    let disk = plug.boot();
    let file = made(&disk, "a");
    let errno = |result: io::Result<()>| result.err().and_then(|error| error.raw_os_error());
    let full = Some(nix::errno::Errno::ENOSPC as i32);
    let sector = [IoSlice::new(&[2; SECTOR])];
    let control = trouble(&plug, Trouble::Full, Duration::ZERO);
    assert_eq!(errno(file.write_at(0, &sector)), None, "there is room for it");
    assert_eq!(errno(file.write_at(2 * PAGE as u64, &sector)), full);
    assert_eq!(errno(file.allocate(4 * PAGE as u64)), full);
    assert_eq!(errno(disk.create("b").map(drop)), full);
    assert_eq!(
        (errno(disk.rename("a", "c")), errno(disk.rename("c", "a"))),
        (None, None)
    );
    trouble(&plug, Trouble::FullOverwrite, Duration::ZERO);
    assert_eq!(
        (errno(file.write_at(0, &sector)), errno(disk.remove("a"))),
        (full, full)
    );
    assert_eq!(disturbed_calls(plug.directory.path()), Some(5));
    control.set(None).unwrap();
    assert_eq!(
        (errno(file.write_at(0, &sector)), errno(file.sync_data())),
        (None, None)
    );
    assert_eq!(disturbed_calls(plug.directory.path()), Some(5));
}

#[test]
fn a_disk_with_errors_fails_now_and_then_whatever_it_does_also_for_the_next_process() {
    let plug = Plug::new(4);
    drop(made(&plug.boot(), "a"));
    trouble(&plug, Trouble::Error, Duration::ZERO);
    let disk = plug.boot();
    let file = disk.open("a").unwrap();
    let (mut reads, mut syncs) = (0, 0);
    for _ in 0..400 {
        reads += u64::from(file.view(0, SECTOR, &mut |_| {}).is_err());
        syncs += u64::from(file.sync_data().is_err());
    }
    assert!(
        (5..60).contains(&reads) && (5..60).contains(&syncs),
        "{reads} {syncs}"
    );
    assert_eq!(disturbed_calls(plug.directory.path()), Some(reads + syncs));
    assert_eq!(disk.list().unwrap(), ["a"]);
}

/// A snapshot ends where its hash does, in the middle of a sector.
#[test]
fn a_file_is_as_long_after_a_cut_as_it_was_written() {
    for seed in 0..50 {
        let plug = Plug::new(seed);
        let disk = plug.boot();
        let file = disk.create("a").unwrap();
        let mut written = Vec::new();
        for length in [100, SECTOR - 100, 7, PAGE] {
            let bytes = vec![length as u8; length];
            write(&*file, written.len() as u64, &bytes);
            written.extend(bytes);
            assert!(fs_length(&plug) <= written.len() as u64, "seed {seed}");
        }
        file.sync_all().unwrap();
        disk.sync_dir().unwrap();
        assert_eq!(fs_length(&plug), written.len() as u64, "seed {seed}");
        drop((disk, file));
        assert!(
            content(&*plug.boot().open("a").unwrap()) == written,
            "seed {seed}"
        );
    }
}

fn fs_length(plug: &Plug) -> u64 {
    let file = std::fs::metadata(plug.directory.path().join("a"));
    file.map_or(0, |file| file.len())
}
