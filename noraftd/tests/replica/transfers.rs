//! Snapshots in parts: what a receiver writes and says, and when a sender sends the next part.

use std::time::Duration;

use bytes::Bytes;
use noraft::{LogPosition, NodeId};
use noraftd::machine::Machine;
use noraftd::protocol::peer::PeerMessage;
use noraftd::record::{Base, SnapshotHead, SnapshotId, genesis_config};
use noraftd::replica::event::{Input, Output, Received, Snapshot};
use noraftd::time::Stamp;

use super::driven::{Driven, Setup, at, write};

const PART: u64 = 1000;

pub(crate) fn snapshot_at(index: u64) -> Snapshot {
    let mut machine = Machine::new();
    (2..=index).for_each(|index| {
        machine.apply(
            noraft::LogIndex::new(index),
            Stamp::default(),
            &write(1, index).payload,
        );
    });
    let base = Base {
        position: at(1, index),
        config: genesis_config((1..=3).map(NodeId::new)),
        chain: None,
    };
    let stamp = Stamp::default();
    Snapshot {
        head: SnapshotHead { base, stamp },
        machine,
    }
}

fn id(index: u64) -> SnapshotId {
    SnapshotId {
        position: at(1, index),
        bytes: 2 * PART + 500,
        hash: 1,
    }
}

/// A follower of node 2 with one entry.
fn receiver() -> Driven {
    let mut driven = Setup::new(3, 0).start();
    driven.append(2, 1, at(1, 1), Vec::new(), 1);
    driven
}

fn part(driven: &mut Driven, term: u64, snapshot: SnapshotId, offset: u64, length: u64) -> Vec<Output> {
    let message = PeerMessage::SnapshotChunk {
        term: noraft::Term::new(term),
        snapshot,
        chain: None,
        offset,
        bytes: Bytes::from(vec![7; length as usize]),
    };
    driven.hear(2, message)
}

/// Where the parts begin that are written, and what the sender is said to go on with.
fn taken(outputs: &[Output]) -> (Vec<u64>, Vec<u64>) {
    let (mut written, mut said) = (Vec::new(), Vec::new());
    for output in outputs {
        match output {
            Output::ReceiveSnapshot { offset, .. } => written.push(*offset),
            Output::Send {
                to,
                message: PeerMessage::SnapshotReply { next, .. },
            } => {
                assert_eq!(to.get(), 2);
                said.push(*next);
            }
            _ => {}
        }
    }
    (written, said)
}

/// The disk has done something with a part.
fn written(driven: &mut Driven, id: SnapshotId, received: Received) -> (Vec<u64>, Vec<u64>) {
    if let Received::Whole(snapshot) = &received {
        driven.disk.save((**snapshot).clone(), id.bytes);
    }
    taken(&driven.handle(Input::SnapshotReceived { id, received }))
}

#[test]
fn a_part_is_acknowledged_when_it_is_written() {
    let mut driven = receiver();
    let first = part(&mut driven, 1, id(9), 0, PART);
    assert_eq!(taken(&first), (vec![0], vec![]));
    let again = part(&mut driven, 1, id(9), 0, PART);
    assert_eq!(taken(&again), (vec![], vec![]), "one is written at a time");
    let next = written(&mut driven, id(9), Received::Part { next: PART });
    assert_eq!(next, (vec![], vec![PART]));
    let second = part(&mut driven, 1, id(9), PART, PART);
    assert_eq!(taken(&second), (vec![PART], vec![]));
}

#[test]
fn only_the_part_that_is_missing_next_is_written_and_the_sender_is_said_which_one_that_is() {
    let mut driven = receiver();
    part(&mut driven, 1, id(9), 0, PART);
    written(&mut driven, id(9), Received::Part { next: PART });
    // One that is there, one behind a gap, one that is longer than the whole, none.
    for (offset, length) in [(0, PART), (PART + 1, 100), (PART, 5 * PART), (PART, 0)] {
        let said = part(&mut driven, 1, id(9), offset, length);
        assert_eq!(taken(&said), (vec![], vec![PART]), "{length} bytes at {offset}");
    }
}

#[test]
fn a_part_of_another_term_is_not_heard() {
    let mut driven = receiver();
    assert_eq!(taken(&part(&mut driven, 0, id(9), 0, PART)), (vec![], vec![]));
    assert_eq!(taken(&part(&mut driven, 2, id(9), 0, PART)), (vec![], vec![]));
}

#[test]
fn another_snapshot_and_one_that_could_not_be_written_begin_at_their_beginning() {
    let mut driven = receiver();
    part(&mut driven, 1, id(9), 0, PART);
    written(&mut driven, id(9), Received::Part { next: PART });
    assert_eq!(
        taken(&part(&mut driven, 1, id(12), PART, PART)),
        (vec![], vec![0])
    );
    assert_eq!(taken(&part(&mut driven, 1, id(12), 0, PART)), (vec![0], vec![]));
    assert_eq!(written(&mut driven, id(12), Received::Failed), (vec![], vec![]));
    assert_eq!(
        taken(&part(&mut driven, 1, id(12), PART, PART)),
        (vec![], vec![0])
    );
}

#[test]
fn a_part_of_an_earlier_snapshot_that_comes_late_changes_nothing() {
    let mut driven = receiver();
    part(&mut driven, 1, id(12), 0, PART);
    written(&mut driven, id(12), Received::Part { next: PART });
    assert_eq!(taken(&part(&mut driven, 1, id(9), PART, PART)), (vec![], vec![]));
    assert_eq!(taken(&part(&mut driven, 1, id(9), 0, PART)), (vec![], vec![]));
    assert_eq!(
        taken(&part(&mut driven, 1, id(12), PART, PART)),
        (vec![PART], vec![])
    );
    written(&mut driven, id(12), Received::Part { next: 2 * PART });
    // A leader of a later term may have an earlier one only.
    driven.append(2, 2, at(1, 1), Vec::new(), 1);
    assert_eq!(taken(&part(&mut driven, 2, id(9), 0, PART)), (vec![0], vec![]));
}

#[test]
fn a_snapshot_that_is_whole_is_installed_and_one_that_is_covered_needs_no_part() {
    let mut driven = receiver();
    part(&mut driven, 1, id(9), 0, 2 * PART + 500);
    let whole = Received::Whole(Box::new(snapshot_at(9)));
    assert_eq!(written(&mut driven, id(9), whole), (vec![], vec![id(9).bytes]));
    let log = driven.replica.status().log;
    assert_eq!((log.applied_index.get(), log.base_index.get()), (9, 9));
    assert_eq!(
        taken(&part(&mut driven, 1, id(9), 0, PART)),
        (vec![], vec![id(9).bytes])
    );
    assert_eq!(
        taken(&part(&mut driven, 1, id(7), 0, PART)),
        (vec![], vec![id(7).bytes])
    );
}

/// Leads three nodes with a log that begins after entry 9, and sends its snapshot at 100 parts a second; node 3 acknowledges,
/// and node 2 has nothing.
fn sender() -> (Driven, Vec<Output>) {
    let mut setup = Setup::new(3, 20);
    setup.settings.snapshots.chunk_bytes = PART as usize;
    setup.settings.snapshots.bytes_per_second = 100 * PART;
    setup.disk.save(snapshot_at(9), id(9).bytes);
    setup.disk.rebase(&snapshot_at(9).head.base);
    let mut driven = setup.start();
    driven.lead();
    let said = driven.acknowledge_until(3, driven.last());
    assert!(reads(&said).is_empty());
    let lacks = driven.acknowledge_until(2, LogPosition::ZERO);
    (driven, lacks)
}

/// Where the parts begin that are read.
fn reads(outputs: &[Output]) -> Vec<u64> {
    let reads = outputs.iter().filter_map(|output| match output {
        Output::ReadSnapshot {
            offset, bytes_max, ..
        } => {
            assert_eq!(*bytes_max as u64, PART);
            Some(*offset)
        }
        _ => None,
    });
    reads.collect()
}

/// The disk gives a part.
fn give(driven: &mut Driven, offset: u64) -> Vec<Output> {
    driven.handle(Input::SnapshotRead {
        position: at(1, 9),
        offset,
        bytes: Some(Bytes::from(vec![7; PART as usize])),
    })
}

/// Where the parts begin that are sent when the disk gives one.
fn read(driven: &mut Driven, offset: u64) -> Vec<u64> {
    sent(&give(driven, offset))
}

fn sent(outputs: &[Output]) -> Vec<u64> {
    let sent = outputs.iter().filter_map(|output| match output {
        Output::Send {
            to,
            message: PeerMessage::SnapshotChunk { offset, .. },
        } => {
            assert_eq!(to.get(), 2);
            Some(*offset)
        }
        _ => None,
    });
    sent.collect()
}

fn reply(driven: &mut Driven, next: u64) -> Vec<Output> {
    let (term, position) = (driven.term(), at(1, 9));
    driven.hear(2, PeerMessage::SnapshotReply { term, position, next })
}

#[test]
fn the_next_part_is_sent_as_soon_as_the_rate_allows_it_and_not_before() {
    let (mut driven, begun) = sender();
    assert_eq!(reads(&begun), [0]);
    assert_eq!(read(&mut driven, 0), [0]);
    assert!(reads(&reply(&mut driven, PART)).is_empty());
    let takes = Duration::from_millis(10);
    assert_eq!(
        driven.replica.deadline(),
        Some(driven.now + takes),
        "it does not wait for a heartbeat"
    );
    assert!(reads(&driven.pass(takes - Duration::from_nanos(1))).is_empty());
    assert_eq!(reads(&driven.pass(Duration::from_nanos(1))), [PART]);
    assert_eq!(read(&mut driven, PART), [PART]);
}

#[test]
fn a_part_that_is_not_acknowledged_is_sent_again_after_an_election_timeout() {
    let (mut driven, _) = sender();
    assert_eq!(read(&mut driven, 0), [0]);
    let step = Duration::from_millis(50);
    for _ in 1..10 {
        assert!(reads(&driven.pass(step)).is_empty());
        driven.acknowledge_until(3, driven.last());
    }
    assert_eq!(reads(&driven.pass(step)), [0]);
    assert_eq!(read(&mut driven, 0), [0]);
}

#[test]
fn a_part_that_is_read_after_another_one_is_needed_is_not_sent() {
    let (mut driven, _) = sender();
    reply(&mut driven, PART);
    let given = give(&mut driven, 0);
    assert_eq!((sent(&given), reads(&given)), (vec![], vec![PART]));
}

#[test]
fn a_follower_that_has_the_whole_is_asked_at_once_where_its_log_ends() {
    let (mut driven, _) = sender();
    read(&mut driven, 0);
    let said = reply(&mut driven, id(9).bytes);
    let asks = said.iter().any(
        |output| matches!(output, Output::Send { to, message: PeerMessage::Append { .. } } if to.get() == 2),
    );
    assert!(asks && reads(&said).is_empty());
    assert!(reads(&driven.pass(Duration::from_millis(100))).is_empty());
}
