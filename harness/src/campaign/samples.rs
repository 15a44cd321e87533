//! Records for tests.

use super::draw::Unit;
use super::file::Place;
use super::record::{Failed, Figures, Record, Verdict};

pub(super) fn record(id: u64, verdict: Verdict, failures: Vec<Failed>) -> Record {
    Record {
        unit: Unit {
            id,
            entry: 0,
            first_seed: id + 1,
            seeds: 10,
            block: id / 10,
        },
        entry: "swarm-simulation".to_owned(),
        place: Place::Simulation,
        steered: false,
        build: "0123456789ab".to_owned(),
        verdict,
        reason: None,
        figures: Figures {
            unknown: u64::from(verdict == Verdict::Unknown),
            operations: 100,
            faults: 7,
            cpu_ms: 1500,
            wall_ms: 1600,
        },
        folder: None,
        failures,
        runs: Vec::new(),
    }
}

fn failed(cost: u64, seed: u64, rule: &str, place: &str) -> Failed {
    Failed {
        cost,
        seed,
        rule: rule.to_owned(),
        place: place.to_owned(),
        detail: format!("seen with seed {seed} & others"),
    }
}

/// Two groups, a unit that is unknown and one in which the harness failed.
pub(super) fn records() -> Vec<Record> {
    let liveness = |cost, seed| failed(cost, seed, "liveness", "invariants");
    let panic = failed(90, 22, "panic", "noraft/src/node.rs:7");
    let mut crashed = record(40, Verdict::Failed, Vec::new());
    crashed.reason = Some("no verdict (signal: 6 (SIGABRT)): out of memory".to_owned());
    vec![
        record(0, Verdict::Valid, Vec::new()),
        record(10, Verdict::Unknown, Vec::new()),
        record(
            20,
            Verdict::Invalid,
            vec![liveness(80, 21), panic, liveness(70, 24)],
        ),
        record(30, Verdict::Invalid, vec![liveness(70, 31)]),
        crashed,
    ]
}
