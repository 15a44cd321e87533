//! Size against time and memory: our checkers beside porcupine-rs, on the same histories.
//!
//! `cargo bench -p harness --bench checker [-- --ops-max N] [--seconds S]` writes
//! `results/bench/checker.md`. Every measurement is a process of its own under `ulimit` (60 CPU seconds,
//! 8 GiB), so that the peak memory is its alone. Times are CPU seconds, which other work on the
//! machine does not change. Our figures are for one thread, with and without reading the file; the
//! peer's are for its check alone, its input already in memory.

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use harness::checker::register::{Register, RegisterOp, drop_unseen};
use harness::checker::{self, Budget, NEVER, Options};
use harness::generator::synthetic::{self, Planted, Spec, Values};
use harness::history::{Header, HistoryWriter};
use harness::model::Call;
use harness::{formats, model::Model};
use serde_json::{Value, json};

#[path = "../tests/common/peer.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod peer;

type Failure = Box<dyn std::error::Error>;

/// A row of the table: everything but the number of operations.
struct Series {
    name: &'static str,
    clients: usize,
    keys: usize,
    info: f64,
    values: Values,
    cas: f64,
    violation: Option<Planted>,
}

const fn series(name: &'static str, clients: usize, keys: usize, info: f64) -> Series {
    Series {
        name,
        clients,
        keys,
        info,
        values: Values::Unique,
        cas: 0.2,
        violation: None,
    }
}

const REPEATED: Values = Values::Repeated(5);

fn all() -> Vec<Series> {
    let stale = Some(Planted::StaleRead);
    vec![
        series("unique", 5, 1, 0.0),
        series("unique", 20, 1, 0.0),
        series("unique", 50, 1, 0.01),
        Series {
            violation: stale,
            ..series("unique, invalid", 50, 1, 0.01)
        },
        series("unique", 50, 10, 0.01),
        series("unique", 50, 100, 0.01),
        Series {
            values: REPEATED,
            cas: 0.0,
            ..series("blind writes, 5 values", 50, 1, 0.01)
        },
        Series {
            values: REPEATED,
            cas: 0.0,
            violation: stale,
            ..series("blind writes, invalid", 50, 1, 0.01)
        },
        Series {
            values: REPEATED,
            ..series("5 values, cas", 5, 1, 0.0)
        },
        Series {
            values: REPEATED,
            ..series("5 values, cas", 20, 1, 0.0)
        },
        Series {
            values: REPEATED,
            ..series("5 values, cas", 5, 100, 0.01)
        },
    ]
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["--one", who, file] => one(who, Path::new(file)),
        _ => options(&words).and_then(|(ops_max, seconds)| table(ops_max, seconds)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("checker bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(words: &[&str]) -> Result<(u64, u64), Failure> {
    let (mut ops_max, mut seconds) = (1_000_000, 60);
    for pair in words.chunks(2) {
        match pair {
            ["--ops-max", number] => ops_max = number.parse()?,
            ["--seconds", number] => seconds = number.parse()?,
            _ => return Err("expected [--ops-max N] [--seconds S]".into()),
        }
    }
    Ok((ops_max, seconds))
}

/// Measures in this process and prints a JSON object.
fn one(who: &str, file: &Path) -> Result<(), Failure> {
    let begin = cpu_seconds()?;
    let mut recording = formats::read_path_within(file, &Budget::new(6 << 30, u64::MAX))?;
    let read = cpu_seconds()?;
    let (verdict, begun) = if who == "ours" {
        let budget = Budget::new(6 << 30, u64::MAX);
        let report = checker::check(&mut recording, &Options::default(), &budget);
        (report.outcome().name().to_owned(), begin)
    } else {
        let parts = peer_parts(&recording)?;
        drop(recording);
        // From here on the peak counts again.
        std::fs::write("/proc/self/clear_refs", "5")?;
        let begun = cpu_seconds()?;
        let valid = parts
            .iter()
            .map(|part| peer::decide(part, Duration::from_secs(3600)))
            .collect::<Vec<_>>();
        let verdict = match (valid.contains(&Some(false)), valid.contains(&None)) {
            (true, _) => "invalid",
            (false, true) => "unknown",
            (false, false) => "valid",
        };
        (verdict.to_owned(), begun)
    };
    let end = cpu_seconds()?;
    let check = if who == "ours" { end - read } else { end - begun };
    println!(
        "{}",
        json!({"verdict": verdict, "check": check, "all": end - begun, "bytes": peak_bytes()?})
    );
    Ok(())
}

type PeerPart = Vec<porcupine_rs::Operation<peer::PeerRegister>>;

fn peer_parts(recording: &checker::recording::Recording) -> Result<Vec<PeerPart>, Failure> {
    let mut by_key: std::collections::BTreeMap<checker::datum::Datum, Vec<Call<RegisterOp>>> =
        Default::default();
    for (id, operation) in recording.effective() {
        let known = operation.ret != NEVER;
        let pair = recording.pool.as_list(operation.input);
        let op = match (recording.function(operation), pair) {
            ("read", _) if known => RegisterOp::Read(operation.output),
            ("read", _) => continue,
            ("write", _) => RegisterOp::Write(operation.input),
            ("cas", Some(&[expected, _])) if known && operation.output != expected => {
                RegisterOp::Read(operation.output)
            }
            ("cas", Some(&[expected, new])) => RegisterOp::Cas(expected, new),
            (other, _) => return Err(format!("a register has no {other}").into()),
        };
        let call = Call {
            id,
            call: operation.call,
            ret: operation.ret,
            op,
        };
        by_key.entry(operation.key).or_default().push(call);
    }
    let initial = Register {
        initial: checker::datum::Datum::NIL,
    }
    .init();
    let parts = by_key.into_values().map(|mut calls| {
        // The peer gets the same help: writes nobody saw are dropped.
        drop_unseen(&mut calls);
        peer::translate(initial, &calls)
    });
    Ok(parts.collect())
}

/// User and system time of this process.
fn cpu_seconds() -> Result<f64, Failure> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<f64>().ok())
            .ok_or("no times in stat")
    };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

fn peak_bytes() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .ok_or("no peak in status")?;
    let kilobytes: u64 = line
        .split_whitespace()
        .nth(1)
        .ok_or("no peak in status")?
        .parse()?;
    Ok(kilobytes << 10)
}

fn table(ops_max: u64, seconds: u64) -> Result<(), Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/bench");
    std::fs::create_dir_all(&folder)?;
    let temporary = tempfile::tempdir()?;
    let mut rows = String::new();
    for series in all() {
        let mut peer_runs = true;
        let sizes = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
        for operations in sizes.into_iter().filter(|operations| *operations <= ops_max) {
            let file = generate(&series, operations, temporary.path())?;
            let ours = measure("ours", &file, seconds)?;
            let theirs = if peer_runs {
                Some(measure("porcupine", &file, seconds)?)
            } else {
                None
            };
            // What did not finish at this size is not asked about a larger one.
            peer_runs = theirs.as_ref().is_some_and(|told| told["verdict"].is_string());
            let row = row(&series, operations, &ours, theirs.as_ref());
            print!("{row}");
            rows.push_str(&row);
            std::fs::remove_file(file)?;
        }
    }
    std::fs::write(folder.join("checker.md"), page(&rows, seconds)?)?;
    Ok(())
}

fn generate(series: &Series, operations: u64, folder: &Path) -> Result<PathBuf, Failure> {
    let spec = Spec {
        operations,
        clients: series.clients,
        keys: series.keys,
        info: series.info,
        cas: series.cas,
        values: series.values,
        seed: 1,
        violation: series.violation,
        ..Spec::default()
    };
    let path = folder.join("history.jsonl");
    let out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    let mut writer = HistoryWriter::new(out, &Header::new("register"))?;
    synthetic::generate(&spec, &mut |mut event| writer.record(&mut event).map(drop))?;
    writer.finish()?;
    Ok(path)
}

fn measure(who: &str, file: &Path, seconds: u64) -> Result<Value, Failure> {
    let program = std::env::current_exe()?;
    // 8 GiB of address space, in KiB.
    let script = format!("ulimit -t {seconds} -v 8388608; exec \"$0\" --one \"$1\" \"$2\"");
    let output = Command::new("bash")
        .args(["-c", &script])
        .arg(program)
        .arg(who)
        .arg(file)
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    match told.lines().last() {
        Some(line) if output.status.success() => Ok(serde_json::from_str(line)?),
        _ => Ok(json!({"failed": String::from_utf8_lossy(&output.stderr).lines().next()})),
    }
}

fn row(series: &Series, operations: u64, ours: &Value, theirs: Option<&Value>) -> String {
    let number = |told: &Value, name: &str| told[name].as_f64();
    let seconds =
        |told: &Value, name| number(told, name).map_or("-".to_owned(), |value| format!("{value:.2}"));
    let memory =
        |told: &Value| number(told, "bytes").map_or("-".to_owned(), |value| format!("{:.0}", value / 1e6));
    let (their_verdict, their_seconds, their_memory) = match theirs {
        Some(told) if told["verdict"].is_string() => (
            told["verdict"].as_str().unwrap_or("-"),
            seconds(told, "check"),
            memory(told),
        ),
        Some(_) => ("over the limit", "-".to_owned(), "-".to_owned()),
        None => ("not tried", "-".to_owned(), "-".to_owned()),
    };
    format!(
        "| {} | {} | {} | {}% | {operations} | {} | {} | {} | {} | {their_verdict} | {their_seconds} | {their_memory} |\n",
        series.name,
        series.clients,
        series.keys,
        series.info * 100.0,
        ours["verdict"].as_str().unwrap_or("over the limit"),
        seconds(ours, "check"),
        seconds(ours, "all"),
        memory(ours),
    )
}

fn page(rows: &str, seconds: u64) -> Result<String, Failure> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("unknown")
        .trim();
    let cpu = cpu.trim_start_matches([':', ' ']);
    let mut page = String::new();
    writeln!(page, "# Checkers: size against time and memory\n")?;
    writeln!(
        page,
        "Written by `make bench-checker`. One thread, CPU seconds, {cpu}. Limits: {seconds} CPU seconds, 8 GiB. \
         A checker that does not finish is not asked about larger histories. Ours: check alone, with reading the \
         file, peak memory of the process (MB). porcupine-rs 0.3: check alone, peak memory.\n"
    )?;
    writeln!(
        page,
        "| history | clients | keys | info | operations | ours | check s | with reading s | MB | porcupine-rs | s | MB |"
    )?;
    writeln!(page, "|-|-|-|-|-|-|-|-|-|-|-|-|")?;
    page.push_str(rows);
    Ok(page)
}
