//! `harness check`: a verdict for every history file.
//!
//! Invariant: lines come in the order of the arguments whatever finishes first; a file that cannot be
//! read is a failure of the harness, never a verdict.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::cut_off;
use super::how::HowArgs;
use harness::checker::certificate::Certificate;
use harness::checker::{self, Budget};
use harness::formats::{self, ReadError};
use harness::recording::budget::STEPS_DEFAULT;
use harness::report;
use harness::results::{EXIT_HARNESS_FAILURE, Outcome};
use serde_json::json;

/// Check recorded histories: is there an order that explains them, and if not, why not?
///
/// Reads histories of other tools as well as our own: Jepsen's history.edn (a vector, or one map a line),
/// history.txt and jepsen.log, Porcupine's key-value logs, Elle's JSON, and our JSONL, each also
/// compressed (.gz). The format and the model are guessed from the file.
///
/// Operations that the checker does not understand never decide: they are left out and counted, with the
/// reason. If one of them returned, the verdict is unknown, unless the other operations contradict each
/// other without it.
///
/// Examples:
///   harness check store/my-test/latest/history.edn --initial 0
///   harness check results/runs --explain out
///   harness check a.jsonl b.jsonl --json --budget-mem 1G --budget-time 60
///   harness check --model list-append --format elle-cli history.edn
///
/// Models: register (read, write, cas), kv (get, put, append), log (append, read, tail, trim), set,
/// set-full, counter (add, read), bank (transfer, read), lock (acquire, release),
/// exactly-once (apply, read), list-append and rw-register (transactions).
///
/// Exit code: 1 if a file is invalid, else 254 if one could not be read, else 2 if one is unknown (the
/// reason is printed), else 0. 64 wrong usage.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// History files, or folders to search for them (*.jsonl, *.json, *.edn, *.log, *.txt, each also with .gz)
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    how: HowArgs,
    /// What to print for each file: a line and the explanation of what is not valid, one JSON object, or
    /// what elle-cli prints: the file, a tab, and true, false or unknown
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print one JSON object for each file: short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write an explanation (text) and a picture (SVG) of each violation into this folder
    #[arg(long, value_name = "FOLDER")]
    explain: Option<PathBuf>,
    /// Memory that the whole process may use; when it runs out, the verdict is unknown (suffixes K, M, G)
    #[arg(long, default_value = "2G", value_parser = parse_bytes)]
    budget_mem: u64,
    /// Seconds that all files together may take; when they run out, the verdict is unknown
    #[arg(long, default_value_t = 300.0)]
    budget_time: f64,
    /// Threads [default: one for each core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text
        .trim_end_matches('B')
        .split_at(text.trim_end_matches('B').len().max(1) - 1)
    {
        (digits, "K" | "k") => (digits, 10),
        (digits, "M" | "m") => (digits, 20),
        (digits, "G" | "g") => (digits, 30),
        _ => (text, 0),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "expected bytes, such as 500M or 2G".to_owned())?;
    let bytes = number.checked_mul(1 << shift).ok_or("too many bytes")?;
    if bytes < BASE_BYTES * 2 {
        return Err(format!(
            "the program itself needs {BASE_BYTES} bytes: give at least twice that"
        ));
    }
    Ok(bytes)
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
    ElleCli,
}

impl Args {
    fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// As elle-cli prints it: Clojure puts spaces between the three.
fn elle_cli_line(file: &Path, outcome: Outcome) -> String {
    let valid = match outcome {
        Outcome::Valid => "true",
        Outcome::Invalid => "false",
        Outcome::Unknown => "unknown",
    };
    format!("{} \t {valid}", file.display())
}

/// What the process uses beside what is charged: its code, threads, read windows and reports.
const BASE_BYTES: u64 = 12 << 20;

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let files = expand(&args.files)?;
    if let Some(folder) = &args.explain {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.map_or(cores, usize::from);
    let charged = (args.budget_mem - BASE_BYTES) / SLACK_DIVISOR;
    let budget = Budget::new(charged, STEPS_DEFAULT);
    let (done, over) = mpsc::channel::<()>();
    let deadline = Duration::try_from_secs_f64(args.budget_time)?;
    let timer = budget.clone();
    std::thread::spawn(move || {
        if over.recv_timeout(deadline) == Err(mpsc::RecvTimeoutError::Timeout) {
            timer.cancel();
        }
    });
    let outcomes = check_all(args, &files, threads, &budget);
    drop(done);
    let failed = outcomes.contains(&None);
    let worst = outcomes.into_iter().flatten().max().unwrap_or(Outcome::Unknown);
    // Proof that one system broke its promise remains, whatever is wrong with another file.
    Ok(match worst {
        Outcome::Valid | Outcome::Unknown if failed => ExitCode::from(EXIT_HARNESS_FAILURE),
        worst => worst.into(),
    })
}

/// Of what is left after the base, half is charged: the allocator keeps much of what one engine gave
/// back while the next one asks for other sizes (measured: up to 1.6 times what was charged).
const SLACK_DIVISOR: u64 = 2;

/// Files named, and those in folders named, sorted.
fn expand(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    let mut folders = Vec::new();
    for argument in arguments {
        if argument.is_dir() {
            folders.push(argument.clone());
        } else {
            files.push(argument.clone());
        }
        while let Some(folder) = folders.pop() {
            let Ok(entries) = entries(&folder) else {
                // What is wrong with it is said where it would be read.
                files.push(folder);
                continue;
            };
            for path in entries {
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                } else if ends_well(&path) && formats::looks_like_history(&path).unwrap_or(true) {
                    files.push(path);
                }
            }
        }
    }
    if files.is_empty() {
        Err("no history files in these folders".into())
    } else {
        Ok(files)
    }
}

fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut entries: Vec<PathBuf> = entries.collect::<std::io::Result<_>>()?;
    entries.sort();
    Ok(entries)
}

fn ends_well(path: &Path) -> bool {
    const ENDINGS: [&str; 5] = ["jsonl", "json", "edn", "log", "txt"];
    let known = |path: &Path| {
        path.extension()
            .is_some_and(|end| ENDINGS.iter().any(|known| end == *known))
    };
    let is_compressed = path.extension().is_some_and(|end| end == "gz");
    known(path) || (is_compressed && path.file_stem().is_some_and(|stem| known(Path::new(stem))))
}

/// Checks all files; `None` for those that could not be read.
fn check_all(args: &Args, files: &[PathBuf], threads: usize, budget: &Budget) -> Vec<Option<Outcome>> {
    let next = AtomicUsize::new(0);
    let printer = Mutex::new(Printer {
        next: 0,
        waiting: BTreeMap::new(),
        outcomes: Vec::new(),
    });
    // Few files share the threads among their keys.
    let inner = (threads / files.len()).max(1);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(at) else { return };
            let checked = check_file(args, file, inner, budget).map_err(|error| Unread {
                file: file.display().to_string(),
                error: error.to_string(),
                as_json: args.format() == Format::Json,
            });
            printer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .hand_in(at, checked);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(files.len()) {
            scope.spawn(work);
        }
        work();
    });
    printer
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .outcomes
}

/// A verdict and its text.
struct Checked {
    outcome: Outcome,
    text: String,
}

/// A file without a verdict.
struct Unread {
    file: String,
    error: String,
    as_json: bool,
}

/// Prints what is handed in, in order.
struct Printer {
    next: usize,
    waiting: BTreeMap<usize, Result<Checked, Unread>>,
    outcomes: Vec<Option<Outcome>>,
}

impl Printer {
    fn hand_in(&mut self, at: usize, checked: Result<Checked, Unread>) {
        self.waiting.insert(at, checked);
        while let Some(checked) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.outcomes.push(match checked {
                Ok(Checked { outcome, text }) => match print(&text) {
                    Ok(()) => Some(outcome),
                    Err(error) => complain(&error.to_string()),
                },
                Err(unread) => {
                    if unread.as_json {
                        let line = json!({ "file": unread.file, "verdict": null, "error": unread.error });
                        if let Err(error) = print(&line.to_string()) {
                            complain(&error.to_string());
                        }
                    }
                    complain(&unread.error)
                }
            });
        }
    }
}

fn complain(error: &str) -> Option<Outcome> {
    eprintln!("harness: {error}");
    None
}

/// Prints a line; a reader that closed the pipe does not want it.
fn print(text: &str) -> std::io::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn check_file(args: &Args, file: &Path, threads: usize, budget: &Budget) -> Result<Checked, Box<dyn Error>> {
    let start = now();
    let mut cut_off = cut_off::note(file);
    let mut recording = match cut_off::read(file, budget, &mut cut_off) {
        Ok(recording) => recording,
        Err(error @ ReadError::Budget { .. }) => return Ok(unread(args, file, &error)),
        Err(error) => return Err(error.into()),
    };
    recording.failed_cas_differs |= args.how.failed_cas_differs;
    let read = now();
    let options = args.how.options(threads);
    let report = checker::check(&mut recording, &options, budget);
    let line = Line {
        file,
        report: &report,
        cut_off,
        reading: read - start,
        checking: now() - read,
    };
    let outcome = report.outcome();
    let explanation = report::explain(&recording, &report);
    if let Some(folder) = args.explain.as_ref().filter(|_| outcome != Outcome::Valid) {
        write_explanation(folder, file, &explanation, report::svg::draw(&recording, &report))?;
    }
    let text = match (args.format(), outcome) {
        (Format::Json, _) => line.json(&explanation).to_string(),
        (Format::ElleCli, _) => elle_cli_line(file, outcome),
        (Format::Text, Outcome::Valid) => line.text(),
        (Format::Text, Outcome::Invalid | Outcome::Unknown) => format!("{}\n{explanation}", line.text()),
    };
    Ok(Checked { outcome, text })
}

/// The answer about a file that does not fit into the budget.
fn unread(args: &Args, file: &Path, error: &ReadError) -> Checked {
    let name = file.display().to_string();
    let text = match args.format() {
        Format::Json => json!({
            "file": name, "verdict": Outcome::Unknown, "operations": 0, "seconds": 0.0,
            "explanation": error.to_string(), "peak_bytes": peak_bytes(),
        })
        .to_string(),
        Format::ElleCli => elle_cli_line(file, Outcome::Unknown),
        Format::Text => format!("{:<8} {name}\nunknown: {error}\n", Outcome::Unknown),
    };
    Checked {
        outcome: Outcome::Unknown,
        text,
    }
}

fn write_explanation(
    folder: &Path,
    file: &Path,
    text: &str,
    svg: Option<String>,
) -> Result<(), Box<dyn Error>> {
    let name: String = file
        .to_string_lossy()
        .trim_start_matches(['/', '.'])
        .replace('/', "_");
    let write = |ending: &str, content: &str| {
        let path = folder.join(format!("{name}.{ending}"));
        std::fs::write(&path, content).map_err(|error| format!("{}: {error}", path.display()))
    };
    write("txt", text)?;
    if let Some(svg) = svg {
        write("svg", &svg)?;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a person wants to know how long it took"
)]
fn now() -> Instant {
    Instant::now()
}

/// Most memory this process ever had, as the kernel counts it.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes << 10)
}

struct Line<'a> {
    file: &'a Path,
    report: &'a checker::Report,
    /// What has to be said of a run that did not come to its end.
    cut_off: Option<String>,
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
            "recorded": self.report.usage.recorded,
            "ignored": self.report.usage.ignored,
            "parts": self.report.parts,
            "seconds": (self.reading + self.checking).as_secs_f64(),
            "check_seconds": self.checking.as_secs_f64(),
            "peak_bytes": peak_bytes(),
            "certificate": self.certificate(),
            "cut_off": self.cut_off,
            "explanation": (outcome != Outcome::Valid).then_some(explanation),
        })
    }

    fn certificate(&self) -> Option<&'static str> {
        match self.report.certificate {
            Certificate::Proven => Some("the order of log indexes explains the history"),
            Certificate::Contradicted(_) => Some("the order of log indexes is wrong"),
            Certificate::Absent => None,
        }
    }

    fn text(&self) -> String {
        let certificate = self
            .certificate()
            .map_or_else(String::new, |shown| format!("; {shown}"));
        let cut_off = self
            .cut_off
            .as_ref()
            .map_or_else(String::new, |note| format!("\n  note: {note}"));
        format!(
            "{:<8} {}  {}, {}, read {:.3} s, checked {:.3} s{certificate}{cut_off}",
            self.report.outcome(),
            self.file.display(),
            self.report.usage,
            self.report.model.name(),
            self.reading.as_secs_f64(),
            self.checking.as_secs_f64()
        )
    }
}
