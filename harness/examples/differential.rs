//! Compares every engine with brute force on millions of small histories.
//!
//! `cargo run --release -p harness --example differential -- [rounds] [first seed] [name...]`
//!
//! Names choose comparisons; without them all are made.

#[path = "../tests/checks/common/mod.rs"]
mod common;

use common::compare;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: u64| match arguments.get(at).map(|argument| argument.parse()) {
        None => otherwise,
        Some(Ok(number)) => number,
        Some(Err(error)) => {
            eprintln!("expected: differential [rounds] [first seed] [name...]: {error}");
            std::process::exit(64);
        }
    };
    let (rounds, first) = (number(0, 1_000_000), number(1, 1 << 32));
    let names = arguments.get(2..).unwrap_or_default();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|known| known == name);
    for (name, compare) in compare::ALL.into_iter().filter(|(name, _)| wanted(name)) {
        let mut valid = 0_u64;
        for seed in first..first + rounds {
            match compare(seed) {
                Ok(was_valid) => valid += u64::from(was_valid),
                Err(difference) => {
                    println!("{name}: seed {seed}: {difference}");
                    std::process::exit(1);
                }
            }
        }
        println!("{name}: {rounds} histories, {valid} valid, no difference");
    }
}
