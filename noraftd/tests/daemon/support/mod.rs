//! What the tests with real processes share: nodes, clusters, and a client that speaks RESP.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(unreachable_pub, reason = "a module of test binaries")]

pub mod certs;
pub mod client;
pub mod cluster;
pub mod guarded;
pub mod http;
pub mod node;
pub mod program;
pub(crate) mod skip;
pub mod tamper;

use std::time::{Duration, Instant};

/// Repeats `attempt` until it gives something. Patience only bounds a test that would hang: no result
/// depends on how long anything took.
#[expect(
    clippy::disallowed_methods,
    reason = "waits for other processes, which give no event to wait for"
)]
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        assert!(started.elapsed() < PATIENCE, "gave up waiting: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
