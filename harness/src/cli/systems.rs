//! `harness systems`: which systems can be tested, and whether their programs are here.

use std::error::Error;
use std::process::ExitCode;

use harness::systems::{BUILT_IN, Installed, System};

/// List the systems that come with the harness: what each is, which version is here, and what is missing.
///
/// `harness run PLAN --system NAME` tests one; a file in their form (harness/systems/) declares another one.
///
/// Exit code: 0, also when programs are missing.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Runs the verb.
pub(crate) fn run(_: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let harness = std::env::current_exe()?;
    for (name, _) in BUILT_IN {
        let system = System::find(name)?;
        println!("{name}: {}", system.about);
        let workloads: Vec<&str> = system.workloads.iter().map(String::as_str).collect();
        println!("  workloads: {}", workloads.join(", "));
        match Installed::of(system, &harness) {
            Ok(installed) => println!("  here: {}", installed.title()),
            Err(missing) => println!("  {missing}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}
