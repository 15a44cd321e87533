//! What belongs to the past: messages of earlier terms and earlier processes, rounds that went out before a read came, what a
//! cut log held.

use std::time::Duration;

use noraft::{LogIndex, NodeId, Term};
use noraftd::machine::Machine;
use noraftd::protocol::outcome::{Doubt, Outcome, Refusal};
use noraftd::protocol::peer::PeerMessage;
use noraftd::protocol::resp::Reply;
use noraftd::record::{Abstain, Base, SnapshotHead, SnapshotId, genesis_config};
use noraftd::replica::event::{Input, Room, Snapshot};
use noraftd::time::Stamp;

use super::alone::{Alone, Found, TAIL, at, request};
use super::driven::{Setup, messages};
use super::{SECOND, done, led_world, outcome};

/// It may have been appended then, and be in the log.
#[test]
fn what_was_forwarded_in_an_earlier_term_is_not_appended_in_a_later_one() {
    let mut node = Alone::new(3, Abstain::No);
    let forward = |id, term| PeerMessage::Forward {
        id,
        boot: 5,
        term: Term::new(term),
        request: request(&["SET", "k", "v"]),
    };
    let first = node.lead();
    node.hear(
        3,
        PeerMessage::Vote {
            term: Term::new(first + 1),
            granted: false,
        },
    );
    assert!(!node.replica.node().role().is_leader(), "a later term deposes it");
    let second = node.lead();
    assert!(second > first);
    let before = node.last_index();
    let said = node.hear(2, forward(1, first));
    assert_eq!((node.last_index(), said), (before, Vec::new()), "a late copy");
    node.hear(2, forward(2, second));
    assert_eq!(node.last_index(), before + 1, "what is of this term is appended");
}

/// It waited for the batch in flight when its leader lost office: the node that sent it may have given it up by the time this one leads
/// again, and answered reads which it is not in.
#[test]
fn what_was_forwarded_and_not_appended_goes_back_when_its_leader_loses_office() {
    let mut node = Setup::new(3, 0).start();
    node.lead();
    let term = node.term();
    node.is_disk_held = true;
    node.ask(1, 7, &["SET", "own", "v"]);
    node.hear(
        2,
        PeerMessage::Forward {
            id: 1,
            boot: 5,
            term,
            request: request(&["SET", "forwarded", "v"]),
        },
    );
    let later = PeerMessage::Vote {
        term: Term::new(term.get() + 1),
        granted: false,
    };
    let mut said = node.hear(3, later);
    while node.is_disk_busy() {
        said.extend(node.sync());
    }
    assert!(!node.replica.node().role().is_leader(), "a later term deposes it");
    let returned = PeerMessage::Forwarded {
        id: 1,
        boot: 5,
        outcome: Outcome::Refused(Refusal::NotLeader),
    };
    assert!(messages(&said).contains(&returned), "{said:?}");
    let before = node.last().index.get();
    node.is_disk_held = false;
    node.lead();
    assert_eq!(
        node.last().index.get(),
        before + 1,
        "only the first entry of the term"
    );
}

/// Ids begin again with every process.
#[test]
fn a_reply_to_an_earlier_process_answers_no_request() {
    let mut node = Alone::new(3, Abstain::No);
    node.hear_leader(2, 2, TAIL, TAIL.index.get());
    let said = node.ask(7, &["SET", "k", "v"]);
    let (id, boot) = said
        .iter()
        .find_map(|message| match message {
            PeerMessage::Forward { id, boot, .. } => Some((*id, *boot)),
            _ => None,
        })
        .expect("a follower passes it on");
    let reply = |boot| PeerMessage::Forwarded {
        id,
        boot,
        outcome: Outcome::Done(Reply::Status("OK")),
    };
    node.hear(2, reply(boot.wrapping_add(1)));
    assert_eq!(node.replies, [], "it was not asked by this process");
    node.hear(2, reply(boot));
    assert_eq!(node.replies, [(7, Outcome::Done(Reply::Status("OK")))]);
}

/// Rounds begin again in each term.
#[test]
fn an_acknowledgement_of_an_earlier_term_confirms_no_read() {
    let mut node = Alone::new(3, Abstain::No);
    let term = node.lead();
    let acknowledged = |term, round| PeerMessage::Appended {
        term: Term::new(term),
        generation: 1,
        last_position: at(term, 3),
        round,
    };
    node.hear(2, acknowledged(term, 2));
    node.ask(7, &["GET", "k"]);
    node.hear(2, acknowledged(term - 1, 99));
    assert_eq!(node.replies, [], "it says nothing of this term");
    node.hear(2, acknowledged(term, 99));
    assert_eq!(node.replies, [(7, Outcome::Done(Reply::Null))]);
}

/// All echoes of earlier rounds are here, and say nothing about who leads since the read came.
#[test]
fn a_round_that_went_out_before_the_read_came_does_not_confirm_it() {
    let (mut world, leader) = led_world(3);
    world.partition(&[leader], false);
    world.request(leader, 1, &["GET", "k"]);
    world.run_for(SECOND / 10);
    assert_eq!(
        world.leader(),
        Some(leader),
        "it does not know yet that it is alone"
    );
    assert_eq!(outcome(&world, 1), None);
    world.run_for(SECOND * 4);
    assert!(matches!(outcome(&world, 1), Some(Outcome::Refused(_))));
}

/// A new leader has committed everything with the first entry of its term, long before it has applied it.
#[test]
fn a_read_waits_for_all_that_was_committed_when_it_came() {
    let (mut world, leader) = led_world(3);
    let count = 300;
    for id in 1..=count {
        let value = format!("{id}, and so much more that it is not kept in memory");
        world.request(leader, id, &["SET", "k", &value]);
        world.run_for(Duration::from_micros(500));
    }
    world.run_for(SECOND);
    (1..=3).for_each(|node| world.kill(node));
    (1..=3).for_each(|node| world.start(node));
    while world.leader().is_none() {
        world.run_for(Duration::from_micros(20));
    }
    let leader = world.leader().expect("it was waited for");
    world.request(leader, 1000, &["GET", "k"]);
    world.run_for(SECOND);
    let expected = format!("{count}, and so much more that it is not kept in memory");
    assert_eq!(done(&world, 1000), Reply::Bulk(expected.into()));
}

/// Durable it is, but as an entry that the log no longer has.
#[test]
fn what_was_cut_off_the_log_does_not_count_as_durable() {
    let mut node = Alone::new(3, Abstain::No);
    let durable = |node: &Alone| node.replica.durable_index();
    assert_eq!(durable(&node), TAIL.index);
    node.hear_leader(2, 2, at(2, 2), 2);
    assert_eq!(node.last_index(), 1, "the leader has another entry there");
    assert_eq!(durable(&node), LogIndex::new(1));
}

/// The snapshot may hold it or not.
#[test]
fn a_write_that_a_snapshot_covers_is_in_doubt() {
    let mut node = Alone::new(3, Abstain::No);
    let term = node.lead();
    node.ask(7, &["SET", "k", "v"]);
    let index = node.last_index();
    assert_eq!(node.replies, []);
    let position = at(term + 1, index + 5);
    let base = Base {
        position,
        config: genesis_config((1..=3).map(NodeId::new)),
        chain: None,
    };
    node.incoming = Some(Snapshot {
        head: SnapshotHead {
            base,
            stamp: Stamp::default(),
        },
        machine: Machine::new(),
    });
    node.hear_leader(2, term + 1, position, position.index.get());
    let chunk = PeerMessage::SnapshotChunk {
        term: Term::new(term + 1),
        snapshot: SnapshotId {
            position,
            bytes: 4,
            hash: 1,
        },
        chain: None,
        offset: 0,
        bytes: "abcd".into(),
    };
    node.hear(2, chunk);
    assert_eq!(
        node.replica.status().log.base_index,
        position.index,
        "it is installed"
    );
    assert_eq!(
        node.replies,
        [(7, Outcome::Indefinite(Doubt::LeadershipLost))],
        "not {:?}",
        Outcome::Refused(Refusal::NotLeader)
    );
}

/// There may be room later, and a log that is never cut fills the disk for good.
#[test]
fn a_snapshot_that_found_no_room_is_taken_again() {
    let found = Found {
        snapshot_after: 1,
        ..Found::default()
    };
    let mut node = Alone::start(1, found);
    node.time_out();
    for id in 1..=3 {
        node.ask(id, &["SET", "k", "v"]);
    }
    assert_eq!(node.saves, 1, "not at once");
    for saves in 2..5 {
        node.wait(10);
        assert_eq!(node.saves, saves);
    }
}

/// A follower may wait for it, and the room that comes is what it waits for.
#[test]
fn a_snapshot_that_found_no_room_is_taken_as_soon_as_there_is_some() {
    let found = Found {
        snapshot_after: 1,
        ..Found::default()
    };
    let mut node = Alone::start(1, found);
    node.time_out();
    node.handle(Input::Room(Room::Spent));
    assert_eq!(node.saves, 1, "not at once");
    node.handle(Input::Room(Room::Low));
    assert_eq!(node.saves, 1, "the log has hardly any");
    node.handle(Input::Room(Room::Plenty));
    assert_eq!(node.saves, 2);
    node.ask(1, &["SET", "k", "v"]);
    assert_eq!(node.saves, 2, "there was none after all");
}
