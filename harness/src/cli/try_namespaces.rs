//! `harness try-namespaces`: not for people; how the harness finds out whether it can give each node a network namespace.

use std::error::Error;
use std::process::ExitCode;

use harness::cluster::try_out;

use super::run::run_on_one_thread;

/// Enter a network of its own, make namespaces, cut links between them; say what is not possible.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Runs the verb.
pub(crate) fn run(_: &Args) -> Result<ExitCode, Box<dyn Error>> {
    run_on_one_thread(async {
        try_out().await?;
        Ok(ExitCode::SUCCESS)
    })
}
