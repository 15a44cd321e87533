//! The order of requests on one connection: pipelines that alternate writes and reads.

use noraftd::prng::Prng;
use noraftd::protocol::outcome::{Outcome, Refusal};
use noraftd::protocol::resp::Reply;

use super::world::{Faults, World};
use super::{SECOND, done, led_world, other, outcome};

/// Messages are lost, doubled and overtake each other.
const ROUGH: Faults = Faults {
    loss: 20,
    duplicate: 20,
    reorder: true,
    delay_max: 20_000,
    sync_max: 5_000,
    compact: false,
};

/// Sends writes and reads in turn over one connection of `node`: requests 1 to `count`.
fn alternate(world: &mut World, node: u64, connection: u64, count: u64) {
    for id in 1..=count {
        if id % 2 == 1 {
            world.request_on(node, connection, id, &["SET", "k", &id.to_string()]);
        } else {
            world.request_on(node, connection, id, &["GET", "k"]);
        }
    }
}

fn check_alternated(world: &World, count: u64) {
    for id in (2..=count).step_by(2) {
        let before = Reply::Bulk((id - 1).to_string().into());
        assert_eq!(
            done(world, id),
            before,
            "request {id} sees the write before it, and no later one"
        );
    }
}

#[test]
fn a_leader_answers_an_alternating_pipeline_in_its_order() {
    let (mut world, leader) = led_world(3);
    alternate(&mut world, leader, 7, 200);
    world.run_for(SECOND);
    check_alternated(&world, 200);
}

#[test]
fn a_follower_passes_an_alternating_pipeline_on_in_its_order() {
    let (mut world, leader) = led_world(3);
    let follower = other(&world, leader);
    alternate(&mut world, follower, 7, 40);
    world.run_for(SECOND);
    check_alternated(&world, 40);
}

#[test]
fn an_alternating_pipeline_is_one_batch_for_a_leader() {
    let (mut world, leader) = led_world(3);
    let before = world.batches;
    alternate(&mut world, leader, 7, 200);
    world.run_for(SECOND);
    check_alternated(&world, 200);
    let batches = world.batches - before;
    assert!(
        batches <= 15,
        "{batches} batches on three nodes for 100 writes that came together"
    );
}

#[test]
fn without_a_leader_an_alternating_pipeline_is_refused_together() {
    let (mut world, leader) = led_world(3);
    let follower = other(&world, leader);
    (1..=3)
        .filter(|node| *node != follower)
        .for_each(|node| world.kill(node));
    world.run_for(SECOND / 10);
    alternate(&mut world, follower, 7, 20);
    world.run_for(SECOND * 2);
    for id in 1..=20 {
        let outcome = outcome(&world, id);
        assert!(matches!(outcome, Some(Outcome::Refused(_))), "{id}: {outcome:?}");
    }
}

#[test]
fn a_read_waits_for_a_write_in_doubt_before_it() {
    let (mut world, leader) = led_world(3);
    // The leader hears the others, but nothing that it sends arrives: its round is not confirmed either.
    world.partition(&[leader], false);
    world.request_on(leader, 7, 1, &["SET", "k", "v"]);
    world.run_for(SECOND * 3 / 2);
    assert!(matches!(outcome(&world, 1), Some(Outcome::Indefinite(_))));
    world.request_on(leader, 7, 2, &["GET", "k"]);
    world.reconnect();
    world.run_for(SECOND * 3);
    // Whatever became of the write, the next read says the same.
    world.request_on(leader, 7, 3, &["GET", "k"]);
    world.run_for(SECOND);
    if let Some(Outcome::Done(seen)) = outcome(&world, 2) {
        assert_eq!(done(&world, 3), seen);
    }
}

/// What a connection's reads may see, given what became of its writes.
#[derive(Default)]
struct Seen {
    /// What the last read saw.
    list: Vec<u64>,
    /// Writes since then, and whether they are certain.
    since: Vec<(u64, bool)>,
}

impl Seen {
    fn read(&mut self, list: Vec<u64>, context: &str) {
        let fresh = list.strip_prefix(&self.list[..]);
        let fresh = fresh.unwrap_or_else(|| panic!("{context}: {list:?} after {:?}", self.list));
        let mut rest = fresh.iter().peekable();
        for (value, is_certain) in self.since.drain(..) {
            let is_seen = rest.next_if(|seen| **seen == value).is_some();
            assert!(is_seen || !is_certain, "{context}: {list:?} lacks {value}");
        }
        assert_eq!(rest.next(), None, "{context}: {list:?}");
        self.list = list;
    }
}

fn numbers(reply: &Reply) -> Vec<u64> {
    match reply {
        Reply::Null => Vec::new(),
        Reply::Bulk(bytes) => {
            let text = std::str::from_utf8(bytes).expect("we wrote text");
            text.split_terminator(',')
                .map(|n| n.parse().expect("a number"))
                .collect()
        }
        other => panic!("{other:?} is no list"),
    }
}

/// Several connections append to lists of their own and read them, through faults; each sees its own order.
fn connections_see_their_own_order(seed: u64, faults: Faults) {
    let mut prng = Prng::new(seed);
    let mut world = World::new(seed, 3, faults);
    world.run_for(SECOND * 2);
    let mut asked: Vec<(u64, u64, bool)> = Vec::new();
    let (mut id, mut connection) = (0, 0);
    for _ in 0..60 {
        connection += u64::from(prng.chance(1, 6));
        let key = format!("list{connection}");
        let node = connection % 3 + 1;
        for _ in 0..prng.between(1, 12) {
            id += 1;
            let is_write = prng.chance(1, 2);
            if is_write {
                world.request_on(node, connection, id, &["APPEND", &key, &format!("{id},")]);
            } else {
                world.request_on(node, connection, id, &["GET", &key]);
            }
            asked.push((connection, id, is_write));
        }
        world.run_for(SECOND / 1000 * prng.between(0, 120) as u32);
        match prng.below(8) {
            0 => world.partition(&[prng.between(1, 3)], prng.chance(1, 2)),
            1 | 2 => world.reconnect(),
            3 => {
                if let Some(leader) = world.leader() {
                    world.partition(&[leader], false);
                }
            }
            _ => {}
        }
    }
    world.heal();
    world.run_for(SECOND * 5);
    let mut seen: std::collections::BTreeMap<u64, Seen> = std::collections::BTreeMap::new();
    for (connection, id, is_write) in asked {
        let seen = seen.entry(connection).or_default();
        let context = format!("seed {seed}, connection {connection}, request {id}");
        match outcome(&world, id) {
            Some(Outcome::Done(_)) if is_write => seen.since.push((id, true)),
            Some(Outcome::Done(reply)) => seen.read(numbers(&reply), &context),
            Some(Outcome::Indefinite(_)) if is_write => seen.since.push((id, false)),
            Some(Outcome::Refused(_)) => {}
            other => panic!("{context}: {other:?}"),
        }
    }
}

#[test]
fn connections_see_their_own_order_through_faults() {
    for seed in 0..60 {
        connections_see_their_own_order(seed, Faults::NONE);
        connections_see_their_own_order(seed, ROUGH);
    }
}

#[test]
fn a_node_that_hears_no_leader_names_none_and_refuses_at_once() {
    let (mut world, leader) = led_world(3);
    let follower = other(&world, leader);
    world.partition(&[follower], false);
    world.run_for(SECOND);
    let status = world.replica(follower).expect("it runs").status();
    assert_eq!(status.leader, None, "no leader was heard for an election timeout");
    world.request(follower, 1, &["SET", "k", "v"]);
    world.run_for(SECOND * 2);
    assert_eq!(outcome(&world, 1), Some(Outcome::Refused(Refusal::NoLeader)));
    // By now no leader is expected soon.
    world.request(follower, 2, &["SET", "k", "v"]);
    world.run_for(SECOND / 1000);
    assert_eq!(outcome(&world, 2), Some(Outcome::Refused(Refusal::NoLeader)));
    world.reconnect();
    world.run_for(SECOND * 2);
    world.request(follower, 3, &["SET", "k", "v"]);
    world.run_for(SECOND);
    assert_eq!(done(&world, 3), Reply::Status("OK"));
}

#[test]
fn a_leader_names_only_followers_that_it_hears() {
    let (mut world, leader) = led_world(3);
    let heard = |world: &World| world.replica(leader).expect("it runs").status().followers.heard;
    assert_eq!(heard(&world).len(), 2);
    let gone = other(&world, leader);
    world.kill(gone);
    world.run_for(SECOND);
    let still = heard(&world);
    assert!(still.len() == 1 && still[0].get() != gone, "{still:?}");
}
