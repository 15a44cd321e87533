//! Blocks of commands: by way of any node, once, and as one.

use std::collections::BTreeMap;

use bytes::Bytes;
use noraft::LogIndex;
use noraftd::level::Level;
use noraftd::protocol::command::Request;
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::resp::Reply;

use super::world::{World, request_of};
use super::{SECOND, done, led_world, other, outcome};

/// A cluster whose level has blocks.
fn world_with_blocks() -> (World, u64) {
    let (mut world, leader) = led_world(3);
    world.raw_request(leader, 1, 1, Request::to_raise(Level::BLOCK));
    world.run_for(SECOND);
    assert_eq!(done(&world, 1), Reply::Integer(1));
    (world, leader)
}

/// When the key was last changed, as a client of `node` learns it.
fn watch(world: &mut World, node: u64, id: u64, key: &'static str) -> u64 {
    let keys = [Bytes::from_static(key.as_bytes())];
    let asked = Request::for_modified(&keys).expect("it is small");
    world.raw_request(node, id, id, asked);
    world.run_for(SECOND / 10);
    match done(world, id) {
        Reply::Array(indexes) => match indexes[..] {
            [Reply::Integer(index)] => index as u64,
            _ => panic!("{indexes:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn block(key: &'static str, index: u64, lines: &[&[&str]]) -> Request {
    let watches = BTreeMap::from([(Bytes::from_static(key.as_bytes()), LogIndex::new(index))]);
    let bodies: Vec<Bytes> = lines.iter().map(|words| request_of(words).body).collect();
    Request::to_run_block(&watches, &bodies).expect("it is small")
}

#[test]
fn of_two_blocks_that_depend_on_one_state_one_is_carried_out() {
    let (mut world, leader) = world_with_blocks();
    let follower = other(&world, leader);
    world.request(leader, 2, &["SET", "k", "1"]);
    world.run_for(SECOND);
    let here = watch(&mut world, follower, 3, "k");
    let there = watch(&mut world, leader, 4, "k");
    assert_eq!(here, there, "it is the entry that counts, on every node");
    let lines: [&[&str]; 2] = [&["INCR", "k"], &["GET", "k"]];
    world.raw_request(follower, 5, 5, block("k", here, &lines));
    world.raw_request(leader, 6, 6, block("k", there, &lines));
    world.run_for(SECOND);
    let carried_out = Reply::Array(vec![Reply::Integer(2), Reply::Bulk("2".into())]);
    let mut answers = [done(&world, 5), done(&world, 6)];
    answers.sort_by_key(|answer| *answer == Reply::NullArray);
    assert_eq!(answers, [carried_out, Reply::NullArray]);
    let hash = |node| world.replica(node).expect("it is up").machine().state_hash();
    assert_eq!(hash(leader), hash(follower));
}

#[test]
fn a_block_of_reads_is_answered_by_a_follower_without_an_entry() {
    let (mut world, leader) = world_with_blocks();
    let follower = other(&world, leader);
    let index = watch(&mut world, follower, 2, "none");
    let last = |world: &World| {
        let status = world.replica(leader).expect("it is up").status();
        status.log.last_position.index
    };
    let before = last(&world);
    world.raw_request(
        follower,
        3,
        3,
        block("none", index, &[&["GET", "none"], &["STRLEN", "none"]]),
    );
    world.run_for(SECOND);
    assert_eq!(
        done(&world, 3),
        Reply::Array(vec![Reply::Null, Reply::Integer(0)])
    );
    assert_eq!(last(&world), before);
}

#[test]
fn a_block_of_unknown_outcome_is_in_doubt_as_a_whole_and_all_or_nothing() {
    let (mut world, leader) = world_with_blocks();
    let follower = other(&world, leader);
    let lines: [&[&str]; 2] = [&["SET", "a", "1"], &["SET", "b", "1"]];
    world.raw_request(follower, 2, 2, block("a", 0, &lines));
    world.kill(leader);
    assert!(matches!(outcome(&world, 2), Some(Outcome::Indefinite(_))));
    world.run_for(SECOND * 3);
    world.start(leader);
    world.run_for(SECOND * 3);
    world.request(follower, 3, &["EXISTS", "a", "b"]);
    world.run_for(SECOND);
    assert!(
        matches!(done(&world, 3), Reply::Integer(0 | 2)),
        "{:?}",
        done(&world, 3)
    );
}
