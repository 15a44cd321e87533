//! `harness merge`: joins the shards of a campaign.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use harness::campaign::merge;

use super::campaign::Notices;

/// Join the shards of a campaign: their ledgers, findings and folders of runs.
///
/// Exit code: as that of `harness campaign`, for all shards together.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folders of the shards.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// The folder of the whole campaign; it is made.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    notices: Notices,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let summary = merge(&args.folders, &args.out)?;
    args.notices.publish(&summary)?;
    print!("{}", summary.text());
    Ok(ExitCode::from(summary.code()))
}
