//! Changes of the voters: which nodes count, what clients are answered, and what a later leader takes back.

use std::time::Duration;

use noraft::{ClusterConfig, NodeId};
use noraftd::protocol::outcome::{Outcome, Refusal};
use noraftd::protocol::resp::Reply;
use noraftd::record::{Record, RecordKind, encode_config, genesis_config};
use noraftd::time::Stamp;

use super::driven::{Setup, answers, at};
use super::world::{Faults, World};
use super::{SECOND, counter, done, led_world, other, outcome};

const OK: Reply = Reply::Status("OK");

/// Changes the voters and waits until it is done; the leader may be another one afterwards.
fn change(world: &mut World, id: u64, voters: &[u64]) {
    let leader = world.leader().expect("a node leads");
    world.change_voters(leader, id, voters);
    world.run_for(SECOND / 5);
    assert_eq!(done(world, id), OK);
    world.run_for(SECOND * 2);
}

/// Increments the counter through the leader.
fn count(world: &mut World, id: u64) -> Reply {
    let leader = world.leader().expect("a node leads");
    world.request(leader, id, &["INCR", "c"]);
    world.run_for(SECOND / 5);
    done(world, id)
}

fn applied(world: &World, node: u64) -> u64 {
    world
        .replica(node)
        .expect("it is up")
        .status()
        .log
        .applied_index
        .get()
}

/// The index of the last entry in the log of `node`.
fn last(world: &World, node: u64) -> u64 {
    let status = world.replica(node).expect("it is up").status();
    status.log.last_position.index.get()
}

fn is_leader(world: &World, node: u64) -> bool {
    world
        .replica(node)
        .is_some_and(|replica| replica.node().role().is_leader())
}

#[test]
fn five_voters_become_three_and_five_again() {
    let (mut world, leader) = led_world(5);
    let gone: Vec<u64> = (1..=5).filter(|node| *node != leader).take(2).collect();
    let stay: Vec<u64> = (1..=5).filter(|node| !gone.contains(node)).collect();
    assert_eq!(count(&mut world, 1), Reply::Integer(1));
    change(&mut world, 2, &stay);
    assert_eq!(world.voters(leader), (stay.clone(), vec![]));
    // Three of five are no majority of five any more, but two of three are of three.
    let third = stay.iter().copied().find(|node| *node != leader);
    let left_behind = last(&world, gone[0]);
    gone.iter().chain(&third).for_each(|node| world.kill(*node));
    for id in 3..=20 {
        assert_eq!(count(&mut world, id), Reply::Integer(id as i64 - 1));
    }
    gone.iter().chain(&third).for_each(|node| world.start(*node));
    world.run_for(SECOND * 3);
    assert_eq!(
        last(&world, gone[0]),
        left_behind,
        "who was removed receives nothing"
    );
    change(&mut world, 21, &[1, 2, 3, 4, 5]);
    assert_eq!(count(&mut world, 22), Reply::Integer(20));
    world.run_for(SECOND);
    for node in 1..=5 {
        assert_eq!(world.voters(node), (vec![1, 2, 3, 4, 5], vec![]), "node {node}");
        assert_eq!(applied(&world, node), applied(&world, 1));
    }
    // And the two that came back are a majority with one more.
    stay.iter().take(2).for_each(|node| world.kill(*node));
    world.run_for(SECOND * 3);
    assert_eq!(count(&mut world, 23), Reply::Integer(21));
}

#[test]
fn a_node_that_was_removed_disturbs_no_other() {
    let (mut world, leader) = led_world(3);
    let gone = other(&world, leader);
    let stay: Vec<u64> = (1..=3).filter(|node| *node != gone).collect();
    change(&mut world, 1, &stay);
    let term = world.replica(leader).expect("it is up").status().term;
    world.run_for(SECOND * 20);
    world.kill(gone);
    world.start(gone);
    world.run_for(SECOND * 20);
    let status = world.replica(leader).expect("it is up").status();
    assert!(is_leader(&world, leader));
    assert_eq!(status.term, term);
}

#[test]
fn a_leader_removes_itself_and_the_others_go_on() {
    let (mut world, leader) = led_world(3);
    assert_eq!(count(&mut world, 1), Reply::Integer(1));
    let stay: Vec<u64> = (1..=3).filter(|node| *node != leader).collect();
    change(&mut world, 2, &stay);
    assert!(!is_leader(&world, leader));
    let next = world.leader().expect("one of the others leads");
    assert!(stay.contains(&next));
    world.kill(leader);
    assert_eq!(count(&mut world, 3), Reply::Integer(2));
    world.run_for(SECOND);
    assert_eq!(world.voters(next), (stay, vec![]));
}

/// Lets time pass until `holds`, in steps shorter than anything takes.
fn run_until(world: &mut World, holds: impl Fn(&World) -> bool) {
    for _ in 0..100_000 {
        if holds(world) {
            return;
        }
        world.run_for(Duration::from_micros(10));
    }
    panic!("it does not come to that");
}

/// Raft 6: until another node has the final configuration, only the removed leader can be elected.
#[test]
fn a_leader_that_removed_itself_and_restarts_finishes_the_change() {
    let (mut world, leader) = led_world(2);
    let stays = other(&world, leader);
    world.change_voters(leader, 1, &[stays]);
    run_until(&mut world, |world| world.voters(stays).1 == [stays]);
    // It hears that the joint configuration is there, and can say nothing any more.
    world.partition(&[leader], true);
    run_until(&mut world, |world| world.voters(leader) == (vec![stays], vec![]));
    world.run_for(Duration::from_millis(1));
    world.kill(leader);
    world.start(leader);
    world.reconnect();
    assert_eq!(world.voters(leader).0, [stays], "it was durable");
    assert_eq!(world.voters(stays), (vec![1, 2], vec![stays]));
    world.run_for(SECOND * 5);
    assert_eq!(world.voters(stays), (vec![stays], vec![]));
    assert!(is_leader(&world, stays));
    change(&mut world, 2, &[1, 2]);
    assert_eq!(count(&mut world, 3), Reply::Integer(1));
}

#[test]
fn a_cluster_shrinks_to_one_and_grows_again() {
    let (mut world, leader) = led_world(3);
    change(&mut world, 1, &[leader]);
    (1..=3)
        .filter(|node| *node != leader)
        .for_each(|node| world.kill(node));
    assert_eq!(count(&mut world, 2), Reply::Integer(1));
    world.kill(leader);
    world.start(leader);
    world.run_for(SECOND * 3);
    assert_eq!(count(&mut world, 3), Reply::Integer(2));
    (1..=3)
        .filter(|node| *node != leader)
        .for_each(|node| world.start(node));
    change(&mut world, 4, &[1, 2, 3]);
    world.kill(leader);
    world.run_for(SECOND * 3);
    assert_eq!(count(&mut world, 5), Reply::Integer(3));
}

#[test]
fn a_change_that_was_cut_off_is_taken_back_with_its_entry() {
    let (mut world, old) = led_world(5);
    let stay: Vec<u64> = (1..=5).filter(|node| *node != old).take(2).collect();
    // Only one follower gets the entry.
    let friend = stay[0];
    world.partition(&[old, friend], false);
    world.change_voters(old, 1, &stay);
    world.run_for(SECOND / 5);
    for node in [old, friend] {
        assert_eq!(world.voters(node), (vec![1, 2, 3, 4, 5], stay.clone()));
    }
    world.run_for(SECOND * 4);
    assert!(
        matches!(outcome(&world, 1), Some(Outcome::Indefinite(_))),
        "{:?}",
        outcome(&world, 1)
    );
    assert_eq!(count(&mut world, 2), Reply::Integer(1));
    world.reconnect();
    world.run_for(SECOND * 3);
    for node in 1..=5 {
        assert_eq!(world.voters(node), (vec![1, 2, 3, 4, 5], vec![]), "node {node}");
    }
    // The one that took it back counts by the old configuration: as a leader, too.
    for node in (1..=5).filter(|node| ![old, friend].contains(node)).take(2) {
        world.kill(node);
    }
    world.run_for(SECOND * 3);
    assert_eq!(count(&mut world, 3), Reply::Integer(2));
}

#[test]
fn of_two_changes_at_once_the_second_is_refused() {
    let (mut world, leader) = led_world(3);
    let node = other(&world, leader);
    world.change_voters(leader, 1, &[leader, node]);
    world.change_voters(leader, 2, &[leader]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 1), OK);
    assert_eq!(
        outcome(&world, 2),
        Some(Outcome::Refused(Refusal::ChangeInProgress))
    );
    let mut voters = vec![leader, node];
    voters.sort_unstable();
    assert_eq!(world.voters(leader), (voters, vec![]));
}

#[test]
fn what_cannot_be_is_refused_and_appends_nothing() {
    let (mut world, leader) = led_world(3);
    let before = world
        .replica(leader)
        .expect("it is up")
        .status()
        .log
        .last_position;
    world.change_voters(leader, 1, &[]);
    world.change_voters(leader, 2, &[1, 2, 9]);
    world.change_voters(other(&world, leader), 3, &[1, 2]);
    world.change_voters(leader, 4, &[1, 2, 3]);
    world.run_for(SECOND);
    let refused = |refusal| Some(Outcome::Refused(refusal));
    assert_eq!(outcome(&world, 1), refused(Refusal::NotMembers));
    assert_eq!(outcome(&world, 2), refused(Refusal::NotMembers));
    assert_eq!(outcome(&world, 3), refused(Refusal::NotLeader));
    assert_eq!(done(&world, 4), OK, "they are the voters already");
    let after = world
        .replica(leader)
        .expect("it is up")
        .status()
        .log
        .last_position;
    assert_eq!(after, before);
}

#[test]
fn a_deposed_leader_does_not_say_who_the_voters_are() {
    let (mut world, old) = led_world(3);
    world.partition(&[old], false);
    world.run_for(SECOND / 5);
    world.change_voters(old, 1, &[1, 2, 3]);
    world.run_for(SECOND * 3);
    assert!(
        matches!(outcome(&world, 1), Some(Outcome::Refused(_))),
        "{:?}",
        outcome(&world, 1)
    );
}

#[test]
fn a_change_without_a_new_majority_is_indefinite_and_goes_on_later() {
    let (mut world, leader) = led_world(5);
    let others: Vec<u64> = (1..=5).filter(|node| *node != leader).collect();
    world.kill(others[0]);
    world.kill(others[1]);
    world.change_voters(leader, 1, &[leader, others[0], others[1]]);
    world.run_for(SECOND * 2);
    assert!(
        matches!(outcome(&world, 1), Some(Outcome::Indefinite(_))),
        "{:?}",
        outcome(&world, 1)
    );
    world.start(others[0]);
    world.run_for(SECOND * 4);
    let now = world.leader().expect("a node leads");
    let mut voters = vec![leader, others[0], others[1]];
    voters.sort_unstable();
    assert_eq!(world.voters(now), (voters, vec![]));
}

/// The answer would permit to stop the node that the change under way makes a voter.
#[test]
fn a_change_under_way_is_not_taken_back_by_the_voters_before_it() {
    let (mut world, leader) = led_world(3);
    let two = [leader, other(&world, leader)];
    change(&mut world, 1, &two);
    let leader = world.leader().expect("one of the two leads");
    world.change_voters(leader, 2, &[1, 2, 3]);
    world.change_voters(leader, 3, &two);
    world.run_for(SECOND);
    assert_eq!(done(&world, 2), OK);
    assert_eq!(
        outcome(&world, 3),
        Some(Outcome::Refused(Refusal::ChangeInProgress))
    );
}

/// What a node has applied after a start is the first configuration, which has the same voters as the one that is not
/// committed yet.
#[test]
fn voters_of_long_ago_who_become_voters_again_are_not_so_before_that_is_committed() {
    let ids = |ids: &[u64]| ids.iter().copied().map(NodeId::new).collect();
    let config = |index, voters: &[u64], new_voters: &[u64]| {
        let config = ClusterConfig {
            new_voters: ids(new_voters),
            ..genesis_config(voters.iter().copied().map(NodeId::new))
        };
        let payload = encode_config(&config);
        Record::new(at(1, index), RecordKind::Config, Stamp::default(), payload)
    };
    let mut setup = Setup::new(3, 0);
    setup.disk.records.extend([
        config(2, &[1, 2, 3], &[1, 2]),
        config(3, &[1, 2], &[]),
        config(4, &[1, 2], &[1, 2, 3]),
    ]);
    let mut node = setup.start();
    node.is_disk_held = true;
    node.lead();
    // The joint configuration is committed, the final one is on its own disk only, and nothing is applied.
    node.sync();
    let status = node.replica.status();
    assert_eq!((node.last().index.get(), status.voters.len()), (6, 3));
    assert!(status.new_voters.is_empty());
    assert_eq!(status.log.applied_index.get(), 0);
    let mut said = node.change(1, &[1, 2, 3]);
    said.extend(node.acknowledge_until(2, at(2, 5)));
    let in_progress = Outcome::Refused(Refusal::ChangeInProgress);
    assert_eq!(answers(&said), [(1, in_progress)]);

    node.is_disk_held = false;
    node.acknowledge(2);
    let mut said = node.change(2, &[1, 2, 3]);
    said.extend(node.acknowledge(2));
    assert_eq!(answers(&said), [(2, Outcome::Done(OK))], "now they are");
}

#[test]
fn a_node_that_was_removed_for_long_gets_a_snapshot_and_its_configuration() {
    let mut world = World::new(1, 3, Faults::COMPACTING);
    world.run_for(SECOND * 3);
    let leader = world.leader().expect("a calm cluster elects a leader");
    let gone = other(&world, leader);
    let stay: Vec<u64> = (1..=3).filter(|node| *node != gone).collect();
    change(&mut world, 1, &stay);
    for id in 2..600 {
        world.request(leader, id, &["SET", &format!("key-{}", id % 7), "a value"]);
        world.run_for(Duration::from_micros(500));
    }
    change(&mut world, 1000, &[1, 2, 3]);
    world.run_for(SECOND * 2);
    assert!(world.installs >= 1);
    assert_eq!(applied(&world, gone), applied(&world, leader));
    assert_eq!(world.voters(gone), (vec![1, 2, 3], vec![]));
}

#[test]
fn a_damaged_configuration_is_learned_from_the_others() {
    let (mut world, leader) = led_world(3);
    let node = other(&world, leader);
    let gone = (1..=3)
        .find(|id| ![leader, node].contains(id))
        .expect("three nodes");
    let stay: Vec<u64> = (1..=3).filter(|id| *id != gone).collect();
    change(&mut world, 1, &stay);
    let configs: Vec<u64> = world.configs_on_disk(node);
    assert_eq!(configs.len(), 2, "a joint one and a final one");
    world.kill(node);
    world.damage(node, configs);
    world.start(node);
    assert_eq!(world.voters(node), (vec![1, 2, 3], vec![]), "what it can read");
    world.run_for(SECOND * 3);
    assert_eq!(world.damaged(node), 0);
    assert_eq!(world.voters(node), (stay, vec![]));
}

#[test]
fn a_snapshot_knows_the_configuration_that_the_log_has_lost() {
    let mut world = World::new(1, 3, Faults::NONE);
    world.run_for(SECOND * 3);
    let leader = world.leader().expect("a calm cluster elects a leader");
    let node = other(&world, leader);
    let gone = (1..=3)
        .find(|id| ![leader, node].contains(id))
        .expect("three nodes");
    let stay: Vec<u64> = (1..=3).filter(|id| *id != gone).collect();
    change(&mut world, 1, &stay);
    assert_eq!(count(&mut world, 2), Reply::Integer(1));
    world.take_snapshot(node);
    world.run_for(SECOND);
    let configs: Vec<u64> = world.configs_on_disk(node);
    assert_eq!(configs.len(), 2, "a joint one and a final one");
    world.kill(leader);
    world.kill(node);
    world.damage(node, configs);
    // Alone, so no other node gives it the entry.
    world.start(node);
    assert_eq!(world.voters(node), (stay.clone(), vec![]));
    world.run_for(SECOND);
    world.kill(node);
    world.start(node);
    assert_eq!(world.voters(node), (stay, vec![]), "and so it is on its disk");
}

#[test]
fn a_snapshot_corrects_a_log_that_has_committed_a_configuration_it_cannot_read() {
    let (mut world, leader) = led_world(4);
    let others: Vec<u64> = (1..=4).filter(|id| *id != leader).collect();
    let (node, third, gone) = (others[0], others[1], others[2]);
    let stay: Vec<u64> = (1..=4).filter(|id| *id != gone).collect();
    change(&mut world, 1, &stay);
    let configs: Vec<u64> = world.configs_on_disk(node);
    assert_eq!(configs.len(), 2, "a joint one and a final one");
    world.kill(gone);
    // Two snapshots of both others lie behind the configurations and within this node's log.
    for id in [100, 200] {
        assert!(matches!(count(&mut world, id), Reply::Integer(_)));
        [leader, third]
            .into_iter()
            .for_each(|other| world.take_snapshot(other));
        world.run_for(SECOND);
    }
    let base = |world: &World| {
        world
            .replica(leader)
            .expect("it is up")
            .status()
            .log
            .base_index
            .get()
    };
    assert!(configs.iter().all(|index| *index <= base(&world)));
    world.kill(node);
    world.damage(node, configs);
    world.start(node);
    world.run_for(SECOND * 10);
    let status = world.replica(node).expect("it is up").status();
    assert_eq!((status.damage.holes, world.damaged(node)), (0, 0), "{status:?}");
    assert_eq!(world.voters(node), (stay, vec![]));
    assert_eq!(applied(&world, node), applied(&world, leader));
    assert!(world.installs <= 2, "{} snapshots were sent", world.installs);
}

#[test]
fn random_changes_keep_a_counter_linearizable() {
    let seeds = counter::seeds(60);
    let changes: u64 = seeds.iter().map(|seed| counter::run_with_changes(*seed)).sum();
    assert!(
        seeds.len() < 60 || changes > 150,
        "only {changes} changes were made"
    );
}
