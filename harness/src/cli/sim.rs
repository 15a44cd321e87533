//! `harness sim`: runs a plan in the simulated world, for one seed or many.

use std::error::Error;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use super::coverage::CoverageArgs;
use harness::plan::{Plan, PlanError, Span};
use harness::results::{EXIT_USAGE, Outcome};
use harness::sim::campaign::{Campaign, Failure, Totals, thread_cpu_ns};
use harness::sim::{Lines, Simulated, folder, simulate};

/// Run a plan in a simulation: the daemon's own code in one thread with virtual time; one seed is one trace.
///
/// The first seed that fails ends the campaign: the failure is explained in words, and its folder holds everything
/// that is needed to investigate it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The plan, such as workloads/swarm.toml.
    plan: PathBuf,
    /// The one seed to run; when absent, the seed in the plan, or 1.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Many seeds: from the first up to the second, which is not included.
    #[arg(long, value_name = "A..B")]
    seeds: Option<Seeds>,
    /// How long clients and faults run in virtual time, such as 60s, instead of what the plan says.
    #[arg(long)]
    time: Option<Span>,
    /// How many seeds run at the same time; one for each processor when absent.
    #[arg(long)]
    jobs: Option<usize>,
    /// Continues after a failure, and reports all seeds that failed.
    #[arg(long)]
    keep_going: bool,
    /// Starts no more seeds after this much CPU time, such as 60s.
    #[arg(long, requires = "seeds")]
    cpu: Option<Span>,
    /// Prints the result as JSON for another program, and keeps no folder.
    #[arg(long, requires = "seeds")]
    json: bool,
    /// Lets coverage steer: most runs are mutants of those that reached new states of the cluster.
    ///
    /// A third of the runs are those that the seeds draw. The others are one of the runs before up to about the moment at
    /// which it reached a rare state, with other draws from there on, or its plan changed in one or two ways (a fault more or less, a share,
    /// a limit). What runs depends on the first seed, so runs are one after the other, and a run is named by its number in the place of a
    /// seed. A mutant that fails is written as a plan that repeats it. It is off by default, for
    /// it finds slow bugs no sooner than seeds alone: results/steering.md.
    #[arg(long, requires = "seeds", conflicts_with = "jobs")]
    steer: bool,
    /// Prints one line for each event; only with one seed.
    #[arg(long, conflicts_with = "seeds")]
    trace: bool,
    #[command(flatten)]
    coverage: CoverageArgs,
    /// Where to put the folders of failed runs.
    #[arg(long, default_value = "results/runs")]
    out: PathBuf,
}

/// A range of seeds.
#[derive(Debug, Clone)]
pub(crate) struct Seeds(Range<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("`{text}` is not a range of seeds: write A..B, such as 1..1000");
        let (from, to) = text.split_once("..").ok_or_else(wanted)?;
        let from = from.parse().map_err(|_| wanted())?;
        let to = to.parse().map_err(|_| wanted())?;
        if from < to {
            Ok(Self(from..to))
        } else {
            Err(wanted())
        }
    }
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let plan = match plan_of(args) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("harness: {error}");
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    match &args.seeds {
        None => run_one(args, &plan),
        Some(Seeds(seeds)) => run_many(args, plan, seeds.clone()),
    }
}

fn plan_of(args: &Args) -> Result<Plan, PlanError> {
    let mut plan = Plan::load(&args.plan)?;
    if let Some(time) = args.time {
        plan = plan.lasting(time);
    }
    plan.validate()?;
    Ok(plan.for_simulation())
}

fn run_one(args: &Args, plan: &Plan) -> Result<ExitCode, Box<dyn Error>> {
    let seed = args.seed.or(plan.seed).unwrap_or(1);
    if args.trace {
        simulate(plan, seed, Lines::To(Box::new(std::io::stdout().lock())));
    }
    let before = thread_cpu_ns();
    let run = simulate(plan, seed, Lines::None);
    let cpu_ns = thread_cpu_ns() - before;
    eprintln!(
        "seed {seed}: trace {:016x}, {} events, {:.1} simulated s in {:.3} CPU s, {} operations ok, {:?}",
        run.trace.hash,
        run.trace.events,
        run.virtual_ns as f64 / 1e9,
        cpu_ns as f64 / 1e9,
        run.results.operations.ok,
        run.counters,
    );
    if run.verdict() == Outcome::Invalid {
        report_failure(args, plan, seed)?;
    }
    for reason in &run.results.reasons {
        eprintln!("unknown: {reason}");
    }
    println!("verdict: {}", run.verdict());
    Ok(run.verdict().into())
}

fn run_many(args: &Args, plan: Plan, seeds: Range<u64>) -> Result<ExitCode, Box<dyn Error>> {
    let wanted = match args.coverage.open(&plan, &seeds) {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("harness: {error}");
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let campaign = Campaign {
        plan,
        seeds,
        jobs: args.jobs.unwrap_or(processors),
        keep_going: args.keep_going,
        cpu_max: args.cpu.map(Span::as_duration),
        counts_states: args.coverage.is_asked(),
        steers: args.steer,
    };
    let mut shown = 0;
    let tally = campaign.run(|tally| {
        if tally.cpu_ns >= shown + SHOW_EVERY_CPU_NS {
            shown = tally.cpu_ns;
            eprintln!("{}", tally.line());
        }
    });
    if args.json {
        println!("{}", serde_json::to_string(&tally.brief())?);
        let is_kept = wanted.report(&campaign, &tally, |line| eprintln!("{line}"))?;
        return Ok(code_of(&tally, is_kept));
    }
    if let Some(failure) = tally.failed.first() {
        report_first(args, &campaign.plan, failure)?;
    }
    print_totals(&tally);
    keep_mutants(args, &tally)?;
    let is_kept = wanted.report(&campaign, &tally, |line| println!("{line}"))?;
    println!("verdict: {}", tally.verdict());
    Ok(code_of(&tally, is_kept))
}

/// A campaign that reaches less than before leaves open what a valid one says.
fn code_of(tally: &Totals, is_coverage_kept: bool) -> ExitCode {
    match tally.verdict() {
        Outcome::Valid if !is_coverage_kept => Outcome::Unknown.into(),
        verdict @ (Outcome::Valid | Outcome::Unknown | Outcome::Invalid) => verdict.into(),
    }
}

fn print_totals(tally: &Totals) {
    println!("{}", tally.line());
    for failure in tally.failed.iter().take(FAILURES_SHOWN) {
        println!("failed: seed {}: {}", failure.seed, failure.rule);
    }
    for (seed, why) in tally.unknown.iter().take(FAILURES_SHOWN) {
        println!("unknown: seed {seed}: {why}");
    }
}

/// Writes the plan of each mutant that failed.
fn keep_mutants(args: &Args, tally: &Totals) -> Result<(), Box<dyn Error>> {
    let folder = args.out.join("mutants");
    // A run that is no mutant needs none: its seed repeats it.
    let mutants = tally
        .failed
        .iter()
        .filter_map(|failure| Some((failure, failure.mutant.as_ref()?)));
    for (failure, plan) in mutants.take(FAILURES_SHOWN) {
        std::fs::create_dir_all(&folder)?;
        let name = args.plan.file_stem().unwrap_or_default().to_string_lossy();
        let file = folder.join(format!("{name}-{}.toml", failure.seed));
        std::fs::write(&file, plan)?;
        println!("run {} again: harness sim {}", failure.seed, file.display());
    }
    Ok(())
}

fn report_first(args: &Args, plan: &Plan, failure: &Failure) -> Result<(), Box<dyn Error>> {
    let Some(mutant) = &failure.mutant else {
        return report_failure(args, plan, failure.seed);
    };
    let plan = Plan::parse(mutant, Path::new("mutant.toml"))?;
    let run = run_again(args, &plan, plan.seed.unwrap_or_default())?;
    println!("run {} is {}", failure.seed, plan.about);
    println!("again:   harness sim {}/plan.toml", run.display());
    println!("watch:   harness sim {}/plan.toml --trace", run.display());
    println!("smaller: harness shrink {}", run.display());
    Ok(())
}

/// Runs a failing seed again, with its lines, and keeps everything: in this folder.
fn run_again(args: &Args, plan: &Plan, seed: u64) -> Result<PathBuf, Box<dyn Error>> {
    let run = simulate(plan, seed, Lines::Last(LINES_KEPT));
    let argv: Vec<String> = std::env::args().collect();
    let (folder, _) = folder::keep(&args.out, &run, &argv)?;
    println!("seed {seed} failed: {}", run.broken().unwrap_or_default());
    println!("{}", explain(&run));
    println!("everything is in {}", folder.path().display());
    Ok(folder.path().to_owned())
}

fn report_failure(args: &Args, plan: &Plan, seed: u64) -> Result<(), Box<dyn Error>> {
    let folder = run_again(args, plan, seed)?;
    println!(
        "again:   harness sim {}{} --seed {seed}",
        args.plan.display(),
        time_of(args)
    );
    println!(
        "watch:   harness sim {}{} --seed {seed} --trace",
        args.plan.display(),
        time_of(args)
    );
    println!("smaller: harness shrink {}", folder.display());
    Ok(())
}

fn explain(run: &Simulated) -> String {
    let checks = run.results.checks.iter();
    let broken = checks.filter(|check| check.verdict == Outcome::Invalid);
    let said = broken.flat_map(|check| [check.summary.clone(), check.explanation.clone()]);
    let mut said: Vec<String> = said.flatten().collect();
    if run.violation.is_some() {
        let from = run.lines.len().saturating_sub(LINES_SHOWN);
        said.push("the last events:".to_owned());
        said.extend(run.lines[from..].iter().cloned());
    }
    said.join("\n")
}

fn time_of(args: &Args) -> String {
    args.time
        .map_or_else(String::new, |time| format!(" --time {time}"))
}

const SHOW_EVERY_CPU_NS: u64 = 5_000_000_000;
const FAILURES_SHOWN: usize = 20;
const LINES_KEPT: usize = 20_000;
const LINES_SHOWN: usize = 25;
