//! The kinds of states that the simulation reaches: the default plan reaches what a list says, and what reaches less is
//! noticed.
//!
//! The list, `coverage-swarm.txt`, names the kinds that many of these seeds reach, so that no other order of draws
//! misses one by chance; `NORAFT_BLESS=1` writes it again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::plan::{KindName, Plan, Span};
use harness::results::Outcome;
use harness::sim::campaign::{Campaign, Totals};
use harness::sim::{Coverage, Lines, Reached, simulate, simulate_counted};

fn workloads() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads")
}

fn swarm() -> Plan {
    let mut plan = Plan::load(&workloads().join("swarm.toml")).unwrap_or_else(|error| panic!("{error}"));
    // Nodes that stay away at the end are down without a fault.
    plan.sim.node.bare_permille = 0;
    plan.lasting(Span::from_millis(4000))
}

fn campaign(plan: Plan, jobs: usize) -> Totals {
    let campaign = Campaign {
        plan,
        seeds: SEEDS,
        jobs,
        keep_going: true,
        cpu_max: None,
        counts_states: true,
        steers: false,
    };
    let totals = campaign.run(|_| {});
    assert_eq!(totals.verdict(), Outcome::Valid, "{:?}", totals.failed);
    totals
}

fn reached(plan: Plan) -> Coverage {
    campaign(plan, 2).coverage.expect("states were counted")
}

/// Kinds that at least so many runs reached, a line each.
fn kinds(coverage: &Coverage, runs_min: u64) -> BTreeSet<String> {
    let all = coverage.kinds().into_iter();
    all.flat_map(|(dimension, kinds)| {
        let often = kinds.into_iter().filter(move |(_, runs)| *runs >= runs_min);
        often.map(move |(kind, _)| format!("{dimension}: {kind}"))
    })
    .collect()
}

fn wanted() -> BTreeSet<String> {
    LIST.lines().map(str::to_owned).collect()
}

#[test]
fn the_default_plan_reaches_every_kind_of_the_list() {
    let coverage = reached(swarm());
    if std::env::var_os("NORAFT_BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runs/coverage-swarm.txt");
        let lines: Vec<String> = kinds(&coverage, RUNS_MIN).into_iter().collect();
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
        return;
    }
    let reached = kinds(&coverage, 1);
    let missed: Vec<String> = wanted()
        .into_iter()
        .filter(|kind| !reached.contains(kind))
        .collect();
    assert!(
        missed.is_empty(),
        "seeds {SEEDS:?} of workloads/swarm.toml no longer reach: {missed:#?}"
    );
    assert!(wanted().len() > 50, "the list names most of what is reached");
}

/// What the list is for: a plan that lost a family of faults is noticed by it.
#[test]
fn a_plan_without_a_family_of_faults_misses_kinds_of_the_list() {
    let ends = |kind| {
        matches!(
            kind,
            KindName::Kill | KindName::Power | KindName::Disk | KindName::Transfer
        )
    };
    let pauses = |kind| kind == KindName::Pause;
    let partitions = |kind| kind == KindName::Partition;
    let clocks = |kind| kind == KindName::Clock;
    let expect = |is_lost: &dyn Fn(KindName) -> bool, kinds_lost: &[&str]| {
        let mut plan = swarm();
        plan.faults.retain(|fault| !is_lost(fault.kind()));
        let reached = kinds(&reached(plan), 1);
        for kind in kinds_lost {
            assert!(wanted().contains(*kind), "the list has {kind}");
            assert!(!reached.contains(*kind), "{kind} is reached without its faults");
        }
    };
    expect(&ends, &["process: down", "process: running, started again"]);
    expect(&pauses, &["process: paused"]);
    // So few seeds have few of these.
    let all = kinds(&reached(swarm()), 1);
    let expect_few = |is_lost: &dyn Fn(KindName) -> bool, some_of: [&str; 2]| {
        assert!(some_of.iter().any(|kind| all.contains(*kind)), "{some_of:?}");
        let mut plan = swarm();
        plan.faults.retain(|fault| !is_lost(fault.kind()));
        let reached = kinds(&reached(plan), 1);
        let left = some_of.iter().find(|kind| reached.contains(**kind));
        assert_eq!(left, None, "reached without its faults");
    };
    let bridge = "links: links nodes that are not linked to each other";
    expect_few(
        &partitions,
        [bridge, "links: one of the two connections to some is cut"],
    );
    expect_few(&clocks, ["clock: fast", "clock: slow"]);
}

#[test]
fn counting_changes_nothing_and_its_order_neither() {
    let plan = swarm();
    let mut merged = Coverage::default();
    for seed in SEEDS.rev() {
        let counted = simulate_counted(&plan, seed);
        if seed < 4 {
            let plain = simulate(&plan, seed, Lines::None);
            assert_eq!(
                (counted.trace, counted.counters),
                (plain.trace, plain.counters),
                "seed {seed}"
            );
            assert_eq!(plain.coverage, None);
        }
        let one = counted.coverage.expect("states were counted");
        assert_eq!(one.new_since(&one), 0);
        assert!(one.new_since(&Coverage::default()) == one.clusters() && one.clusters() > 0);
        merged.merge(one);
    }
    assert!(merged.clusters() > 100 && merged.nodes() > 100);
    assert_eq!(merged, reached(plan));
}

#[test]
fn the_program_writes_coverage_and_notices_when_it_falls() {
    let folder = tempfile::tempdir().unwrap();
    let (full, fewer) = (folder.path().join("full.toml"), folder.path().join("fewer.toml"));
    std::fs::write(&full, swarm().to_toml()).unwrap();
    let mut calm = swarm();
    calm.faults.retain(|fault| fault.kind() == KindName::Clock);
    std::fs::write(&fewer, calm.to_toml()).unwrap();
    let run = |plan: &Path, more: &[&Path]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command
            .arg("sim")
            .arg(plan)
            .args(["--seeds", "1..13", "--time", "2s"]);
        for (flag, file) in ["--coverage", "--coverage-baseline"].into_iter().zip(more) {
            command.arg(flag).arg(file);
        }
        command.output().expect("the harness is a program")
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();

    let (first, second) = (folder.path().join("new/1.json"), folder.path().join("2.json"));
    let output = run(&full, &[&first]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said(&output).contains("never reached: "), "{output:?}");
    let output = run(&full, &[&second, &first]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        said(&output).contains("coverage: not less than in "),
        "{output:?}"
    );
    let bytes = |path: &Path| std::fs::read(path).unwrap();
    assert_eq!(bytes(&first), bytes(&second), "the same seeds, the same file");
    let read = Reached::read(&first).unwrap();
    assert_eq!(
        (read.plan.as_str(), read.totals.runs, read.seeds.as_str()),
        ("swarm", 12, "1..13")
    );

    let output = run(&fewer, &[&second, &first]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(said(&output).contains("coverage fell: "), "{output:?}");

    let output = run(&workloads().join("calm.toml"), &[&second, &first]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("of plan `swarm`, this campaign of `calm`"),
        "{error}"
    );
}

const LIST: &str = include_str!("coverage-swarm.txt");
const SEEDS: std::ops::Range<u64> = 1..25;
/// A kind is in the list when a third of the runs reach it.
const RUNS_MIN: u64 = 8;
