//! Keys that go: the leader lets the log's clock go on when one is due, and no wall clock moves a deadline.

use noraftd::level::Level;
use noraftd::protocol::command::Request;
use noraftd::protocol::outcome::{Outcome, Refusal};
use noraftd::protocol::resp::Reply;
use std::time::Duration;

use super::world::{EPOCH_MS, Faults, World};
use super::{SECOND, done, led_world, other, outcome};

const HOUR_MS: i64 = 3_600_000;

/// A cluster that knows keys that go, and its leader.
fn timed_world(size: u64) -> (World, u64) {
    let (mut world, leader) = led_world(size);
    world.raw_request(leader, 1, 1, Request::to_raise(Level::EXPIRY));
    world.run_for(SECOND);
    assert_eq!(done(&world, 1), Reply::Integer(1));
    (world, leader)
}

fn last_index(world: &World, node: u64) -> u64 {
    let status = world.replica(node).expect("it is up").status();
    status.log.last_position.index.get()
}

fn keys(world: &World, node: u64) -> usize {
    world.replica(node).expect("it is up").machine().key_count()
}

#[test]
fn a_key_goes_in_time_though_nothing_is_written() {
    let (mut world, leader) = timed_world(3);
    let follower = other(&world, leader);
    world.request(follower, 2, &["SET", "k", "v", "PX", "700"]);
    world.run_for(Duration::from_millis(650));
    let before = last_index(&world, leader);
    assert_eq!((done(&world, 2), keys(&world, leader)), (Reply::Status("OK"), 1));
    world.run_for(Duration::from_millis(150));
    assert_eq!(last_index(&world, leader), before + 1, "one entry");
    assert_eq!(
        (1..=3).map(|node| keys(&world, node)).collect::<Vec<_>>(),
        [0, 0, 0]
    );
    world.request(follower, 3, &["GET", "k"]);
    world.run_for(SECOND * 20);
    assert_eq!(done(&world, 3), Reply::Null);
    assert_eq!(
        last_index(&world, leader),
        before + 1,
        "there is nothing more to do"
    );
}

#[test]
fn there_are_ten_such_entries_a_second_at_most() {
    let (mut world, leader) = timed_world(3);
    for id in 0..100 {
        let (key, after) = (format!("k{id}"), (2_000 + 10 * id).to_string());
        world.request(leader, 10 + id, &["SET", &key, "v", "PX", &after]);
    }
    world.run_for(Duration::from_millis(1_500));
    let before = last_index(&world, leader);
    world.run_for(Duration::from_millis(1_700));
    let entries = last_index(&world, leader) - before;
    assert!((10..=12).contains(&entries), "{entries} entries");
    assert_eq!(keys(&world, leader), 0);
}

#[test]
fn what_is_written_brings_the_time_itself() {
    let (mut world, leader) = timed_world(3);
    world.request(leader, 2, &["SET", "k", "v", "PX", "500"]);
    world.run_for(Duration::from_millis(50));
    let before = last_index(&world, leader);
    for id in 0..100 {
        world.request(leader, 10 + id, &["INCR", "n"]);
        world.run_for(Duration::from_millis(10));
    }
    let entries = last_index(&world, leader) - before;
    assert!((100..=101).contains(&entries), "{entries} entries");
    assert_eq!(keys(&world, leader), 1);
}

#[test]
fn below_the_level_nothing_of_it_is_appended_whoever_asks() {
    let (mut world, leader) = led_world(3);
    let before = last_index(&world, leader);
    let commands: [&[&str]; 5] = [
        &["SET", "k", "v", "PX", "10"],
        &["SETNX", "k", "v"],
        &["EXPIRE", "k", "1"],
        &["TTL", "k"],
        &["GETDEL", "k"],
    ];
    for node in [leader, other(&world, leader)] {
        for (at, words) in (100 * node..).zip(commands) {
            world.request(node, at, words);
            world.run_for(SECOND);
            assert_eq!(
                outcome(&world, at),
                Some(Outcome::Refused(Refusal::LevelTooLow)),
                "{words:?}"
            );
        }
    }
    assert_eq!(last_index(&world, leader), before);
}

/// How long a key of 20 s stayed, while `disturb` moved the clocks.
fn stays(mut world: World, leader: u64, mut disturb: impl FnMut(&mut World, u32)) -> u64 {
    world.request(leader, 2, &["SET", "k", "v", "PX", "20000"]);
    world.run_for(SECOND / 10);
    let begun = world.now;
    for step in 0..600 {
        disturb(&mut world, step);
        world.run_for(SECOND / 20);
        let anyone = world.up().into_iter().next().expect("a node is up");
        if keys(&world, world.leader().unwrap_or(anyone)) == 0 {
            break;
        }
    }
    (world.now - begun) / 1_000_000
}

#[test]
fn a_wall_clock_that_jumps_by_an_hour_moves_a_deadline_by_a_tenth_at_most() {
    for (ahead, expected) in [(0, 20_000), (HOUR_MS, 18_182), (-HOUR_MS, 22_222)] {
        let (world, leader) = timed_world(3);
        let stayed = stays(world, leader, |world, _| {
            world.walls_ahead.insert(leader, ahead);
        });
        assert!(stayed.abs_diff(expected) <= 200, "{ahead}: {stayed} ms");
    }
}

#[test]
fn the_next_leader_goes_on_from_the_last_entry_whatever_its_wall_clock_shows() {
    for ahead in [HOUR_MS, -HOUR_MS] {
        let (world, leader) = timed_world(3);
        let stayed = stays(world, leader, |world, step| {
            for node in 1..=3 {
                let direction = if node == leader { 0 } else { ahead };
                world.walls_ahead.insert(node, direction);
            }
            if step == 100 {
                world.kill(leader);
            }
        });
        // Five seconds with a right clock, the rest with one that is slewed by a tenth; and the time of an election.
        let expected = 5_000 + if ahead > 0 { 13_636 } else { 16_667 };
        assert!(
            (expected - 300..=expected + 2_500).contains(&stayed),
            "{ahead}: {stayed} ms"
        );
    }
}

#[test]
fn nodes_that_start_again_go_on_from_the_last_entry() {
    let mut world = World::new(3, 3, Faults::NONE);
    world.run_for(SECOND * 3);
    let leader = world.leader().expect("a node leads");
    world.request(leader, 1, &["XADD", "s", "*", "f", "v"]);
    world.run_for(SECOND);
    for node in 1..=3 {
        world.kill(node);
        world.walls_ahead.insert(node, HOUR_MS);
    }
    world.run_for(SECOND * 60);
    (1..=3).for_each(|node| world.start(node));
    world.run_for(SECOND * 5);
    let leader = world.leader().expect("a node leads");
    let stamp = world
        .replica(leader)
        .expect("it is up")
        .status()
        .log
        .applied_stamp;
    // Three seconds before the entry, and the time of an election; but not the minute in which no node was there.
    let passed = stamp.as_millis() - EPOCH_MS;
    assert!((3_200..=6_000).contains(&passed), "{passed} ms");
}

#[test]
fn a_snapshot_carries_the_deadlines_and_the_time() {
    let mut world = World::new(3, 3, Faults::COMPACTING);
    world.run_for(SECOND * 2);
    let leader = world.leader().expect("a node leads");
    world.raw_request(leader, 1, 1, Request::to_raise(Level::EXPIRY));
    world.run_for(SECOND);
    let away = other(&world, leader);
    world.kill(away);
    world.request(leader, 2, &["SET", "k", "v", "PX", "60000"]);
    for id in 3..100 {
        world.request(leader, id, &["SET", "other", &"v".repeat(100)]);
        world.run_for(SECOND / 50);
    }
    let installs = world.installs;
    world.start(away);
    world.run_for(SECOND * 3);
    assert!(world.installs > installs, "the log no longer holds the entry");
    let state = |world: &World, node| {
        let machine = world.replica(node).expect("it is up").machine();
        (machine.clock(), machine.next_deadline(), machine.state_hash())
    };
    assert_eq!(state(&world, away), state(&world, leader));
    assert!(state(&world, away).1.is_some());
    world.run_for(SECOND * 60);
    assert_eq!(
        (1..=3).map(|node| keys(&world, node)).collect::<Vec<_>>(),
        [1, 1, 1]
    );
}
