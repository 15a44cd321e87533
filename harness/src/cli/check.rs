//! `harness check`: a verdict for every history file.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use harness::checker::{self, Budget, ModelName, Options};
use harness::results::{EXIT_HARNESS_FAILURE, Outcome};
use harness::{formats, report};
use serde_json::json;

/// Check histories: ours (JSONL), Jepsen's (EDN, log lines), Porcupine's.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// History files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Model: register, kv, log; guessed from the history without it
    #[arg(long, value_parser = parse_model)]
    model: Option<ModelName>,
    /// Value of every register before the first operation
    #[arg(long)]
    initial: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

fn parse_model(text: &str) -> Result<ModelName, String> {
    ModelName::parse(text).ok_or_else(|| {
        let names: Vec<_> = ModelName::ALL.iter().map(|model| model.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let mut worst = Outcome::Valid;
    let mut failed = false;
    for file in &args.files {
        match check_file(args, file) {
            Ok(outcome) => worst = worst.worst(outcome),
            Err(error) => {
                eprintln!("harness: {error}");
                failed = true;
            }
        }
    }
    Ok(if failed {
        ExitCode::from(EXIT_HARNESS_FAILURE)
    } else {
        worst.into()
    })
}

fn check_file(args: &Args, file: &Path) -> Result<Outcome, Box<dyn Error>> {
    let start = now();
    let mut recording = formats::read_path(file)?;
    let read = now();
    let options = Options {
        model: args.model,
        initial: args.initial.clone(),
        ..Options::default()
    };
    let report = checker::check(&mut recording, &options, &Budget::default());
    let line = Line {
        file,
        report: &report,
        reading: read - start,
        checking: now() - read,
    };
    let explanation = report::explain(&recording, &report);
    let text = match (args.json, report.outcome()) {
        (true, _) => line.json(&explanation).to_string(),
        (false, Outcome::Valid) => line.text(),
        (false, Outcome::Invalid | Outcome::Unknown) => format!("{}\n{explanation}", line.text()),
    };
    print(&text)?;
    Ok(report.outcome())
}

/// Prints a line; who closed the pipe does not want to read it.
fn print(text: &str) -> std::io::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a person wants to know how long it took"
)]
fn now() -> Instant {
    Instant::now()
}

struct Line<'a> {
    file: &'a Path,
    report: &'a checker::Report,
    reading: Duration,
    checking: Duration,
}

impl Line<'_> {
    fn json(&self, explanation: &str) -> serde_json::Value {
        let outcome = self.report.outcome();
        json!({
            "file": self.file.display().to_string(),
            "verdict": outcome,
            "model": self.report.model.name(),
            "engines": self.report.engines,
            "operations": self.report.operations,
            "parts": self.report.parts,
            "seconds": (self.reading + self.checking).as_secs_f64(),
            "check_seconds": self.checking.as_secs_f64(),
            "explanation": (outcome != Outcome::Valid).then_some(explanation),
        })
    }

    fn text(&self) -> String {
        format!(
            "{:<8} {}  {} operations, {}, read {:.3} s, checked {:.3} s",
            self.report.outcome(),
            self.file.display(),
            self.report.operations,
            self.report.model.name(),
            self.reading.as_secs_f64(),
            self.checking.as_secs_f64()
        )
    }
}
