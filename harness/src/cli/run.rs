//! `harness run`: runs a plan on real processes and reports the verdict.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use harness::plan::{Fitted, PeerNetwork, Plan, PlanError, PowerTier, Span};
use harness::results::EXIT_USAGE;
use harness::run::{Interrupt, RunOptions, retain, run as run_plan};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::subject::{Named, SubjectError, subject};

/// Run a plan: real daemons, real faults, a verdict.
///
/// Ctrl-C ends the run in order, with a verdict on what was recorded; a second Ctrl-C skips the final phase and the
/// checkers.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The plan, such as workloads/smoke.toml.
    plan: PathBuf,
    /// The seed of every random decision; drawn, and reported, when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// How long clients and faults run, such as 60s, instead of what the plan says. The plan's minima scale with it.
    #[arg(long)]
    time: Option<Span>,
    /// How many nodes, instead of what the plan says.
    #[arg(long)]
    nodes: Option<usize>,
    /// How many clients, instead of what the plan says.
    #[arg(long)]
    clients: Option<usize>,
    /// How power cuts are made, instead of what the plan says. `ext4` needs root.
    #[arg(long, value_name = "TIER")]
    power_tier: Option<PowerTier>,
    /// What is between the nodes, instead of what the plan says.
    #[arg(long)]
    network: Option<PeerNetwork>,
    /// Where to put the folders of runs.
    #[arg(long, default_value = "results/runs")]
    out: PathBuf,
    /// How many valid runs of this plan are kept, the newest; older ones are removed before the run. Of the runs that
    /// were not valid, fifty are kept.
    #[arg(long, value_name = "N", default_value_t = 20)]
    keep: usize,
    /// A system to test in place of noraftd: one that comes with the harness (`harness systems` lists them), or a file.
    /// Of the plan, what it cannot have is left out, and the report says so.
    #[arg(long, value_name = "NAME|FILE")]
    system: Option<String>,
    /// The daemon to test; when absent, the one that the environment variable NORAFTD names, or else the one beside
    /// this program.
    #[arg(long)]
    noraftd: Option<PathBuf>,
    /// The daemon of an earlier version, with which a plan that has the fault `roll` begins.
    #[arg(long, value_name = "PATH")]
    noraftd_old: Option<PathBuf>,
}

/// Runs the verb.
pub(crate) fn run(args: Args) -> Result<ExitCode, Box<dyn Error>> {
    let harness = std::env::current_exe()?;
    let named = Named {
        system: args.system.as_deref(),
        noraftd: args.noraftd.clone(),
        noraftd_old: args.noraftd_old.clone(),
    };
    let chosen = plan_of(&args).map_err(SubjectError::from).and_then(|plan| {
        let seed = args.seed.or(plan.seed).unwrap_or_else(drawn_seed);
        Ok((seed, subject(&plan, seed, named, &harness)?))
    });
    let (seed, (fitted, programs)) = match chosen {
        Ok(subject) => subject,
        Err(SubjectError::Usage(error)) => {
            eprintln!("harness: {error}");
            return Ok(ExitCode::from(EXIT_USAGE));
        }
        Err(SubjectError::Machine(error)) => return Err(error),
    };
    let Fitted { plan, left_out } = fitted;
    for removed in retain(&args.out, &plan.name, args.keep)? {
        eprintln!(
            "removed {}: it was valid or old, and --keep is {}",
            removed.display(),
            args.keep
        );
    }
    let options = RunOptions {
        seed,
        plan,
        left_out,
        schedule: None,
        root: args.out,
        programs,
        argv: std::env::args().collect(),
    };
    let finished = run_on_one_thread(async {
        let interrupt = on_signals()?;
        run_plan(options, interrupt, Arc::new(|line| eprintln!("{line}")))
            .await
            .map_err(Box::<dyn Error>::from)
    })?;
    print!("{}", finished.report);
    Ok(ExitCode::from(finished.results.verdict))
}

/// One thread: the daemons need the others, and a child's death signal is bound to its parent thread.
pub(super) fn run_on_one_thread<T>(
    work: impl Future<Output = Result<T, Box<dyn Error>>>,
) -> Result<T, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

fn plan_of(args: &Args) -> Result<Plan, PlanError> {
    let mut plan = Plan::load(&args.plan)?;
    if let Some(time) = args.time {
        plan = plan.lasting(time);
    }
    if let Some(nodes) = args.nodes {
        plan = plan.of_nodes(nodes);
    }
    plan.cluster.power = args.power_tier.or(plan.cluster.power);
    plan.cluster.network = args.network.unwrap_or(plan.cluster.network);
    plan.clients.count = args.clients.unwrap_or(plan.clients.count);
    plan.clients.readers = plan.clients.readers.min(plan.clients.count.saturating_sub(1));
    plan.validate()?;
    Ok(plan)
}

/// Any seed will do, as long as it is reported; short enough to be typed.
fn drawn_seed() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where a run without a seed gets one"
    )]
    let now = SystemTime::now();
    let nanos = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64);
    (nanos ^ u64::from(std::process::id()).rotate_left(32)) % SEEDS_DRAWN
}

/// SIGINT or SIGTERM stops the run, the next one aborts it.
pub(super) fn on_signals() -> std::io::Result<Interrupt> {
    let (stop, stopped) = watch::channel(false);
    let (abort, aborted) = watch::channel(false);
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let mut stages = [stop, abort].into_iter();
        let mut shown = Vec::new();
        loop {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
            }
            // The senders are kept: a closed channel would be news too.
            if let Some(stage) = stages.next() {
                stage.send_replace(true);
                shown.push(stage);
            }
        }
    });
    Ok(Interrupt {
        stop: stopped,
        abort: aborted,
    })
}

const SEEDS_DRAWN: u64 = 1_000_000_000;
