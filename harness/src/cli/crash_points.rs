//! `harness crash-points`: a crash between the writes of the kernel, many times.

use std::error::Error;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use harness::cluster::power::private_mounts;
use harness::crash_points::{Options, run as run_crash_points};
use harness::plan::Span;

use super::run::run_on_one_thread;
use super::subject::daemon;

/// Crash between the writes of the kernel: what of a real disk is left, and does the daemon start from it?
///
/// One daemon runs on an ext4 file system whose disk, a file of the harness (FUSE), numbers every
/// write and flush of the kernel. After some seconds, the disk is made what it would be after a
/// crash at one of these points: what was flushed stays, and of the rest nothing, all, or any blocks.
/// The daemon is started from it, and has to have every append that was acknowledged before.
///
/// It takes root, /dev/fuse and a loop device. The seed decides which points are tried and what each
/// crash leaves; what the kernel writes differs from run to run, so a point that fails leaves its
/// image, which can be mounted.
///
/// Examples:
///   harness crash-points
///   harness crash-points --points 2000 --time 10s
///   harness crash-points --forgets
///
/// Exit code: 0 valid, 1 when something acknowledged was lost or the daemon did not start, 2 when
/// nothing was shown, 254 when the machine does not let us.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// At most so many crashes
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    points: u64,
    /// How long clients append before
    #[arg(long, default_value = "3s")]
    time: Span,
    /// Decides which points are tried, and what each crash leaves
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The disk says that it flushed, and did not: shows that what is lost is found
    #[arg(long)]
    forgets: bool,
    /// Where the folder of the run is made; it goes when nothing is found
    #[arg(long, value_name = "DIR", default_value = "results/crash-points")]
    out: PathBuf,
    /// The daemon; when absent, as of `harness run`
    #[arg(long)]
    noraftd: Option<PathBuf>,
}

/// Runs the verb.
pub(crate) fn run(args: Args) -> Result<ExitCode, Box<dyn Error>> {
    // Refused, the file system is refused too, which says so.
    let _ = private_mounts();
    let harness = std::env::current_exe()?;
    let options = Options {
        seed: args.seed,
        time: args.time.as_duration(),
        points: usize::try_from(args.points)?,
        forgets: args.forgets,
        out: args.out,
        noraftd: daemon(args.noraftd, &harness)?,
        harness,
    };
    let every = if std::io::stderr().is_terminal() { 10 } else { 100 };
    let mut show = |done: usize, all: usize| {
        if done.is_multiple_of(every) || done == all {
            eprintln!("{done} of {all} crashes");
        }
    };
    let report = run_on_one_thread(async {
        run_crash_points(&options, &mut show)
            .await
            .map_err(Box::<dyn Error>::from)
    })?;
    print!("{report}");
    println!("verdict: {}", report.verdict());
    Ok(report.verdict().into())
}
