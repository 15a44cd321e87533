//! What is kept of a simulated run: the same folder as of a run on real processes, as far as there is one.
//!
//! | file | content |
//! |-|-|
//! | `run.json` | command line, seed, trace hash, broken rule |
//! | `plan.toml` | the plan as it ran, complete, with the seed: `harness sim` takes it |
//! | `nodes.jsonl` | what each node was, a hundred times a virtual second |
//! | `schedule.jsonl`, `history*.jsonl` | decisions, with what they hit and when; operations |
//! | `trace.txt` | the last events, a line each |
//! | `nodes/nK/data/` | the files of the node's disk in the end, as a process sees them, unless there would be more than 64 MiB in all: `run.json` says whose are left out |
//! | `results.json`, `results.edn`, `junit.xml`, `report.txt`, `report.html` | the verdict |
//! | `repro.sh` | runs it again |
//!
//! Invariant: the plan and the seed in it repeat the run event by event.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::Simulated;
use crate::jepsen::results_edn;
use crate::nemesis::{Decision, ScheduleLine, Scheduled, Targets};
use crate::nodes::{NODES_FILE, NodeWriter};
use crate::op::EventKind;
use crate::report::{self, text::text_report};
use crate::results::Outcome;
use crate::run::{FolderError, RunError, RunFolder, history_name};
use crate::tally::{Phase, Tally};

/// Writes the folder of a run under `root`.
///
/// # Errors
///
/// When a file cannot be written.
pub fn keep(root: &Path, run: &Simulated, argv: &[String]) -> Result<(RunFolder, String), RunError> {
    let folder = RunFolder::create(root, &run.plan, run.seed)?;
    let about = json!({
        "run": 1,
        "world": "simulation",
        "plan": run.plan.name,
        "seed": run.seed,
        "argv": argv,
        "version": env!("CARGO_PKG_VERSION"),
        "trace_hash": format!("{:016x}", run.trace.hash),
        "events": run.trace.events,
        "broken": run.broken(),
        "disks_left_out": disks_left_out(run),
    });
    folder.write("run.json", &format!("{about:#}\n"))?;
    folder.write("plan.toml", &run.plan.to_toml())?;
    folder.write("trace.txt", &(run.lines.join("\n") + "\n"))?;
    folder.write("schedule.jsonl", &schedule(run))?;
    folder.write("repro.sh", &repro(run.seed))?;
    make_executable(&folder.file("repro.sh"))?;
    write_disks(&folder, run)?;
    NodeWriter::create(&folder.file(NODES_FILE), None)?.add(&run.samples)?;
    let mut paths = Vec::new();
    for track in &run.histories {
        let name = history_name(&run.plan, &track.header.workload);
        folder.write(&name, &String::from_utf8_lossy(&track.to_file()?))?;
        paths.push(folder.file(&name));
    }
    let mut tally = Tally::read(&paths, &phases(run))?;
    tally.decisions_skipped = run.decisions.skipped;
    let mut results = run.results.clone();
    results.phases = tally.phases.clone();
    results.decisions_skipped = tally.decisions_skipped;
    for (name, text) in report::files(&run.plan, run.seed, folder.path(), &results, &tally) {
        folder.write(&name, &text)?;
    }
    folder.write("results.edn", &results_edn(&results))?;
    let report = text_report(&run.plan, run.seed, folder.path(), &results, &tally);
    if results.verdict != Outcome::Valid {
        folder.mark_failed()?;
    }
    Ok((folder, report))
}

/// Writes what was on the nodes' disks, as far as it is not left out.
fn write_disks(folder: &RunFolder, run: &Simulated) -> Result<(), FolderError> {
    let left_out = disks_left_out(run);
    for (at, files) in run.disks.iter().enumerate() {
        if !left_out.contains(&format!("n{}", at + 1)) {
            folder.write_data(at + 1, files)?;
        }
    }
    Ok(())
}

/// The nodes whose disks are not kept: with those of the nodes before, there would be too much.
fn disks_left_out(run: &Simulated) -> Vec<String> {
    let mut kept = 0;
    let mut left_out = Vec::new();
    for (at, files) in run.disks.iter().enumerate() {
        let bytes: usize = files.values().map(Vec::len).sum();
        if kept + bytes > DISK_BYTES_MAX {
            left_out.push(format!("n{}", at + 1));
        } else {
            kept += bytes;
        }
    }
    left_out
}

/// What was decided, what it hit and when, as the histories have it; and what found no target.
fn schedule(run: &Simulated) -> String {
    let mut left: BTreeMap<(u64, u64), &Decision> = BTreeMap::new();
    for decision in &run.decisions.made {
        left.insert((decision.lane as u64, decision.k), decision);
    }
    let mut lines = String::new();
    // Each history has every fault.
    let events = run.histories.first().map_or(&[][..], |track| &track.events);
    for event in events.iter().filter(|event| event.kind.is_fault()) {
        let Some(details) = &event.value else { continue };
        let (lane, k) = (details["lane"].as_u64(), details["k"].as_u64());
        let (Some(lane), Some(k)) = (lane, k) else {
            continue;
        };
        let line = match event.kind {
            EventKind::FaultBegin => left.remove(&(lane, k)).map(|decision| {
                ScheduleLine::Begin(Scheduled {
                    decision: decision.clone(),
                    at_ns: event.time_ns,
                    targets: targets_of(details),
                    leader: None,
                })
            }),
            EventKind::FaultEnd => Some(ScheduleLine::End {
                lane: lane as usize,
                k,
                at_ns: event.time_ns,
            }),
            EventKind::FaultOk | EventKind::Invoke | EventKind::Ok | EventKind::Fail | EventKind::Info => {
                None
            }
        };
        lines.extend(line.map(|line| line.to_text()));
    }
    let skipped = left.into_values().map(|decision| ScheduleLine::Skip {
        decision: decision.clone(),
        at_ns: None,
    });
    lines.extend(skipped.map(|line| line.to_text()));
    lines
}

/// The nodes and links that the details of a fault name.
fn targets_of(details: &Value) -> Targets {
    let names = |field: &str| {
        let list = details[field].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).collect::<Vec<_>>()
    };
    let node = |name: &str| name.strip_prefix('n')?.parse::<u64>().ok();
    let nodes: Vec<u64> = names("nodes").into_iter().filter_map(node).collect();
    let link = |name: &str| {
        let (from, to) = name.split_once('>')?;
        Some((node(from)?, node(to)?))
    };
    Targets {
        links: names("links").into_iter().filter_map(link).collect(),
        impaired: nodes.clone(),
        nodes,
    }
}

fn phases(run: &Simulated) -> Vec<Phase> {
    let ends = run.phases.iter().skip(1).map(|(_, from)| *from).chain([u64::MAX]);
    let phases = run.phases.iter().zip(ends);
    phases
        .map(|((name, from_ns), to_ns)| Phase {
            name,
            from_ns: *from_ns,
            to_ns: to_ns.min(run.virtual_ns + 1),
        })
        .filter(|phase| phase.to_ns > phase.from_ns)
        .collect()
}

fn repro(seed: u64) -> String {
    format!(
        "#!/bin/sh\n# Runs the same events again.\nset -eu\nhere=$(cd \"$(dirname \"$0\")\" && pwd)\n\
         exec \"${{HARNESS:-harness}}\" sim \"$here/plan.toml\" --seed {seed} \"$@\"\n"
    )
}

fn make_executable(path: &Path) -> Result<(), FolderError> {
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, permissions).map_err(|source| FolderError {
        path: path.to_owned(),
        source,
    })
}

/// Of a run whose disks are small, as most are, all of them; a campaign may keep many runs.
const DISK_BYTES_MAX: usize = 64 << 20;
