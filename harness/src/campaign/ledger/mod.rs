//! The ledger of a campaign: every result, in one file of SQLite.
//!
//! | table | a row is |
//! |-|-|
//! | `meta` | a key and its value: the campaign, its shard, the time it has taken |
//! | `unit` | a unit of work that has ended |
//! | `entry` | an entry of the campaign, with its plan |
//! | `run` | a seed that has run |
//! | `failure` | a seed with which the system broke its promise |
//! | `runs` | (a view) a seed that has run, with all that is known of it |
//!
//! Invariant: a result is one transaction, with the time that had passed. The file is made beside its place and renamed, so
//! that whatever ends the harness leaves a whole ledger or none.

mod rows;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::file::CampaignFile;
use super::record::Record;
use crate::shard::Shard;
use rows::{TABLES, insert, read_failures, read_runs, read_units, write_entries};

/// The name of the file in a campaign's folder.
pub const LEDGER: &str = "campaign.sqlite";

/// Marks a file of SQLite as one of ours: "nrcl".
const APPLICATION: i64 = 0x6e72_636c;
/// The tables below.
const VERSION: i64 = 1;

/// Why there is no ledger to work with.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Another file.
    #[error("{path} is not the ledger of a campaign", path = .0.display())]
    Foreign(PathBuf),
    /// Of another version.
    #[error("{path} has version {found}, and this harness reads version {VERSION}", path = path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// It contradicts itself.
    #[error("{path} is damaged: {why}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another process has it.
    #[error("{path} is in use: another process runs this campaign", path = .0.display())]
    Busy(PathBuf),
    /// There is one already.
    #[error("{path} is there already: `harness campaign --resume {folder}` continues it", path = .0.display(),
        folder = .0.parent().unwrap_or(Path::new(".")).display())]
    Exists(PathBuf),
    /// The folder or the file.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite.
    #[error("{path}: {source}", path = path.display())]
    Sql {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
}

/// What a ledger is the ledger of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The campaign, with its plans.
    pub campaign: CampaignFile,
    /// Which part of it.
    pub shard: Shard,
}

/// An open ledger; no other process can have it meanwhile.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    connection: Connection,
}

impl Ledger {
    /// Makes the ledger of `about` in `folder`.
    ///
    /// # Errors
    ///
    /// When there is one already, or it cannot be made.
    pub fn create(folder: &Path, about: &About) -> Result<Self, LedgerError> {
        let path = folder.join(LEDGER);
        if path.exists() {
            return Err(LedgerError::Exists(path));
        }
        let io = |source| LedgerError::Io {
            path: path.clone(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(io)?;
        let draft = folder.join(DRAFT);
        // What was killed while it made these files had no result yet.
        for left in [&draft, &folder.join(DRAFT_JOURNAL)] {
            match std::fs::remove_file(left) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
                Ok(()) | Err(_) => {}
            }
        }
        write_draft(&draft, about).map_err(|source| LedgerError::Sql {
            path: draft.clone(),
            source,
        })?;
        std::fs::rename(&draft, &path).map_err(io)?;
        std::fs::File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io)?;
        Self::open(folder)
    }

    /// Opens the ledger in `folder`.
    ///
    /// # Errors
    ///
    /// When there is none, when it is damaged, of another version or in use.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        let path = folder.join(LEDGER);
        std::fs::metadata(&path).map_err(|source| LedgerError::Io {
            path: path.clone(),
            source,
        })?;
        match open(&path) {
            Ok(connection) => {
                let ledger = Self { path, connection };
                ledger.examine()?;
                Ok(ledger)
            }
            Err(error) => Err(refused(path, error)),
        }
    }

    fn examine(&self) -> Result<(), LedgerError> {
        let number = |pragma: &str| {
            let answer = self.connection.query_row(pragma, [], |row| row.get(0));
            answer.map_err(|error| refused(self.path.clone(), error))
        };
        if number("PRAGMA application_id")? != APPLICATION {
            return Err(LedgerError::Foreign(self.path.clone()));
        }
        let found = number("PRAGMA user_version")?;
        if found != VERSION {
            return Err(LedgerError::Version {
                path: self.path.clone(),
                found,
            });
        }
        // A view of this name could take without end.
        if number(TABLES_THERE)? != TABLES_COUNT {
            return Err(self.damaged("its tables are not those of a ledger".to_owned()));
        }
        let check = self
            .connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        match check {
            Ok(said) if said == "ok" => Ok(()),
            Ok(said) => Err(self.damaged(said)),
            Err(error) => Err(refused(self.path.clone(), error)),
        }
    }

    /// What it is the ledger of.
    ///
    /// # Errors
    ///
    /// When it does not say, or cannot be read.
    pub fn about(&self) -> Result<About, LedgerError> {
        let text = self.meta("about")?;
        serde_json::from_str(&text).map_err(|error| self.damaged(format!("the campaign in it: {error}")))
    }

    /// How long the campaign has run, until its last result.
    ///
    /// # Errors
    ///
    /// When it does not say, or cannot be read.
    pub fn spent(&self) -> Result<Duration, LedgerError> {
        let millis = self.meta("spent_ms")?.parse();
        millis
            .map(Duration::from_millis)
            .map_err(|error| self.damaged(format!("the time in it: {error}")))
    }

    fn meta(&self, key: &str) -> Result<String, LedgerError> {
        let value = self
            .connection
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
            .optional();
        match value {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(self.damaged(format!("it does not say `{key}`"))),
            Err(error) => Err(refused(self.path.clone(), error)),
        }
    }

    /// Writes a result, and the time that has passed: all or nothing.
    ///
    /// # Errors
    ///
    /// When the unit has a result already, or it cannot be written.
    pub fn record(&mut self, record: &Record, spent: Duration) -> Result<(), LedgerError> {
        insert(&mut self.connection, record, spent).map_err(|error| refused(self.path.clone(), error))
    }

    /// Every result, in the order of the units.
    ///
    /// # Errors
    ///
    /// When one cannot be read.
    pub fn records(&self) -> Result<Vec<Record>, LedgerError> {
        let mut records = read_units(&self.connection).map_err(|error| refused(self.path.clone(), error))?;
        let entries = self.about()?.campaign.entries;
        for record in &mut records {
            let Some(entry) = entries.get(record.unit.entry) else {
                return Err(self.damaged(format!("unit {} is of no entry", record.unit.id)));
            };
            record.steered = entry.steer;
            record.failures = read_failures(&self.connection, record.unit.id)
                .map_err(|error| refused(self.path.clone(), error))?;
            record.runs = read_runs(&self.connection, record.unit.id)
                .map_err(|error| refused(self.path.clone(), error))?;
        }
        Ok(records)
    }

    /// Notes that the folder of a unit's run is to be removed.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn forget_folder(&self, unit: u64) -> Result<(), LedgerError> {
        let done = self
            .connection
            .execute("UPDATE unit SET folder = NULL WHERE id = ?1", [unit]);
        done.map(|_| ())
            .map_err(|error| refused(self.path.clone(), error))
    }

    fn damaged(&self, why: String) -> LedgerError {
        LedgerError::Damaged {
            path: self.path.clone(),
            why,
        }
    }
}

fn write_draft(draft: &Path, about: &About) -> rusqlite::Result<()> {
    let mut connection = Connection::open(draft)?;
    let transaction = connection.transaction()?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.execute_batch(TABLES)?;
    let text = serde_json::to_string(about).expect("a campaign has a JSON form");
    let mut meta = transaction.prepare("INSERT INTO meta VALUES (?1, ?2)")?;
    meta.execute(["about", &text])?;
    meta.execute(["spent_ms", "0"])?;
    drop(meta);
    write_entries(&transaction, &about.campaign.entries)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::ZERO)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Takes the lock, which is kept from here on.
    connection.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
    Ok(connection)
}

fn refused(path: PathBuf, source: rusqlite::Error) -> LedgerError {
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => LedgerError::Foreign(path),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => LedgerError::Busy(path),
        Some(ErrorCode::DatabaseCorrupt) => LedgerError::Damaged {
            path,
            why: source.to_string(),
        },
        _ => LedgerError::Sql { path, source },
    }
}

/// How many of them there are.
const TABLES_THERE: &str = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('meta', 'unit', 'entry', 'run', 'failure')";
const TABLES_COUNT: i64 = 5;
const DRAFT: &str = "campaign.sqlite.new";
/// What SQLite writes beside it.
const DRAFT_JOURNAL: &str = "campaign.sqlite.new-journal";
