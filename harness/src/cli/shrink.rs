//! `harness shrink`: makes the plan of a failed simulation smaller while it still fails.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harness::plan::Plan;
use harness::results::{EXIT_USAGE, Outcome};
use harness::sim::shrink::{Failing, failure_of, shrink};

/// Make a failed simulation smaller: less time, fewer faults, nodes, clients and operations, a calmer world.
///
/// Writes `shrunk.toml` beside the plan; `harness sim` runs it. Real processes cannot repeat a run event by event, so their
/// runs cannot be shrunk; with `--sim`, the plan of such a run is tried in the simulation.
///
/// Exit code: 1 when a smaller plan that fails was written, 2 when nothing fails, 64 wrong usage.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder of the failed run, or a plan with a seed in it.
    run: PathBuf,
    /// How many seeds each smaller plan is tried with.
    #[arg(long, default_value_t = 10)]
    tries: u64,
    /// Look in the simulation for failures of a plan of real processes, without the faults that only real processes
    /// can have.
    #[arg(long)]
    sim: bool,
    /// Where to write the smaller plan; when absent, beside the original.
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
    if let Some(why) = real(&args.run, &plan).filter(|_| !args.sim) {
        eprintln!(
            "harness: {} {why}: such a run cannot be repeated event by event, so it cannot be shrunk. \
             `harness shrink --sim {}` tries its plan in the simulation",
            path.display(),
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
    let shrunk = shrink(failing, args.tries, |what, failing| {
        println!("still, with {what} (seed {})", failing.seed);
    });
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| path.with_file_name("shrunk.toml"));
    write(&out, &shrunk)?;
    println!("again:   harness sim {}", out.display());
    println!("watch:   harness sim {} --trace", out.display());
    Ok(Outcome::Invalid.into())
}

/// Why a plan is one of real processes: it ran there, or has a fault that only they can have.
fn real(run: &Path, plan: &Plan) -> Option<String> {
    let about = std::fs::read_to_string(run.join("run.json")).ok();
    if about.is_some_and(|about| !about.contains("\"world\": \"simulation\"")) {
        return Some("is the plan of a run on real processes".to_owned());
    }
    let fault = plan.faults.iter().find(|fault| fault.is_real_only())?;
    Some(format!(
        "has `{}`, which only real processes can have",
        fault.kind().name()
    ))
}

fn write(out: &Path, shrunk: &Failing) -> Result<(), Box<dyn Error>> {
    let Failing { plan, rule, .. } = shrunk;
    println!(
        "smallest: {} nodes, {} clients, {} faults, {}, seed {}",
        plan.cluster.nodes,
        plan.clients.count,
        plan.faults.len(),
        plan.time,
        shrunk.seed
    );
    let text = format!("# Breaks: {rule}\n{}", plan.to_toml());
    std::fs::write(out, text).map_err(|error| format!("{}: {error}", out.display()).into())
}
