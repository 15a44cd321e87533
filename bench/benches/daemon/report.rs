//! The report, in Markdown.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::failover::{Failover, IN_FLIGHT_MAX};
use crate::figures::{Figures, factor, median, megabytes, micros, rate, spread};
use crate::launch::{ELECTION_MILLIS, HEARTBEAT_MILLIS};
use crate::options::Options;
use crate::process::Memory;
use crate::rounds::Rounds;
use crate::run::{FILL_WRITES, Findings, Life};
use crate::system::System;
use crate::wire::{KEYS, VALUE_BYTES};

/// Writes the whole report.
pub(crate) fn render(findings: &Findings, options: &Options) -> String {
    let mut out = String::new();
    write_all(&mut out, findings, options).expect("a string takes all text");
    out
}

fn write_all(out: &mut String, findings: &Findings, options: &Options) -> fmt::Result {
    write_head(out, findings, options)?;
    write_rounds(out, &findings.rounds)?;
    write_lives(out, findings)?;
    for line in findings
        .left_out
        .iter()
        .map(|reason| format!("Left out: {reason}."))
    {
        writeln!(out, "\n{line}")?;
    }
    if !findings.rounds.remarks.is_empty() {
        writeln!(out, "\nWhat went wrong:\n")?;
        findings
            .rounds
            .remarks
            .iter()
            .try_for_each(|remark| writeln!(out, "- {remark}"))?;
    }
    Ok(())
}

fn write_head(out: &mut String, findings: &Findings, options: &Options) -> fmt::Result {
    let versions: Vec<_> = findings
        .installed
        .iter()
        .map(|installed| format!("{} {}", installed.system.name(), installed.version))
        .collect();
    writeln!(out, "# The daemon beside its peers\n")?;
    writeln!(out, "Made by `{}`.\n", command())?;
    writeln!(
        out,
        "{}; write and sync of 4 KiB: {}. {}. Durable writes of {VALUE_BYTES} bytes over {KEYS} keys; every \
         client has its own connection. {} interleaved rounds of {} s each; figures are medians (least - greatest), \
         ratios are medians of the rounds' ratios. The load generator shares the machine with the servers: \
         compare within a run only.\n",
        findings.machine,
        micros(findings.sync_micros),
        versions.join(", "),
        options.rounds,
        options.seconds,
    )
}

/// The command that repeats the run; where programs lie on this machine is left out.
fn command() -> String {
    let shown = |argument: String| {
        if argument.contains('/') {
            "PATH".to_owned()
        } else {
            argument
        }
    };
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .map(shown)
        .collect();
    if arguments.is_empty() {
        return "make bench-daemon".to_owned();
    }
    format!("cargo bench -p bench --bench daemon -- {}", arguments.join(" "))
}

fn write_rounds(out: &mut String, rounds: &Rounds) -> fmt::Result {
    let references = references(rounds);
    write!(out, "| load | system | a second | p50 | p99 | server CPU |")?;
    for reference in &references {
        write!(out, " / {}: rate | p99 | CPU |", reference.name())?;
    }
    writeln!(out, "\n|-|-|-|-|-|-|{}", "-|-|-|".repeat(references.len()))?;
    for (at, workload) in rounds.workloads.iter().enumerate() {
        let mut title = workload.to_string();
        for system in System::ALL {
            let Some(cell) = rounds.cells.get(&(at, system)) else {
                continue;
            };
            write!(
                out,
                "| {} | {} | {}",
                std::mem::take(&mut title),
                system.label(),
                figures_cells(cell)
            )?;
            for reference in &references {
                let other = rounds
                    .cells
                    .get(&(at, *reference))
                    .filter(|_| *reference != system);
                write!(out, " {} |", ratio_cells(cell, other))?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

/// The systems that others are compared with, as far as they ran.
fn references(rounds: &Rounds) -> Vec<System> {
    [System::Etcd, System::Ceiling]
        .into_iter()
        .filter(|reference| rounds.cells.keys().any(|(_, system)| system == reference))
        .collect()
}

fn figures_cells(cell: &BTreeMap<u32, Figures>) -> String {
    let middle = |figure: fn(&Figures) -> f64| median(cell.values().map(figure)).expect("a cell has a round");
    let rates = || cell.values().map(|figures| figures.rate);
    let (least, greatest) = (rates().fold(f64::MAX, f64::min), rates().fold(0.0, f64::max));
    let range = if cell.len() > 1 {
        format!(" ({} - {})", rate(least), rate(greatest))
    } else {
        String::new()
    };
    format!(
        "{}{range} | {} | {} | {:.1} us |",
        rate(middle(|figures| figures.rate)),
        micros(middle(|figures| figures.p50)),
        micros(middle(|figures| figures.p99)),
        middle(|figures| figures.cpu),
    )
}

fn ratio_cells(cell: &BTreeMap<u32, Figures>, reference: Option<&BTreeMap<u32, Figures>>) -> String {
    let ratio = |figure: fn(&Figures) -> f64| {
        let of_round = |(round, own): (&u32, &Figures)| Some(figure(own) / figure(reference?.get(round)?));
        let middle = median(cell.iter().filter_map(of_round));
        middle.map_or_else(|| "-".to_owned(), factor)
    };
    let (rate, p99, cpu) = (ratio(|own| own.rate), ratio(|own| own.p99), ratio(|own| own.cpu));
    format!("{rate} | {p99} | {cpu}")
}

fn write_lives(out: &mut String, findings: &Findings) -> fmt::Result {
    let ran: Vec<_> = findings
        .installed
        .iter()
        .filter(|installed| installed.system != System::Ceiling)
        .filter_map(|installed| Some((installed, findings.lives.get(&installed.system)?)))
        .collect();
    write!(out, "\n| |")?;
    ran.iter()
        .try_for_each(|(installed, _)| write!(out, " {} |", installed.system.label()))?;
    writeln!(out, "\n|-|{}", "-|".repeat(ran.len()))?;
    write!(out, "| size of the program |")?;
    ran.iter()
        .try_for_each(|(installed, _)| write!(out, " {} |", megabytes(installed.binary_bytes)))?;
    writeln!(out)?;
    for (title, show) in life_rows() {
        write!(out, "| {title} |")?;
        ran.iter()
            .try_for_each(|(_, life)| write!(out, " {} |", show(life)))?;
        writeln!(out)?;
    }
    Ok(())
}

type Show = fn(&Life) -> String;

fn life_rows() -> [(String, Show); 6] {
    let timeouts = format!("heartbeat {HEARTBEAT_MILLIS} ms, election timeout {ELECTION_MILLIS} ms");
    [
        (
            "start with empty directories to the first acknowledged write".to_owned(),
            |life| spread(&life.start),
        ),
        (
            "memory of the largest node at rest: resident (its own)".to_owned(),
            |life| memory(life.memory_idle),
        ),
        (format!("the same after {FILL_WRITES} writes"), |life| {
            memory(life.memory_filled)
        }),
        (
            format!("SIGKILL of the leader to the next acknowledged write ({timeouts})"),
            |life| of_failover(life, |failover| spread(&failover.next_write)),
        ),
        (
            "SIGKILL of the leader to the answer to a write in flight".to_owned(),
            |life| of_failover(life, in_flight),
        ),
        (
            "start of the killed node to a write that it acknowledges".to_owned(),
            |life| of_failover(life, |failover| spread(&failover.rejoin)),
        ),
    ]
}

fn memory(memory: Memory) -> String {
    format!("{} ({})", megabytes(memory.resident), megabytes(memory.anonymous))
}

fn of_failover(life: &Life, show: fn(&Failover) -> String) -> String {
    life.failover.as_ref().map_or_else(|| "-".to_owned(), show)
}

fn in_flight(failover: &Failover) -> String {
    let total = failover.answers.len() + failover.hung;
    format!(
        "{}; of {total}: {} an error, {} none in {} s",
        spread(&failover.answers),
        failover.errors,
        failover.hung,
        IN_FLIGHT_MAX.as_secs(),
    )
}
