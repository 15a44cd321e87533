//! A folder of results as a person looks at it: the catalogue of it, its pages, the server, and the published folder.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod catalogue;
mod pages;
mod publish;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::browse::catalogue::{Catalogue, Reader};
use harness::campaign::{About, CampaignFile, Failed, Figures, Ledger, Record, Run, Verdict};
use harness::campaign::{Place, Unit};
use harness::plan::Plan;
use harness::results::{CheckResult, Counts, FaultResult, Outcome, PhaseResult, Results};
use harness::shard::Shard;
use serde_json::json;

/// A run to be written.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) plan: &'static str,
    pub(crate) seed: u64,
    pub(crate) verdict: Outcome,
    pub(crate) ok: u64,
    pub(crate) build: &'static str,
    /// How long each operation took.
    pub(crate) millis: u64,
    pub(crate) nodes: u64,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            plan: "smoke",
            seed: 7,
            verdict: Outcome::Valid,
            ok: 400,
            build: "0a1b2c3d4e5f60718293",
            millis: 5,
            nodes: 3,
        }
    }
}

impl Given {
    pub(crate) fn results(&self) -> Results {
        let counts = Counts {
            invoked: self.ok + 3,
            ok: self.ok,
            fail: 1,
            info: 2,
        };
        let summary =
            (self.verdict != Outcome::Valid).then(|| "0.5 s: a read of 3 has no write <script>".to_owned());
        let check = CheckResult {
            model: "register".to_owned(),
            verdict: self.verdict,
            operations: self.ok,
            usage: None,
            seconds: 0.1,
            summary,
            explanation: None,
            account: None,
        };
        let fault = |kind: &str, evidence: Option<&str>| FaultResult {
            fault: format!("{kind}-one(n1)"),
            kind: kind.to_owned(),
            from_ns: 1,
            to_ns: Some(2),
            evidence: evidence.map(str::to_owned),
            why: None,
            lost: None,
        };
        let mut results = Results::from_checks(counts, vec![check]);
        results.phases = vec![PhaseResult {
            name: "faults".to_owned(),
            from_ns: 0,
            to_ns: 4_000_000_000,
            operations: counts,
        }];
        results.faults = vec![fault("kill", Some("n1 is gone")), fault("pause", None)];
        results
    }

    /// One operation after another, each as long as it is given.
    fn history(&self) -> String {
        let mut lines =
            String::from("{\"history\":1,\"workload\":\"register\",\"plan\":\"smoke\",\"seed\":7}\n");
        for op in 0..20 {
            let (begin, end) = (op * 100_000_000, op * 100_000_000 + self.millis * 1_000_000);
            let event = |i: u64, t: u64, kind: &str| {
                json!({"i": i, "t": t, "type": kind, "f": "read", "p": 1, "op": op, "k": "r:0", "v": 1, "node": "n1"}).to_string() + "\n"
            };
            lines += &event(2 * op, begin, "invoke");
            lines += &event(2 * op + 1, end, "ok");
        }
        lines
    }

    fn plan_file(&self) -> String {
        format!(
            "version = 1\nname = \"{}\"\nseed = {}\n[cluster]\nnodes = {}\n[[workload]]\nkind = \"register\"\n",
            self.plan, self.seed, self.nodes
        )
    }

    /// Writes the folder.
    pub(crate) fn write(&self, folder: &Path) {
        fs::create_dir_all(folder.join("nodes/n1")).unwrap();
        let about = json!({"run": 1, "plan": self.plan, "seed": self.seed,
            "noraftd": {"path": "noraftd", "version": "0.1.0", "sha256": self.build}});
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write("run.json", &about.to_string());
        write("plan.toml", &self.plan_file());
        write("history.jsonl", &self.history());
        write("results.json", &serde_json::to_string(&self.results()).unwrap());
        write(
            "report.html",
            "<!DOCTYPE html><a href=\"nodes/n1/log\">n1</a> <a href=\"history.jsonl\">h</a>\n",
        );
        write("repro.sh", "#!/bin/sh\n");
        write("nodes/n1/log", "listening\n");
    }
}

/// Records of a campaign of two plans: what is seen of one night. With `failed`, seed 12 broke that rule.
pub(crate) fn records(failed: Option<&str>, coverage: u64) -> Vec<Record> {
    let run = |seed: u64, verdict: Outcome, coverage: Option<u64>| Run {
        seed,
        verdict,
        operations: 100,
        faults: 7,
        coverage,
        micros: 500_000,
    };
    let failure = |rule: &str| Failed {
        cost: 90,
        seed: 12,
        rule: rule.to_owned(),
        place: "invariants".to_owned(),
        detail: "n2 did not serve <b>".to_owned(),
    };
    let valid = Outcome::Valid;
    let of_twelve = if failed.is_some() { Outcome::Invalid } else { valid };
    let first = vec![run(1, valid, Some(coverage)), run(2, valid, Some(coverage + 10))];
    let second = vec![run(11, valid, Some(coverage)), run(12, of_twelve, Some(coverage))];
    vec![
        record(0, Place::Simulation, first, Vec::new()),
        record(
            1,
            Place::Simulation,
            second,
            failed.map(failure).into_iter().collect(),
        ),
        record(2, Place::Processes, vec![run(21, valid, None)], Vec::new()),
    ]
}

fn record(id: u64, place: Place, runs: Vec<Run>, failures: Vec<Failed>) -> Record {
    let (entry, name) = match place {
        Place::Simulation => (0, "swarm-simulation"),
        Place::Processes => (1, "smoke-processes"),
    };
    Record {
        unit: Unit {
            id,
            entry,
            first_seed: 1 + 10 * id,
            seeds: runs.len() as u64,
            block: id,
        },
        entry: name.to_owned(),
        place,
        steered: false,
        build: "0a1b2c3d4e5f".to_owned(),
        verdict: if failures.is_empty() {
            Verdict::Valid
        } else {
            Verdict::Invalid
        },
        reason: None,
        figures: Figures {
            unknown: 0,
            operations: 100 * runs.len() as u64,
            faults: 7,
            cpu_ms: 1500,
            wall_ms: 1600,
        },
        folder: None,
        failures,
        runs,
    }
}

/// Makes the ledger of a campaign with these records; it is open, as that of a campaign that runs.
pub(crate) fn campaign(folder: &Path, records: &[Record]) -> Ledger {
    let plans = tempfile::tempdir().unwrap();
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads");
    for name in ["swarm", "smoke"] {
        let plan = Plan::load(&project.join(format!("{name}.toml"))).unwrap();
        fs::write(plans.path().join(format!("{name}.toml")), plan.to_toml()).unwrap();
    }
    let file = plans.path().join("campaign.toml");
    let text = "version = 1\nname = \"nightly\"\nabout = \"all plans\"\nseed = 5\n\
        [[entry]]\nplan = \"swarm.toml\"\nworld = \"simulation\"\nseeds = [1, 100]\nblock = 10\n\
        [[entry]]\nplan = \"smoke.toml\"\nworld = \"processes\"\nseeds = [1, 100]\n";
    fs::write(&file, text).unwrap();
    let about = About {
        campaign: CampaignFile::load(&file).unwrap_or_else(|error| panic!("{error}")),
        shard: Shard::WHOLE,
    };
    let mut ledger = Ledger::create(folder, &about).unwrap();
    for (at, record) in records.iter().enumerate() {
        ledger
            .record(record, Duration::from_secs(60 * (at as u64 + 1)))
            .unwrap();
    }
    ledger
}

pub(crate) fn read(folder: &Path) -> Catalogue {
    Reader::new(folder).unwrap().read()
}

/// Some nights: three runs of one plan, the last one invalid, one of another, two campaigns, and a run that was killed.
pub(crate) fn nights() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    write_nights(root.path());
    root
}

/// The same in a folder that is there.
pub(crate) fn write_nights(root: &Path) {
    let given = Given::default();
    let at = |path: &str| -> PathBuf { root.join("runs").join(path) };
    given.write(&at("smoke/20261127T220000Z-7"));
    Given {
        verdict: Outcome::Unknown,
        ok: 3,
        ..given.clone()
    }
    .write(&at("smoke/20261128T220000Z-7"));
    Given {
        verdict: Outcome::Invalid,
        seed: 8,
        ok: 200,
        millis: 40,
        nodes: 5,
        build: "ffffffffffffffff",
        ..given.clone()
    }
    .write(&at("smoke/20261129T220000Z-8"));
    Given {
        plan: "bank & more",
        ..given
    }
    .write(&at("bank/20261129T220100Z-7"));
    fs::create_dir_all(at("smoke/20261129T230000Z-9")).unwrap();
    fs::write(
        at("smoke/20261129T230000Z-9/run.json"),
        "{\"plan\":\"smoke\",\"seed\":9}",
    )
    .unwrap();
    let night = |day: &str| root.join("campaigns/nightly").join(format!("{day}T010000Z"));
    drop(campaign(&night("20261128"), &records(None, 900)));
    drop(campaign(&night("20261129"), &records(Some("liveness"), 1000)));
}
