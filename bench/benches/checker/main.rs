//! Size against time and memory: our checkers beside porcupine-rs, on the same histories.
//!
//! `cargo bench -p bench --bench checker [-- --ops-max N] [--seconds S] [--peer-seconds S]
//! [--minutes M] [--logs FOLDER] [--every] [--resume] [--out FILE]` writes `results/bench/checker.md`, from the start
//! after each row: the hardest series first, then small sizes before large ones. Rows are also kept, one a
//! line, beside the build; `--resume` takes those that are there and measures the others. After
//! `--minutes` (25) no further row is begun, and the page says what is missing.
//!
//! Every measurement is a process of its own under `ulimit` (60 CPU seconds, 8 GiB), so that the peak
//! memory is its alone. Times are CPU seconds, which other work on the machine changes little. Our figures
//! are for one thread, with and without reading the file; the peer's are for its check alone, its input
//! already in memory.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use harness::generator::synthetic;
use harness::history::{Header, HistoryWriter};
use serde_json::{Value, json};

mod kept;
mod one;
mod page;
mod series;

use kept::Earlier;
use page::Row;
use series::Series;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["--one", "logs", folder] => one::all_of(Path::new(folder)),
        ["--one", who, file] => one::one(who, Path::new(file)),
        _ => Options::parse(&words).and_then(|options| table(&options)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("checker bench: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    ops_max: u64,
    /// CPU seconds a measurement may take.
    seconds: u64,
    /// The same for the peer.
    peer_seconds: u64,
    /// Folder of Jepsen's etcd logs.
    logs: Option<PathBuf>,
    /// Minutes after which no further row is begun.
    minutes: u64,
    /// All series with the most operations, not only the hardest.
    every: bool,
    /// Rows of an earlier run are taken.
    resume: bool,
    /// The page.
    out: PathBuf,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Self, Failure> {
        let mut options = Self {
            ops_max: 10_000_000,
            seconds: 60,
            peer_seconds: 60,
            logs: None,
            minutes: 25,
            every: false,
            resume: false,
            out: Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/bench/checker.md"),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or("a value is missing");
            match *word {
                "--ops-max" => options.ops_max = value()?.parse()?,
                "--seconds" => options.seconds = value()?.parse()?,
                "--peer-seconds" => options.peer_seconds = value()?.parse()?,
                "--logs" => options.logs = Some(value()?.into()),
                "--minutes" => options.minutes = value()?.parse()?,
                "--every" => options.every = true,
                "--resume" => options.resume = true,
                "--out" => options.out = value()?.into(),
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }
}

const USAGE: &str = "expected [--ops-max N] [--seconds S] [--peer-seconds S] [--minutes M] [--logs FOLDER] [--every] \
                     [--resume] [--out FILE]";

const SIZES: [u64; 5] = [1_000, 10_000, 100_000, 1_000_000, SIZE_LARGEST];
/// The size that takes long; unless asked for, only the hardest of each kind has it.
const SIZE_LARGEST: u64 = 10_000_000;

fn table(options: &Options) -> Result<(), Failure> {
    let begin = one::now();
    if let Some(folder) = options.out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let temporary = tempfile::tempdir()?;
    let logs = match &options.logs {
        Some(folder) => Some(measure("logs", folder, options.seconds)?),
        None => None,
    };
    let all = series::all();
    let wanted = wanted(&all, options);
    let mut table = Table {
        options,
        temporary: temporary.path(),
        rows: Vec::new(),
        kept: Earlier::open(&all, options.resume)?,
        ours_failed: Vec::new(),
        peer_failed: Vec::new(),
    };
    let mut missing = 0;
    for (at, operations) in wanted {
        if begin.elapsed().as_secs() >= 60 * options.minutes && table.kept.find(at, operations).is_none() {
            missing += 1;
            continue;
        }
        table.measure(at, &all[at], operations)?;
        std::fs::write(
            &options.out,
            page::write(&table.rows, logs.as_ref(), options, missing)?,
        )?;
    }
    std::fs::write(
        &options.out,
        page::write(&table.rows, logs.as_ref(), options, missing)?,
    )?;
    if missing > 0 {
        println!("{missing} rows are missing: --resume measures them");
    }
    Ok(())
}

/// Series and size of every row, in the order in which they are measured: the hardest first, so that the
/// targets are known even if the rest is not waited for.
fn wanted(all: &[Series], options: &Options) -> Vec<(usize, u64)> {
    let mut wanted = Vec::new();
    for hardest in [true, false] {
        for operations in SIZES.into_iter().filter(|size| *size <= options.ops_max) {
            let is_measured = operations < SIZE_LARGEST || hardest || options.every;
            let series = all.iter().enumerate();
            let series = series.filter(|(_, one)| is_measured && one.is_hardest() == hardest);
            wanted.extend(series.map(|(at, _)| (at, operations)));
        }
    }
    wanted
}

struct Table<'a> {
    options: &'a Options,
    temporary: &'a Path,
    rows: Vec<Row>,
    kept: Earlier,
    /// Series that did not finish, and at which size.
    ours_failed: Vec<(Series, u64)>,
    peer_failed: Vec<(Series, u64)>,
}

impl Table<'_> {
    fn measure(&mut self, at: usize, series: &Series, operations: u64) -> Result<(), Failure> {
        if self.ours_failed.iter().any(|(other, _)| other.is_same(series)) {
            return Ok(());
        }
        let row = match self.kept.find(at, operations) {
            Some(row) => row,
            None => self.measure_anew(at, series, operations)?,
        };
        if !row.ours["verdict"].is_string() {
            self.ours_failed.push((*series, operations));
        }
        if row
            .theirs
            .as_ref()
            .is_some_and(|measured| !measured["verdict"].is_string())
        {
            self.peer_failed.push((*series, operations));
        }
        print!("{}", row.line());
        self.rows.push(row);
        self.rows.sort_by_key(|row| (row.at, row.operations));
        Ok(())
    }

    fn measure_anew(&mut self, at: usize, series: &Series, operations: u64) -> Result<Row, Failure> {
        let file = generate(series, operations, self.temporary)?;
        let ours = measure("ours", &file, self.options.seconds)?;
        let hopeless = |(other, size): &(Series, u64)| operations >= *size && series.is_as_hard_as(other);
        let theirs = if self.peer_failed.iter().any(hopeless) {
            None
        } else {
            Some(measure("porcupine", &file, self.options.peer_seconds)?)
        };
        std::fs::remove_file(file)?;
        let row = Row {
            at,
            series: *series,
            operations,
            ours,
            theirs,
        };
        self.kept.add(&row)?;
        Ok(row)
    }
}

fn generate(series: &Series, operations: u64, folder: &Path) -> Result<PathBuf, Failure> {
    let path = folder.join("history.jsonl");
    let out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
    let mut writer = HistoryWriter::new(out, &Header::new("register"))?;
    synthetic::generate(&series.spec(operations), &mut |mut event| {
        writer.record(&mut event).map(drop)
    })?;
    writer.finish()?;
    Ok(path)
}

/// Measures in a process of its own; what it printed, or why it failed.
fn measure(who: &str, path: &Path, seconds: u64) -> Result<Value, Failure> {
    let program = std::env::current_exe()?;
    // 8 GiB of address space, in KiB.
    let script = format!("ulimit -t {seconds} -v 8388608; exec \"$0\" --one \"$1\" \"$2\"");
    let output = Command::new("bash")
        .args(["-c", &script])
        .arg(program)
        .arg(who)
        .arg(path)
        .output()?;
    let measured = String::from_utf8_lossy(&output.stdout);
    match measured.lines().last() {
        Some(line) if output.status.success() => Ok(serde_json::from_str(line)?),
        _ => Ok(json!({"failed": String::from_utf8_lossy(&output.stderr).lines().next()})),
    }
}
