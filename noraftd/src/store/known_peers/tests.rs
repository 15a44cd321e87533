//! The record of the other nodes, through power cuts, full disks and damage.

use super::*;
use crate::store::disk::memory::{Fault, MemDisk};

fn load(disk: &MemDisk) -> KnownPeers {
    KnownPeers::load(Arc::new(disk.clone())).unwrap()
}

/// One that does not say how often it was started.
fn peer(incarnation: u64) -> KnownPeer {
    KnownPeer {
        incarnation,
        start: None,
    }
}

fn known(met: &KnownPeers, node: u64) -> Option<u64> {
    met.get(NodeId::new(node)).map(|peer| peer.incarnation)
}

fn met() -> (MemDisk, KnownPeers) {
    let disk = MemDisk::new();
    let mut met = load(&disk);
    met.admit(NodeId::new(1), peer(11)).unwrap();
    met.admit(NodeId::new(3), peer(33)).unwrap();
    (disk, met)
}

#[test]
fn who_was_met_is_known_after_a_power_cut() {
    let (disk, _) = met();
    for seed in 0..20 {
        let met = load(&disk.after_power_cut(seed));
        assert_eq!((known(&met, 1), known(&met, 3)), (Some(11), Some(33)));
        assert_eq!(known(&met, 2), None);
    }
}

#[test]
fn a_full_disk_keeps_room_for_a_node_that_is_met() {
    let disk = MemDisk::new();
    let mut met = load(&disk);
    disk.arm(Some(Fault::Full));
    for node in 1..=ENCODED_MEMBERS_MAX as u64 {
        met.admit(NodeId::new(node), peer(node)).unwrap();
    }
    assert_eq!(known(&load(&disk), 256), Some(256));
}

#[test]
fn a_node_too_many_is_not_met_and_no_node_is_forgotten() {
    let disk = MemDisk::new();
    let mut met = load(&disk);
    (1..=256).for_each(|node| met.admit(NodeId::new(node), peer(node)).unwrap());
    let error = met.admit(NodeId::new(257), peer(1)).unwrap_err().to_string();
    assert!(error.contains("no room for node 257"), "{error}");
    met.admit(NodeId::new(256), peer(7)).unwrap();
    let mut met = load(&disk);
    assert_eq!((met.is_lost(), known(&met, 256)), (false, Some(7)));
    // One that was removed makes room.
    met.forget(&[NodeId::new(3)].into());
    met.admit(NodeId::new(257), peer(1)).unwrap();
    let met = load(&disk);
    assert_eq!((known(&met, 3), known(&met, 257)), (None, Some(1)));
}

#[test]
fn a_disk_that_was_full_at_the_start_meets_no_node_until_it_has_room() {
    let disk = MemDisk::new();
    disk.arm(Some(Fault::Full));
    let mut met = load(&disk);
    let error = met.admit(NodeId::new(1), peer(11)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(known(&met, 1), None);
    disk.arm(None);
    met.admit(NodeId::new(1), peer(11)).unwrap();
    assert_eq!(known(&load(&disk), 1), Some(11));
}

/// Wherever the power goes, before the first node is met or while one takes the place of another.
#[test]
fn a_power_cut_at_any_point_loses_nothing_that_was_admitted() {
    let disk = MemDisk::new();
    let mut met = load(&disk);
    (1..=3).for_each(|incarnation| met.admit(NodeId::new(1), peer(incarnation)).unwrap());
    for op in 0..disk.operations() {
        let disk = MemDisk::new();
        disk.arm(Some(Fault::PowerAfter { op }));
        let mut admitted = 0;
        if let Ok(mut met) = KnownPeers::load(Arc::new(disk.clone())) {
            while admitted < 3 && met.admit(NodeId::new(1), peer(admitted + 1)).is_ok() {
                admitted += 1;
            }
        }
        for seed in 0..20 {
            let after = disk.after_power_cut(seed);
            // Twice: what is found at one start is there at the next.
            for _ in 0..2 {
                let found = known(&load(&after), 1).unwrap_or(0);
                assert!(
                    found == admitted || found == admitted + 1,
                    "operation {op}, seed {seed}: {found} after {admitted}"
                );
            }
        }
    }
}

#[test]
fn a_failed_sync_is_no_promise() {
    let errno = nix::libc::EIO;
    let disk = MemDisk::new();
    let mut met = load(&disk);
    let op = disk.operations() + 1;
    disk.arm(Some(Fault::Once { op, errno }));
    assert!(met.admit(NodeId::new(1), peer(11)).is_err());
    assert_eq!(known(&met, 1), None);
    met.admit(NodeId::new(1), peer(12)).unwrap();
    for seed in 0..20 {
        assert_eq!(known(&load(&disk.after_power_cut(seed)), 1), Some(12));
    }
}

#[test]
fn a_directory_takes_the_place_of_another() {
    let (disk, mut met) = met();
    met.admit(NodeId::new(1), peer(12)).unwrap();
    assert_eq!(known(&load(&disk), 1), Some(12));
}

#[test]
fn every_flipped_bit_leaves_a_copy_and_two_leave_none() {
    let (disk, _) = met();
    let files = disk.files();
    let used = HEAD_BYTES + 2 * NODE_BYTES + 4;
    for byte in (0..used).chain(COPY_BYTES..COPY_BYTES + used) {
        let mut files = files.clone();
        files.get_mut(FILE).unwrap()[byte] ^= 1 << (byte % 8);
        let met = load(&MemDisk::with_files(files.clone()));
        assert_eq!(known(&met, 3), Some(33), "byte {byte}");
        files.get_mut(FILE).unwrap()[(byte + COPY_BYTES) % (2 * COPY_BYTES)] ^= 1;
        let met = load(&MemDisk::with_files(files));
        assert!(met.is_lost() && known(&met, 3).is_none(), "byte {byte}");
    }
    for length in 0..COPY_BYTES {
        let mut files = files.clone();
        files.get_mut(FILE).unwrap().truncate(length);
        let met = load(&MemDisk::with_files(files));
        assert!(met.is_lost() || known(&met, 3) == Some(33), "cut to {length}");
    }
}

fn started(count: u64) -> KnownPeer {
    KnownPeer {
        incarnation: 11,
        start: Some(Start {
            count,
            mark: 7 * count as u32,
        }),
    }
}

#[test]
fn the_latest_start_is_known_after_a_power_cut_at_any_point() {
    let disk = MemDisk::new();
    let mut met = load(&disk);
    (1..=3).for_each(|count| met.admit(NodeId::new(1), started(count)).unwrap());
    for op in 0..disk.operations() {
        let disk = MemDisk::new();
        disk.arm(Some(Fault::PowerAfter { op }));
        let mut admitted = 0;
        if let Ok(mut met) = KnownPeers::load(Arc::new(disk.clone())) {
            while admitted < 3 && met.admit(NodeId::new(1), started(admitted + 1)).is_ok() {
                admitted += 1;
            }
        }
        for seed in 0..20 {
            let met = load(&disk.after_power_cut(seed));
            assert!(!met.is_lost(), "operation {op}, seed {seed}");
            let found = met.get(NodeId::new(1));
            let expected = [admitted, admitted + 1].map(|count| (count > 0).then(|| started(count)));
            assert!(
                expected.contains(&found),
                "operation {op}, seed {seed}: {found:?} after {admitted}"
            );
        }
    }
}

#[test]
fn a_file_of_an_earlier_version_knows_no_start_and_one_for_it_begins_as_before() {
    let (disk, mut met) = met();
    let before = disk.files()[FILE].clone();
    met.admit(NodeId::new(1), started(5)).unwrap();
    let files = disk.files();
    let end = HEAD_BYTES + 2 * NODE_BYTES + SUM_BYTES;
    assert_eq!(files[FILE][..end], before[..end], "what an earlier version reads");
    assert_eq!(load(&disk).get(NodeId::new(1)), Some(started(5)));
    assert_eq!(load(&disk).get(NodeId::new(3)), Some(peer(33)));
    let earlier = MemDisk::with_files([(FILE.to_owned(), before)]);
    assert_eq!(load(&earlier).get(NodeId::new(1)), Some(peer(11)));
}

#[test]
fn every_flipped_bit_in_the_second_part_leaves_the_other_copy() {
    let (disk, mut met) = met();
    met.admit(NodeId::new(1), started(5)).unwrap();
    let from = HEAD_BYTES + 2 * NODE_BYTES + SUM_BYTES;
    for byte in from..from + STARTS_MAGIC.len() + 2 * START_BYTES + SUM_BYTES {
        let mut files = disk.files();
        files.get_mut(FILE).unwrap()[byte] ^= 1 << (byte % 8);
        let met = load(&MemDisk::with_files(files));
        assert_eq!(met.get(NodeId::new(1)), Some(started(5)), "byte {byte}");
    }
}

#[test]
fn another_version_is_refused() {
    let (disk, _) = met();
    let mut files = disk.files();
    let file = files.get_mut(FILE).unwrap();
    let end = HEAD_BYTES + 2 * NODE_BYTES;
    file[8] = 2;
    let sum = crc(0, &file[..end]);
    file[end..end + 4].copy_from_slice(&sum.to_le_bytes());
    let error = KnownPeers::load(Arc::new(MemDisk::with_files(files)))
        .err()
        .unwrap();
    assert!(error.to_string().contains("format version 2"), "{error}");
}
