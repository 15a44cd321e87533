//! The daemon beside its peers: three noraftd, three etcd-server and one redis-server on one machine, in one run.
//!
//! One load generator drives all of them in turn; rounds are interleaved, so that whatever else the machine
//! does falls on all alike. What counts is a ratio within a run, never a figure of its own.
//!
//! Invariant: every process and directory that a run makes is gone when it ends: guards remove them on
//! errors, panics, SIGINT and SIGTERM. After a SIGKILL the kernel still kills the processes; only the
//! directory, under `target/tmp`, stays.
//!
//! `make bench-daemon` runs it; `cargo bench -p bench --bench daemon -- --help` lists the flags.

mod clock;
mod deployment;
mod disk;
mod etcd;
mod facts;
mod failover;
mod figures;
mod first_write;
mod launch;
mod load;
mod options;
mod ports;
mod process;
mod report;
mod resp;
mod rounds;
mod run;
mod system;
mod wire;
mod workload;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use crate::options::Options;

fn main() -> ExitCode {
    if let Some(arguments) = process::guarded_command() {
        return complain(&process::become_guarded(&arguments));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error),
    };
    let options = Options::parse();
    let outcome = LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            outcome = run::run(&options) => outcome,
            signal = end_signal() => Err(format!("ended by {signal}")),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

fn complain(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("bench: {error}");
    ExitCode::FAILURE
}

async fn end_signal() -> String {
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    match (interrupt, terminate) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => "SIGINT".to_owned(),
            _ = terminate.recv() => "SIGTERM".to_owned(),
        },
        (Err(error), _) | (_, Err(error)) => format!("no signal handler: {error}"),
    }
}
