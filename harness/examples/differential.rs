//! Compares every engine with brute force on millions of small histories.
//!
//! `cargo run --release -p harness --example differential -- [rounds] [first seed]`

#[path = "../tests/common/mod.rs"]
mod common;

use common::compare;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let mut number = |otherwise| match arguments.next() {
        None => otherwise,
        Some(Ok(number)) => number,
        Some(Err(error)) => {
            eprintln!("expected: differential [rounds] [first seed]: {error}");
            std::process::exit(64);
        }
    };
    let (rounds, first) = (number(1_000_000), number(1 << 32));
    for (name, compare) in compare::ALL {
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
