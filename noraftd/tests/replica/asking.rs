//! Which nodes are asked for damaged entries and how often, and what a node gives when it is asked.

use std::time::Duration;

use noraft::{LogIndex, LogPosition};
use noraftd::protocol::peer::PeerMessage;
use noraftd::record::Record;
use noraftd::replica::event::{Input, Output};

use super::driven::{Driven, Setup, at, write};
use super::transfers::snapshot_at;

/// The entries that other nodes are asked for, and which nodes.
fn asked(outputs: &[Output]) -> Vec<(u64, Vec<LogPosition>)> {
    let requests = outputs.iter().filter_map(|output| match output {
        Output::Send {
            to,
            message: PeerMessage::RepairRequest { positions },
        } => Some((to.get(), positions.clone())),
        _ => None,
    });
    requests.collect()
}

/// What other nodes are given, and which.
fn given(outputs: &[Output]) -> Vec<(u64, Vec<LogPosition>)> {
    let answers = outputs.iter().filter_map(|output| match output {
        Output::Send {
            to,
            message: PeerMessage::Repair { records, .. },
        } => Some((to.get(), records.iter().map(|record| record.position).collect())),
        _ => None,
    });
    answers.collect()
}

fn gives(driven: &mut Driven, from: u64, records: Vec<Record>) -> Vec<Output> {
    let base = LogIndex::ZERO;
    driven.hear(from, PeerMessage::Repair { base, records })
}

/// Node 1 of three, of whose ten entries these are damaged; what it asks for when it starts.
fn damaged(indexes: &[u64]) -> (Driven, Vec<Output>) {
    let mut setup = Setup::new(3, 9);
    setup.disk.damaged = indexes.iter().copied().collect();
    let mut driven = setup.start();
    let outputs = driven.handle(Input::Deadline);
    (driven, outputs)
}

#[test]
fn a_node_that_gave_some_of_what_is_missing_is_asked_for_the_rest_at_once() {
    let (mut driven, first) = damaged(&[3, 5, 7]);
    assert_eq!(asked(&first), [(2, vec![at(1, 3), at(1, 5), at(1, 7)])]);
    let next = gives(&mut driven, 2, vec![write(1, 5)]);
    assert_eq!(asked(&next), [(2, vec![at(1, 3), at(1, 7)])]);
    let last = gives(&mut driven, 2, vec![write(1, 3), write(1, 7)]);
    assert_eq!((asked(&last), driven.replica.status().damage.holes), (vec![], 0));
    assert_eq!(driven.replica.status().damage.repaired, 3);
}

#[test]
fn a_node_that_gave_nothing_is_not_asked_again_before_the_others_and_none_before_a_pause() {
    let (mut driven, first) = damaged(&[3]);
    assert_eq!(asked(&first), [(2, vec![at(1, 3)])]);
    assert_eq!(asked(&gives(&mut driven, 2, vec![])), []);
    assert_eq!(
        asked(&gives(&mut driven, 2, vec![write(1, 4)])),
        [],
        "it is not missing"
    );
    let pause = Duration::from_millis(100);
    assert_eq!(asked(&driven.pass(pause - Duration::from_nanos(1))), []);
    assert_eq!(
        asked(&driven.pass(Duration::from_nanos(1))),
        [(3, vec![at(1, 3)])]
    );
    assert_eq!(
        asked(&driven.pass(pause)),
        [(2, vec![at(1, 3)])],
        "the first again"
    );
}

#[test]
fn an_entry_that_the_scrub_finds_damaged_is_missing_from_the_first_to_the_last_that_is_durable() {
    for index in [1, 5, 10] {
        let (mut driven, _) = damaged(&[]);
        let found = driven.handle(Input::EntryDamaged {
            index: LogIndex::new(index),
        });
        assert_eq!(driven.replica.status().damage.holes, 1, "entry {index}");
        assert_eq!(asked(&found), [(2, vec![at(1, index)])]);
    }
}

#[test]
fn an_entry_that_is_being_written_or_was_never_there_is_not_missing() {
    let (mut driven, _) = damaged(&[]);
    driven.is_disk_held = true;
    driven.append(2, 1, at(1, 10), vec![write(1, 11)], 10);
    for index in [11, 12] {
        driven.handle(Input::EntryDamaged {
            index: LogIndex::new(index),
        });
        assert_eq!(driven.replica.status().damage.holes, 0, "entry {index}");
    }
}

#[test]
fn every_node_that_asks_is_answered_and_one_that_asks_again_is_answered_what_it_asked_last() {
    let (mut driven, _) = damaged(&[]);
    driven.is_disk_held = true;
    let wants = |indexes: &[u64]| PeerMessage::RepairRequest {
        positions: indexes.iter().map(|index| at(1, *index)).collect(),
    };
    // All of it has to be read first.
    let asked = [
        driven.hear(2, wants(&[2])),
        driven.hear(3, wants(&[4])),
        driven.hear(2, wants(&[6])),
    ];
    assert!(asked.iter().all(|outputs| given(outputs).is_empty()));
    driven.is_disk_held = false;
    let mut answers = given(&driven.fetch());
    answers.extend(given(&driven.handle(Input::Deadline)));
    assert_eq!(answers, [(3, vec![at(1, 4)]), (2, vec![at(1, 6)])]);
}

#[test]
fn what_a_node_has_not_got_it_does_not_look_for() {
    let (mut driven, _) = damaged(&[5]);
    driven.is_disk_held = true;
    // Beyond the end, of another term, damaged.
    for wanted in [at(1, 11), at(2, 3), at(1, 5)] {
        let positions = vec![wanted];
        let said = driven.hear(2, PeerMessage::RepairRequest { positions });
        let reads = said.iter().any(|output| matches!(output, Output::Fetch { .. }));
        assert_eq!((given(&said), reads), (vec![(2, vec![])], false), "{wanted:?}");
    }
}

#[test]
fn an_entry_that_a_snapshot_covers_is_not_looked_for() {
    let mut setup = Setup::new(3, 9);
    let snapshot = snapshot_at(5);
    let base = snapshot.head.base.clone();
    setup.disk.save(snapshot, 1000);
    setup.disk.rebase(&base);
    let mut driven = setup.start();
    driven.is_disk_held = true;
    for (wanted, is_read) in [(4, false), (5, false), (6, true)] {
        let positions = vec![at(1, wanted)];
        let said = driven.hear(2, PeerMessage::RepairRequest { positions });
        let reads = said.iter().any(|output| matches!(output, Output::Fetch { .. }));
        assert_eq!(
            (reads, given(&said).is_empty()),
            (is_read, is_read),
            "entry {wanted}"
        );
    }
}

/// A node that no other can give an entry to takes a snapshot of the state in which it is applied.
#[test]
fn who_lacks_one_entry_may_have_the_next() {
    let (mut driven, _) = damaged(&[]);
    driven.append(2, 1, at(1, 10), vec![], 10);
    for index in [3, 5] {
        driven.handle(Input::EntryDamaged {
            index: LogIndex::new(index),
        });
    }
    let begins_after = |driven: &mut Driven, from: u64, base: u64, records: Vec<Record>| {
        let base = LogIndex::new(base);
        let said = driven.hear(from, PeerMessage::Repair { base, records });
        said.iter()
            .any(|output| matches!(output, Output::SaveSnapshot(_)))
    };
    assert!(!begins_after(&mut driven, 2, 4, vec![]));
    assert!(!begins_after(&mut driven, 3, 2, vec![write(1, 3)]));
    assert_eq!(driven.replica.status().damage.holes, 1);
    assert!(
        !begins_after(&mut driven, 3, 5, vec![]),
        "the other was not asked for it yet"
    );
    assert!(begins_after(&mut driven, 2, 5, vec![]));
}

#[test]
fn what_is_written_again_at_once_is_bounded() {
    let mut setup = Setup::new(3, 9);
    setup.settings.limits.batch_bytes_max = 2 * write(1, 3).payload.len();
    setup.disk.damaged = [3, 4, 5, 6, 7].into();
    let mut driven = setup.start();
    driven.is_disk_held = true;
    driven.handle(Input::Deadline);
    let patched = |outputs: &[Output]| {
        let patches = outputs.iter().filter_map(|output| match output {
            Output::Patch { records, .. } => Some(records.len()),
            _ => None,
        });
        patches.collect::<Vec<_>>()
    };
    let records = (3..=7).map(|index| write(1, index)).collect();
    let mut written = patched(&gives(&mut driven, 2, records));
    while driven.is_disk_busy() {
        written.extend(patched(&driven.sync()));
        // Each takes its turn with other batches.
        written.extend(patched(&driven.handle(Input::Deadline)));
    }
    assert_eq!(written, [2, 2, 1]);
    assert_eq!(driven.replica.status().damage.holes, 0);
}

#[test]
fn what_cannot_be_read_is_looked_for_once_and_the_others_are_given() {
    let (mut driven, _) = damaged(&[]);
    driven.is_disk_held = true;
    let positions = vec![at(1, 4), at(1, 9)];
    let fetched = |outputs: &[Output]| {
        let reads = outputs.iter().filter_map(|output| match output {
            Output::Fetch { from, .. } => Some(from.get()),
            _ => None,
        });
        reads.collect::<Vec<_>>()
    };
    let asked = driven.hear(2, PeerMessage::RepairRequest { positions });
    assert_eq!((fetched(&asked), given(&asked)), (vec![4], vec![]));
    let nothing = |driven: &mut Driven, from: u64| {
        let (from, records) = (LogIndex::new(from), vec![]);
        driven.handle(Input::Fetched { from, records })
    };
    let next = nothing(&mut driven, 4);
    assert_eq!((fetched(&next), given(&next)), (vec![9], vec![]));
    let (from, records) = (LogIndex::new(9), vec![write(1, 9)]);
    let last = driven.handle(Input::Fetched { from, records });
    assert_eq!(
        (fetched(&last), given(&last)),
        (vec![], vec![(2, vec![at(1, 9)])])
    );
}
