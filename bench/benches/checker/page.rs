//! The table as a page, and whether the targets were met.

use std::fmt::Write as _;

use serde_json::Value;

use super::series::Series;
use super::{Failure, Options};

/// A measured row.
pub(super) struct Row {
    /// Place of the series among all.
    pub(super) at: usize,
    pub(super) series: Series,
    pub(super) operations: u64,
    pub(super) ours: Value,
    /// `None` when it was not asked.
    pub(super) theirs: Option<Value>,
}

impl Row {
    fn number(&self, name: &str) -> Option<f64> {
        self.ours[name].as_f64()
    }

    /// As a line of the table.
    pub(super) fn line(&self) -> String {
        let seconds = |measured: &Value, name: &str| {
            measured[name]
                .as_f64()
                .map_or("-".to_owned(), |value| format!("{value:.3}"))
        };
        let memory = |measured: &Value| {
            measured["bytes"]
                .as_f64()
                .map_or("-".to_owned(), |value| format!("{:.0}", value / 1e6))
        };
        let verdict = |measured: &Value| {
            measured["verdict"]
                .as_str()
                .unwrap_or("over the limit")
                .to_owned()
        };
        let (peer, peer_seconds, peer_memory) = match &self.theirs {
            Some(measured) => (verdict(measured), seconds(measured, "check"), memory(measured)),
            None => ("not tried".to_owned(), "-".to_owned(), "-".to_owned()),
        };
        let Series {
            name,
            clients,
            keys,
            info,
            ..
        } = self.series;
        format!(
            "| {name} | {clients} | {keys} | {}% | {} | {} | {} | {} | {} | {} | {peer} | {peer_seconds} | {peer_memory} |\n",
            info * 100.0,
            self.operations,
            verdict(&self.ours),
            seconds(&self.ours, "check"),
            seconds(&self.ours, "all"),
            seconds(&self.ours, "wall"),
            memory(&self.ours),
        )
    }
}

/// The whole page.
pub(super) fn write(
    rows: &[Row],
    logs: Option<&Value>,
    options: &Options,
    missing: usize,
) -> Result<String, Failure> {
    let mut page = String::from("# Checkers: size against time and memory\n\n");
    writeln!(
        page,
        "Written by `make bench-checker`. One thread, {}: CPU seconds (user and system) count, the clock on the \
         wall stands beside them. Limits: {} CPU seconds (porcupine-rs {}), 8 GiB. A checker that \
         does not finish is not asked about larger histories, and porcupine-rs not about harder ones of the same \
         size either (fewer keys, more clients, more unknown outcomes). 10 million operations: the \
         hardest series of each kind; `--every` measures the others too.\n",
        processor()?,
        options.seconds,
        options.peer_seconds,
    )?;
    if missing > 0 {
        writeln!(
            page,
            "{missing} rows are missing: the run ended after {} minutes. `--resume` measures them.\n",
            options.minutes
        )?;
    }
    targets(&mut page, rows, logs)?;
    page.push_str(
        "\n## The table\n\n\
         Ours: CPU seconds of the check alone, and with reading the file; seconds on the wall with reading; peak \
         memory of the process in MB. porcupine-rs 0.3: CPU seconds of its check, its input already in memory, \
         and peak memory.\n\n\
         | history | clients | keys | info | operations | ours | check s | with reading s | wall s | MB | porcupine-rs | s | MB |\n\
         |-|-|-|-|-|-|-|-|-|-|-|-|-|\n",
    );
    rows.iter().for_each(|row| page.push_str(&row.line()));
    Ok(page)
}

fn processor() -> Result<String, Failure> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let name = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    Ok(name
        .unwrap_or("unknown")
        .trim_start_matches([' ', '\t', ':'])
        .to_owned())
}

fn targets(page: &mut String, rows: &[Row], logs: Option<&Value>) -> Result<(), Failure> {
    let hardest = |name: &str, operations: u64| {
        rows.iter()
            .find(|row| row.series.name == name && row.series.is_hardest() && row.operations == operations)
    };
    writeln!(page, "## Targets\n\n| target | measured | met |\n|-|-|-|")?;
    let million = hardest("unique", 1_000_000);
    let mut line = |target: &str, measured: Option<(String, bool)>| match measured {
        Some((measured, met)) => writeln!(
            page,
            "| {target} | {measured} | {} |",
            if met { "yes" } else { "**no**" }
        ),
        None => writeln!(page, "| {target} | not measured | - |"),
    };
    let both = |row: &Row| Some((row.number("all")?, row.number("bytes")? / 1e6));
    for (name, what) in [("unique", "unique values"), ("5 values", "5 values")] {
        line(
            &format!("1M operations, 50 clients, one key, 1 % unknown, {what}: under 1 s and 250 MB"),
            hardest(name, 1_000_000).and_then(both).map(|(s, mb)| {
                (
                    format!("{s:.2} s with reading, {mb:.0} MB"),
                    s < 1.0 && mb < 250.0,
                )
            }),
        )?;
        line(
            &format!("10M, the same, {what}: linear growth"),
            hardest(name, 10_000_000)
                .and_then(both)
                .zip(hardest(name, 1_000_000).and_then(both))
                .map(|((s, mb), (s1, mb1))| {
                    let measured = format!(
                        "{s:.1} s, {mb:.0} MB: {:.1} times and {:.1} times",
                        s / s1,
                        mb / mb1
                    );
                    (measured, s / s1 < 13.0 && mb / mb1 < 13.0)
                }),
        )?;
        line(
            &format!("invalid 10k, 50 clients, one key, 1 % unknown, {what}: under 0.1 s"),
            hardest(&format!("{name}, invalid"), 10_000)
                .and_then(both)
                .map(|(s, _)| (format!("{s:.3} s with reading"), s < 0.1)),
        )?;
    }
    let most = rows
        .iter()
        .filter_map(|row| row.number("bytes"))
        .fold(0.0, f64::max)
        / 1e6;
    line(
        "the memory limit is never exceeded",
        million.map(|_| (format!("{most:.0} MB at most"), most < 8590.0)),
    )?;
    line(
        "all Jepsen etcd logs together: under Porcupine's 0.62 s (for 102)",
        logs.map(|measured| {
            let (files, s) = (
                measured["files"].as_u64().unwrap_or(0),
                measured["all"].as_f64().unwrap_or(f64::NAN),
            );
            (
                format!("{s:.3} s for {files} logs"),
                s < 0.62 * files as f64 / 102.0,
            )
        }),
    )?;
    Ok(())
}
