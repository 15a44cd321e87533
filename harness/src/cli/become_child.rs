//! `harness become`: not for people; how the harness starts daemons that die with it.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use harness::cluster::guard::become_child_of;

/// Ask for SIGKILL at the parent's death, then become PROGRAM.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The network namespace to enter first.
    #[arg(long)]
    namespace: Option<PathBuf>,
    /// The process that this one must not outlive.
    parent: i32,
    /// What to become.
    program: OsString,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Runs the verb. It returns only when it failed.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let error = become_child_of(
        args.parent,
        args.namespace.as_deref(),
        &args.program,
        &args.arguments,
    );
    Err(format!("cannot start {}: {error}", args.program.display()).into())
}
