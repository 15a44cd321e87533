//! `harness generate`: synthetic histories with a known verdict.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use harness::generator::synthetic::{self, Planted, Spec, Values, Workload};
use harness::history::{Header, HistoryWriter};
use harness::results::EXIT_USAGE;

/// Write a synthetic history whose verdict is known: valid by construction, or with one violation.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to simulate
    #[arg(long, value_enum, default_value = "register")]
    workload: WorkloadArg,
    /// How many operations
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..1 << 31))]
    ops: u64,
    /// How many processes run at the same time
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// How many keys
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
    /// Probability that the outcome of an operation is unknown
    #[arg(long, default_value_t = 0.0, value_parser = probability)]
    info: f64,
    /// Share of compare-and-sets (register)
    #[arg(long, default_value_t = 0.2, value_parser = probability)]
    cas: f64,
    /// Whether every value is written once, or a few values repeatedly (register)
    #[arg(long, value_enum, default_value = "unique")]
    values: ValuesArg,
    /// How many different values `repeated` uses
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    distinct: u64,
    /// The seed of every choice: the same seed gives the same history
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Violation to plant in the middle: stale-read, lost-write, future-read, garbage-read,
    /// lost-update or flicker (register), reordered-append or duplicate (log)
    #[arg(long, value_parser = parse_violation)]
    violation: Option<Planted>,
    /// File to write; standard output when absent
    #[arg(long, short)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum WorkloadArg {
    Register,
    Log,
}

#[derive(Clone, Copy, ValueEnum)]
enum ValuesArg {
    Unique,
    Repeated,
}

fn probability(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.0..=1.0).contains(&number) {
        Ok(number)
    } else {
        Err("expected a number from 0 to 1".to_owned())
    }
}

fn parse_violation(text: &str) -> Result<Planted, String> {
    Planted::parse(text).ok_or_else(|| {
        let names: Vec<_> = Planted::ALL.iter().map(|planted| planted.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// Runs the verb.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    let spec = args.spec();
    if let Some(planted) = spec.violation.filter(|planted| !planted.fits(spec.workload)) {
        eprintln!("harness: {} is not a violation of this workload", planted.name());
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let out: Box<dyn Write> = match &args.out {
        Some(path) => Box::new(File::create(path).map_err(|error| format!("{}: {error}", path.display()))?),
        None => Box::new(io::stdout().lock()),
    };
    write(args, &spec, BufWriter::with_capacity(1 << 20, out))?;
    Ok(ExitCode::SUCCESS)
}

fn write(args: &Args, spec: &Spec, out: impl Write) -> io::Result<()> {
    let name = match args.workload {
        WorkloadArg::Register => "register",
        WorkloadArg::Log => "log",
    };
    let mut header = Header {
        seed: Some(args.seed),
        ..Header::new(name)
    };
    header.extra.insert("synthetic".to_owned(), true.into());
    if let Some(planted) = spec.violation {
        header.extra.insert("violation".to_owned(), planted.name().into());
    }
    let mut writer = HistoryWriter::new(out, &header)?;
    synthetic::generate(spec, &mut |mut event| writer.record(&mut event).map(drop))?;
    writer.finish().map(drop)
}

impl Args {
    fn spec(&self) -> Spec {
        Spec {
            workload: match self.workload {
                WorkloadArg::Register => Workload::Register,
                WorkloadArg::Log => Workload::Log,
            },
            operations: self.ops,
            clients: usize::from(self.clients),
            keys: self.keys as usize,
            info: self.info,
            cas: self.cas,
            values: match self.values {
                ValuesArg::Unique => Values::Unique,
                ValuesArg::Repeated => Values::Repeated(self.distinct),
            },
            seed: self.seed,
            violation: self.violation,
        }
    }
}
