//! Rows that were measured, one JSON object a line, so that a run that was cut short can be continued.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::Failure;
use super::page::Row;
use super::series::Series;

/// The rows, and where more are added.
pub(super) struct Earlier {
    all: Vec<Series>,
    rows: Vec<Value>,
    file: File,
}

impl Earlier {
    /// Those of an earlier run if `resume`, else none.
    pub(super) fn open(all: &[Series], resume: bool) -> Result<Self, Failure> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-checker.jsonl");
        let text = match resume {
            true if path.exists() => std::fs::read_to_string(&path)?,
            true | false => String::new(),
        };
        // A line that was cut off is measured again.
        let rows: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&path)?;
        for row in &rows {
            writeln!(file, "{row}")?;
        }
        Ok(Self {
            all: all.to_vec(),
            rows,
            file,
        })
    }

    /// The row of a series and size.
    pub(super) fn find(&self, at: usize, operations: u64) -> Option<Row> {
        let series = self.all[at];
        let name = name(&series, operations);
        let row = self.rows.iter().find(|row| row["name"] == name.as_str())?;
        Some(Row {
            at,
            series,
            operations,
            ours: row["ours"].clone(),
            theirs: Some(row["theirs"].clone()).filter(|measured| !measured.is_null()),
        })
    }

    pub(super) fn add(&mut self, row: &Row) -> Result<(), Failure> {
        let line = json!({
            "name": name(&row.series, row.operations), "ours": row.ours, "theirs": row.theirs,
        });
        writeln!(self.file, "{line}")?;
        Ok(self.file.flush()?)
    }
}

fn name(series: &Series, operations: u64) -> String {
    let Series {
        name,
        clients,
        keys,
        info,
        ..
    } = series;
    format!("{name}, {clients} clients, {keys} keys, {info} unknown, {operations}")
}
