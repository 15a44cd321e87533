//! Campaigns: killed and resumed, in shards, within their room; and what they say at the end.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use harness::campaign::{About, CampaignFile, Figures, LEDGER, Ledger, LedgerError, Record, Verdict, group};
use harness::nemesis::Schedule;
use harness::plan::{Plan, Span};
use harness::shard::Shard;
use noraftd::prng::Prng;

use crate::site::Site;

const HARNESS: &str = env!("CARGO_BIN_EXE_harness");

fn swarm(millis: u64) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workloads/swarm.toml");
    let plan = Plan::load(&path).unwrap_or_else(|error| panic!("{error}"));
    plan.lasting(Span::from_millis(millis))
}

/// A plan that must fail: no write is ever durable before its request is given up.
fn impatient() -> Plan {
    let mut plan = swarm(500).drawn(3);
    plan.name = "impatient".to_owned();
    plan.seed = None;
    plan.sim.disk.sync_us = 50_000;
    plan.sim.node.request_timeout = Span::from_millis(1);
    plan.limits.recovery = Span::from_millis(300);
    plan
}

/// A folder with a campaign of a plan that passes and one that fails.
fn folder(seeds: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("swarm.toml", &swarm(300).to_toml());
    write("impatient.toml", &impatient().to_toml());
    write(
        "campaign.toml",
        &format!(
            "version = 1\nname = \"small\"\nseed = 5\n\
             [[entry]]\nplan = \"swarm.toml\"\nworld = \"simulation\"\nseeds = [1, {}]\nblock = 3\nweight = 2\n\
             [[entry]]\nplan = \"impatient.toml\"\nworld = \"simulation\"\nseeds = [3, 5]\nblock = 1\n",
            seeds + 1
        ),
    );
    folder
}

fn campaign(folder: &Path, out: &str, more: &[&str]) -> Command {
    let mut command = Command::new(HARNESS);
    command.current_dir(folder).arg("campaign").args(["--jobs", "2"]);
    if more.contains(&"--resume") {
        command.args(more);
    } else {
        command.args(["campaign.toml", "--out", out]).args(more);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What the ledger has, without what differs from one machine to another.
fn records(folder: &Path) -> Vec<Record> {
    let mut records = Ledger::open(folder).unwrap().records().unwrap();
    for record in &mut records {
        record.runs.iter_mut().for_each(|run| run.micros = 0);
        record.figures = Figures {
            cpu_ms: 0,
            wall_ms: 0,
            ..record.figures
        };
    }
    records
}

/// The groups with their plans, by name.
fn plans(folder: &Path) -> Vec<(String, String)> {
    let mut plans: Vec<(String, String)> = fs::read_dir(folder.join("groups"))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let plan = fs::read_to_string(entry.path().join("plan.toml")).unwrap();
            (entry.file_name().into_string().unwrap(), plan)
        })
        .collect();
    plans.sort();
    plans
}

#[expect(clippy::disallowed_methods, reason = "a kill comes at any moment")]
fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// Processes that have `folder` in their command lines.
fn processes_of(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let lines = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let line = fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).into_owned())
    });
    lines.filter(|line| line.contains(&folder)).collect()
}

fn await_units(child: &mut Child, out: &Path, units: u64) {
    // The write-ahead log grows with every result; the ledger itself is locked while the campaign runs.
    let wal = out.join(format!("{LEDGER}-wal"));
    let grown = |at: u64| fs::metadata(&wal).is_ok_and(|about| about.len() > at * 8192);
    while !grown(units) && child.try_wait().unwrap().is_none() {
        pause(5);
    }
}

/// Kills the campaign in `out` after each of `delays`, and starts it again each time; how often it was killed.
fn killed(folder: &Path, out: &str, delays: impl Iterator<Item = u64>) -> u64 {
    let at = folder.join(out);
    let mut seen: Vec<Record> = Vec::new();
    let mut kills = 0;
    for delay in delays {
        let started = at.join(LEDGER).exists();
        let more: &[&str] = if started { &["--resume", out] } else { &[] };
        let mut child = campaign(folder, out, more).spawn().unwrap();
        pause(delay);
        child.kill().unwrap();
        kills += u64::from(child.wait().unwrap().signal() == Some(9));
        while !processes_of(&at).is_empty() {
            pause(5);
        }
        if !at.join(LEDGER).exists() {
            continue;
        }
        let now = Ledger::open(&at).unwrap().records().unwrap();
        // With their times: what was run again would have taken another time.
        let lost: Vec<_> = seen.iter().filter(|record| !now.contains(record)).collect();
        assert!(lost.is_empty(), "lost or run again: {lost:?}");
        seen = now;
    }
    kills
}

#[test]
fn a_campaign_that_is_killed_at_any_moment_ends_as_one_that_is_not() {
    let folder = folder(240);
    let whole = campaign(folder.path(), "whole", &[]).output().unwrap();
    assert_eq!(whole.status.code(), Some(1), "{}", said(&whole));
    let mut prng = Prng::new(KILLS_SEED);
    let delays: Vec<u64> = (0..KILLS).map(|_| prng.between(1, DELAY_MAX)).collect();
    let kills = killed(folder.path(), "killed", delays.iter().copied());
    let last = campaign(folder.path(), "killed", &["--resume", "killed"])
        .output()
        .unwrap();
    let context = format!("killed after {delays:?} ms: {}", said(&last));
    assert!(kills >= KILLS / 2, "only {kills} kills came in time: {context}");
    assert_eq!(last.status.code(), Some(1), "{context}");
    let (whole, out) = (folder.path().join("whole"), folder.path().join("killed"));
    assert_eq!(records(&out), records(&whole), "{context}");
    assert_eq!(plans(&out), plans(&whole), "{context}");
}

const KILLS: u64 = 16;
const KILLS_SEED: u64 = 14;
/// Some kills hit a campaign that starts, others one that ends.
const DELAY_MAX: u64 = 500;

#[test]
fn what_finds_something_runs_more_often_and_is_one_group_with_a_plan_that_fails() {
    let folder = folder(6);
    let files = ["--summary-file", "chat.txt", "--junit", "junit.xml", "--github"];
    let done = campaign(folder.path(), "out", &files).output().unwrap();
    let text = said(&done);
    assert_eq!(done.status.code(), Some(1), "{text}");
    assert!(
        text.contains("verdict: invalid") && text.contains("::error title=liveness"),
        "{text}"
    );
    let out = folder.path().join("out");
    let records = records(&out);
    let impatient = records
        .iter()
        .filter(|record| record.entry.starts_with("impatient"));
    assert_eq!(
        impatient.count(),
        30,
        "two base units, each with all that may follow it"
    );
    let groups = group(&records);
    assert_eq!(groups.len(), 1, "{groups:?}");
    let written = plans(&out);
    let [(name, plan)] = &written[..] else {
        panic!("{written:?}")
    };
    assert_eq!(*name, groups[0].signature());
    assert!(plan.starts_with("# Breaks \"liveness\" in "), "{plan}");
    let about = fs::read_to_string(out.join("groups").join(name).join("group.json")).unwrap();
    assert!(
        about.contains("\"replays\": 10") && about.contains("\"again\": 10"),
        "{about}"
    );
    let path = out.join("groups").join(name).join("plan.toml");
    let again = Command::new(HARNESS)
        .current_dir(folder.path())
        .args(["sim", "--out", "runs"])
        .arg(path)
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    let chat = fs::read_to_string(folder.path().join("chat.txt")).unwrap();
    assert!(
        chat.lines().count() == 1 && chat.contains("One finding: liveness"),
        "{chat}"
    );
    let junit = fs::read_to_string(folder.path().join("junit.xml")).unwrap();
    assert!(junit.contains("failures=\"1\""), "{junit}");
}

#[test]
fn two_shards_are_the_whole() {
    let folder = folder(30);
    let whole = campaign(folder.path(), "whole", &[]).output().unwrap();
    for (out, shard) in [("one", "1/2"), ("two", "2/2")] {
        let done = campaign(folder.path(), out, &["--shard", shard])
            .output()
            .unwrap();
        assert!(matches!(done.status.code(), Some(0..=2)), "{}", said(&done));
    }
    let merge = |folders: &[&str], out: &str| {
        let mut command = Command::new(HARNESS);
        command
            .current_dir(folder.path())
            .arg("merge")
            .args(folders)
            .args(["--out", out]);
        command.output().unwrap()
    };
    let merged = merge(&["one", "two"], "merged");
    assert_eq!(merged.status.code(), whole.status.code(), "{}", said(&merged));
    let (merged, whole) = (folder.path().join("merged"), folder.path().join("whole"));
    assert_eq!(records(&merged), records(&whole));
    assert_eq!(plans(&merged), plans(&whole));
    let twice = merge(&["one", "one"], "twice");
    assert_eq!(twice.status.code(), Some(254));
    assert!(said(&twice).contains("not different shards"), "{}", said(&twice));
}

#[test]
fn both_worlds_are_in_one_ledger_and_folders_of_runs_keep_within_their_room() {
    if Site::new().is_none() {
        return;
    }
    let folder = folder(6);
    fs::write(
        folder.path().join("campaign.toml"),
        "version = 1\nname = \"small\"\nkeep = \"1B\"\n\
         [[entry]]\nplan = \"swarm.toml\"\nworld = \"simulation\"\nseeds = [1, 7]\nblock = 3\n\
         [[entry]]\nplan = \"real.toml\"\nworld = \"processes\"\nseeds = [1, 3]\nnodes = [3]\n",
    )
    .unwrap();
    fs::write(folder.path().join("real.toml"), REAL).unwrap();
    let mut command = campaign(folder.path(), "out", &[]);
    let done = command.env_remove("NORAFTD").output().unwrap();
    assert!(matches!(done.status.code(), Some(0 | 2)), "{}", said(&done));
    let out = folder.path().join("out");
    let left: Vec<_> = fs::read_dir(out.join("runs")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let rows = rusqlite::Connection::open(out.join(LEDGER)).unwrap();
    let query = "SELECT plan, world, count(*), min(operations), ifnull(min(coverage), 0) FROM runs GROUP BY 1, 2 ORDER BY 1";
    let mut query = rows.prepare(query).unwrap();
    let read = |row: &rusqlite::Row<'_>| {
        let words = format!("{} {}", row.get::<_, String>(0)?, row.get::<_, String>(1)?);
        Ok((words, row.get(2)?, row.get(3)?, row.get(4)?))
    };
    let found: Vec<(String, u64, u64, u64)> =
        query.query_map([], read).unwrap().map(Result::unwrap).collect();
    let [real, simulated] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!((real.0.as_str(), real.1), ("real processes", 2));
    assert_eq!((simulated.0.as_str(), simulated.1), ("swarm simulation", 6));
    assert!(real.2 > 0, "{found:?}");
    assert!(
        real.3 == 0 && simulated.3 > 0,
        "only the simulation counts states: {found:?}"
    );
    let reached: Vec<_> = fs::read_dir(out.join("coverage")).unwrap().collect();
    assert_eq!(reached.len(), 2, "a file a unit of the simulation: {reached:?}");
}

#[test]
fn a_run_on_real_processes_dies_with_the_campaign_and_is_run_again() {
    if Site::new().is_none() {
        return;
    }
    let folder = folder(6);
    fs::write(
        folder.path().join("campaign.toml"),
        "version = 1\nname = \"small\"\n[[entry]]\nplan = \"real.toml\"\nworld = \"processes\"\nseeds = [1, 2]\n",
    )
    .unwrap();
    fs::write(folder.path().join("real.toml"), REAL).unwrap();
    let out = folder.path().join("out");
    let mut command = campaign(folder.path(), "out", &[]);
    let mut child = command.env_remove("NORAFTD").spawn().unwrap();
    let daemons = || {
        let lines = processes_of(&out);
        lines.iter().filter(|line| line.contains("--data-dir")).count()
    };
    while daemons() < 3 && child.try_wait().unwrap().is_none() {
        pause(5);
    }
    child.kill().unwrap();
    assert_eq!(
        child.wait().unwrap().signal(),
        Some(9),
        "it was over before it was killed"
    );
    while !processes_of(&out).is_empty() {
        pause(5);
    }
    assert_eq!(Ledger::open(&out).unwrap().records().unwrap(), []);
    let mut command = campaign(folder.path(), "out", &["--resume", "out"]);
    let done = command.env_remove("NORAFTD").output().unwrap();
    assert!(matches!(done.status.code(), Some(0 | 2)), "{}", said(&done));
    let records = records(&out);
    let [record] = &records[..] else {
        panic!("{records:?}")
    };
    assert!(
        record.figures.operations > 0 && record.runs.len() == 1,
        "{record:?}"
    );
    let kept = record
        .folder
        .as_ref()
        .map(|name| out.join(name).join("latest/results.json"));
    assert!(kept.as_ref().is_some_and(|path| path.exists()), "{kept:?}");
}

/// A little of everything, for a moment.
const REAL: &str =
    "version = 1\nname = \"real\"\ntime = \"2s\"\n[cluster]\nnodes = 3\n[[workload]]\nkind = \"log\"\n";

#[test]
fn an_interrupted_campaign_says_how_to_go_on() {
    let folder = folder(3000);
    let mut child = campaign(folder.path(), "out", &[]).spawn().unwrap();
    await_units(&mut child, &folder.path().join("out"), 2);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = said(&output);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{text}");
    assert!(text.contains("harness campaign --resume"), "{text}");
    assert!(records(&folder.path().join("out")).len() < 1000);
}

#[test]
fn a_budget_of_nothing_proves_nothing() {
    let folder = folder(6);
    let done = campaign(folder.path(), "out", &["--budget", "0s"])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    let again = campaign(folder.path(), "out", &[]).output().unwrap();
    assert_eq!(again.status.code(), Some(64), "{}", said(&again));
    assert!(said(&again).contains("--resume"), "{}", said(&again));
}

fn ledger_in(folder: &Path) -> Ledger {
    let about = About {
        campaign: CampaignFile::load(&folder.join("campaign.toml")).unwrap_or_else(|error| panic!("{error}")),
        shard: Shard::WHOLE,
    };
    Ledger::create(&folder.join("out"), &about).unwrap()
}

#[test]
fn a_ledger_that_is_none_is_refused_with_a_reason() {
    let folder = folder(6);
    let path: PathBuf = folder.path().join("out").join(LEDGER);
    let ledger = ledger_in(folder.path());
    let busy = Ledger::open(&folder.path().join("out"));
    assert!(matches!(busy, Err(LedgerError::Busy(_))), "{busy:?}");
    drop(ledger);
    let whole = fs::read(&path).unwrap();
    let mut other = whole.clone();
    other[68..72].copy_from_slice(&[0, 0, 0, 9]);
    let mut later = whole.clone();
    later[60..64].copy_from_slice(&[0, 0, 0, 2]);
    let mut damaged = whole.clone();
    damaged[4096..4200].fill(0x5a);
    for (bytes, wanted) in [
        (
            b"no database, but long enough to be taken for one".to_vec(),
            "is not the ledger",
        ),
        (other, "is not the ledger"),
        (later, "has version 2"),
        (damaged, "is damaged"),
    ] {
        for file in fs::read_dir(folder.path().join("out")).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        fs::write(&path, bytes).unwrap();
        let done = campaign(folder.path(), "out", &["--resume", "out"])
            .output()
            .unwrap();
        assert_eq!(done.status.code(), Some(254), "{}", said(&done));
        assert!(said(&done).contains(wanted), "{wanted}: {}", said(&done));
    }
}

#[test]
fn a_harness_that_fails_is_no_finding() {
    let folder = folder(6);
    drop(ledger_in(folder.path()));
    // A plan that is gone when its units start.
    let out = folder.path().join("out");
    fs::create_dir_all(out.join("plans/swarm-simulation.toml")).unwrap();
    let done = campaign(folder.path(), "out", &["--resume", "out"])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(254), "{}", said(&done));
    assert!(
        records(&out)
            .iter()
            .all(|record| record.verdict != Verdict::Invalid)
    );
}

/// A daemon that starts once in each directory, as if what a kill left were damage.
pub(crate) fn starts_once(folder: &Path) -> PathBuf {
    let daemon = Path::new(HARNESS).with_file_name("noraftd");
    let path = folder.join("starts-once");
    let text = format!(
        "#!/bin/sh\ndata=\nfor word in \"$@\"; do [ \"$last\" = --data-dir ] && data=$word; last=$word; done\n\
         if [ -n \"$data\" ]; then [ ! -e \"$data.once\" ] || exit 1; : > \"$data.once\"; fi\nexec '{}' \"$@\"\n",
        daemon.display()
    );
    fs::write(&path, text).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&path, executable).unwrap();
    path
}

/// Kills, which break what starts once, and pauses, which do not.
pub(crate) const KILLS_AND_PAUSES: &str = "version = 1\nname = \"kills\"\ntime = \"3s\"\n[cluster]\nnodes = 3\n[clients]\ncount = 2\nrate = 100\n\
     [[workload]]\nkind = \"log\"\n[nemesis]\nwarmup = \"300ms\"\ncalm = [\"100ms\", \"200ms\"]\n\
     [[fault]]\nkind = \"kill\"\ntarget = \"one\"\nduration = \"100ms\"\nweight = 2\n\
     [[fault]]\nkind = \"pause\"\ntarget = \"one\"\nduration = \"100ms\"\nweight = 2\n\
     [limits]\nrecovery = \"1s\"\noptional = [\"kill\", \"pause\"]\n";

#[test]
fn a_finding_of_real_processes_is_replayed_made_smaller_and_written_with_its_schedule() {
    if Site::new().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("campaign.toml"),
        "version = 1\nname = \"small\"\n[[entry]]\nplan = \"kills.toml\"\nworld = \"processes\"\nseeds = [1, 2]\n",
    )
    .unwrap();
    fs::write(folder.path().join("kills.toml"), KILLS_AND_PAUSES).unwrap();
    let daemon = starts_once(folder.path());
    let daemon = daemon.to_str().unwrap();
    // The budget ends what follows the first run, and the search for what is smaller after a candidate or two.
    let flags = ["--noraftd", daemon, "--budget", "1s", "--shrink-budget", "20s"];
    let done = campaign(folder.path(), "out", &flags).output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    let out = folder.path().join("out");
    let groups: Vec<PathBuf> = fs::read_dir(out.join("groups"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let [group] = &groups[..] else {
        panic!("{groups:?}: {}", said(&done))
    };
    let signature = group.file_name().unwrap().to_str().unwrap();
    let repeat = format!("repeat: harness replay groups/{signature} (failed in 5 of 5 replays, ");
    assert!(said(&done).contains(&repeat), "{}", said(&done));
    let about = fs::read_to_string(group.join("group.json")).unwrap();
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    assert_eq!(about["recorded"]["failed"], 5, "{about}");
    let mut names: Vec<String> = fs::read_dir(group)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["expected.json", "group.json", "plan.toml", "schedule.jsonl"]
    );
    let schedule = Schedule::load(&group.join("schedule.jsonl")).unwrap();
    assert_eq!(about["faults"][1], schedule.faults.len(), "{about}");
    assert!(
        about["faults"][0].as_u64() > about["faults"][1].as_u64(),
        "{about}"
    );
    let plan = Plan::load(&group.join("plan.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(plan.name, signature);
    assert_committed(folder.path(), group, daemon);
}

/// The folder of a group repeats its finding where nothing else of the machine is, and passes with a daemon that is whole.
fn assert_committed(folder: &Path, group: &Path, daemon: &str) {
    let committed = folder.join("committed");
    fs::create_dir(&committed).unwrap();
    for name in ["expected.json", "plan.toml", "schedule.jsonl"] {
        fs::copy(group.join(name), committed.join(name)).unwrap();
    }
    let replay = |daemon: &str| {
        let mut command = Command::new(HARNESS);
        command
            .current_dir(folder)
            .args(["replay", "committed", "--runs", "1"])
            .args(["--noraftd", daemon, "--out", "replays"]);
        command.output().unwrap()
    };
    let again = replay(daemon);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    let wanted = "failed with the same rule, \"liveness\": 1 of 1";
    assert!(said(&again).contains(wanted), "{}", said(&again));
    let whole = Path::new(HARNESS).with_file_name("noraftd");
    let mended = replay(whole.to_str().unwrap());
    assert_ne!(mended.status.code(), Some(1), "{}", said(&mended));
}
