//! Transfer of leadership: who leads afterwards, what becomes of requests meanwhile, and of a leader whose transfer fails.

use std::time::Duration;

use noraft::{NodeId, Term};
use noraftd::protocol::outcome::{Doubt, Outcome, Refusal};
use noraftd::protocol::peer::{Features, PeerMessage};
use noraftd::protocol::resp::Reply;
use noraftd::replica::ReplicaConfig;
use noraftd::replica::event::{Input, Output, RequestId};

use super::driven::{Driven, Setup, answers, at, messages};
use super::world::World;
use super::{SECOND, counter, done, led_world, other, outcome};

/// Which requests were not done.
fn failures(world: &World) -> Vec<&Outcome> {
    let outcomes = world.done.iter().map(|done| &done.outcome);
    outcomes
        .filter(|outcome| !matches!(outcome, Outcome::Done(_)))
        .collect()
}

/// Asks for writes and reads everywhere all the time, from `first` on; the next number.
fn load(world: &mut World, first: u64, time: Duration) -> u64 {
    let (mut id, end) = (first, world.now + time.as_nanos() as u64);
    while world.now < end {
        for node in world.up() {
            world.request(node, id, &["INCR", "c"]);
            world.request(node, id + 1, &["GET", "c"]);
            // One connection, on which nothing waits for its answer.
            world.request_on(node, node, id + 2, &["INCR", "c"]);
            world.request_on(node, node, id + 3, &["GET", "c"]);
            id += 4;
        }
        world.run_for(Duration::from_micros(300));
    }
    id
}

#[test]
fn another_node_leads_and_no_request_fails() {
    let (mut world, leader) = led_world(3);
    let to = other(&world, leader);
    let next = load(&mut world, 1000, Duration::from_millis(20));
    let before = world.now;
    world.hand_over(leader, Some(1), Some(to));
    let mut id = next;
    while outcome(&world, 1).is_none() {
        id = load(&mut world, id, Duration::from_millis(1));
    }
    let took = Duration::from_nanos(world.now - before);
    assert_eq!(done(&world, 1), Reply::Integer(to as i64));
    assert!(took < ReplicaConfig::ELECTION_TIMEOUT / 10, "{took:?}");
    assert_eq!(world.leader(), Some(to));
    let last = load(&mut world, id, Duration::from_millis(20));
    world.run_for(SECOND * 2);
    assert_eq!(failures(&world), Vec::<&Outcome>::new());
    assert_eq!(world.done.len() as u64, 1 + last - 1000, "all are answered");
    world.request(to, 2, &["GET", "c"]);
    world.run_for(SECOND);
    let increments = (last - 1000) / 2;
    assert_eq!(done(&world, 2), Reply::Bulk(increments.to_string().into()));
}

#[test]
fn what_cannot_be_is_refused() {
    let (mut world, leader) = led_world(3);
    let follower = other(&world, leader);
    let removed = (1..=3)
        .find(|node| ![leader, follower].contains(node))
        .expect("a third");
    let ask = |world: &mut World, node, id, to| {
        world.hand_over(node, Some(id), to);
        world.run_for(SECOND / 100);
        outcome(world, id)
    };
    let refused = |refusal| Some(Outcome::Refused(refusal));
    assert_eq!(ask(&mut world, follower, 1, None), refused(Refusal::NotLeader));
    assert_eq!(ask(&mut world, leader, 2, Some(9)), refused(Refusal::NoSuccessor));
    let own = Some(Outcome::Done(Reply::Integer(leader as i64)));
    assert_eq!(ask(&mut world, leader, 3, Some(leader)), own);
    world.change_voters(leader, 4, &[leader, follower]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 4), Reply::Status("OK"));
    assert_eq!(
        ask(&mut world, leader, 5, Some(removed)),
        refused(Refusal::NoSuccessor),
        "it does not vote"
    );
    world.hand_over(leader, Some(6), None);
    assert_eq!(
        ask(&mut world, leader, 7, None),
        refused(Refusal::TransferInProgress)
    );
    world.run_for(SECOND);
    assert_eq!(done(&world, 6), Reply::Integer(follower as i64));
    let (alone, one) = led_world(1);
    let mut alone = alone;
    assert_eq!(ask(&mut alone, one, 1, None), refused(Refusal::NoSuccessor));
}

#[test]
fn a_leader_goes_on_when_nobody_takes_over() {
    let (mut world, leader) = led_world(3);
    let to = other(&world, leader);
    world.request(leader, 1, &["INCR", "c"]);
    world.run_for(SECOND / 10);
    // It has everything, and hears no more.
    world.lose_between(leader, to);
    world.hand_over(leader, Some(2), Some(to));
    world.run_for(Duration::from_millis(10));
    world.request(leader, 3, &["INCR", "c"]);
    world.request(leader, 4, &["GET", "c"]);
    world.run_for(ReplicaConfig::ELECTION_TIMEOUT / 2);
    assert_eq!(
        (outcome(&world, 2), outcome(&world, 3), outcome(&world, 4)),
        (None, None, None)
    );
    world.run_for(ReplicaConfig::ELECTION_TIMEOUT / 2);
    assert_eq!(
        outcome(&world, 2),
        Some(Outcome::Indefinite(Doubt::TransferTimeout))
    );
    world.run_for(Duration::from_millis(20));
    assert_eq!(done(&world, 3), Reply::Integer(2));
    assert!(matches!(done(&world, 4), Reply::Bulk(_)));
}

/// Node 1 leads 2 and 3, which are there; what it says when it is asked to hand over to node 2.
fn ordered(node: &mut Driven) -> Vec<Output> {
    node.connect(2);
    node.connect(3);
    node.lead();
    node.handle(Input::Transfer {
        id: Some(RequestId(1)),
        to: Some(NodeId::new(2)),
    })
}

fn orders(outputs: &[Output]) -> usize {
    let said = messages(outputs);
    said.iter()
        .filter(|message| matches!(message, PeerMessage::TimeoutNow { .. }))
        .count()
}

#[test]
fn the_other_node_is_ordered_when_it_has_the_log_and_nothing_is_open() {
    let mut node = Setup::new(3, 4).start();
    assert_eq!(orders(&ordered(&mut node)), 1, "it lacks nothing");

    let mut node = Setup::new(3, 4).start();
    node.connect(2);
    node.lead();
    let asked = node.ask(1, 1, &["SET", "k", "v"]);
    assert_eq!(orders(&asked), 0);
    node.ask(2, 2, &["GET", "k"]);
    let begun = node.handle(Input::Transfer { id: None, to: None });
    assert_eq!(orders(&begun), 0, "an entry and a read are open");
    let late = node.ask(1, 3, &["SET", "k", "w"]);
    assert!(answers(&late).is_empty(), "it waits");
    let last = node.last();
    let mut acknowledged = node.acknowledge(2);
    acknowledged.extend(node.acknowledge(2));
    assert_eq!(answers(&acknowledged).len(), 2, "the write, and the read");
    assert_eq!(orders(&acknowledged), 1);
    assert_eq!(node.last(), last, "nothing was appended meanwhile");
}

/// Node 1 leads 2 and 3, has been asked to write, and its disk does not answer.
fn with_held_disk() -> Driven {
    let mut node = Setup::new(3, 4).start();
    node.connect(2);
    node.connect(3);
    node.lead();
    node.is_disk_held = true;
    node.ask(1, 1, &["SET", "k", "v"]);
    node
}

/// Longer than a sync may take, and too short for anything else.
const LATER: Duration = ReplicaConfig::ELECTION_TIMEOUT.checked_div(3).expect("by three");

#[test]
fn a_leader_whose_disk_does_not_answer_hands_over_to_a_node_that_has_everything() {
    let mut node = with_held_disk();
    assert_eq!(orders(&node.acknowledge(2)), 0, "a moment is no trouble");
    let later = node.pass(LATER);
    let [PeerMessage::TimeoutNow { last_position, .. }] = &messages(&later)
        .into_iter()
        .filter(|message| matches!(message, PeerMessage::TimeoutNow { .. }))
        .collect::<Vec<_>>()[..]
    else {
        panic!("one order: {later:?}")
    };
    assert_eq!(*last_position, node.last());
    let mut again = node.pass(ReplicaConfig::ELECTION_TIMEOUT);
    again.extend(node.acknowledge(2));
    assert_eq!(orders(&again), 0, "once a sync");
    node.is_disk_held = false;
    assert_eq!(
        answers(&node.sync()).len(),
        1,
        "what was under way is done: it leads on"
    );
    assert_eq!(orders(&node.pass(LATER)), 0, "its disk answers");
}

#[test]
fn a_leader_whose_disk_does_not_answer_waits_until_no_read_is_open() {
    let mut node = with_held_disk();
    node.acknowledge(2);
    node.ask(2, 2, &["GET", "k"]);
    assert_eq!(orders(&node.pass(LATER)), 0, "a read is open");
    let confirmed = node.acknowledge(2);
    assert_eq!(answers(&confirmed).len(), 1, "the read");
    assert_eq!(orders(&confirmed), 1);
}

#[test]
fn what_waited_for_the_disk_is_not_appended_behind_the_log_of_the_ordered_node() {
    let mut node = with_held_disk();
    node.ask(1, 2, &["SET", "k", "w"]);
    node.acknowledge(2);
    let ordered = node.handle(Input::Transfer { id: None, to: None });
    assert_eq!(
        orders(&ordered),
        1,
        "it has the whole log, and the disk is all that is waited for"
    );
    let last = node.last();
    node.is_disk_held = false;
    assert_eq!(answers(&node.sync()).len(), 1, "the write that was under way");
    assert_eq!(
        node.last(),
        last,
        "the other one would be in the way of the election"
    );
    let mut later = Vec::new();
    for _ in 0..5 {
        later.extend(node.pass(ReplicaConfig::ELECTION_TIMEOUT / 4));
        later.extend(node.acknowledge(2));
    }
    assert!(node.last() > last, "nothing came of it, and the leader goes on");
    assert_eq!(answers(&later).len(), 1);
}

#[test]
fn where_no_other_disk_is_faster_a_leader_keeps_its_office() {
    let mut node = with_held_disk();
    let nothing = node.pass(LATER);
    assert_eq!(orders(&nothing), 0, "the others' disks do not answer either");
    assert_eq!(orders(&node.acknowledge(2)), 0);
    node.is_disk_held = false;
    node.sync();
    assert_eq!(orders(&node.pass(LATER)), 0, "it was hardly slower");
}

/// Syncs take most of an election timeout: too short to fall silent, and much longer than those of the others.
#[test]
fn leadership_goes_from_a_node_whose_disk_fails_slowly_to_one_whose_disk_does_not() {
    for seed in 1..=10 {
        let mut world = World::new(seed, 3, super::world::Faults::NONE);
        world.run_for(SECOND * 3);
        let leader = world.leader().expect("a calm cluster elects a leader");
        world.slow_disk(leader, ReplicaConfig::ELECTION_TIMEOUT * 3 / 4);
        let writes_by = other(&world, leader);
        world.request(writes_by, 1, &["INCR", "c"]);
        world.run_for(ReplicaConfig::ELECTION_TIMEOUT / 2);
        let next = world.leader().expect("one leads");
        assert_ne!(next, leader, "seed {seed}");
        world.run_for(SECOND * 2);
        assert_eq!(world.leader(), Some(next), "seed {seed}: it stays there");
        world.request(writes_by, 2, &["INCR", "c"]);
        world.run_for(SECOND);
        assert_eq!(done(&world, 2), Reply::Integer(2), "seed {seed}");
    }
}

#[test]
fn a_node_that_knows_no_transfers_is_never_ordered() {
    let mut node = Setup::new(3, 4).start();
    node.lead();
    let peer = NodeId::new(2);
    let features = Features::NONE;
    node.handle(Input::Connected { peer, features });
    let refused = node.handle(Input::Transfer {
        id: Some(RequestId(1)),
        to: None,
    });
    assert_eq!(answers(&refused), [(1, Outcome::Refused(Refusal::NoSuccessor))]);
}

/// Whether node 1, which follows node 2, asks for votes when it is ordered to by `from`, in `term`, with a log up to `index`.
fn campaigns(setup: Setup, from: u64, term: u64, index: u64) -> bool {
    let mut node = setup.start();
    let last = node.last();
    node.append(2, 1, last, Vec::new(), last.index.get());
    let order = PeerMessage::TimeoutNow {
        term: Term::new(term),
        last_position: at(1, index),
    };
    let said = messages(&node.hear(from, order));
    said.iter()
        .any(|message| matches!(message, PeerMessage::RequestVote { .. }))
}

#[test]
fn a_node_campaigns_at_once_for_its_leader_and_for_no_other() {
    assert!(campaigns(Setup::new(3, 4), 2, 1, 5));
    assert!(!campaigns(Setup::new(3, 4), 3, 1, 5), "it does not lead");
    assert!(!campaigns(Setup::new(3, 4), 2, 0, 5), "an earlier term");
    assert!(!campaigns(Setup::new(3, 4), 2, 1, 6), "it lacks an entry");
    assert!(!campaigns(Setup::new(3, 4), 2, 1, 4), "it has one more");
    let mut damaged = Setup::new(3, 4);
    damaged.disk.damaged.insert(3);
    assert!(!campaigns(damaged, 2, 1, 5), "it misses an entry");
}

#[test]
fn what_the_leader_says_meanwhile_does_not_keep_it_from_campaigning() {
    let mut node = Setup::new(3, 4).start();
    let last = node.last();
    node.append(2, 1, last, Vec::new(), 1);
    node.is_disk_held = true;
    // A sync is in flight, so it cannot campaign yet.
    let next = super::driven::write(1, 6);
    node.append(2, 1, last, vec![next], 1);
    let order = PeerMessage::TimeoutNow {
        term: Term::new(1),
        last_position: at(1, 6),
    };
    node.hear(2, order);
    node.append(2, 1, at(1, 6), Vec::new(), 1);
    node.is_disk_held = false;
    node.sync();
    assert_eq!(node.term(), Term::new(2), "it campaigns in the next term");
}

#[test]
fn random_transfers_keep_a_counter_linearizable() {
    counter::seeds(60)
        .into_iter()
        .for_each(counter::run_with_transfers);
}
