//! The simulation itself: one seed is one trace, correct code passes, and what fails is reported, kept and made
//! smaller.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::plan::{KindName, Plan, RareOperation, Span};
use harness::results::Outcome;
use harness::sim::campaign::{Campaign, Totals};
use harness::sim::shrink::{failure_of, shrink};
use harness::sim::{Lines, Simulated, WorkloadHistory, folder, simulate};
use noraftd::store::inspect::{Detail, inspect};

fn workloads() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads")
}

fn swarm(millis: u64) -> Plan {
    let plan = Plan::load(&workloads().join("swarm.toml")).unwrap_or_else(|error| panic!("{error}"));
    plan.lasting(Span::from_millis(millis))
}

fn fingerprint(run: &Simulated) -> (u64, u64, &[WorkloadHistory]) {
    (run.trace.hash, run.trace.events, &run.histories)
}

#[test]
fn a_seed_is_one_trace_in_a_process() {
    let plan = swarm(3000);
    for seed in [2, 3, 5, 8] {
        let (one, two) = (
            simulate(&plan, seed, Lines::None),
            simulate(&plan, seed, Lines::None),
        );
        assert_eq!(fingerprint(&one), fingerprint(&two), "seed {seed}");
        let traced = simulate(&plan, seed, Lines::Last(50));
        assert_eq!(
            fingerprint(&one),
            fingerprint(&traced),
            "seed {seed}: telling changes nothing"
        );
        assert_eq!(traced.lines.len(), 50);
        let drawn = simulate(&one.plan, seed, Lines::None);
        assert_eq!(
            fingerprint(&one),
            fingerprint(&drawn),
            "seed {seed}: the drawn plan is the same run"
        );
    }
    let (one, other) = (simulate(&plan, 2, Lines::None), simulate(&plan, 3, Lines::None));
    assert_ne!(one.trace.hash, other.trace.hash);
}

#[test]
fn a_seed_is_one_trace_in_every_process() {
    let here = simulate(&swarm(2000), 7, Lines::None);
    let there = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["sim", "--seed", "7", "--time", "2s"])
        .arg(workloads().join("swarm.toml"))
        .output()
        .expect("the harness is a program");
    let said = String::from_utf8_lossy(&there.stderr);
    let hash = format!("trace {:016x}", here.trace.hash);
    assert!(said.contains(&hash), "{hash} here, there: {said}");
    assert_eq!(there.status.code(), Some(0));
}

#[test]
fn correct_code_passes_a_few_hundred_seeds() {
    let campaign = Campaign {
        plan: swarm(1500),
        seeds: 1..251,
        jobs: 2,
        keep_going: true,
        cpu_max: None,
        counts_states: false,
        steers: false,
    };
    let tally = campaign.run(|_| {});
    assert_eq!(
        (&tally.failed[..], tally.seeds),
        (&[][..], 250),
        "again: harness sim workloads/swarm.toml --time 1500ms --seed <the seed>"
    );
    // A seed that draws a slow load and many faults may do too little; most do not.
    assert!(tally.unknown.len() < 25, "{:?}", tally.unknown);
    assert!(
        tally.counters.processes.crashes > 100 && tally.counters.processes.recovery_crashes > 5,
        "{:?}",
        tally.counters
    );
    assert!(
        tally.counters.disks.sectors_lost > 20 && tally.counters.elections > 250,
        "{:?}",
        tally.counters
    );
}

#[test]
fn correct_code_passes_while_the_voters_change() {
    let plan = Plan::load(&workloads().join("voters.toml")).unwrap_or_else(|error| panic!("{error}"));
    let campaign = Campaign {
        plan: plan.lasting(Span::from_millis(3000)),
        seeds: 1..61,
        jobs: 2,
        keep_going: true,
        cpu_max: None,
        counts_states: false,
        steers: false,
    };
    let tally = campaign.run(|_| {});
    assert_eq!(
        (&tally.failed[..], tally.seeds),
        (&[][..], 60),
        "again: harness sim workloads/voters.toml --time 3s --seed <the seed>"
    );
    // The last one of each run makes all nodes voters again.
    assert!(tally.counters.voter_changes > 150, "{:?}", tally.counters);
}

#[test]
fn nodes_that_are_no_voters_any_more_may_be_stopped_and_wiped() {
    let tally = sixty_valid_seeds("removed");
    let (processes, disks) = (&tally.counters.processes, &tally.counters.disks);
    assert!(
        processes.removals > 60 && disks.lost > 20 && processes.rejoins > 20,
        "{processes:?} {disks:?}"
    );
}

/// Runs 60 seeds of a plan, of four simulated seconds each; none may fail.
fn sixty_valid_seeds(name: &str) -> Totals {
    valid_seeds(name, 60)
}

/// The first seeds of a plan, four seconds each, which are all valid.
fn valid_seeds(name: &str, seeds: u64) -> Totals {
    let path = workloads().join(name).with_extension("toml");
    let plan = Plan::load(&path).unwrap_or_else(|error| panic!("{error}"));
    let campaign = Campaign {
        plan: plan.lasting(Span::from_millis(4000)),
        seeds: 1..seeds + 1,
        jobs: 2,
        keep_going: true,
        cpu_max: None,
        counts_states: false,
        steers: false,
    };
    let tally = campaign.run(|_| {});
    assert_eq!(
        (&tally.failed[..], tally.seeds),
        (&[][..], seeds),
        "again: harness sim workloads/{name}.toml --time 4s --seed <the seed>"
    );
    tally
}

#[test]
fn of_two_copies_of_a_directory_one_is_heard_and_that_of_another_node_is_refused() {
    let tally = sixty_valid_seeds("twins");
    let processes = &tally.counters.processes;
    assert!(
        processes.twins_refused > 100 && processes.foreign_refused > 20 && processes.rejoins > 10,
        "{processes:?}"
    );
}

#[test]
fn a_directory_that_was_lost_or_is_an_old_copy_is_not_heard() {
    let tally = sixty_valid_seeds("mistakes");
    let processes = &tally.counters.processes;
    assert!(
        processes.rejoins > 10 && processes.hellos_refused > 50,
        "{processes:?}"
    );
}

#[test]
fn correct_code_passes_every_family_of_faults_at_once() {
    // So many kinds of faults are drawn that power is lost in few seeds.
    let tally = valid_seeds("everything", 120);
    let (processes, disks) = (&tally.counters.processes, &tally.counters.disks);
    assert!(
        disks.damages > 20 && disks.sectors_lost > 20 && disks.lost > 0,
        "{disks:?}"
    );
    assert!(
        tally.counters.voter_changes > 0 && tally.counters.installs > 0 && processes.recovery_crashes > 5,
        "{:?}",
        tally.counters
    );
    let links = &tally.counters.links;
    assert!(
        links.crossed > 20 && links.rotten > 20 && processes.alike > 20,
        "messages outlive connections, entries rot, numbers are alike: {:?}",
        tally.counters
    );
    assert!(
        links.repeated > 0,
        "answers to earlier processes arrive: {:?}",
        tally.counters
    );
    let aimed: u64 = processes.aimed.iter().sum();
    assert!(aimed > 10 && processes.stumbles > 10, "{processes:?}");
    let writes = &disks.writes;
    assert!(writes.overwrites_full > 5 && writes.short > 5, "{writes:?}");
}

#[test]
fn correct_code_passes_long_records_and_clients_that_rest() {
    let tally = sixty_valid_seeds("large");
    let counters = &tally.counters;
    assert!(
        counters.installs > 10 && counters.disks.full > 5 && counters.disks.writes.overwrites_full > 5,
        "{counters:?}"
    );
}

#[test]
fn correct_code_passes_values_of_a_megabyte_on_damaged_disks() {
    let counters = valid_seeds("huge", 20).counters;
    assert!(
        counters.installs > 2 && counters.disks.holes > 5 && counters.snapshots > 50,
        "{counters:?}"
    );
}

#[test]
fn correct_code_passes_disks_that_do_not_answer() {
    let counters = sixty_valid_seeds("stalls").counters;
    assert!(
        counters.elections > 100 && counters.snapshots > 100,
        "{counters:?}"
    );
}

#[test]
fn every_rare_operation_is_met_by_a_crash_that_is_aimed_at_it() {
    let path = workloads().join("everything.toml");
    let mut plan = Plan::load(&path).unwrap_or_else(|error| panic!("{error}"));
    plan.faults.retain(|fault| fault.kind() == KindName::CrashAt);
    let swarm = plan.swarm.as_mut().expect("it draws");
    swarm.fault_permille = 1000;
    let campaign = Campaign {
        plan: plan.lasting(Span::from_millis(8000)),
        seeds: 1..81,
        jobs: 2,
        keep_going: true,
        cpu_max: None,
        counts_states: false,
        steers: false,
    };
    let tally = campaign.run(|_| {});
    assert_eq!((&tally.failed[..], tally.seeds), (&[][..], 80));
    let aimed = tally.counters.processes.aimed;
    let never: Vec<&str> = RareOperation::ALL
        .into_iter()
        .filter(|operation| aimed[*operation as usize] == 0)
        .map(RareOperation::name)
        .collect();
    assert_eq!(never, [""; 0], "{aimed:?}");
    let writes = tally.counters.disks.writes;
    assert!(
        writes.divided > 0,
        "a crash ends a large write in the middle: {writes:?}"
    );
}

#[test]
fn a_plan_that_changes_voters_is_for_both_worlds() {
    let plan = Plan::load(&workloads().join("voters.toml")).unwrap_or_else(|error| panic!("{error}"));
    plan.for_processes(1).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_failed_once_never_fails_again() {
    let folder = workloads().join("regressions");
    let mut plans = 0;
    for file in std::fs::read_dir(folder).expect("the project keeps what failed") {
        let path = file.expect("it can be listed").path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let plan = Plan::load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert!(
            !plan.about.is_empty(),
            "{}: `about` says what failed",
            path.display()
        );
        let seed = plan.seed.expect("a regression plan names its seed");
        for seed in seed..seed + 3 {
            let run = simulate(&plan, seed, Lines::Last(30));
            let said = run.lines.join("\n");
            assert_ne!(
                run.verdict(),
                Outcome::Invalid,
                "{}, seed {seed}: {:?}\n{said}",
                path.display(),
                run.broken()
            );
        }
        plans += 1;
    }
    assert!(plans > 0);
}

/// A plan that must fail: no write is ever durable before its request is given up.
fn impatient() -> Plan {
    let mut plan = swarm(1000).drawn(3);
    plan.sim.disk.sync_us = 50_000;
    plan.sim.node.request_timeout = Span::from_millis(1);
    plan.limits.recovery = Span::from_millis(500);
    plan
}

#[test]
fn a_failure_is_kept_with_everything_to_repeat_it() {
    let run = simulate(&impatient(), 3, Lines::Last(100));
    assert_eq!(run.broken().as_deref(), Some("liveness"), "{:?}", run.violation);
    let root = tempfile::tempdir().unwrap();
    let (folder, report) = folder::keep(root.path(), &run, &["harness".to_owned()]).unwrap();
    assert!(report.trim_end().ends_with("verdict: invalid"), "{report}");
    assert!(report.contains("liveness"), "{report}");
    for name in [
        "run.json",
        "trace.txt",
        "schedule.jsonl",
        "results.edn",
        "results.json",
        "report.html",
        "junit.xml",
        "repro.sh",
    ] {
        assert!(folder.file(name).exists(), "{name}");
    }
    for node in 1..=run.plan.cluster.nodes {
        let data = folder.nodes().join(format!("n{node}/data"));
        let view = inspect(&data, Detail::Segments).unwrap();
        assert!(view.recovered.is_some(), "n{node}: {view:?}");
    }
    let kept = Plan::load(&folder.file("plan.toml")).unwrap();
    let again = simulate(&kept, kept.seed.unwrap(), Lines::None);
    assert_eq!(fingerprint(&run), fingerprint(&again));
}

#[test]
fn a_failure_is_made_smaller() {
    let failing = failure_of(&impatient(), 3).expect("it must fail");
    let before = failing.plan.clone();
    let mut steps = 0;
    let shrunk = shrink(failing, 2_000_000, |progress| {
        steps += u64::from(progress.found.is_some())
    });
    assert!(steps > 3, "{steps} steps");
    assert_eq!(shrunk.rule, "liveness");
    assert!(shrunk.plan.time < before.time && shrunk.plan.clients.count <= before.clients.count);
    assert!(failure_of(&shrunk.plan, shrunk.seed).is_some_and(|failing| failing.rule == "liveness"));
}

#[test]
fn real_processes_leave_out_what_only_a_simulation_can_do() {
    let aimed = Plan::load(&workloads().join("aimed.toml")).unwrap();
    let fitted = aimed.for_processes(1).unwrap();
    assert!(!fitted.left_out.is_empty());
    let smoke = Plan::load(&workloads().join("smoke.toml")).unwrap();
    assert_eq!(smoke.for_processes(1).unwrap().left_out, [""; 0]);
    assert_eq!(
        simulate(&smoke.lasting(Span::from_millis(3000)), 1, Lines::None).broken(),
        None
    );
}

#[test]
fn a_reader_that_has_gone_does_not_change_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.toml");
    let text = "version = 1\nname = \"p\"\ntime = \"300ms\"\n[[workload]]\nkind = \"counter\"\n";
    std::fs::write(&plan, text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_harness"))
        .arg("sim")
        .arg(&plan)
        .args(["--seeds", "1..3"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
