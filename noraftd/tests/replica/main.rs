//! Replicas in a small deterministic world: what a client may rely on, under faults.
//!
//! `REPLICA_SEED=n cargo test -p noraftd --test replica` repeats one seed of the random tests.

mod agreement;
mod alone;
mod answers;
mod appends;
mod asking;
mod blocks;
mod counter;
mod disk;
mod driven;
mod elections;
mod expiry;
mod followers;
mod handing_over;
mod levels;
mod members;
mod membership;
mod order;
mod own_state;
mod pulses;
mod repair;
mod slow_disk;
mod snapshots;
mod stale;
mod transfers;
mod void;
mod world;

use std::time::Duration;

use noraftd::protocol::outcome::{Doubt, Outcome, Refusal};
use noraftd::protocol::resp::Reply;

use world::{Faults, World};

const SECOND: Duration = Duration::from_secs(1);

fn outcome(world: &World, id: u64) -> Option<Outcome> {
    world
        .done
        .iter()
        .find(|done| done.id == id)
        .map(|done| done.outcome.clone())
}

fn done(world: &World, id: u64) -> Reply {
    match outcome(world, id) {
        Some(Outcome::Done(reply)) => reply,
        other => panic!("request {id} ended as {other:?}"),
    }
}

fn led_world(size: u64) -> (World, u64) {
    let mut world = World::new(1, size, Faults::NONE);
    world.run_for(SECOND * 3);
    let leader = world.leader().expect("a calm cluster elects a leader");
    (world, leader)
}

fn other(world: &World, leader: u64) -> u64 {
    (1..=world.size)
        .find(|node| *node != leader)
        .expect("there are several nodes")
}

#[test]
fn a_single_node_serves_alone() {
    let (mut world, leader) = led_world(1);
    world.request(leader, 1, &["SET", "k", "v"]);
    world.run_for(SECOND);
    world.request(leader, 2, &["GET", "k"]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 1), Reply::Status("OK"));
    assert_eq!(done(&world, 2), Reply::Bulk("v".into()));
}

#[test]
fn any_node_takes_any_command() {
    let (mut world, leader) = led_world(3);
    let follower = other(&world, leader);
    world.request(follower, 1, &["SET", "k", "v"]);
    world.run_for(SECOND);
    world.request(follower, 2, &["GET", "k"]);
    world.request(leader, 3, &["GET", "k"]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 1), Reply::Status("OK"));
    assert_eq!(done(&world, 2), Reply::Bulk("v".into()));
    assert_eq!(done(&world, 3), Reply::Bulk("v".into()));
}

#[test]
fn without_a_majority_writes_are_indefinite_and_reads_are_refused() {
    let (mut world, leader) = led_world(3);
    world.partition(&[leader], false);
    world.request(leader, 1, &["SET", "k", "v"]);
    world.request(leader, 2, &["GET", "k"]);
    world.run_for(SECOND * 4);
    assert!(matches!(outcome(&world, 1), Some(Outcome::Indefinite(_))));
    assert!(matches!(outcome(&world, 2), Some(Outcome::Refused(_))));
}

#[test]
fn a_deposed_leader_answers_no_reads_from_its_old_state() {
    let (mut world, old) = led_world(3);
    world.partition(&[old], false);
    world.run_for(SECOND * 3);
    let new = (1..=3).find(|node| {
        *node != old
            && world
                .replica(*node)
                .is_some_and(|replica| replica.node().role().is_leader())
    });
    world.request(new.expect("the majority elects"), 1, &["SET", "k", "new"]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 1), Reply::Status("OK"));
    world.request(old, 2, &["GET", "k"]);
    world.run_for(SECOND * 3);
    assert!(
        matches!(outcome(&world, 2), Some(Outcome::Refused(_))),
        "{:?}",
        outcome(&world, 2)
    );
}

#[test]
fn without_a_leader_requests_are_refused_at_their_deadline() {
    let (mut world, leader) = led_world(3);
    let follower = other(&world, leader);
    (1..=3)
        .filter(|node| *node != follower)
        .for_each(|node| world.kill(node));
    world.run_for(SECOND * 3);
    world.request(follower, 1, &["SET", "k", "v"]);
    world.run_for(SECOND * 3);
    assert_eq!(outcome(&world, 1), Some(Outcome::Refused(Refusal::NoLeader)));
}

/// Nodes that start together elect a leader before the last of them has reached it.
#[test]
fn a_request_waits_for_the_connection_to_the_leader() {
    let (mut world, leader) = led_world(3);
    let follower = other(&world, leader);
    world.disconnect(follower, leader);
    // The leader is heard, though it cannot be asked.
    world.run_for(SECOND / 5);
    world.request(follower, 1, &["SET", "k", "v"]);
    world.request(follower, 2, &["GET", "k"]);
    world.run_for(SECOND / 10);
    assert_eq!((outcome(&world, 1), outcome(&world, 2)), (None, None));
    world.connect(follower, leader);
    world.run_for(SECOND / 5);
    assert_eq!(done(&world, 1), Reply::Status("OK"));
    assert!(matches!(done(&world, 2), Reply::Null | Reply::Bulk(_)));
}

#[test]
fn what_could_not_be_sent_to_the_leader_is_refused_definitely() {
    let (mut world, leader) = led_world(3);
    let follower = other(&world, leader);
    world.disconnect(follower, leader);
    world.run_for(SECOND / 5);
    world.request(follower, 1, &["SET", "k", "v"]);
    world.run_for(SECOND * 2);
    assert_eq!(outcome(&world, 1), Some(Outcome::Refused(Refusal::NoLeader)));
}

#[test]
fn what_was_forwarded_to_a_leader_that_died_is_answered_at_once() {
    let (mut world, leader) = led_world(3);
    let follower = other(&world, leader);
    world.request(follower, 1, &["SET", "k", "v"]);
    world.request(follower, 2, &["GET", "k"]);
    world.kill(leader);
    assert_eq!(outcome(&world, 1), Some(Outcome::Indefinite(Doubt::ForwardLost)));
    world.run_for(SECOND * 3);
    assert!(
        matches!(done(&world, 2), Reply::Null | Reply::Bulk(_)),
        "a read is asked again"
    );
}

#[test]
fn a_write_in_flight_at_a_leader_change_is_resolved_by_what_became_of_it() {
    let (mut world, leader) = led_world(3);
    world.request(leader, 1, &["SET", "k", "v"]);
    world.run_for(Duration::from_micros(300));
    // Both followers have the entry; the old leader is cut off before it hears of it and learns later.
    world.partition(&[leader], false);
    world.run_for(SECOND);
    world.heal();
    world.run_for(SECOND * 3);
    assert!(outcome(&world, 1).is_some(), "a request never hangs");
}

#[test]
fn everything_acknowledged_survives_a_restart_of_all_nodes() {
    let (mut world, leader) = led_world(3);
    for id in 1..=50 {
        world.request(leader, id, &["XADD", "log", "*", "v", &id.to_string()]);
    }
    world.run_for(SECOND);
    (1..=50).for_each(|id| assert!(matches!(done(&world, id), Reply::Bulk(_))));
    (1..=3).for_each(|node| world.kill(node));
    (1..=3).for_each(|node| world.start(node));
    world.run_for(SECOND * 3);
    world.request(1, 100, &["XLEN", "log"]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 100), Reply::Integer(50));
}

#[test]
fn entries_are_sent_once_when_nothing_is_lost() {
    let (mut world, leader) = led_world(3);
    let before = world.sent_records;
    for id in 1..=500 {
        world.request(leader, id, &["SET", "k", "v"]);
        world.run_for(Duration::from_micros(37));
    }
    world.run_for(SECOND);
    (1..=500).for_each(|id| assert_eq!(done(&world, id), Reply::Status("OK")));
    assert_eq!(
        world.sent_records - before,
        500 * 2,
        "each of two followers needs each entry once"
    );
}

#[test]
fn a_follower_that_was_away_catches_up_from_the_log() {
    let (mut world, leader) = led_world(3);
    let away = other(&world, leader);
    world.kill(away);
    for id in 1..=300 {
        world.request(
            leader,
            id,
            &["SET", "k", "a value of some length, to leave the cache"],
        );
        world.run_for(Duration::from_micros(500));
    }
    let before = world.sent_records;
    world.start(away);
    world.run_for(SECOND * 2);
    let tail = |node| world.replica(node).expect("it is up").status().log.applied_index;
    assert_eq!(tail(away), tail(leader));
    assert!(
        world.sent_records - before <= 330,
        "sent {} records",
        world.sent_records - before
    );
}

#[test]
fn random_schedules_keep_a_counter_linearizable() {
    let seeds = counter::seeds(60);
    let installs: u64 = seeds.iter().map(|seed| counter::run(*seed)).sum();
    assert!(
        seeds.len() < 60 || installs > 5,
        "only {installs} snapshots were sent"
    );
}
