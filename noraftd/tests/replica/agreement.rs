//! Nodes whose states or logs differ notice it, and a node that differs from a majority serves no client.

use std::time::Duration;

use bytes::Bytes;
use noraft::{LogIndex, NodeId};
use noraftd::protocol::outcome::{Outcome, Refusal};
use noraftd::protocol::peer::{PeerMessage, Print};
use noraftd::protocol::resp::Reply;
use noraftd::record::Record;
use noraftd::replica::event::Divergence;

use super::driven::{Driven, Setup, answers, at, messages};
use super::world::{Faults, World};
use super::{SECOND, done, led_world, other, outcome};

fn divergence(world: &World, node: u64) -> Option<Divergence> {
    world.replica(node).expect("it is up").divergence()
}

fn write(world: &mut World, node: u64, ids: std::ops::RangeInclusive<u64>) {
    for id in ids {
        world.request(
            node,
            id,
            &["SET", &format!("key-{}", id % 7), &format!("value {id}")],
        );
        world.run_for(Duration::from_millis(1));
    }
}

/// Puts another command into the log of `node`, which is down, in place of the one at `index`.
fn forge(world: &mut World, node: u64, index: u64) {
    world.rewrite(node, index, |record| {
        let mut payload = record.payload.to_vec();
        let last = payload.last_mut().expect("a command has bytes");
        *last ^= 1;
        Record::new(record.position, record.kind, record.stamp, Bytes::from(payload))
    });
}

fn refused(world: &mut World, node: u64, id: u64) -> bool {
    world.request(node, id, &["GET", "key-1"]);
    world.run_for(SECOND);
    outcome(world, id) == Some(Outcome::Refused(Refusal::Divergent))
}

#[test]
fn a_node_whose_state_differs_from_a_majority_stops_and_says_where() {
    let (mut world, leader) = led_world(3);
    write(&mut world, leader, 1..=40);
    world.run_for(SECOND * 3);
    assert!((1..=3).all(|node| divergence(&world, node).is_none()));
    // A follower applies another command than the others, of which its log knows nothing.
    let node = other(&world, leader);
    world.kill(node);
    let last = world.on_disk(node).last().copied().unwrap_or(0);
    forge(&mut world, node, last);
    world.forget_chain(node);
    world.start(node);
    world.run_for(SECOND * 4);
    let Some(Divergence::Here { index }) = divergence(&world, node) else {
        panic!("{:?}", divergence(&world, node))
    };
    assert!(index.get() >= last, "{index:?}, forged was {last}");
    assert!(refused(&mut world, node, 1000));
    let third = 6 - leader - node;
    for well in [leader, third] {
        let found = divergence(&world, well);
        assert!(matches!(found, Some(Divergence::Elsewhere { .. })), "{found:?}");
    }
    write(&mut world, leader, 2000..=2010);
    world.run_for(SECOND);
    assert_eq!(done(&world, 2010), Reply::Status("OK"), "the others go on");
}

#[test]
fn a_log_with_a_forged_entry_takes_nothing_and_its_node_stops() {
    let (mut world, leader) = led_world(3);
    write(&mut world, leader, 1..=40);
    let node = other(&world, leader);
    world.kill(node);
    forge(&mut world, node, 20);
    world.start(node);
    let applied = |world: &World| world.replica(node).expect("it is up").status().log.applied_index;
    world.run_for(SECOND * 4);
    assert!(matches!(divergence(&world, node), Some(Divergence::Here { .. })));
    assert!(applied(&world) < LogIndex::new(20), "{:?}", applied(&world));
    assert!(refused(&mut world, node, 1000));
    assert_eq!(world.leader(), Some(leader));
}

#[test]
fn a_leader_with_a_forged_entry_gives_way() {
    let (mut world, leader) = led_world(3);
    write(&mut world, leader, 1..=40);
    world.run_for(SECOND);
    // The one whose log is forged is elected, for the others are away at first.
    (1..=3).for_each(|node| world.kill(node));
    forge(&mut world, leader, 20);
    let others: Vec<u64> = (1..=3).filter(|node| *node != leader).collect();
    world.start(leader);
    world.start(others[0]);
    world.run_for(SECOND * 6);
    world.start(others[1]);
    world.run_for(SECOND * 8);
    assert!(matches!(
        divergence(&world, leader),
        Some(Divergence::Here { .. })
    ));
    let leads = world.leader().expect("the others elect");
    assert!(others.contains(&leads));
    write(&mut world, leads, 2000..=2001);
    world.run_for(SECOND);
    assert_eq!(done(&world, 2001), Reply::Status("OK"));
}

#[test]
fn where_no_majority_is_right_no_node_serves_until_one_is() {
    let (mut world, leader) = led_world(3);
    write(&mut world, leader, 1..=40);
    world.run_for(SECOND);
    let (node, third) = (other(&world, leader), 6 - leader - other(&world, leader));
    world.kill(third);
    world.kill(node);
    forge(&mut world, node, 20);
    world.start(node);
    world.run_for(SECOND * 6);
    for node in [leader, node] {
        let found = divergence(&world, node);
        assert!(
            matches!(found, Some(Divergence::Undecided { .. })),
            "{node}: {found:?}"
        );
    }
    assert!(refused(&mut world, leader, 1000));
    assert!(refused(&mut world, node, 1001));
    world.start(third);
    world.run_for(SECOND * 8);
    assert!(matches!(divergence(&world, node), Some(Divergence::Here { .. })));
    let leads = world.leader().expect("the other two elect");
    world.request(leads, 2000, &["GET", "key-1"]);
    world.run_for(SECOND);
    assert!(matches!(done(&world, 2000), Reply::Bulk(_)));
}

#[test]
fn nodes_that_agree_never_differ_whatever_the_network_does() {
    for seed in 0..20 {
        let faults = Faults {
            loss: 50,
            duplicate: 50,
            reorder: true,
            delay_max: 3000,
            sync_max: 3000,
            compact: seed % 2 == 0,
        };
        let mut world = World::new(seed, 3, faults);
        world.run_for(SECOND * 2);
        for round in 0..8u64 {
            for id in round * 60 + 1..=round * 60 + 60 {
                world.request(1 + id % 3, id, &["APPEND", "k", &id.to_string()]);
                world.run_for(Duration::from_millis(3));
            }
            let victim = 1 + world.prng.below(3);
            world.kill(victim);
            world.damage(victim, (1..400).filter(|index| index % 9 == round));
            world.run_for(Duration::from_millis(300));
            world.start(victim);
            world.run_for(SECOND * 2);
            for node in 1..=3 {
                assert_eq!(divergence(&world, node), None, "REPLICA_SEED={seed}, node {node}");
            }
        }
        world.heal();
        world.run_for(SECOND * 5);
        for node in 1..=3 {
            let replica = world.replica(node).expect("it is up");
            assert!(replica.chain_is_known(), "REPLICA_SEED={seed}, node {node}");
        }
    }
}

/// Of one of three nodes with ten entries: what its log holds there, and something else.
fn prints(index: u64) -> (Print, Print) {
    let setup = Setup::new(3, 9);
    let own = Print {
        position: at(1, index),
        chain: setup.disk.chain().at(LogIndex::new(index)),
        digest: None,
    };
    let chain = own.chain.map(|chain| chain ^ 1);
    (own, Print { chain, ..own })
}

fn reports(driven: &mut Driven, from: u64, print: Print) {
    let (asks, prints) = (false, vec![print]);
    driven.hear(from, PeerMessage::Compare { asks, prints });
}

#[test]
fn what_a_majority_reports_is_believed_without_asking_for_it_again() {
    let mut driven = Setup::new(3, 9).start();
    let (_, other) = prints(8);
    reports(&mut driven, 2, other);
    assert_eq!(driven.replica.divergence(), None, "it is one of three");
    reports(&mut driven, 3, other);
    let index = LogIndex::new(8);
    assert_eq!(driven.replica.divergence(), Some(Divergence::Here { index }));
}

#[test]
fn a_node_that_differs_is_named_until_it_agrees_itself_at_a_later_place() {
    let mut driven = Setup::new(3, 9).start();
    reports(&mut driven, 2, prints(5).1);
    reports(&mut driven, 3, prints(5).0);
    let answer = vec![prints(5).0];
    driven.hear(3, PeerMessage::Compared { prints: answer });
    let (node, index) = (NodeId::new(2), LogIndex::new(5));
    let named = Some(Divergence::Elsewhere { node, index });
    assert_eq!(driven.replica.divergence(), named);
    reports(&mut driven, 3, prints(9).0);
    assert_eq!(
        driven.replica.divergence(),
        named,
        "another agrees, which it always did"
    );
    reports(&mut driven, 2, prints(4).0);
    assert_eq!(
        driven.replica.divergence(),
        named,
        "they agreed before that place"
    );
    reports(&mut driven, 2, prints(9).0);
    assert_eq!(driven.replica.divergence(), None);
}

/// A follower of node 2 whose log of so many writes is applied.
fn applied(writes: u64) -> Driven {
    let mut setup = Setup::new(3, writes);
    setup.settings.election_timeout = SECOND * 60;
    let mut driven = setup.start();
    driven.connect(2);
    let last = driven.last();
    driven.append(2, 1, last, Vec::new(), last.index.get());
    while driven.replica.status().log.applied_index < last.index {
        driven.pass(Duration::ZERO);
    }
    driven
}

/// Nodes stop at different places, and remember the same ones between.
#[test]
fn the_state_at_a_round_index_is_remembered_though_applying_did_not_stop_there() {
    let mut driven = applied(99);
    let (_, other) = prints(9);
    let asked = Print {
        position: at(1, 64),
        ..other
    };
    let prints = vec![asked];
    let said = driven.hear(2, PeerMessage::Compare { asks: true, prints });
    let answers = messages(&said).into_iter().filter_map(|message| match message {
        PeerMessage::Compared { prints } => Some(prints),
        _ => None,
    });
    let answers: Vec<Print> = answers.flatten().collect();
    assert_eq!(answers.len(), 1);
    assert!(answers[0].digest.is_some(), "{answers:?}");
}

#[test]
fn nodes_compare_every_second_whatever_else_there_is_to_do() {
    let mut driven = applied(3);
    assert_eq!(driven.replica.deadline(), Some(driven.now + SECOND));
    let said = messages(&driven.pass(SECOND));
    assert!(
        said.iter()
            .any(|message| matches!(message, PeerMessage::Compare { .. })),
        "{said:?}"
    );
    assert_eq!(driven.replica.deadline(), Some(driven.now + SECOND));
}

#[test]
fn what_waits_at_a_node_that_turns_out_to_be_wrong_is_refused_at_once() {
    let mut driven = Setup::new(3, 9).start();
    driven.lead();
    driven.is_disk_held = true;
    driven.ask(1, 1, &["SET", "k", "in flight"]);
    driven.ask(2, 2, &["SET", "k", "waits"]);
    driven.ask(3, 3, &["GET", "k"]);
    let (_, other) = prints(8);
    reports(&mut driven, 2, other);
    let prints = vec![other];
    let said = answers(&driven.hear(3, PeerMessage::Compare { asks: false, prints }));
    assert!(matches!(
        driven.replica.divergence(),
        Some(Divergence::Here { .. })
    ));
    let divergent = Outcome::Refused(Refusal::Divergent);
    assert_eq!(said, [(2, divergent.clone()), (3, divergent)]);
}
