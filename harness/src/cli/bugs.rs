//! `harness bugs`: real bugs put into the daemon one by one, and what catches them.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use harness::bugs::steering::{Comparison, compare, table};
use harness::bugs::{Catalog, CatalogError, Hunts, Scorecard, World, check, join, run as run_hunts};
use harness::plan::Span;
use harness::results::{EXIT_USAGE, Outcome};
use harness::shard::Shard;

/// Put real bugs into the daemon, one by one, and see whether each is caught.
///
/// Every file in harness/bugs/ is a bug, and most of them shipped in a real system. The sources are copied, edited and built beside
/// the project, with shared dependencies; then the bug's plans run with one seed after another until a check catches
/// it or the budget is spent. The unmutated daemon runs the same plans first, with at least the same seeds, and must
/// pass. A bug that no plan sees names the test that does, which is run on it in the same way. The table goes to results/bugs.md, unless
/// `--only` is given.
///
/// On several machines, each hunts a part with `--shard`, and `--join` makes the table of all parts.
///
/// Exit code: 0 when every bug was caught and the unmutated daemon passed, 1 otherwise, 64 wrong usage.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these bugs.
    #[arg(long, num_args = 1.., value_name = "NAME")]
    only: Vec<String>,
    /// Only this world; all when absent.
    #[arg(long, value_enum)]
    world: Option<World>,
    /// How long each bug is hunted in each world: CPU time in the simulation (60s when absent), wall-clock time on real
    /// processes (3m when absent).
    #[arg(long)]
    budget: Option<Span>,
    /// The first seed of every plan.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Lists the bugs and what is left out, and runs nothing.
    #[arg(long)]
    list: bool,
    /// The bugs in harness/bugs/held-out/, whose table is results/bugs-held-out.md.
    #[arg(long)]
    held_out: bool,
    /// Whether every edit of every bug, those held out included, applies and compiles; hunts nothing.
    #[arg(long, conflicts_with_all = ["list", "held_out", "shard", "join"])]
    check: bool,
    /// Compares coverage that steers with seeds alone, instead of hunting: the bugs of `--only` are hunted ten times in both ways, each
    /// for `--budget` of CPU time (20s when absent), and the medians are printed as a table. See results/steering.md.
    #[arg(long, requires = "only", conflicts_with_all = ["list", "check", "shard", "join", "world"])]
    compare_steering: bool,
    /// One part of the bugs, such as 2/8, by the order of their names; its rows are written, and no table.
    #[arg(long, value_name = "I/N", conflicts_with = "only")]
    shard: Option<Shard>,
    /// The folder for the rows of a part; when absent, target/bugs-rows/2-of-8 in the project's folder.
    #[arg(long, value_name = "DIR", requires = "shard")]
    rows: Option<PathBuf>,
    /// Runs nothing: makes the table of the parts whose rows are in these folders, all of them.
    #[arg(long, num_args = 1.., value_name = "DIR", conflicts_with_all = ["only", "shard", "list", "world", "budget"])]
    join: Vec<PathBuf>,
    /// The project's folder.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Where the sources are copied and built; when absent, target/bugs in the project's folder, with --check
    /// target/bugs-check.
    #[arg(long)]
    scratch: Option<PathBuf>,
}

/// Runs the verb.
pub(crate) fn run(args: Args) -> Result<ExitCode, Box<dyn Error>> {
    let whole = if args.check {
        Catalog::load_all(&args.root)?
    } else if args.held_out {
        Catalog::load_held_out(&args.root)?
    } else {
        Catalog::load(&args.root)?
    };
    if !args.join.is_empty() {
        let card = join(&args.join, &whole)?;
        return conclude(&args, &card, &whole);
    }
    let catalog = match whole.clone().only(&args.only) {
        Ok(catalog) => catalog,
        Err(error @ CatalogError::NoSuchBug(_)) => {
            eprintln!("harness: {error}");
            return Ok(ExitCode::from(EXIT_USAGE));
        }
        Err(error) => return Err(error.into()),
    };
    if args.list {
        list(&catalog);
        return Ok(ExitCode::SUCCESS);
    }
    if args.check {
        return check_edits(&args, &catalog);
    }
    if args.compare_steering {
        return compare_steering(&args, catalog);
    }
    let shard = args.shard;
    let hunts = Hunts {
        scratch: args.scratch("target/bugs"),
        root: args.root.clone(),
        catalog: shard.map_or_else(|| catalog.clone(), |shard| catalog.clone().part(shard)),
        part: shard.map(|shard| (shard, args.rows(shard))),
        worlds: args
            .world
            .map_or_else(|| World::ALL.to_vec(), |world| vec![world]),
        budget: args.budget,
        first_seed: args.seeds,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let card = runtime.block_on(run_hunts(&hunts, &mut |line| eprintln!("{line}")))?;
    if let Some((part, folder)) = &hunts.part {
        print_scorecard(&card, &Catalog::default());
        println!("the rows of part {part} are in {}", folder.display());
        return Ok(outcome(&card));
    }
    conclude(&args, &card, &whole)
}

impl Args {
    fn scratch(&self, usual: &str) -> PathBuf {
        let given = self.scratch.clone();
        given.unwrap_or_else(|| self.root.join(usual))
    }

    fn rows(&self, shard: Shard) -> PathBuf {
        let given = self.rows.clone();
        given.unwrap_or_else(|| {
            let (index, count) = (shard.index(), shard.count());
            self.root.join(format!("target/bugs-rows/{index}-of-{count}"))
        })
    }
}

fn check_edits(args: &Args, catalog: &Catalog) -> Result<ExitCode, Box<dyn Error>> {
    let scratch = args.scratch("target/bugs-check");
    let failed = check(&args.root, &scratch, &catalog.bugs, &mut |line| {
        eprintln!("{line}")
    })?;
    for (name, error) in &failed {
        println!("{name}: {error}");
    }
    let (all, failed) = (catalog.bugs.len(), failed.len());
    println!("{} of {all} bugs apply and compile", all - failed);
    Ok(if failed == 0 {
        Outcome::Valid
    } else {
        Outcome::Invalid
    }
    .into())
}

fn compare_steering(args: &Args, catalog: Catalog) -> Result<ExitCode, Box<dyn Error>> {
    let limit = args.budget.unwrap_or(COMPARED_FOR);
    let wanted = Comparison {
        root: args.root.clone(),
        scratch: args.scratch("target/bugs"),
        bugs: catalog.bugs,
        tries: COMPARED_TRIES,
        limit,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let rows = runtime.block_on(compare(&wanted, &mut |line| eprintln!("{line}")))?;
    print!("{}", table(&rows, limit));
    Ok(ExitCode::SUCCESS)
}

const COMPARED_TRIES: u64 = 10;
const COMPARED_FOR: Span = Span::from_millis(20_000);

/// Writes the table of everything, and prints it.
fn conclude(args: &Args, card: &Scorecard, whole: &Catalog) -> Result<ExitCode, Box<dyn Error>> {
    if args.only.is_empty() {
        write(args, card, whole)?;
    }
    print_scorecard(card, whole);
    Ok(outcome(card))
}

fn outcome(card: &Scorecard) -> ExitCode {
    let outcome = if card.passes() {
        Outcome::Valid
    } else {
        Outcome::Invalid
    };
    outcome.into()
}

fn list(catalog: &Catalog) {
    for bug in &catalog.bugs {
        let worlds = World::ALL
            .into_iter()
            .filter(|world| !bug.plans(*world).is_empty());
        let worlds: Vec<&str> = worlds.map(World::name).collect();
        println!("{:26} {:12} {}", bug.name, worlds.join(" "), bug.title);
    }
    print_left_out(catalog);
}

fn print_left_out(catalog: &Catalog) {
    for left in &catalog.left_out {
        let row = left.row.map_or_else(String::new, |row| format!("row {row}, "));
        println!("left out: {row}{}: {}", left.name, left.reason);
    }
}

fn print_scorecard(card: &Scorecard, catalog: &Catalog) {
    for control in &card.controls {
        println!("{}", control.words());
    }
    for line in &card.lines {
        println!("{}", line.words());
    }
    print_left_out(catalog);
    println!("{}", card.summary());
}

fn write(args: &Args, card: &Scorecard, catalog: &Catalog) -> Result<(), Box<dyn Error>> {
    let name = if args.held_out { "bugs-held-out" } else { "bugs" };
    let path = args.root.join(format!("results/{name}.md"));
    // The first time there is none.
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let text = card.markdown(catalog, &before);
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}
