//! `harness export`: our histories as Jepsen's `history.edn`.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harness::jepsen::export;

/// Write the histories of a run as Jepsen writes them, for Elle, Knossos and other tools that read EDN.
///
/// Each history.jsonl gives a history.edn: one operation map a line, with the same numbers and times.
/// What Jepsen has no field for is in keys of its own (:noraft/saw, :noraft/at, ...), which other tools
/// pass over; `harness check` reads them, and comes to the same verdict.
///
/// Examples:
///   harness export results/runs/latest
///   harness export results/runs/latest/history.jsonl --out edn
///   harness check results/runs/latest/history.edn --format elle-cli
///
/// Exit code: 0 when all were written, 254 when one could not be, 64 wrong usage.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The folder of a run, or one of our histories (.jsonl, .jsonl.gz)
    run: PathBuf,
    /// The folder to write into; when absent, the one that the history is in
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    }
    for history in histories(&args.run)? {
        let target = target(&history, args.out.as_deref());
        let events = export_one(&history, &target)?;
        println!("{}: {events} events", target.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The histories of a run, or the one that is named.
fn histories(run: &Path) -> Result<Vec<PathBuf>, String> {
    if !run.is_dir() {
        return Ok(vec![run.to_owned()]);
    }
    let at = |error: std::io::Error| format!("{}: {error}", run.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(run).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with("history") && name.ends_with(".jsonl") {
            found.push(path);
        }
    }
    found.sort();
    match found.is_empty() {
        true => Err(format!(
            "{}: expected the folder of a run, with history.jsonl in it",
            run.display()
        )),
        false => Ok(found),
    }
}

/// The same name, with the ending `edn`.
fn target(history: &Path, out: Option<&Path>) -> PathBuf {
    let mut path = history.to_owned();
    if path.extension().is_some_and(|ending| ending == "gz") {
        path.set_extension("");
    }
    path.set_extension("edn");
    match (out, path.file_name()) {
        (Some(out), Some(name)) => out.join(name),
        (Some(_), None) | (None, _) => path,
    }
}

fn export_one(history: &Path, target: &Path) -> Result<u64, Box<dyn Error>> {
    let at = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut input = BufReader::new(File::open(history).map_err(|error| at(history, &error))?);
    let is_gzip = input
        .fill_buf()
        .map_err(|error| at(history, &error))?
        .starts_with(&GZIP);
    let input: Box<dyn BufRead> = match is_gzip {
        true => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(input))),
        false => Box::new(input),
    };
    let output = File::create(target).map_err(|error| at(target, &error))?;
    let mut output = BufWriter::new(output);
    export(input, &mut output).map_err(|error| at(history, &error).into())
}

/// What gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
