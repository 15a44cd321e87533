//! `harness shrink`: makes the plan of a failed simulation smaller while it still fails.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harness::plan::Plan;
use harness::results::{EXIT_USAGE, Outcome};
use harness::sim::shrink::{Failing, failure_of, shrink};

/// Make a failed simulation smaller: less time, fewer faults, nodes, clients and operations, a calmer world.
///
/// Writes `shrunk.toml` beside the plan; `harness sim` runs it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder of the failed run, or a plan with a seed in it.
    run: PathBuf,
    /// Seeds that each smaller plan is tried with.
    #[arg(long, default_value_t = 10)]
    tries: u64,
    /// Where to write the smaller plan, instead of beside the one it comes from.
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
    let seed = plan.seed.unwrap_or(1);
    let Some(failing) = failure_of(&plan, seed) else {
        println!("{} does not fail with seed {seed}", path.display());
        return Ok(Outcome::Valid.into());
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
