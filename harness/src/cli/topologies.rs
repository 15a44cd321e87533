//! `harness topologies`: every directed topology of a few nodes, in the simulation.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harness::results::{EXIT_USAGE, Outcome};
use harness::sim::Lines;
use harness::sim::topologies::{Case, NODES_MAX, Placement, Tally, Topologies, attempt, letter};

use harness::shard::Shard;

/// Try every directed topology of a few nodes: which links are cut, which node leads, which has the longest log.
///
/// Where a quorum is linked pairwise, both ways, writes have to succeed; the table says what happens elsewhere, and why.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many nodes, 2 to 5.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..=NODES_MAX as u64))]
    nodes: u64,
    /// The seed of everything that is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One part of the topologies, such as 2/8.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// So many topologies, drawn by the seed, each with one leader and one longest log.
    #[arg(long, value_name = "COUNT")]
    sample: Option<usize>,
    /// Every longest log for every leader, instead of one that the seed draws.
    #[arg(long, conflicts_with = "sample")]
    every_log: bool,
    /// A link that the topology lacks comes and goes.
    #[arg(long)]
    flaps: bool,
    /// The one topology to try, by its number.
    #[arg(long, value_name = "NUMBER")]
    only: Option<usize>,
    /// The node that leads, such as A; needs --only.
    #[arg(long, requires = "only", value_name = "NODE")]
    leader: Option<char>,
    /// The node that has the longest log; needs --leader.
    #[arg(long, requires = "leader", value_name = "NODE")]
    longest: Option<char>,
    /// Prints one line for each event of a single case; needs --longest.
    #[arg(long, requires = "longest")]
    trace: bool,
    /// Cases that run at a time; one for each processor when absent.
    #[arg(long)]
    jobs: Option<usize>,
    /// Where the table goes, instead of being printed; that of a part has its number in its name.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let what = what(args);
    let cases = cases(args, &what);
    if cases.is_empty() {
        eprintln!("harness: there is no such topology, or no such node in it");
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    if let (true, [case]) = (args.trace, &cases[..]) {
        attempt(
            *case,
            args.seed,
            args.flaps,
            Lines::To(Box::new(std::io::stdout().lock())),
        );
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut shown = 0;
    let tally = what.run(&cases, args.jobs.unwrap_or(processors), |tally| {
        if tally.cpu_ns >= shown + SHOW_EVERY_CPU_NS {
            shown = tally.cpu_ns;
            eprintln!("{}", tally.line(cases.len()));
        }
    });
    let page = tally.page(&what);
    match &args.out {
        Some(path) => {
            let path = path_of(path, args.shard);
            std::fs::write(&path, &page)?;
            println!("the table is in {}", path.display());
        }
        None => println!("{page}"),
    }
    println!("{}", tally.line(cases.len()));
    print_failures(&tally, &what);
    let verdict = if tally.failed.is_empty() {
        Outcome::Valid
    } else {
        Outcome::Invalid
    };
    println!("verdict: {verdict}");
    Ok(verdict.into())
}

fn what(args: &Args) -> Topologies {
    let placement = match (args.sample, args.every_log || args.longest.is_some()) {
        (Some(_), _) => Placement::One,
        (None, true) => Placement::Every,
        (None, false) => Placement::Leaders,
    };
    Topologies {
        nodes: usize::try_from(args.nodes).unwrap_or(NODES_MAX),
        seed: args.seed,
        placement,
        flaps: args.flaps,
        shard: args.shard,
        sample: args.sample,
        only: args.only,
    }
}

/// A node may have been named that a renaming makes another one.
fn cases(args: &Args, what: &Topologies) -> Vec<Case> {
    let is_wanted =
        |wanted: Option<char>, node| wanted.is_none_or(|wanted| wanted.to_ascii_uppercase() == letter(node));
    let mut cases = what.cases();
    cases.retain(|case| is_wanted(args.leader, case.leader) && is_wanted(args.longest, case.longest));
    cases
}

/// Tables of parts do not replace each other.
fn path_of(path: &Path, shard: Option<Shard>) -> PathBuf {
    let Some(shard) = shard else {
        return path.to_owned();
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{}-of-{}.md", shard.index(), shard.count()))
}

fn print_failures(tally: &Tally, what: &Topologies) {
    for tried in tally.failed.iter().take(FAILURES_SHOWN) {
        let Some(broken) = &tried.broken else { continue };
        println!("failed: {}: {}: {}", tried.case, broken.rule, broken.detail);
        println!("again:  {}", what.repeat(&tried.case));
    }
}

const SHOW_EVERY_CPU_NS: u64 = 10_000_000_000;
const FAILURES_SHOWN: usize = 20;
