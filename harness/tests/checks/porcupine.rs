//! Our engines beside porcupine-rs on middle-sized random registers, which brute force cannot decide.

#[path = "common/peer.rs"]
#[allow(unreachable_pub, reason = "shared with the benchmark")]
mod peer;

use crate::common::registers::{self, Kinds, datum};
use harness::checker::register::{Register, drop_unseen};
use harness::checker::{self, Budget, Verdict};
use harness::generator::random::Random;
use harness::model::Call;

type Calls = Vec<Call<harness::checker::register::RegisterOp>>;

fn run(kinds: Kinds, check: impl Fn(&Calls) -> Verdict) {
    const ROUNDS: u64 = 150;
    let mut counts = [0, 0];
    for seed in 0..ROUNDS {
        let mut random = Random::new(seed);
        let operations = 10 + random.below(20);
        let calls = registers::history(&mut random, kinds, operations);
        let mut seen = calls.clone();
        drop_unseen(&mut seen);
        match peer::agree(datum(0), &calls, &check(&seen)) {
            Ok(valid) => counts[usize::from(valid)] += 1,
            Err(difference) => panic!("{kinds:?} seed {seed}: {difference}"),
        }
    }
    assert!(
        counts.iter().all(|count| *count > ROUNDS / 20),
        "{kinds:?}: {counts:?}"
    );
}

#[test]
fn unique_values_are_decided_as_by_porcupine() {
    run(
        Kinds {
            unique: true,
            cas: true,
            differs: false,
        },
        |calls| checker::unique::check(datum(0), calls, &Budget::default()).expect("values are unique"),
    );
}

#[test]
fn blind_writes_are_decided_as_by_porcupine() {
    run(
        Kinds {
            unique: false,
            cas: false,
            differs: false,
        },
        |calls| checker::frontier::check(datum(0), calls, &Budget::default()),
    );
}

#[test]
fn any_register_is_decided_as_by_porcupine() {
    run(
        Kinds {
            unique: false,
            cas: true,
            differs: true,
        },
        |calls| checker::search::check(&Register { initial: datum(0) }, calls, &Budget::default()).1,
    );
}
