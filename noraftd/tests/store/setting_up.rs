//! `snapshot restore` and `rejoin`, interrupted after every operation.

use std::sync::Arc;

use noraft::Term;
use noraftd::store::disk::memory::{Fault, MemDisk};
use noraftd::store::{OpenError, SetUp, Store, Vacant, Verdict};

use crate::common::*;
use crate::compaction::{content, head, small_segments};

/// What each verb does to a disk.
fn set_up(disk: &MemDisk, verb: SetUp) -> Result<(), OpenError> {
    let vacant = Vacant::look(Arc::new(disk.clone()), verb)?;
    let (head, chunks) = (head(at(3, 5)), content(at(3, 5)));
    let (chunks, options) = (&mut chunks.into_iter(), small_segments());
    match verb {
        SetUp::Restore | SetUp::Join => Store::create_from(vacant, options, identity(), &head, chunks)?,
        SetUp::Rejoin => {
            vacant.claim()?;
            Store::create_rejoining(vacant, options, identity(), Term::new(7), &head, chunks)?
        }
    };
    Ok(())
}

/// The store is there, with its state.
fn check_whole(disk: &MemDisk, verb: SetUp, what: &str) {
    let opened = Store::open(Arc::new(disk.clone()), small_segments(), owner());
    let (mut store, recovered) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(recovered.log.snapshot_position(), at(3, 5), "{what}");
    assert_eq!(recovered.abstain.abstains(), verb == SetUp::Rejoin, "{what}");
    let restored = store.restore(
        || 0,
        |chunks, _| {
            *chunks += 1;
            true
        },
    );
    let (found, _, chunks) = restored.unwrap().unwrap_or_else(|| panic!("{what}: no state"));
    assert_eq!((found.base.position, chunks), (at(3, 5), 2), "{what}");
}

/// What is there is the whole store, nothing at all, or refused until the verb is run again.
fn check_interrupted(image: &MemDisk, verb: SetUp, what: &str) -> Verdict {
    let opened = Store::open(Arc::new(image.clone()), small_segments(), owner());
    match opened.map(drop) {
        Ok(()) => {
            check_whole(image, verb, what);
            return Verdict::Damage;
        }
        Err(OpenError::NoStore { .. }) => {
            let ours = |name: &String| name.starts_with("hard") || name.starts_with("snap");
            assert!(
                !image.files().keys().any(ours),
                "{what}: {:?}",
                image.files().keys()
            );
        }
        Err(OpenError::Refused { finding, .. }) => {
            assert_eq!(finding.verdict, Verdict::SetUpUnfinished, "{what}");
            let created = Store::create(Arc::new(image.clone()), small_segments(), identity(), &genesis());
            assert!(created.is_err(), "{what}: an empty store is no restored one");
        }
        Err(error) => panic!("{what}: {error}"),
    }
    set_up(image, verb).unwrap_or_else(|error| panic!("{what}, again: {error}"));
    check_whole(image, verb, what);
    Verdict::SetUpUnfinished
}

#[test]
fn an_interrupted_setting_up_is_neither_empty_nor_whole_and_can_be_repeated() {
    for verb in [SetUp::Restore, SetUp::Rejoin, SetUp::Join] {
        let whole = MemDisk::new();
        set_up(&whole, verb).unwrap();
        let mut unfinished = 0;
        for op in 0..whole.operations() {
            let disk = MemDisk::new();
            disk.arm(Some(Fault::PowerAfter { op }));
            if set_up(&disk, verb).is_ok() {
                break;
            }
            for draw in 0..6 {
                let what = format!("{verb:?}, power cut {draw} after operation {op}");
                let found = check_interrupted(&disk.after_power_cut(op * 6 + draw), verb, &what);
                unfinished += u64::from(found == Verdict::SetUpUnfinished);
            }
            check_interrupted(
                &disk.after_kill(),
                verb,
                &format!("{verb:?}, killed after operation {op}"),
            );
        }
        assert!(unfinished > 30, "only {unfinished} interruptions left a part");
    }
}

#[test]
fn what_an_earlier_build_left_of_a_restore_or_a_rejoin_is_refused_and_adopted() {
    for verb in [SetUp::Restore, SetUp::Rejoin, SetUp::Join] {
        let left = (0..).find_map(|op| {
            let disk = MemDisk::new();
            disk.arm(Some(Fault::PowerAfter { op }));
            assert!(set_up(&disk, verb).is_err());
            let mut files = disk.files();
            files.remove("unfinished");
            files
                .keys()
                .any(|name| name.starts_with("snapshot-0"))
                .then_some(files)
        });
        let disk = MemDisk::with_files(left.unwrap());
        let found = check_interrupted(&disk, verb, &format!("{verb:?} without a segment"));
        assert_eq!(found, Verdict::SetUpUnfinished);
    }
}

#[test]
fn a_store_that_lost_its_segments_is_no_interrupted_setting_up() {
    let disk = MemDisk::new();
    let (mut store, _) = create(&disk).unwrap();
    run(&mut store, 3, 10);
    drop(store);
    let files = disk
        .files()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("segment-"));
    let disk = MemDisk::with_files(files);
    for verb in [SetUp::Restore, SetUp::Rejoin, SetUp::Join] {
        assert!(
            matches!(set_up(&disk, verb), Err(OpenError::Exists { .. })),
            "{verb:?}"
        );
    }
    let Err(OpenError::Refused { finding, .. }) = open(&disk) else {
        panic!("a store without segments was opened");
    };
    assert_eq!(finding.verdict, Verdict::SegmentMissing);
}

#[test]
fn a_directory_in_use_or_with_a_store_is_not_vacant() {
    let disk = MemDisk::new();
    let store = create(&disk).unwrap();
    let before = disk.files();
    assert!(matches!(
        set_up(&disk, SetUp::Rejoin),
        Err(OpenError::Locked { .. })
    ));
    drop(store);
    assert!(matches!(
        set_up(&disk, SetUp::Rejoin),
        Err(OpenError::Exists { .. })
    ));
    assert_eq!(disk.files(), before, "nothing was changed");
}
