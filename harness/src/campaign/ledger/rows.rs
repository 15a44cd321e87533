//! The tables of a ledger, and the rows in them.
//!
//! Invariant: the rows of a unit are written in one transaction, with the time that had passed.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use crate::campaign::draw::Unit;
use crate::campaign::file::{Entry, Place};
use crate::campaign::record::{Failed, Figures, Record, Run, Verdict};
use crate::results::Outcome;

pub(super) const TABLES: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE entry (at INTEGER PRIMARY KEY, name TEXT NOT NULL, plan TEXT NOT NULL, world TEXT NOT NULL) STRICT;
    CREATE TABLE unit (
        id INTEGER PRIMARY KEY, at INTEGER NOT NULL REFERENCES entry (at), block INTEGER NOT NULL,
        first_seed INTEGER NOT NULL, seeds INTEGER NOT NULL, build TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT,
        unknown INTEGER NOT NULL, operations INTEGER NOT NULL, faults INTEGER NOT NULL,
        cpu_ms INTEGER NOT NULL, wall_ms INTEGER NOT NULL, folder TEXT) STRICT;
    CREATE TABLE run (
        unit INTEGER NOT NULL REFERENCES unit (id), seed INTEGER NOT NULL, verdict TEXT NOT NULL,
        operations INTEGER NOT NULL, faults INTEGER NOT NULL, coverage INTEGER, micros INTEGER NOT NULL,
        PRIMARY KEY (unit, seed)) STRICT, WITHOUT ROWID;
    CREATE TABLE failure (
        unit INTEGER NOT NULL, seed INTEGER NOT NULL, rule TEXT NOT NULL, place TEXT NOT NULL, detail TEXT NOT NULL,
        cost INTEGER NOT NULL, PRIMARY KEY (unit, seed), FOREIGN KEY (unit, seed) REFERENCES run (unit, seed)) STRICT;
    CREATE VIEW runs AS
        SELECT entry.plan, entry.world, entry.name AS entry, run.seed, unit.build, run.verdict, failure.rule, failure.place,
            failure.detail, run.operations, run.faults, run.coverage, run.micros, unit.id AS unit, unit.folder
        FROM run JOIN unit ON unit.id = run.unit JOIN entry ON entry.at = unit.at
            LEFT JOIN failure ON failure.unit = run.unit AND failure.seed = run.seed;
";

pub(super) fn write_entries(connection: &Connection, entries: &[Entry]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("INSERT INTO entry VALUES (?1, ?2, ?3, ?4)")?;
    for (at, entry) in entries.iter().enumerate() {
        statement.execute(params![
            at as u64,
            entry.name,
            entry.plan.name,
            entry.place.name()
        ])?;
    }
    Ok(())
}

pub(super) fn insert(connection: &mut Connection, record: &Record, spent: Duration) -> rusqlite::Result<()> {
    let (unit, figures) = (&record.unit, &record.figures);
    let transaction = connection.transaction()?;
    transaction.execute(
        "INSERT INTO unit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        params![
            unit.id,
            unit.entry as u64,
            unit.block,
            unit.first_seed,
            unit.seeds,
            record.build,
            record.verdict.name(),
            record.reason,
            figures.unknown,
            figures.operations,
            figures.faults,
            figures.cpu_ms,
            figures.wall_ms,
            record.folder,
        ],
    )?;
    for run in &record.runs {
        let verdict = Verdict::from(run.verdict).name();
        let mut statement =
            transaction.prepare_cached("INSERT INTO run VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
        statement.execute(params![
            unit.id,
            run.seed,
            verdict,
            run.operations,
            run.faults,
            run.coverage,
            run.micros
        ])?;
    }
    for failed in &record.failures {
        transaction.execute(
            "INSERT INTO failure VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                unit.id,
                failed.seed,
                failed.rule,
                failed.place,
                failed.detail,
                failed.cost
            ],
        )?;
    }
    let millis = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX).to_string();
    transaction.execute("UPDATE meta SET value = ?1 WHERE key = 'spent_ms'", [millis])?;
    transaction.commit()
}

pub(super) fn read_units(connection: &Connection) -> rusqlite::Result<Vec<Record>> {
    let mut statement = connection
        .prepare("SELECT unit.*, entry.name, entry.world FROM unit JOIN entry USING (at) ORDER BY id")?;
    statement.query_map([], read_unit)?.collect()
}

fn read_unit(row: &Row<'_>) -> rusqlite::Result<Record> {
    let place = match row.get::<_, String>("world")?.as_str() {
        "simulation" => Place::Simulation,
        "processes" => Place::Processes,
        _ => return Err(senseless(row, "world")),
    };
    Ok(Record {
        unit: Unit {
            id: row.get("id")?,
            entry: row.get("at")?,
            first_seed: row.get("first_seed")?,
            seeds: row.get("seeds")?,
            block: row.get("block")?,
        },
        entry: row.get("name")?,
        place,
        // The campaign says so, not the table.
        steered: false,
        build: row.get("build")?,
        verdict: read_verdict(row)?,
        reason: row.get("reason")?,
        figures: Figures {
            unknown: row.get("unknown")?,
            operations: row.get("operations")?,
            faults: row.get("faults")?,
            cpu_ms: row.get("cpu_ms")?,
            wall_ms: row.get("wall_ms")?,
        },
        folder: row.get("folder")?,
        failures: Vec::new(),
        runs: Vec::new(),
    })
}

fn read_verdict(row: &Row<'_>) -> rusqlite::Result<Verdict> {
    let verdict: String = row.get("verdict")?;
    Verdict::of_name(&verdict).ok_or_else(|| senseless(row, "verdict"))
}

/// A word that no ledger of this version has.
fn senseless(row: &Row<'_>, column: &'static str) -> rusqlite::Error {
    let at = row.as_ref().column_index(column).unwrap_or_default();
    rusqlite::Error::InvalidColumnType(at, column.to_owned(), rusqlite::types::Type::Text)
}

pub(super) fn read_runs(connection: &Connection, unit: u64) -> rusqlite::Result<Vec<Run>> {
    let mut statement = connection.prepare_cached("SELECT * FROM run WHERE unit = ?1 ORDER BY seed")?;
    let read = |row: &Row<'_>| {
        let verdict = match read_verdict(row)? {
            Verdict::Valid => Outcome::Valid,
            Verdict::Unknown => Outcome::Unknown,
            Verdict::Invalid => Outcome::Invalid,
            Verdict::Failed => return Err(senseless(row, "verdict")),
        };
        Ok(Run {
            seed: row.get("seed")?,
            verdict,
            operations: row.get("operations")?,
            faults: row.get("faults")?,
            coverage: row.get("coverage")?,
            micros: row.get("micros")?,
        })
    };
    statement.query_map([unit], read)?.collect()
}

pub(super) fn read_failures(connection: &Connection, unit: u64) -> rusqlite::Result<Vec<Failed>> {
    let mut statement = connection.prepare_cached("SELECT * FROM failure WHERE unit = ?1 ORDER BY seed")?;
    let read = |row: &Row<'_>| {
        Ok(Failed {
            cost: row.get("cost")?,
            seed: row.get("seed")?,
            rule: row.get("rule")?,
            place: row.get("place")?,
            detail: row.get("detail")?,
        })
    };
    statement.query_map([unit], read)?.collect()
}
