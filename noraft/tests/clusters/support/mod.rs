//! What the tests of whole clusters share: a generator, a server with a disk, a cluster with a network.
//!
//! Invariant: everything is a function of the seed. No clock, no thread, no hash order.
#![allow(dead_code, reason = "every test target uses its own part")]

pub(crate) mod cluster;
pub(crate) mod rng;
pub(crate) mod schedule;
pub(crate) mod server;
pub(crate) mod ticks;

/// Runs `test` for each seed and reports a failure with the command that repeats it.
///
/// `NORAFT_SEED` runs one seed, `NORAFT_SEEDS` that many from `NORAFT_FIRST_SEED` on.
pub(crate) fn for_each_seed(module: &str, name: &str, count: u64, test: impl Fn(u64) -> Result<(), String>) {
    let first = env_number("NORAFT_FIRST_SEED").unwrap_or(0);
    let seeds = match env_number("NORAFT_SEED") {
        Some(seed) => seed..seed + 1,
        None => first..first + env_number("NORAFT_SEEDS").unwrap_or(count),
    };
    for seed in seeds {
        if let Err(reason) = test(seed) {
            panic!("{reason}\nrepeat: {}", repeat_command(module, name, seed));
        }
    }
}

/// Reads a number from the environment.
pub(crate) fn env_number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|error| panic!("{name}={text}: {error}")),
    )
}

fn repeat_command(module: &str, name: &str, seed: u64) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("NORAFT_SEED={seed} cargo test -p noraft@{version} --test clusters -- --exact {module}::{name}")
}
