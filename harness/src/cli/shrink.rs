//! `harness shrink`: makes a failed run smaller while it still fails.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harness::plan::{Plan, Span};
use harness::replay::{Origin, Recorded};
use harness::results::{EXIT_USAGE, Outcome};
use harness::sim::shrink::{EVENTS, Failing, failure_of, shrink};

use super::{replay, shrink_real};

/// Make a failed run smaller: fewer faults, nodes, clients, keys and operations, less time.
///
/// Of a run of the simulation, the plan is made smaller: `shrunk.toml` beside it, which
/// `harness sim` runs, says what it breaks. Each smaller plan is tried with many seeds; it counts
/// when it breaks the same rule in the same place. The smallest so far is written whenever there is
/// one, so Ctrl-C loses nothing.
///
/// Of a run on real processes, the schedule is made smaller, too. What fails there fails at a rate,
/// so the run is replayed first; then each candidate is tried as often as that rate asks for, and
/// kept when it fails about half as often at least. The folder `shrunk` has the plan, the schedule,
/// and in expected.json the verdict, the rule and the rate; `harness replay` repeats it.
///
/// Examples:
///   harness shrink results/runs/failed
///   harness shrink results/runs/failed --runs 10 --budget 1h
///   harness shrink results/runs/failed --sim
///
/// Exit code: 1 when a smaller run that fails was written, 2 when nothing fails, 64 wrong usage.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The folder of the failed run, or a plan of the simulation with a seed in it
    run: PathBuf,
    /// How many events of the simulation are spent, all runs together; a million takes one or
    /// two seconds. What comes out depends on them, never on the machine
    #[arg(long, default_value_t = EVENTS, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// How often a run on real processes is replayed, before and after
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// How long candidates are tried on real processes, such as 30m; then the smallest so far is written
    #[arg(long, default_value = "30m")]
    budget: Span,
    /// The daemon to run; when absent, the one of the recorded run
    #[arg(long)]
    noraftd: Option<PathBuf>,
    /// Where to put the folders of the replays on real processes
    #[arg(long, value_name = "DIR", default_value = replay::OUT)]
    replays: PathBuf,
    /// Look in the simulation for failures of a plan of real processes, without the faults that only
    /// real processes can have
    #[arg(long)]
    sim: bool,
    /// Where to write what is smaller; when absent, beside the original
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let path = if args.run.is_dir() {
        args.run.join("plan.toml")
    } else {
        args.run.clone()
    };
    let plan = match Plan::load(&path) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("harness: {error}");
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    if !args.sim && args.run.join("run.json").is_file() {
        match Recorded::load(&args.run) {
            Ok(recorded) => match recorded.origin {
                Origin::Processes { .. } => return shrink_processes(args, &recorded),
                Origin::Simulation { .. } => {}
            },
            Err(error) => {
                eprintln!("harness: {error}");
                return Ok(ExitCode::from(EXIT_USAGE));
            }
        }
    }
    if let Some(fault) = plan
        .faults
        .iter()
        .find(|fault| fault.kind().is_real_only() && !args.sim)
    {
        eprintln!(
            "harness: {} has `{}`, which only real processes can have: run it, and shrink the folder of that run. \
             `harness shrink --sim {}` tries its plan in the simulation",
            path.display(),
            fault.kind().name(),
            args.run.display()
        );
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let plan = plan.for_simulation();
    let seed = plan.seed.unwrap_or(1);
    let Some(failing) = failure_of(&plan, seed) else {
        println!(
            "{} does not fail with seed {seed} in the simulation: there is nothing to shrink",
            path.display()
        );
        return Ok(Outcome::Unknown.into());
    };
    println!("seed {seed} breaks: {}", failing.rule);
    println!("before:   {}", brief(&failing));
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| path.with_file_name("shrunk.toml"));
    let mut written = write(&out, &failing);
    let shrunk = shrink(failing, args.events, |progress| {
        let (percent, what) = (progress.spent_percent, progress.what);
        match progress.found {
            None => println!("{percent:3} %: trying {what}"),
            Some(smaller) => {
                println!("{percent:3} %: still, with {what} (seed {})", smaller.seed);
                written = write(&out, smaller);
            }
        }
    });
    written?;
    println!("smallest: {}", brief(&shrunk));
    println!("again:   harness sim {}", out.display());
    println!("watch:   harness sim {} --trace", out.display());
    Ok(Outcome::Invalid.into())
}

fn shrink_processes(args: &Args, recorded: &Recorded) -> Result<ExitCode, Box<dyn Error>> {
    let beside = recorded.folder.join("shrunk");
    shrink_real::run(&shrink_real::Wanted {
        recorded,
        runs: args.runs,
        budget: args.budget,
        noraftd: args.noraftd.clone(),
        out: args.out.as_deref().unwrap_or(&beside),
        replays: &args.replays,
    })
}

fn brief(failing: &Failing) -> String {
    let plan = &failing.plan;
    format!(
        "{} nodes, {} clients, {} faults, {}, seed {}",
        plan.cluster.nodes,
        plan.clients.count,
        plan.faults.len(),
        plan.time,
        failing.seed
    )
}

/// Writes the smallest plan so far: it is whole whenever this process ends.
fn write(out: &Path, failing: &Failing) -> Result<(), String> {
    let text = format!(
        "# Breaks: {}\n# Expected verdict until it is mended: invalid.\n{}",
        failing.rule,
        failing.plan.to_toml()
    );
    let draft = out.with_extension("new");
    let written = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, out));
    written.map_err(|error| format!("{}: {error}", out.display()))
}
