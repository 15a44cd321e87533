//! `harness generate`: synthetic histories with a known verdict.

use std::error::Error;
use std::process::ExitCode;

/// Write a synthetic history with a known verdict.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Workload.
    #[arg(long, default_value = "register")]
    workload: String,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    Err(format!("{}: generating is not there yet", args.workload).into())
}
