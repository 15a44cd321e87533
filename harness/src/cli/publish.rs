//! `harness publish`: what `harness serve` shows, as files.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use harness::browse::catalogue::Reader;
use harness::browse::publish::{PublishError, publish};
use harness::campaign::Bytes;
use harness::results::EXIT_USAGE;

/// Write what `harness serve` shows as files, for a web server or to be opened as they are.
///
/// The folder has the pages, and below files/ the files of the newest runs: reports, histories, logs. Each run can be compared with the
/// run before it and with the last valid one. A folder that this made is replaced as a whole; any other is left alone.
///
/// Exit code: 0 when it was written, 64 when there are no results or DIR is something else, 254 when it could not be written.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder to write.
    #[arg(value_name = "DIR")]
    out: PathBuf,
    /// The folder of results: runs and campaigns, however deep.
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Room for the files of runs; the newest come first.
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    room: Bytes,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let usage = |error: &dyn std::fmt::Display| {
        eprintln!("harness: {error}");
        Ok(ExitCode::from(EXIT_USAGE))
    };
    let reader = match Reader::new(&args.results) {
        Ok(reader) => reader,
        Err(error) => return usage(&format!("{}: {error}", args.results.display())),
    };
    if args.out.file_name().is_none() {
        return usage(&format!("{} is no name of a folder to write", args.out.display()));
    }
    let written = match publish(reader, &args.out, args.room.get()) {
        Ok(written) => written,
        Err(error @ (PublishError::NotOurs(_) | PublishError::HoldsResults(_))) => return usage(&error),
        Err(error @ PublishError::Io { .. }) => return Err(error.into()),
    };
    println!("{}", args.out.join("index.html").display());
    eprintln!(
        "harness: {} pages; {} runs with their files, {} MiB{}",
        written.pages,
        written.runs,
        written.bytes >> 20,
        match written.left_out {
            0 => String::new(),
            left_out => format!(", and {left_out} without, for want of room"),
        }
    );
    Ok(ExitCode::SUCCESS)
}
