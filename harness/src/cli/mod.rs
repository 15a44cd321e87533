//! Command line: one verb a file; usage errors end with 64, trouble of the harness itself with 254.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use harness::cluster::TRIAL_VERB;
use harness::cluster::guard::GUARD_VERB;
use harness::results::{EXIT_HARNESS_FAILURE, EXIT_USAGE};

// First: its macros are those of the modules behind it.
#[macro_use]
mod output;

mod become_child;
mod bugs;
mod campaign;
mod check;
mod coverage;
mod crash_points;
mod cut_off;
mod export;
mod generate;
mod golden;
mod how;
mod merge;
mod plans;
mod publish;
mod replay;
mod report;
mod run;
mod serve;
mod shrink;
mod shrink_real;
mod sim;
mod subject;
mod systems;
mod topologies;
mod try_namespaces;

/// A Jepsen-style tester: faults, histories, linearizability checking, explanations.
///
/// Exit codes: 0 valid, 1 invalid, 2 unknown (with the reason), 64 wrong usage, 254 the harness failed.
#[derive(Parser)]
#[command(name = "harness", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Run(run::Args),
    Sim(sim::Args),
    Campaign(campaign::Args),
    Merge(merge::Args),
    Plans(plans::Args),
    Replay(replay::Args),
    Report(report::Args),
    Serve(serve::Args),
    Publish(publish::Args),
    Shrink(shrink::Args),
    Topologies(topologies::Args),
    CrashPoints(crash_points::Args),
    Bugs(bugs::Args),
    Systems(systems::Args),
    Check(check::Args),
    Export(export::Args),
    Golden(golden::Args),
    Generate(generate::Args),
    #[command(name = GUARD_VERB, hide = true)]
    Become(become_child::Args),
    #[command(name = TRIAL_VERB, hide = true)]
    TryNamespaces(try_namespaces::Args),
}

/// Parses the arguments, runs the verb, prints what failed.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let result = match cli.verb {
        Verb::Run(args) => run::run(args),
        Verb::Sim(args) => sim::run(&args),
        Verb::Campaign(args) => campaign::run(&args),
        Verb::Merge(args) => merge::run(&args),
        Verb::Plans(args) => plans::run(&args),
        Verb::Replay(args) => replay::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::Serve(args) => serve::run(&args),
        Verb::Publish(args) => publish::run(&args),
        Verb::Shrink(args) => shrink::run(&args),
        Verb::Topologies(args) => topologies::run(&args),
        Verb::CrashPoints(args) => crash_points::run(args),
        Verb::Bugs(args) => bugs::run(args),
        Verb::Systems(args) => systems::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Export(args) => export::run(&args),
        Verb::Golden(args) => golden::run(&args),
        Verb::Generate(args) => generate::run(&args),
        Verb::Become(args) => become_child::run(&args),
        Verb::TryNamespaces(args) => try_namespaces::run(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("harness: {error}");
        ExitCode::from(EXIT_HARNESS_FAILURE)
    })
}

/// Help and version are answers, not errors.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed stderr leaves no reader.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(EXIT_USAGE)
    } else {
        ExitCode::SUCCESS
    }
}
