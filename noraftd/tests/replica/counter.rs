//! A counter under random faults. `INCR` makes linearizability easy to decide: results are distinct, and each
//! result (or read) lies between what was complete before it was asked and what had been asked before it
//! was answered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use noraftd::prng::Prng;
use noraftd::protocol::outcome::Outcome;
use noraftd::protocol::resp::Reply;

use super::appends::Appends;
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
    appends: Appends,
}

impl Bounds {
    fn ask(&mut self, id: u64, increments: bool) {
        self.asked += i64::from(increments);
        self.open.insert(id, (increments, self.shown));
    }

    fn answer(&mut self, seed: u64, id: u64, outcome: &Outcome) {
        if self.appends.asked(id) {
            return self.appends.answer(id, outcome);
        }
        let repeat = repeat(seed);
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

/// Runs one random schedule to its end and checks that the cluster recovers; gives how often a node took over
/// another's snapshot.
pub(crate) fn run(seed: u64) -> u64 {
    let size = |prng: &mut Prng| [1, 3, 3, 3, 5][prng.below(5) as usize];
    run_world(seed, size, Orders::default()).installs
}

/// The same while the voters change all the time; gives how often they did.
pub(crate) fn run_with_changes(seed: u64) -> u64 {
    let size = |prng: &mut Prng| [2, 3, 4, 5, 5][prng.below(5) as usize];
    let orders = Orders {
        changes_percent: 8,
        transfers_percent: 0,
    };
    run_world(seed, size, orders).changes
}

/// The same while leaders hand over all the time, and the voters change now and then.
pub(crate) fn run_with_transfers(seed: u64) {
    let size = |prng: &mut Prng| [2, 3, 3, 5, 5][prng.below(5) as usize];
    let orders = Orders {
        changes_percent: 2,
        transfers_percent: 15,
    };
    run_world(seed, size, orders);
}

/// How many of a hundred steps ask for other voters, or for another leader.
#[derive(Debug, Clone, Copy, Default)]
struct Orders {
    changes_percent: u64,
    transfers_percent: u64,
}

/// What happened in a world.
struct Ran {
    installs: u64,
    changes: u64,
}

fn run_world(seed: u64, size: impl Fn(&mut Prng) -> u64, orders: Orders) -> Ran {
    let changes_percent = orders.changes_percent;
    let mut prng = Prng::new(seed ^ 0x5eed);
    let faults = Faults {
        loss: prng.below(80),
        duplicate: prng.below(80),
        reorder: prng.chance(1, 2),
        delay_max: prng.between(100, 30_000),
        sync_max: prng.between(100, 20_000),
        compact: seed % 2 == 1,
    };
    let size = size(&mut prng);
    let mut world = World::with_election(
        seed,
        size,
        faults,
        Duration::from_millis([60, 150, 500][seed as usize % 3]),
    );
    let (mut bounds, mut id, mut seen) = (Bounds::default(), 0, 0);
    let mut asked = 0;
    for _ in 0..prng.between(200, 600) {
        disturb(&mut world, &mut prng);
        if changes_percent > 0 && prng.chance(changes_percent, 100) {
            asked += 1;
            ask_for_voters(&mut world, &mut prng, CHANGES + asked);
        }
        if orders.transfers_percent > 0 && prng.chance(orders.transfers_percent, 100) {
            hand_over(&mut world, &mut prng);
        }
        for _ in 0..prng.below(4) {
            ask(&mut world, &mut bounds, &mut prng, &mut id);
        }
        world.run_for(Duration::from_micros(prng.between(100, 40_000)));
        seen = settle_answers(&world, &mut bounds, seed, seen);
    }
    world.heal();
    world.run_for(Duration::from_secs(10));
    if changes_percent > 0 {
        asked = make_all_voters(&mut world, asked, seed);
    }
    settle_answers(&world, &mut bounds, seed, seen);
    finish(&mut world, &mut bounds, seed, id);
    Ran {
        installs: world.installs,
        changes: count_changes(&world, asked, seed),
    }
}

/// Asks the leader, or any node, for a random set of voters.
fn ask_for_voters(world: &mut World, prng: &mut Prng, id: u64) {
    let any = prng.between(1, world.size);
    let node = world.leader().filter(|_| prng.chance(7, 8)).unwrap_or(any);
    if world.replica(node).is_none() {
        return;
    }
    let mut nodes: Vec<u64> = (1..=world.size).collect();
    prng.shuffle(&mut nodes);
    nodes.truncate(prng.between(1, world.size) as usize);
    world.change_voters(node, id, &nodes);
}

/// Asks the leader, or any node, to hand over to any node or to a certain one.
fn hand_over(world: &mut World, prng: &mut Prng) {
    let (any, to) = (prng.between(1, world.size), prng.between(1, world.size));
    let node = world.leader().filter(|_| prng.chance(7, 8)).unwrap_or(any);
    if world.replica(node).is_some() {
        world.hand_over(node, None, Some(to).filter(|_| prng.chance(1, 2)));
    }
}

/// Asks until all nodes are voters; gives how many changes were asked for then.
fn make_all_voters(world: &mut World, mut asked: u64, seed: u64) -> u64 {
    let all: Vec<u64> = (1..=world.size).collect();
    for _ in 0..20 {
        asked += 1;
        let leader = world.leader();
        leader
            .into_iter()
            .for_each(|leader| world.change_voters(leader, CHANGES + asked, &all));
        world.run_for(Duration::from_secs(3));
        let last = world.done.iter().find(|done| done.id == CHANGES + asked);
        if last.is_some_and(|done| matches!(done.outcome, Outcome::Done(_))) {
            return asked;
        }
    }
    panic!("the nodes do not become voters again; repeat: {}", repeat(seed));
}

/// Every change is answered at most once, and nothing else is under its name.
fn count_changes(world: &World, asked: u64, seed: u64) -> u64 {
    let answers = world.done.iter().filter(|done| done.id > CHANGES);
    let mut seen = BTreeSet::new();
    let mut made = 0;
    for done in answers {
        let is_first = done.id <= CHANGES + asked && seen.insert(done.id);
        assert!(is_first, "a second answer: {done:?}; repeat: {}", repeat(seed));
        made += u64::from(matches!(done.outcome, Outcome::Done(_)));
    }
    made
}

/// Kills and cuts, the leader as often as all others together; a killed node is often back at once, so that
/// it meets the term it had voted in.
fn disturb(world: &mut World, prng: &mut Prng) {
    let any = prng.between(1, world.size);
    let node = world.leader().filter(|_| prng.chance(1, 2)).unwrap_or(any);
    match prng.below(40) {
        0 | 1 if world.replica(node).is_some() => world.kill(node),
        2 if world.replica(node).is_some() => {
            world.kill(node);
            world.start(node);
        }
        3..=5 if world.replica(any).is_none() => world.start(any),
        6 | 7 => world.partition(&[node], prng.chance(1, 3)),
        8 => world.reconnect(),
        _ => {}
    }
}

fn ask(world: &mut World, bounds: &mut Bounds, prng: &mut Prng, id: &mut u64) {
    let node = prng.between(1, world.size);
    if world.replica(node).is_none() {
        return;
    }
    *id += 1;
    match prng.below(3) {
        0 => world.request(node, *id, &["APPEND", "log", &bounds.appends.ask(*id)]),
        kind => {
            bounds.ask(*id, kind == 1);
            let words: &[&str] = if kind == 1 { &["INCR", "c"] } else { &["GET", "c"] };
            world.request(node, *id, words);
        }
    }
}

fn settle_answers(world: &World, bounds: &mut Bounds, seed: u64, seen: usize) -> usize {
    for done in world.done[seen..].iter().filter(|done| done.id < CHANGES) {
        bounds.answer(seed, done.id, &done.outcome);
    }
    world.done.len()
}

/// Reads what is left, and compares the replicas.
fn finish(world: &mut World, bounds: &mut Bounds, seed: u64, last_id: u64) {
    let repeat = repeat(seed);
    world.request(1, last_id + 1, &["GET", "c"]);
    world.request(1, last_id + 2, &["GET", "log"]);
    world.run_for(Duration::from_secs(5));
    let read = |id| match world
        .done
        .iter()
        .find(|done| done.id == id)
        .map(|done| &done.outcome)
    {
        Some(Outcome::Done(reply)) => reply,
        other => panic!("no progress after healing: {other:?}; repeat: {repeat}"),
    };
    let value = number(read(last_id + 1)).expect("a counter is a number");
    let range = bounds.acknowledged..=bounds.asked;
    assert!(
        range.contains(&value),
        "the counter ends at {value}, not in {range:?}; repeat: {repeat}"
    );
    bounds.appends.check(read(last_id + 2), &repeat);
    let up = world.up();
    let states = up
        .iter()
        .filter_map(|node| Some(world.replica(*node)?.machine().state_hash()));
    assert_eq!(
        states.collect::<BTreeSet<u64>>().len(),
        1,
        "replicas differ; repeat: {repeat}"
    );
}

fn repeat(seed: u64) -> String {
    format!("REPLICA_SEED={seed} cargo test -p noraftd --test replica")
}

/// Changes of the voters have ids beyond this one.
const CHANGES: u64 = 1 << 32;
