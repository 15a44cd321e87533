//! The log stays short, and a node that was away for too long gets the state instead.

use std::time::Duration;

use noraftd::protocol::resp::Reply;

use super::world::{Faults, World};
use super::{SECOND, done, other};

fn led_world() -> (World, u64) {
    let mut world = World::new(1, 3, Faults::COMPACTING);
    world.run_for(SECOND * 3);
    let leader = world.leader().expect("a calm cluster elects a leader");
    (world, leader)
}

fn write(world: &mut World, node: u64, ids: std::ops::RangeInclusive<u64>) {
    for id in ids {
        world.request(
            node,
            id,
            &["SET", &format!("key-{}", id % 7), &format!("value {id}")],
        );
        world.run_for(Duration::from_micros(500));
    }
}

/// Entries in the log of `node`.
fn length(world: &World, node: u64) -> u64 {
    let status = world.replica(node).expect("it is up").status();
    status.log.last_position.index.get() - status.log.base_index.get()
}

fn base_index(world: &World, node: u64) -> u64 {
    let replica = world.replica(node).expect("it is up");
    replica.status().log.base_index.get()
}

#[test]
fn the_log_stays_short_under_endless_writes() {
    let (mut world, leader) = led_world();
    for round in 0..10 {
        write(&mut world, leader, round * 200 + 1..=round * 200 + 200);
        world.run_for(SECOND);
        for node in 1..=3 {
            let entries = length(&world, node);
            assert!(entries < 120, "round {round}, node {node}: {entries} entries");
        }
    }
    (1..=2000).for_each(|id| assert_eq!(done(&world, id), Reply::Status("OK")));
}

#[test]
fn a_node_that_was_away_for_too_long_gets_a_snapshot() {
    let (mut world, leader) = led_world();
    let away = other(&world, leader);
    write(&mut world, leader, 1..=20);
    world.kill(away);
    write(&mut world, leader, 21..=600);
    let before = world.sent_records;
    world.start(away);
    world.run_for(SECOND * 3);
    assert_eq!(world.installs, 1);
    let (status, leads) = (
        world.replica(away).expect("it is up").status(),
        world.replica(leader).expect("it is up").status(),
    );
    assert_eq!(status.log.applied_index, leads.log.applied_index);
    assert!(status.log.base_index.get() > 20, "{status:?}");
    let hash = |node: u64| world.replica(node).expect("it is up").machine().state_hash();
    assert_eq!(hash(away), hash(leader));
    assert!(
        world.sent_records - before < 120,
        "{}",
        world.sent_records - before
    );
}

#[test]
fn a_transfer_goes_on_where_it_stopped() {
    let (mut world, leader) = led_world();
    let away = other(&world, leader);
    world.kill(away);
    write(&mut world, leader, 1..=300);
    world.faults.loss = 300;
    world.start(away);
    world.run_for(SECOND * 20);
    world.faults.loss = 0;
    world.run_for(SECOND * 3);
    assert!(world.installs >= 1);
    let applied = |node: u64| world.replica(node).expect("it is up").status().log.applied_index;
    assert_eq!(applied(away), applied(world.leader().expect("a node leads")));
}

#[test]
fn a_restarted_cluster_goes_on_from_its_snapshots() {
    let (mut world, leader) = led_world();
    write(&mut world, leader, 1..=300);
    (1..=3).for_each(|node| world.kill(node));
    (1..=3).for_each(|node| world.start(node));
    world.run_for(SECOND * 3);
    world.request(1, 1000, &["GET", &format!("key-{}", 300 % 7)]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 1000), Reply::Bulk("value 300".into()));
    for node in 1..=3 {
        assert!(base_index(&world, node) > 100);
    }
}

#[test]
fn an_applied_entry_that_no_node_has_any_more_is_covered_by_the_nodes_own_state() {
    let (mut world, leader) = led_world();
    let node = other(&world, leader);
    write(&mut world, leader, 1..=300);
    // The others' logs begin later.
    for round in 0..2 {
        write(&mut world, leader, 301 + round..=301 + round);
        world.run_for(SECOND);
        let others = (1..=3).filter(|at| *at != node);
        others.for_each(|at| world.take_snapshot(at));
        world.run_for(SECOND);
    }
    assert!((1..=3).all(|at| at == node || base_index(&world, at) > base_index(&world, node)));
    let lost = base_index(&world, node) + 1;
    world.kill(node);
    world.damage(node, [lost]);
    world.start(node);
    assert_eq!(world.replica(node).expect("it is up").status().damage.holes, 1);
    world.run_for(SECOND * 5);
    let status = world.replica(node).expect("it is up").status();
    assert_eq!((status.damage.holes, world.installs), (0, 0), "{status:?}");
    assert!(status.log.base_index.get() >= lost);
    write(&mut world, leader, 400..=420);
    world.run_for(SECOND * 3);
    let applied = |node: u64| world.replica(node).expect("it is up").status().log.applied_index;
    assert_eq!(applied(node), applied(leader));
}

#[test]
fn a_damaged_snapshot_is_not_sent_and_another_is_taken() {
    let (mut world, leader) = led_world();
    let away = other(&world, leader);
    write(&mut world, leader, 1..=20);
    world.kill(away);
    write(&mut world, leader, 21..=600);
    world.run_for(SECOND);
    world.rot_snapshots(leader);
    world.start(away);
    world.run_for(SECOND * 5);
    let applied = |node: u64| world.replica(node).expect("it is up").status().log.applied_index;
    assert!(world.installs >= 1);
    assert_eq!(applied(away), applied(world.leader().expect("a node leads")));
}
