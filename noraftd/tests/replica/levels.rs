//! Levels: when one comes into force, what is refused before, and who stops after.

use std::time::Duration;

use noraftd::level::Level;
use noraftd::protocol::command::{Command, Request};
use noraftd::protocol::outcome::{Outcome, Refusal};
use noraftd::protocol::resp::Reply;

use super::world::{Faults, World};
use super::{SECOND, done, led_world, other, outcome};

const RAISED: Outcome = Outcome::Done(Reply::Integer(1));

/// Asks `node` to raise the level, and waits.
fn raise(world: &mut World, node: u64, id: u64) -> Option<Outcome> {
    world.raw_request(node, id, id, Request::to_raise(Level::FLUSH));
    world.run_for(SECOND);
    outcome(world, id)
}

fn flush(world: &mut World, node: u64, id: u64) -> Option<Outcome> {
    let request = Request::encode(&Command::FlushAll).expect("it is small");
    world.raw_request(node, id, id, request);
    world.run_for(SECOND);
    outcome(world, id)
}

fn levels(world: &World) -> Vec<u8> {
    let level = |node: u64| Some(world.replica(node)?.status().level.get());
    (1..=world.size).filter_map(level).collect()
}

#[test]
fn the_level_rises_when_every_member_supports_it_and_not_before() {
    let (mut world, leader) = led_world(3);
    let old = other(&world, leader);
    world.start_at(old, Level::FIRST);
    world.run_for(SECOND);
    let refused = Some(Outcome::Refused(Refusal::NotSupported));
    assert_eq!(raise(&mut world, leader, 1), refused);
    let forwarder = (1..=3)
        .find(|node| ![leader, old].contains(node))
        .expect("a third");
    assert_eq!(
        raise(&mut world, forwarder, 2),
        refused,
        "nor by way of another node"
    );
    world.kill(old);
    assert_eq!(
        raise(&mut world, leader, 3),
        refused,
        "who is not there does not say"
    );
    assert_eq!(levels(&world), [0, 0]);
    world.start(old);
    world.start_at(old, Level::SUPPORTED);
    world.run_for(SECOND);
    assert_eq!(raise(&mut world, forwarder, 4), Some(RAISED));
    assert_eq!(raise(&mut world, leader, 5), Some(RAISED), "again");
    assert_eq!(levels(&world), [1, 1, 1]);
}

#[test]
fn what_takes_a_level_is_refused_below_it_whoever_asks() {
    let (mut world, leader) = led_world(3);
    let follower = other(&world, leader);
    world.request(leader, 1, &["SET", "k", "v"]);
    for (id, node) in [(2, leader), (3, follower)] {
        let refused = flush(&mut world, node, id);
        assert_eq!(refused, Some(Outcome::Refused(Refusal::LevelTooLow)));
    }
    world.request(leader, 4, &["EXISTS", "k"]);
    assert_eq!(raise(&mut world, leader, 5), Some(RAISED));
    assert_eq!(done(&world, 4), Reply::Integer(1));
    assert_eq!(
        flush(&mut world, follower, 6),
        Some(Outcome::Done(Reply::Status("OK")))
    );
    world.request(leader, 7, &["EXISTS", "k"]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 7), Reply::Integer(0));
}

/// A new leader that has not applied its log yet knows a lower level than the one that its clients were given.
#[test]
fn after_a_restart_of_all_nodes_the_first_command_waits_for_the_level() {
    let (mut world, leader) = led_world(3);
    assert_eq!(raise(&mut world, leader, 1), Some(RAISED));
    for node in 1..=3 {
        world.kill(node);
    }
    let first = Request::encode(&Command::FlushAll).expect("it is small");
    for node in 1..=3 {
        world.start(node);
        world.raw_request(node, 1 + node, 1 + node, first.clone());
    }
    world.run_for(SECOND * 5);
    for id in 2..=4 {
        assert_eq!(
            outcome(&world, id),
            Some(Outcome::Done(Reply::Status("OK"))),
            "{id}"
        );
    }
}

#[test]
fn what_takes_a_level_waits_while_the_level_is_raised() {
    let (mut world, leader) = led_world(3);
    let first = Request::encode(&Command::FlushAll).expect("it is small");
    world.raw_request(leader, 1, 1, Request::to_raise(Level::FLUSH));
    world.raw_request(leader, 2, 2, first);
    world.run_for(SECOND);
    assert_eq!(outcome(&world, 1), Some(RAISED));
    assert_eq!(outcome(&world, 2), Some(Outcome::Done(Reply::Status("OK"))));
}

/// The connection of a node that is cut off looks as before, and for an election timeout a new leader waits for its first answer.
#[test]
fn a_leader_that_was_just_elected_has_not_heard_from_all() {
    let (mut world, leader) = led_world(3);
    let next = other(&world, leader);
    let away = (1..=3).find(|node| ![leader, next].contains(node));
    world.partition(&[away.expect("a third")], false);
    world.hand_over(leader, None, Some(next));
    for _ in 0..1000 {
        if world.leader() != Some(next) {
            world.run_for(Duration::from_millis(1));
        }
    }
    assert_eq!(world.leader(), Some(next));
    let refused = Some(Outcome::Refused(Refusal::NotSupported));
    assert_eq!(raise(&mut world, next, 1), refused);
}

#[test]
fn a_leader_raises_the_level_by_itself_where_that_is_wanted() {
    let mut world = World::new(1, 3, Faults::NONE);
    world.start_at(3, Level::FIRST);
    world.raise_by_itself();
    world.run_for(SECOND * 5);
    assert_eq!(levels(&world), [0, 0, 0]);
    world.start_at(3, Level::SUPPORTED);
    world.run_for(SECOND * 5);
    assert_eq!(levels(&world), [1, 1, 1]);
    let last = |world: &World| world.replica(1).expect("it is up").status().log.last_position;
    let before = last(&world);
    world.run_for(SECOND * 5);
    assert_eq!(last(&world), before, "once");
}

#[test]
fn a_node_that_does_not_support_the_level_applies_nothing_more() {
    let (mut world, leader) = led_world(3);
    let old = other(&world, leader);
    world.partition(&[old], false);
    assert_eq!(
        raise(&mut world, leader, 1),
        Some(RAISED),
        "it had said that it supports it"
    );
    world.reconnect();
    world.start_at(old, Level::FIRST);
    world.run_for(SECOND * 2);
    let replica = world.replica(old).expect("it is up");
    let applied = replica.status().log.applied_index;
    let unknown = replica.unknown_entry().expect("it met the entry");
    assert_eq!(unknown.get(), applied.get() + 1);
    world.request(leader, 2, &["SET", "k", "v"]);
    world.run_for(SECOND);
    let replica = world.replica(old).expect("it is up");
    assert_eq!(replica.status().log.applied_index, applied);
    world.start_at(old, Level::SUPPORTED);
    world.run_for(SECOND * 2);
    assert_eq!(levels(&world), [1, 1, 1]);
}

#[test]
fn a_snapshot_carries_the_level() {
    let mut world = World::new(3, 3, Faults::COMPACTING);
    world.run_for(SECOND * 2);
    let leader = world.leader().expect("a node leads");
    assert_eq!(raise(&mut world, leader, 1), Some(RAISED));
    let away = other(&world, leader);
    world.kill(away);
    for id in 2..100 {
        world.request(leader, id, &["SET", "k", &"v".repeat(100)]);
        world.run_for(SECOND / 50);
    }
    let installs = world.installs;
    world.start(away);
    world.run_for(SECOND * 3);
    assert!(world.installs > installs, "the log no longer holds the entry");
    assert_eq!(levels(&world), [1, 1, 1]);
    for node in world.up() {
        world.kill(node);
    }
    (1..=3).for_each(|node| world.start(node));
    assert_eq!(levels(&world), [1, 1, 1], "from their snapshots");
}

#[test]
fn a_node_below_the_level_is_made_no_voter() {
    let (mut world, leader) = led_world(3);
    let old = other(&world, leader);
    let stay: Vec<u64> = (1..=3).filter(|node| *node != old).collect();
    world.change_voters(leader, 1, &stay);
    world.run_for(SECOND);
    assert_eq!(done(&world, 1), Reply::Status("OK"));
    assert_eq!(raise(&mut world, leader, 2), Some(RAISED));
    world.start_at(old, Level::FIRST);
    world.run_for(SECOND);
    world.change_voters(leader, 3, &[1, 2, 3]);
    world.run_for(SECOND);
    assert_eq!(outcome(&world, 3), Some(Outcome::Refused(Refusal::NotSupported)));
}

/// The membership table that begins then names it.
#[test]
fn a_node_that_does_not_vote_is_asked_before_the_level_rises() {
    let (mut world, leader) = led_world(3);
    let old = other(&world, leader);
    let stay: Vec<u64> = (1..=3).filter(|node| *node != old).collect();
    world.change_voters(leader, 1, &stay);
    world.run_for(SECOND);
    assert_eq!(done(&world, 1), Reply::Status("OK"));
    let refused = Some(Outcome::Refused(Refusal::NotSupported));
    world.start_at(old, Level::FIRST);
    world.run_for(SECOND);
    assert_eq!(raise(&mut world, leader, 2), refused);
    world.kill(old);
    assert_eq!(
        raise(&mut world, leader, 3),
        refused,
        "one that is away does not say"
    );
    world.start(old);
    world.start_at(old, Level::SUPPORTED);
    world.run_for(SECOND);
    assert_eq!(raise(&mut world, leader, 4), Some(RAISED));
}
