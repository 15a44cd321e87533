//! `harness campaign`: many plans, both worlds, many seeds, for as long as a night.

use std::error::Error;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use harness::campaign::{
    About, Bytes, CampaignFile, End, Ledger, LedgerError, Options, Programs, Progress, Summary, Verdict,
    github, junit, run as run_campaign,
};
use harness::plan::Span;
use harness::results::{EXIT_USAGE, Outcome};
use harness::run::utc_now;
use harness::shard::Shard;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Run a campaign: many plans, simulated and on real processes, with many seeds, and one answer.
///
/// Every result goes into a ledger as it comes, so whatever ends the campaign, `--resume` continues it. Failures are
/// grouped by rule and place; of each group the fastest is replayed, made smaller and written as a plan. Ctrl-C ends the
/// campaign in order.
///
/// Exit code: 0 valid, 1 when the system broke its promise, 2 when something could not be decided or the campaign was
/// interrupted, 254 when the harness failed, 64 wrong usage.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The campaign, such as workloads/nightly.toml.
    #[arg(required_unless_present = "resume")]
    file: Option<PathBuf>,
    /// Begins nothing more after this time, such as 2h, instead of what the campaign says.
    #[arg(long)]
    budget: Option<Span>,
    /// Instead of the campaign's seed: another order, which starts with other seeds. A night takes one of its own, such as
    /// its date.
    #[arg(long, requires = "file")]
    seed: Option<u64>,
    /// Only a part of the campaign, such as 2/8: `harness merge` joins the parts.
    #[arg(long, value_name = "I/N", requires = "file")]
    shard: Option<Shard>,
    /// Continues the campaign in this folder; with FILE, starts it there when there is none yet.
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    resume: Option<PathBuf>,
    /// Room for the folders of runs, such as 10GiB: beyond it they are removed, valid ones first.
    #[arg(long, value_name = "SIZE")]
    keep: Option<Bytes>,
    /// How long each finding of real processes is made smaller, after the campaign; one of the simulation takes minutes at most.
    #[arg(long, value_name = "TIME", default_value = "20m")]
    shrink_budget: Span,
    /// The campaign's folder; when absent, a new one in results/campaigns.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many units run at the same time; one for each processor when absent.
    #[arg(long)]
    jobs: Option<usize>,
    /// The daemon to test on real processes; when absent, the one that the environment variable NORAFTD names, or else the
    /// one beside this program.
    #[arg(long)]
    noraftd: Option<PathBuf>,
    #[command(flatten)]
    notices: Notices,
}

/// Where the summary goes besides the terminal.
#[derive(clap::Args)]
pub(crate) struct Notices {
    /// Writes the summary as one paragraph, for a message in a chat.
    #[arg(long, value_name = "FILE")]
    summary_file: Option<PathBuf>,
    /// Writes the summary as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Prints annotations for GitHub Actions.
    #[arg(long)]
    github: bool,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let (folder, ledger) = match open(args)? {
        Ok(open) => open,
        Err(usage) => {
            eprintln!("harness: {usage}");
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let about = ledger.about()?;
    let harness = std::env::current_exe()?;
    let named = args
        .noraftd
        .clone()
        .or_else(|| std::env::var_os("NORAFTD").map(PathBuf::from));
    let noraftd = named.unwrap_or_else(|| harness.with_file_name("noraftd"));
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    eprintln!(
        "campaign {}, shard {}, folder {}",
        about.campaign.name,
        about.shard,
        folder.display()
    );
    // One thread: a child's death signal is bound to its parent thread.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut show = shown();
    let (end, summary) = runtime.block_on(async {
        let options = Options {
            folder: folder.clone(),
            programs: Programs::new(harness, noraftd)?,
            jobs: args.jobs.unwrap_or(processors),
            budget: args.budget.map(Span::as_duration),
            keep: args.keep,
            shrink_budget: args.shrink_budget.as_duration(),
            stop: on_signals()?,
        };
        run_campaign(ledger, options, &mut *show)
            .await
            .map_err(Box::<dyn Error>::from)
    })?;
    // Its bar goes before the answer comes.
    drop(show);
    args.notices.publish(&summary)?;
    print!("{}", summary.text());
    let interrupted = end == End::Interrupted;
    if interrupted {
        println!(
            "interrupted; it goes on with: harness campaign --resume {}",
            folder.display()
        );
    }
    // What was interrupted has not shown what it set out to show.
    if interrupted && summary.verdict() == Verdict::Valid {
        return Ok(Outcome::Unknown.into());
    }
    Ok(ExitCode::from(summary.code()))
}

/// The campaign's folder and ledger; or what is wrong with what was asked for.
fn open(args: &Args) -> Result<Result<(PathBuf, Ledger), String>, Box<dyn Error>> {
    let about = match args.file.as_deref().map(CampaignFile::load) {
        None => None,
        Some(Ok(campaign)) => Some(About {
            campaign: match args.seed {
                Some(seed) => campaign.seeded(seed),
                None => campaign,
            },
            shard: args.shard.unwrap_or(Shard::WHOLE),
        }),
        Some(Err(error)) => return Ok(Err(error.to_string())),
    };
    if let Some(folder) = &args.resume {
        match (Ledger::open(folder), &about) {
            (Ok(ledger), Some(about)) if ledger.about()? != *about => {
                return Ok(Err(format!(
                    "the campaign in {} is another one, or another shard of it: its ledger says which",
                    folder.display()
                )));
            }
            (Ok(ledger), _) => return Ok(Ok((folder.canonicalize()?, ledger))),
            (Err(error), Some(_)) if is_absent(&error) => {}
            (Err(error), None) if is_absent(&error) => {
                return Ok(Err(format!("there is no campaign to resume: {error}")));
            }
            (Err(error), _) => return Err(error.into()),
        }
    }
    let about = about.expect("without --resume, FILE is required");
    let folder = args.resume.clone().or_else(|| args.out.clone());
    let folder = folder.unwrap_or_else(|| {
        Path::new("results/campaigns")
            .join(&about.campaign.name)
            .join(utc_now())
    });
    match Ledger::create(&folder, &about) {
        Ok(ledger) => Ok(Ok((folder.canonicalize()?, ledger))),
        Err(error @ LedgerError::Exists(_)) => Ok(Err(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn is_absent(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

impl Notices {
    /// Writes the summary to wherever it is wanted.
    pub(crate) fn publish(&self, summary: &Summary) -> Result<(), Box<dyn Error>> {
        let texts = [
            (&self.summary_file, summary.paragraph()),
            (&self.junit, junit(summary)),
        ];
        for (path, text) in texts {
            if let Some(path) = path {
                std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        if self.github {
            print!("{}", github(summary));
        }
        Ok(())
    }
}

/// A bar on a terminal, a line now and then elsewhere.
fn shown() -> Box<dyn FnMut(&Progress)> {
    if std::io::stderr().is_terminal() {
        let style = ProgressStyle::with_template("{bar:20} {wide_msg}").expect("the template is one");
        let bar = ProgressBar::new(1000).with_style(style);
        return Box::new(move |progress| {
            bar.set_position(progress.permille());
            bar.set_message(line(progress));
        });
    }
    let mut next = Duration::ZERO;
    Box::new(move |progress| {
        if progress.spent >= next {
            next = progress.spent + LINE_EVERY;
            eprintln!("{}", line(progress));
        }
    })
}

fn line(progress: &Progress) -> String {
    let [valid, unknown, failed, invalid] = progress.verdicts;
    // A narrow terminal cuts off the end.
    format!(
        "{}{}; {} of {} units, {} seeds; invalid {invalid}, unknown {unknown}, valid {valid}, harness failures {failed}",
        time(progress.spent),
        left(progress).map_or_else(String::new, |left| format!(", about {} left", time(left))),
        progress.units,
        progress.base_units + progress.followers,
        progress.seeds
    )
}

/// An estimate from what is done, once a little is.
fn left(progress: &Progress) -> Option<Duration> {
    let done = progress.permille();
    (done > 0).then(|| progress.spent.mul_f64((1000 - done) as f64 / done as f64))
}

fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours}:{minutes:02}:{seconds:02}")
}

/// The first SIGINT or SIGTERM ends the campaign.
fn on_signals() -> std::io::Result<watch::Receiver<bool>> {
    let (stop, stopped) = watch::channel(false);
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
            }
            stop.send_replace(true);
        }
    });
    Ok(stopped)
}

const LINE_EVERY: Duration = Duration::from_secs(30);
