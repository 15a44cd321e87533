//! The membership table: who writes it down, what is refused, and the configuration that follows it.

use std::collections::BTreeSet;
use std::time::Duration;

use noraft::NodeId;
use noraftd::level::Level;
use noraftd::prng::Prng;
use noraftd::protocol::command::{Addresses, Member, MemberChange, Part, Request};
use noraftd::protocol::outcome::{Outcome, Refusal};
use noraftd::protocol::resp::Reply;

use super::counter::seeds;
use super::world::{Faults, World};
use super::{SECOND, done, led_world, other, outcome};

const OK: Outcome = Outcome::Done(Reply::Status("OK"));

fn id(of: u64) -> NodeId {
    NodeId::new(of)
}

/// Asks `node` for a change, and waits.
fn ask(world: &mut World, node: u64, request: u64, change: &MemberChange) -> Option<Outcome> {
    world.raw_request(node, request, request, Request::to_change_members(change));
    world.run_for(SECOND);
    outcome(world, request)
}

fn begin(voters: &[u64]) -> MemberChange {
    let row = |of: &u64| Member {
        id: id(*of),
        part: Part::Voter,
        incarnation: 100 + of,
        addresses: Addresses::default(),
    };
    MemberChange::Begin(voters.iter().map(row).collect())
}

fn join(incarnation: u64, stays: bool) -> MemberChange {
    MemberChange::Join {
        id: None,
        incarnation,
        addresses: Addresses::default(),
        stays,
    }
}

fn remove(of: u64, force: bool) -> MemberChange {
    MemberChange::Remove { id: id(of), force }
}

fn promote(of: u64) -> MemberChange {
    MemberChange::Promote {
        id: id(of),
        force: false,
    }
}

/// A cluster at level 1 with a table of its `size` voters; its leader.
fn with_table(size: u64) -> (World, u64) {
    let (mut world, leader) = led_world(size);
    let all: Vec<u64> = (1..=size).collect();
    world.raw_request(leader, 9000, 9000, Request::to_raise(Level::FLUSH));
    world.run_for(SECOND);
    assert_eq!(ask(&mut world, leader, 9001, &begin(&all)), Some(OK));
    (world, leader)
}

/// The leader of now.
fn leader(world: &World) -> u64 {
    world.leader().expect("a node leads")
}

/// The voters that every one of these nodes knows.
#[track_caller]
fn check_voters(world: &World, nodes: &[u64], expected: &[u64]) {
    for node in nodes {
        assert_eq!(world.voters(*node), (expected.to_vec(), vec![]), "at node {node}");
    }
}

#[test]
fn the_table_begins_at_level_1_with_the_voters_in_force_and_once() {
    let (mut world, leader) = led_world(3);
    let low = Some(Outcome::Refused(Refusal::LevelTooLow));
    assert_eq!(ask(&mut world, leader, 1, &begin(&[1, 2, 3])), low);
    assert!(!world.replica(leader).expect("it is up").wants_members());
    world.raw_request(leader, 2, 2, Request::to_raise(Level::FLUSH));
    world.run_for(SECOND);
    assert!(world.replica(leader).expect("it is up").wants_members());
    let no_table = Some(Outcome::Refused(Refusal::NoTable));
    assert_eq!(ask(&mut world, leader, 3, &join(7, true)), no_table);
    let changing = Some(Outcome::Refused(Refusal::ChangeInProgress));
    assert_eq!(
        ask(&mut world, leader, 4, &begin(&[1, 2])),
        changing,
        "others vote"
    );
    let follower = other(&world, leader);
    assert_eq!(ask(&mut world, follower, 5, &begin(&[1, 2, 3])), Some(OK));
    assert_eq!(
        ask(&mut world, leader, 6, &begin(&[1, 2, 3])),
        changing,
        "it is there"
    );
    for node in 1..=3 {
        let replica = world.replica(node).expect("it is up");
        assert_eq!(replica.members().voters(), [1, 2, 3].map(id).into());
        assert!(!replica.wants_members());
    }
    world.change_voters(leader, 7, &[1, 2]);
    world.run_for(SECOND);
    assert_eq!(outcome(&world, 7), Some(Outcome::Refused(Refusal::HasTable)));
}

#[test]
fn a_node_that_joins_is_a_learner_until_it_has_caught_up() {
    let (mut world, leader) = with_table(3);
    for request in 1..50 {
        world.request(leader, request, &["SET", "k", "v"]);
    }
    let follower = other(&world, leader);
    assert_eq!(
        ask(&mut world, follower, 100, &join(7, false)),
        Some(Outcome::Done(Reply::Integer(4)))
    );
    check_voters(&world, &[1, 2, 3], &[1, 2, 3]);
    let config = world.replica(leader).expect("it is up").node().config().clone();
    assert_eq!(config.non_voters, [id(4)].into());
    world.grow();
    world.run_for(SECOND * 2);
    check_voters(&world, &[1, 2, 3, 4], &[1, 2, 3, 4]);
    let applied = |node| world.replica(node).expect("it is up").status().log.applied_index;
    assert_eq!(applied(4), applied(leader));
}

#[test]
fn a_learner_that_stays_one_is_promoted_by_an_order_once_it_follows() {
    let (mut world, leader) = with_table(3);
    assert_eq!(
        ask(&mut world, leader, 1, &join(7, true)),
        Some(Outcome::Done(Reply::Integer(4)))
    );
    let behind = Some(Outcome::Refused(Refusal::NotCaughtUp));
    assert_eq!(ask(&mut world, leader, 2, &promote(4)), behind);
    world.grow();
    world.run_for(SECOND);
    check_voters(&world, &[1, 2, 3, 4], &[1, 2, 3]);
    assert_eq!(ask(&mut world, leader, 3, &promote(4)), Some(OK));
    check_voters(&world, &[1, 2, 3, 4], &[1, 2, 3, 4]);
}

#[test]
fn what_would_leave_no_quorum_is_refused_unless_it_is_forced() {
    let (mut world, first) = with_table(3);
    let gone = other(&world, first);
    let third = (1..=3).find(|node| ![first, gone].contains(node)).expect("three");
    world.kill(gone);
    world.run_for(SECOND);
    let few = Some(Outcome::Refused(Refusal::TooFewVoters));
    assert_eq!(ask(&mut world, first, 1, &remove(third, false)), few);
    check_voters(&world, &[first, third], &[1, 2, 3]);
    assert_eq!(
        ask(&mut world, first, 2, &remove(gone, false)),
        Some(OK),
        "of two, both are there"
    );
    let mut two = vec![first, third];
    two.sort_unstable();
    check_voters(&world, &two, &two);
    let last = ask(&mut world, first, 3, &remove(9, false));
    assert!(matches!(last, Some(Outcome::Done(Reply::Error(_)))), "{last:?}");
}

#[test]
fn a_leader_that_is_removed_hands_over_first() {
    let (mut world, first) = with_table(3);
    let asked = other(&world, first);
    let term = world.replica(first).expect("it is up").status().term;
    world.raw_request(asked, 1, 1, Request::to_change_members(&remove(first, false)));
    world.run_for(SECOND * 2);
    let next = leader(&world);
    assert_ne!(next, first);
    let stay: Vec<u64> = (1..=3).filter(|node| *node != first).collect();
    check_voters(&world, &stay, &stay);
    let status = world.replica(next).expect("it is up").status();
    assert_eq!(status.term, term + 1, "one transfer, no election of its own");
    assert_eq!(outcome(&world, 1), Some(OK));
}

#[test]
fn one_node_takes_the_place_of_a_dead_one_and_no_failure_less_is_survived() {
    let (mut world, first) = with_table(3);
    let dead = other(&world, first);
    world.kill(dead);
    assert_eq!(
        ask(&mut world, first, 1, &join(7, true)),
        Some(Outcome::Done(Reply::Integer(4)))
    );
    let replace = MemberChange::Replace {
        old: id(dead),
        new: id(4),
        force: false,
    };
    assert_eq!(
        ask(&mut world, first, 2, &replace),
        Some(Outcome::Refused(Refusal::NotCaughtUp))
    );
    world.grow();
    world.kill(dead);
    world.run_for(SECOND);
    assert_eq!(ask(&mut world, first, 3, &replace), Some(OK));
    let stay: Vec<u64> = (1..=4).filter(|node| *node != dead).collect();
    check_voters(&world, &stay, &stay);
}

#[test]
fn a_second_change_waits_for_the_first() {
    let (mut world, first) = with_table(5);
    let others: Vec<u64> = (1..=5).filter(|node| *node != first).collect();
    for (request, node) in (1..).zip(&others[..2]) {
        world.raw_request(
            first,
            request,
            request,
            Request::to_change_members(&remove(*node, false)),
        );
    }
    world.run_for(SECOND);
    assert_eq!(outcome(&world, 1), Some(OK));
    assert_eq!(
        outcome(&world, 2),
        Some(Outcome::Refused(Refusal::ChangeInProgress))
    );
    let stay: Vec<u64> = (1..=5).filter(|node| *node != others[0]).collect();
    check_voters(&world, &stay, &stay);
}

#[test]
fn the_next_leader_goes_on_with_what_the_last_one_left() {
    for kill_after in (0..60).map(Duration::from_millis) {
        let (mut world, first) = with_table(5);
        let gone = other(&world, first);
        world.raw_request(first, 1, 1, Request::to_change_members(&remove(gone, false)));
        world.run_for(kill_after / 2);
        world.kill(first);
        world.run_for(SECOND * 4);
        let stay: Vec<u64> = (1..=5).filter(|node| *node != gone && *node != first).collect();
        let table = world.replica(stay[0]).expect("it is up").members().clone();
        let voters: Vec<u64> = table.voters().iter().map(|id| id.get()).collect();
        assert_eq!(voters.contains(&gone), table.get(id(gone)).is_some());
        check_voters(&world, &stay, &voters);
    }
}

#[test]
fn a_snapshot_carries_the_table() {
    let mut world = World::new(3, 3, Faults::COMPACTING);
    world.run_for(SECOND * 2);
    let first = leader(&world);
    world.raw_request(first, 1, 1, Request::to_raise(Level::FLUSH));
    world.run_for(SECOND);
    assert_eq!(ask(&mut world, first, 2, &begin(&[1, 2, 3])), Some(OK));
    let away = other(&world, first);
    world.kill(away);
    for request in 3..100 {
        world.request(first, request, &["SET", "k", &"v".repeat(100)]);
        world.run_for(SECOND / 50);
    }
    assert_eq!(done(&world, 99), Reply::Status("OK"));
    let installs = world.installs;
    world.start(away);
    world.run_for(SECOND * 3);
    assert!(world.installs > installs, "the log no longer holds the entry");
    let replica = |node| world.replica(node).expect("it is up");
    assert_eq!(replica(away).members(), replica(first).members());
    assert_eq!(
        replica(away).machine().state_hash(),
        replica(first).machine().state_hash()
    );
}

/// Orders at random, by way of nodes at random, while nodes fail, and links too; how many changed who votes.
fn run_with_orders(seed: u64) -> usize {
    let repeat = format!("REPLICA_SEED={seed} cargo test -p noraftd --test replica");
    let faults = Faults {
        loss: 10,
        duplicate: 10,
        reorder: true,
        delay_max: 3000,
        sync_max: 3000,
        compact: seed.is_multiple_of(2),
    };
    let mut world = World::new(seed, 5, Faults::NONE);
    world.run_for(SECOND * 3);
    let first = leader(&world);
    world.raw_request(first, 1, 1, Request::to_raise(Level::FLUSH));
    world.run_for(SECOND);
    assert_eq!(
        ask(&mut world, first, 2, &begin(&[1, 2, 3, 4, 5])),
        Some(OK),
        "{repeat}"
    );
    world.faults = faults;
    let mut prng = Prng::new(seed);
    let mut seen = BTreeSet::new();
    for step in 0..40 {
        let node = prng.between(1, world.size);
        match prng.below(8) {
            0 if world.up().len() > 4 && world.replica(node).is_some() => world.kill(node),
            1 if world.replica(node).is_none() => world.start(node),
            2 => world.partition(&[node], prng.chance(1, 2)),
            3 => world.reconnect(),
            _ if world.replica(node).is_some() => {
                let change = some_order(&mut prng, world.size);
                world.raw_request(node, 10 + step, 10 + step, Request::to_change_members(&change));
            }
            _ => {}
        }
        world.run_for(Duration::from_millis(prng.between(1, 600)));
        start_joined(&mut world);
        seen.extend(world.up().iter().map(|node| world.voters(*node).0));
    }
    world.heal();
    world.run_for(SECOND * 5);
    start_joined(&mut world);
    world.run_for(SECOND * 15);
    let last = leader(&world);
    let replica = |node: u64| {
        world
            .replica(node)
            .unwrap_or_else(|| panic!("node {node} is up; {repeat}"))
    };
    let (table, config) = (replica(last).members(), replica(last).node().config());
    assert_eq!(
        (&config.voters, &config.non_voters),
        (&table.voters(), &table.learners()),
        "{repeat}"
    );
    assert!(table.voters().contains(&id(last)), "{repeat}");
    for row in table.iter() {
        let other = replica(row.id.get());
        assert_eq!(
            (other.members(), other.node().config()),
            (table, config),
            "{repeat}"
        );
    }
    seen.len() - 1
}

/// The machines of the nodes that have joined, as far as any node knows.
fn start_joined(world: &mut World) {
    let highest = |node: u64| {
        world
            .replica(node)?
            .members()
            .iter()
            .map(|row| row.id.get())
            .max()
    };
    let joined = world.up().into_iter().filter_map(highest).max().unwrap_or(0);
    while world.size < joined {
        world.grow();
    }
}

/// An order about one of `nodes` nodes, whether it makes sense or not.
fn some_order(prng: &mut Prng, nodes: u64) -> MemberChange {
    let (one, other) = (prng.between(1, nodes), prng.between(1, nodes));
    match prng.below(5) {
        0 if nodes < 9 => join(1000 + nodes, prng.chance(1, 2)),
        0 | 1 => promote(one),
        2 | 3 => remove(one, false),
        _ => MemberChange::Replace {
            old: id(one),
            new: id(other),
            force: false,
        },
    }
}

#[test]
fn the_configuration_is_what_the_table_wants_whatever_fails_meanwhile() {
    let seeds = seeds(60);
    let changes: usize = seeds.iter().map(|seed| run_with_orders(*seed)).sum();
    assert!(
        seeds.len() < 60 || changes > 150,
        "only {changes} changes were made"
    );
}
