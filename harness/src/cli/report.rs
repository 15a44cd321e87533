//! `harness report`: the page of a run that is over, made again.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use harness::run::report_again;

/// Make the page of a run again from its folder, and write it to `report.html` there.
///
/// Nothing is run or checked again: the verdict is the recorded one. Needed are `plan.toml`, `results.json` and the histories.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder of the run, such as results/runs/latest.
    folder: PathBuf,
    /// Where to write the page instead.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let page = report_again(&args.folder)?;
    let path = args
        .out
        .clone()
        .unwrap_or_else(|| args.folder.join("report.html"));
    std::fs::write(&path, page).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{}", path.display());
    Ok(ExitCode::SUCCESS)
}
