//! Reads that a node answers from its own state: those of a follower's clients, and those that need not be current.

use std::time::Duration;

use noraftd::level::Level;
use noraftd::protocol::outcome::{Outcome, Refusal};
use noraftd::protocol::resp::Reply;
use noraftd::time::Instant;

use super::world::{Faults, World};
use super::{SECOND, done, led_world, other, outcome};

const MILLI: Duration = Duration::from_millis(1);

fn text(value: &str) -> Reply {
    Reply::Bulk(value.to_owned().into())
}

fn staleness(world: &World, node: u64) -> Option<Duration> {
    let replica = world.replica(node).expect("it is up");
    replica.staleness(Instant::from_nanos(world.now))
}

/// Three nodes that have `old`, and a follower whose state is known to have it.
fn world_with_an_old_value() -> (World, u64, u64) {
    let (mut world, leader) = led_world(3);
    let follower = other(&world, leader);
    world.request(leader, 1, &["SET", "k", "old"]);
    world.run_for(SECOND);
    world.request(follower, 2, &["GET", "k"]);
    world.run_for(SECOND / 10);
    assert_eq!(done(&world, 2), text("old"));
    (world, leader, follower)
}

#[test]
fn reads_that_come_together_to_a_follower_are_one_question() {
    let (mut world, _, follower) = world_with_an_old_value();
    let before = world.forwards;
    (100..300).for_each(|id| world.request(follower, id, &["GET", "k"]));
    world.run_for(SECOND);
    (100..300).for_each(|id| assert_eq!(done(&world, id), text("old")));
    let questions = world.forwards - before;
    assert!(questions <= 2, "{questions} messages for 200 reads");
}

#[test]
fn a_follower_hears_at_once_what_is_committed_when_it_asks() {
    let (mut world, leader, follower) = world_with_an_old_value();
    for round in 0..20 {
        let (write, read) = (100 + 2 * round, 101 + 2 * round);
        world.request(leader, write, &["SET", "k", &round.to_string()]);
        while outcome(&world, write).is_none() {
            world.run_for(MILLI / 50);
        }
        // Nothing but the answer and what goes with it comes so soon.
        world.request(follower, read, &["GET", "k"]);
        world.run_for(MILLI * 5);
        assert_eq!(done(&world, read), text(&round.to_string()));
    }
}

#[test]
fn a_follower_that_does_not_get_on_passes_reads_on() {
    let (mut world, leader, follower) = world_with_an_old_value();
    world.slow_disk(follower, SECOND * 20);
    world.request(leader, 3, &["SET", "k", "new"]);
    world.run_for(SECOND / 10);
    world.request(follower, 4, &["GET", "k"]);
    world.run_for(SECOND * 9 / 10);
    assert_eq!(done(&world, 4), text("new"), "the leader has it");
    world.request(follower, 5, &["GET", "k"]);
    world.run_for(MILLI * 5);
    assert_eq!(done(&world, 5), text("new"), "the next is not kept waiting");
    world.stale_read(follower, 7, 6, &["GET", "k"], None);
    assert_eq!(done(&world, 6), text("old"), "what may be old is this node's own");
    world.stale_read(follower, 8, 7, &["GET", "k"], Some(MILLI));
    world.run_for(SECOND * 2);
    let late = Some(Outcome::Refused(Refusal::ReadTimeout));
    assert_eq!(outcome(&world, 7), late, "and no other's, so it is refused");
}

#[test]
fn a_question_that_is_lost_is_asked_again() {
    let (mut world, _, follower) = world_with_an_old_value();
    world.faults.loss = 1000;
    world.request(follower, 3, &["GET", "k"]);
    world.run_for(MILLI * 30);
    world.faults.loss = 0;
    world.run_for(SECOND / 2);
    assert_eq!(done(&world, 3), text("old"));
}

#[test]
fn a_leader_of_the_first_release_is_passed_the_reads_themselves() {
    let (mut world, leader, follower) = world_with_an_old_value();
    world.forget_features(follower, leader);
    let before = world.forwards;
    for id in 100..110 {
        world.request(follower, id, &["GET", "k"]);
    }
    world.run_for(SECOND);
    (100..110).for_each(|id| assert_eq!(done(&world, id), text("old")));
    assert_eq!(world.forwards - before, 10);
}

#[test]
fn what_a_leader_says_unasked_makes_no_state_young() {
    let (mut world, leader) = led_world(3);
    let follower = other(&world, leader);
    world.request(leader, 1, &["SET", "k", "v"]);
    world.run_for(SECOND);
    assert_eq!(staleness(&world, follower), None);
    assert_eq!(
        staleness(&world, leader),
        None,
        "a leader's state may be old, too"
    );
    world.request(follower, 2, &["GET", "k"]);
    world.run_for(SECOND / 10);
    let young = staleness(&world, follower).expect("it has asked");
    assert!(young <= SECOND / 10, "{young:?}");
    world.run_for(SECOND * 5);
    assert_eq!(
        staleness(&world, follower),
        Some(young + SECOND * 5),
        "heartbeats do not count"
    );
    world.request(leader, 3, &["GET", "k"]);
    world.run_for(SECOND / 10);
    let led = staleness(&world, leader).expect("it has begun a round");
    assert!(led <= SECOND / 10, "{led:?}");
}

#[test]
fn a_state_that_may_be_old_answers_within_its_bound_and_not_beyond() {
    let (mut world, leader, follower) = world_with_an_old_value();
    world.partition(&[follower], false);
    world.request(leader, 3, &["SET", "k", "new"]);
    world.run_for(SECOND / 10);
    let bound = Some(SECOND / 2);
    world.stale_read(follower, 7, 4, &["GET", "k"], bound);
    assert_eq!(done(&world, 4), text("old"), "it is that old, and may be");
    world.run_for(SECOND);
    world.stale_read(follower, 8, 5, &["GET", "k"], bound);
    world.stale_read(follower, 9, 6, &["GET", "k"], None);
    assert_eq!(outcome(&world, 5), None);
    assert_eq!(done(&world, 6), text("old"));
    world.run_for(SECOND * 3);
    assert!(matches!(outcome(&world, 5), Some(Outcome::Refused(_))));
    world.reconnect();
    world.run_for(SECOND * 3);
    world.stale_read(follower, 10, 7, &["GET", "k"], bound);
    world.run_for(SECOND);
    assert_eq!(done(&world, 7), text("new"), "too old a state asks");
}

#[test]
fn a_read_that_may_be_old_does_not_overtake_one_of_its_connection() {
    let (mut world, leader, follower) = world_with_an_old_value();
    world.run_for(SECOND);
    world.stale_read(follower, 7, 3, &["GET", "k"], Some(MILLI));
    world.stale_read(follower, 7, 4, &["GET", "k"], None);
    world.stale_read(follower, 8, 5, &["GET", "k"], None);
    assert_eq!((outcome(&world, 3), outcome(&world, 4)), (None, None));
    assert_eq!(done(&world, 5), text("old"), "it comes over another connection");
    world.request(leader, 6, &["SET", "k", "new"]);
    world.run_for(SECOND);
    let order: Vec<u64> = world.done.iter().map(|done| done.id).collect();
    let at = |id| order.iter().position(|other| *other == id);
    assert!(at(3) < at(4) && at(4).is_some(), "{order:?}");
    world.stale_read(follower, 7, 9, &["GET", "k"], None);
    assert_eq!(done(&world, 9), text("new"), "nothing is before it any more");
}

#[test]
fn a_read_that_may_be_old_sees_the_write_that_it_was_sent_behind() {
    let (mut world, _, follower) = world_with_an_old_value();
    world.request_on(follower, 7, 3, &["SET", "k", "own"]);
    world.stale_read(follower, 7, 4, &["GET", "k"], None);
    world.run_for(SECOND);
    assert_eq!(done(&world, 4), text("own"));
}

#[test]
fn a_command_of_a_level_that_is_not_in_force_is_refused_by_a_follower_itself() {
    let (mut world, _, follower) = world_with_an_old_value();
    assert_eq!(
        world.replica(follower).expect("up").machine().level(),
        Level::FIRST
    );
    world.request(follower, 3, &["EXPIRETIME", "k"]);
    world.run_for(SECOND);
    let refused = Outcome::Refused(Refusal::LevelTooLow).into_reply();
    assert_eq!(done(&world, 3), refused);
}

/// A write of the connection that was appended by this node, when it led, is seen by a read that another leader confirms.
#[test]
fn reads_go_on_in_order_when_their_node_loses_the_lead() {
    for seed in 0..20 {
        let mut world = World::new(seed, 3, Faults::NONE);
        world.run_for(SECOND * 3);
        let old = world.leader().expect("a calm cluster elects a leader");
        for id in 1..=40 {
            if id % 2 == 1 {
                world.request_on(old, 7, id, &["SET", "k", &id.to_string()]);
            } else {
                world.request_on(old, 7, id, &["GET", "k"]);
            }
            if id == 20 {
                world.hand_over(old, None, None);
            }
            world.run_for(MILLI / 10);
        }
        world.run_for(SECOND * 3);
        let mut last = 0;
        for id in 1..=40 {
            match (id % 2, outcome(&world, id)) {
                (1, Some(Outcome::Done(_))) => last = id,
                (0, Some(Outcome::Done(Reply::Bulk(seen)))) => {
                    let seen: u64 = std::str::from_utf8(&seen)
                        .expect("digits")
                        .parse()
                        .expect("digits");
                    assert!(seen >= last && seen < id, "seed {seed}: read {id} sees {seen}");
                }
                _ => {}
            }
        }
        assert!(last > 0, "some of the writes are done");
    }
}
