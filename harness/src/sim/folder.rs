//! What is kept of a simulated run: the same folder as of a run on real processes, as far as there is one.
//!
//! | file | content |
//! |-|-|
//! | `run.json` | command line, seed, trace hash, broken rule |
//! | `plan.toml` | the plan as it ran, complete, with the seed: `harness sim` takes it |
//! | `schedule.jsonl`, `history*.jsonl` | decisions and operations |
//! | `nodes.jsonl` | what each node was, a hundred times a virtual second |
//! | `trace.txt` | the last events, a line each |
//! | `results.json`, `junit.xml`, `report.txt`, `report.html` | the verdict |
//! | `repro.sh` | runs it again |
//!
//! Invariant: the plan and the seed in it repeat the run event by event.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;

use super::Simulated;
use crate::nodes::{NODES_FILE, NodeWriter};
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
    });
    folder.write("run.json", &format!("{about:#}\n"))?;
    folder.write("plan.toml", &run.plan.to_toml())?;
    folder.write("trace.txt", &(run.lines.join("\n") + "\n"))?;
    folder.write("schedule.jsonl", &schedule(run))?;
    folder.write("repro.sh", &repro(run.seed))?;
    make_executable(&folder.file("repro.sh"))?;
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
    let report = text_report(&run.plan, run.seed, folder.path(), &results, &tally);
    if results.verdict != Outcome::Valid {
        folder.mark_failed()?;
    }
    Ok((folder, report))
}

fn schedule(run: &Simulated) -> String {
    let lines = run.decisions.made.iter();
    lines
        .map(|decision| serde_json::to_string(decision).expect("a decision has a JSON form") + "\n")
        .collect()
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
