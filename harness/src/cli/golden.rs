//! `harness golden`: histories that are kept with their answers, and checked again after every change.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use harness::golden::{Golden, GoldenError, difference};
use harness::results::EXIT_HARNESS_FAILURE;

use super::how::HowArgs;

/// Keep histories with their verdicts and explanations, and check later that nothing about them has changed.
///
/// A checker that no longer finds a violation is silent about it. So keep the histories of the
/// violations that you have met, and some valid ones; after every change of the checker, of a
/// model or of the machine that runs it, `harness golden test` checks all of them again and shows
/// in words what it says differently.
///
/// Examples:
///   harness golden add results/runs/latest --name lost-write-of-may
///   harness golden add store/latest/history.edn --name first --dir golden --initial 0
///   harness golden test golden
///   harness golden test golden --accept
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Add(AddArgs),
    Test(TestArgs),
}

/// Keep a history with what is found in it now.
///
/// Copies the history, compressed, and writes beside it how it was checked, the verdict and the
/// explanation. The copy holds the same bytes, so its events keep the numbers that they have in
/// the original. Reads whatever `harness check` reads. A folder of a run with several histories
/// gives one golden history for each, called NAME-WORKLOAD.
///
/// Examples:
///   harness golden add results/runs/latest --name lost-write-of-may
///   harness golden add history.edn --name first-violation --dir golden --model register --initial 0
///
/// Read the explanation before you keep it: from then on it is what is expected.
///
/// Exit code: 0 when it was kept, whatever the verdict; 254 when it could not be; 64 wrong usage.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
struct AddArgs {
    /// The folder of a run, or a history file
    run: PathBuf,
    /// What to call it: letters, digits, `-`, `_` and `.`
    #[arg(long)]
    name: String,
    /// The folder to keep it in; it is made if it is not there
    #[arg(long, default_value = DIR)]
    dir: PathBuf,
    #[command(flatten)]
    how: HowArgs,
}

/// Check all golden histories of a folder again; show in words what is said differently.
///
/// A difference in the verdict is a fault of the old or the new checker: find out which. A
/// difference in the events means that other operations explain the violation, which may be as
/// right as before. A difference in words only is one of the report. With --accept, what is said
/// now is expected from now on.
///
/// Examples:
///   harness golden test
///   harness golden test golden --accept
///
/// Exit code: 1 if an answer has changed (0 with --accept), else 254 if a history could not be
/// checked, else 0.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
struct TestArgs {
    /// The folder
    #[arg(default_value = DIR)]
    dir: PathBuf,
    /// Expect from now on what is said now
    #[arg(long)]
    accept: bool,
}

/// Where golden histories are, unless another folder is named.
const DIR: &str = "results/golden";

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    match &args.verb {
        Verb::Add(args) => add(args),
        Verb::Test(args) => test(args),
    }
}

fn add(args: &AddArgs) -> Result<ExitCode, Box<dyn Error>> {
    for (name, history) in histories(args)? {
        let golden = Golden::add(&args.dir, &name, &history, &args.how.kept())?;
        let expected = golden.expected();
        println!(
            "kept {name}: {}, {}, {} operations used, in {}",
            expected.verdict,
            expected.model,
            expected.operations,
            golden.history().display()
        );
        print!("{}", expected.explanation);
    }
    println!("again: harness golden test {}", args.dir.display());
    Ok(ExitCode::SUCCESS)
}

/// The histories to keep, by name.
fn histories(args: &AddArgs) -> Result<Vec<(String, PathBuf)>, Box<dyn Error>> {
    if !args.run.is_dir() {
        return Ok(vec![(args.name.clone(), args.run.clone())]);
    }
    let in_folder = |error| format!("{}: {error}", args.run.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&args.run).map_err(in_folder)? {
        let path = entry.map_err(in_folder)?.path();
        if let Some(name) = name_of(&path, &args.name) {
            found.push((name, path));
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(in_folder(std::io::Error::other(
            "expected the folder of a run, with history.jsonl or history-WORKLOAD.jsonl, or history.edn in it",
        ))
        .into());
    }
    Ok(found)
}

/// What to call the file of a run's folder, if it is a history.
fn name_of(path: &Path, name: &str) -> Option<String> {
    match path.file_name()?.to_str()? {
        "history.jsonl" | "history.edn" => Some(name.to_owned()),
        file => {
            let workload = file.strip_prefix("history-")?.strip_suffix(".jsonl")?;
            Some(format!("{name}-{workload}"))
        }
    }
}

fn test(args: &TestArgs) -> Result<ExitCode, Box<dyn Error>> {
    let all = Golden::all(&args.dir)?;
    let count = all.len();
    let (mut changed, mut failed) = (0, 0);
    for golden in all {
        match test_one(golden, args.accept) {
            Ok(is_changed) => changed += usize::from(is_changed),
            Err(error) => {
                eprintln!("harness: {error}");
                failed += 1;
            }
        }
    }
    let same = count - changed - failed;
    let failures = match failed {
        0 => String::new(),
        failed => format!(", {failed} could not be checked"),
    };
    let changes = match (changed, args.accept) {
        (0, _) => String::new(),
        (changed, true) => format!(", {changed} accepted as they are now"),
        (changed, false) => format!(", {changed} changed"),
    };
    println!("{count} golden histories: {same} as expected{changes}{failures}");
    if changed > 0 && !args.accept {
        println!("accept: harness golden test {} --accept", args.dir.display());
    }
    Ok(match (changed, failed) {
        (1.., _) if !args.accept => ExitCode::from(1),
        (_, 1..) => ExitCode::from(EXIT_HARNESS_FAILURE),
        _ => ExitCode::SUCCESS,
    })
}

/// Whether it is answered differently now.
fn test_one(mut golden: Golden, accept: bool) -> Result<bool, GoldenError> {
    let answer = golden.check()?;
    let Some(difference) = difference(golden.expected(), &answer) else {
        return Ok(false);
    };
    println!("{}: the answer has changed", golden.name());
    println!("{difference}");
    if accept {
        golden.accept(answer)?;
    }
    Ok(true)
}
