//! A counter under random faults. `INCR` makes linearizability easy to decide: results are distinct, and each
//! result (or read) lies between what was complete before it was asked and what had been asked before it
//! was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use noraftd::protocol::resp::Reply;
use noraftd::replica::event::Outcome;

use super::world::{Faults, World};

/// The seeds to run: one from `REPLICA_SEED`, or `0..count`.
pub(crate) fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("REPLICA_SEED") {
        Ok(seed) => vec![seed.parse().expect("REPLICA_SEED is a number")],
        Err(_) => (0..env_count().unwrap_or(count)).collect(),
    }
}

fn env_count() -> Option<u64> {
    std::env::var("REPLICA_SEEDS")
        .ok()
        .map(|n| n.parse().expect("REPLICA_SEEDS is a number"))
}

#[derive(Default)]
struct Bounds {
    /// Highest value that a finished operation has shown.
    shown: i64,
    /// Increments that may have taken effect.
    asked: i64,
    /// Of each operation that is out: whether it increments, and `shown` when it was asked.
    open: BTreeMap<u64, (bool, i64)>,
    results: BTreeSet<i64>,
    acknowledged: i64,
}

impl Bounds {
    fn ask(&mut self, id: u64, increments: bool) {
        self.asked += i64::from(increments);
        self.open.insert(id, (increments, self.shown));
    }

    fn answer(&mut self, seed: u64, id: u64, outcome: &Outcome) {
        let repeat = format!("REPLICA_SEED={seed} cargo test -p noraftd --test replica");
        let (increments, floor) = self.open.remove(&id).unwrap_or_else(|| {
            panic!("request {id} was answered twice, or never asked: {outcome:?}; repeat: {repeat}")
        });
        match outcome {
            Outcome::Done(reply) => {
                let value =
                    number(reply).unwrap_or_else(|| panic!("request {id}: {reply:?}; repeat: {repeat}"));
                let fresh = !increments || self.results.insert(value);
                let low = floor + i64::from(increments);
                assert!(
                    fresh && (low..=self.asked).contains(&value),
                    "request {id} answered {value}: expected {low}..={}, not seen before ({fresh}); repeat: {repeat}",
                    self.asked
                );
                self.shown = self.shown.max(value);
                self.acknowledged += i64::from(increments);
            }
            Outcome::Refused(_) => self.asked -= i64::from(increments),
            Outcome::Indefinite(_) => assert!(increments, "a read is never in doubt; repeat: {repeat}"),
        }
    }
}

fn number(reply: &Reply) -> Option<i64> {
    match reply {
        Reply::Integer(value) => Some(*value),
        Reply::Bulk(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        Reply::Null => Some(0),
        _ => None,
    }
}

/// Runs one random schedule to its end and checks that the cluster recovers.
pub(crate) fn run(seed: u64) {
    let mut prng = noraftd::prng::Prng::new(seed ^ 0x5eed);
    let faults = Faults {
        loss: prng.below(80),
        duplicate: prng.below(80),
        reorder: prng.chance(1, 2),
        delay_max: prng.between(100, 30_000),
        sync_max: prng.between(100, 20_000),
    };
    let size = [1, 3, 3, 3, 5][prng.below(5) as usize];
    let mut world = World::new(seed, size, faults);
    let (mut bounds, mut id, mut seen) = (Bounds::default(), 0, 0);
    for _ in 0..prng.between(200, 600) {
        disturb(&mut world, &mut prng);
        for _ in 0..prng.below(4) {
            ask(&mut world, &mut bounds, &mut prng, &mut id);
        }
        world.run_for(Duration::from_micros(prng.between(100, 40_000)));
        seen = settle_answers(&world, &mut bounds, seed, seen);
    }
    world.heal();
    world.run_for(Duration::from_secs(10));
    settle_answers(&world, &mut bounds, seed, seen);
    finish(&mut world, &mut bounds, seed, id);
}

fn disturb(world: &mut World, prng: &mut noraftd::prng::Prng) {
    let node = prng.between(1, world.size);
    match prng.below(60) {
        0 | 1 if world.replica(node).is_some() => world.kill(node),
        2..=4 if world.replica(node).is_none() => world.start(node),
        5 => world.partition(&[node], prng.chance(1, 3)),
        6 if prng.chance(1, 2) => {
            let faults = world.faults;
            world.heal();
            world.faults = faults;
        }
        _ => {}
    }
}

fn ask(world: &mut World, bounds: &mut Bounds, prng: &mut noraftd::prng::Prng, id: &mut u64) {
    let node = prng.between(1, world.size);
    if world.replica(node).is_none() {
        return;
    }
    *id += 1;
    let increments = prng.chance(1, 2);
    bounds.ask(*id, increments);
    let words: &[&str] = if increments { &["INCR", "c"] } else { &["GET", "c"] };
    world.request(node, *id, words);
}

fn settle_answers(world: &World, bounds: &mut Bounds, seed: u64, seen: usize) -> usize {
    for done in &world.done[seen..] {
        bounds.answer(seed, done.id, &done.outcome);
    }
    world.done.len()
}

fn finish(world: &mut World, bounds: &mut Bounds, seed: u64, last_id: u64) {
    let repeat = format!("REPLICA_SEED={seed} cargo test -p noraftd --test replica");
    let before = world.done.len();
    bounds.ask(last_id + 1, false);
    world.request(1, last_id + 1, &["GET", "c"]);
    world.run_for(Duration::from_secs(5));
    settle_answers(world, bounds, seed, before);
    let last = world.done.last().map(|done| done.outcome.clone());
    let Some(Outcome::Done(reply)) = last else {
        panic!("no progress after healing: {last:?}; repeat: {repeat}")
    };
    let value = number(&reply).expect("a counter is a number");
    assert!(
        value >= bounds.acknowledged,
        "{value} of {} remain; repeat: {repeat}",
        bounds.acknowledged
    );
    let hashes: BTreeSet<u64> = world
        .up()
        .iter()
        .filter_map(|node| Some(world.replica(*node)?.machine().state_hash()))
        .collect();
    assert_eq!(hashes.len(), 1, "replicas differ; repeat: {repeat}");
}
