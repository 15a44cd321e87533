//! The command line: one file a verb.
//!
//! Invariant: every verb ends with one of the codes in [`crate::exit`]; an error is one line on
//! stderr that says what to change (or a few that show the place in a file).

mod cert;
mod check_disk;
mod completion;
mod dev;
mod doctor;
mod events;
mod given;
mod inspect;
mod join;
mod member;
mod order;
mod query;
mod recover;
mod rejoin;
mod repair;
mod serve;
mod snapshot;
mod status;
mod status_table;
mod tls_flags;
mod transfer;
mod upgrade;
mod voters;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::exit::{EXIT_CODES, Exit};

/// A consensus daemon: a replicated, durable, linearizable key space and log that speaks the Redis
/// protocol.
///
/// Every node takes every command and passes it to the leader; reads are linearizable; a write is
/// acknowledged when a majority has it on disk.
#[derive(Debug, Parser)]
#[command(name = "noraftd", version, after_help = EXAMPLES, after_long_help = LONG_EXAMPLES.as_str())]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(Box<serve::Serve>),
    Dev(dev::Dev),
    Status(status::AskStatus),
    Events(events::AskEvents),
    Doctor(doctor::Doctor),
    Member(member::Member),
    Voters(voters::Voters),
    Transfer(transfer::Transfer),
    Upgrade(upgrade::Upgrade),
    Cert(cert::Cert),
    Inspect(inspect::Inspect),
    CheckDisk(check_disk::CheckDisk),
    Snapshot(snapshot::Snapshot),
    Repair(Box<repair::Repair>),
    Rejoin(Box<rejoin::Rejoin>),
    Recover(recover::Recover),
    Completion(completion::Completion),
}

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            // Nothing reads it when the other end of the pipe is gone.
            let _ = error.print();
            return exit.into();
        }
    };
    crate::store::name_lost_pages();
    crate::store::take_file_limits_as_errors();
    let exit = match cli.verb {
        Verb::Serve(verb) => verb.run(),
        Verb::Dev(verb) => verb.run(),
        Verb::Status(verb) => verb.run(),
        Verb::Events(verb) => verb.run(),
        Verb::Doctor(verb) => verb.run(),
        Verb::Member(verb) => verb.run(),
        Verb::Voters(verb) => verb.run(),
        Verb::Transfer(verb) => verb.run(),
        Verb::Upgrade(verb) => verb.run(),
        Verb::Cert(verb) => verb.run(),
        Verb::Inspect(verb) => verb.run(),
        Verb::CheckDisk(verb) => verb.run(),
        Verb::Snapshot(verb) => verb.run(),
        Verb::Repair(verb) => verb.run(),
        Verb::Rejoin(verb) => verb.run(),
        Verb::Recover(verb) => verb.run(),
        Verb::Completion(verb) => verb.run(Cli::command()),
    };
    exit.into()
}

/// Says on stdout what was asked for.
fn say(text: impl std::fmt::Display) {
    // The reader may have seen enough and closed the pipe.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Says on stderr why a verb failed.
fn complain(reason: impl std::fmt::Display) {
    eprintln!("noraftd: {reason}");
}

const EXAMPLES: &str = "\
Examples:
  noraftd dev                        three nodes on this machine, to try things out
  redis-cli -p 7601 set greeting hi  talk to the first of them
  noraftd status 127.0.0.1:7601      role, term, leader and indexes of a node
  noraftd serve --config node1.toml  one node of a real cluster";

static LONG_EXAMPLES: std::sync::LazyLock<String> =
    std::sync::LazyLock::new(|| format!("{EXAMPLES}\n\n{EXIT_CODES}"));
