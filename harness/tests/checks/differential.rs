//! Engines against the definition: small random histories, legal and changed, decided by brute force.
//!
//! A difference prints its seed; `NORAFT_SEED=<seed> cargo test -p harness --test checks differential::`
//! repeats it. `cargo run --release -p harness --example differential` runs millions.

use crate::common::compare;

/// Histories a comparison looks at in a test run.
const ROUNDS: u64 = 2_000;

fn seeds(rounds: u64) -> std::ops::Range<u64> {
    match std::env::var("NORAFT_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("NORAFT_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..rounds,
    }
}

fn run(name: &str, compare: fn(u64) -> compare::Outcome) {
    run_some(name, compare, ROUNDS);
}

fn run_some(name: &str, compare: fn(u64) -> compare::Outcome, rounds: u64) {
    let mut valid = 0;
    let mut invalid = 0;
    for seed in seeds(rounds) {
        match compare(seed) {
            Ok(true) => valid += 1,
            Ok(false) => invalid += 1,
            Err(difference) => panic!("{name}: NORAFT_SEED={seed}: {difference}"),
        }
    }
    if std::env::var_os("NORAFT_SEED").is_none() {
        assert!(
            valid > rounds / 10 && invalid > rounds / 10,
            "{name}: {valid} valid, {invalid} invalid"
        );
    }
}

#[test]
fn unique_values_are_decided_as_by_brute_force() {
    run("unique", compare::unique);
}

#[test]
fn any_register_is_decided_as_by_brute_force() {
    run("breadth", compare::breadth);
}

#[test]
fn repeated_values_are_decided_as_by_brute_force() {
    run("frontier", compare::frontier);
}

#[test]
fn wide_histories_of_repeated_values_are_decided_as_by_breadth() {
    run("frontier_wide", compare::frontier_wide);
}

#[test]
fn long_histories_of_repeated_values_are_decided_as_by_breadth() {
    run_some("frontier_long", compare::frontier_long, ROUNDS / 10);
}

#[test]
fn any_register_is_decided_by_depth_as_by_brute_force() {
    run("depth", compare::depth);
}

#[test]
fn logs_are_decided_as_by_brute_force() {
    run("log", compare::log);
}

#[test]
fn logs_of_offsets_are_decided_as_by_brute_force() {
    run("log_offsets", compare::log_offsets);
}

#[test]
fn trimmed_logs_are_decided_as_by_brute_force() {
    run_some("log_trimmed", compare::log_trimmed, 2 * ROUNDS);
}

#[test]
fn sets_are_decided_as_by_brute_force() {
    run("sets", compare::sets);
}

#[test]
fn counters_are_decided_as_by_brute_force() {
    run("counter", compare::counter);
}

#[test]
fn locks_are_decided_as_by_brute_force() {
    run("lock", compare::lock);
}

#[test]
fn requests_are_decided_as_by_brute_force() {
    run("exactly_once", compare::exactly_once);
}

#[test]
fn list_transactions_are_decided_as_by_brute_force() {
    run("list_append", compare::list_append);
}

#[test]
fn register_transactions_are_decided_as_by_brute_force() {
    run("rw_register", compare::rw_register);
}

#[test]
fn texts_are_decided_as_by_brute_force() {
    run("kv", compare::kv);
}
