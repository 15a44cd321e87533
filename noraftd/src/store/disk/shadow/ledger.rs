//! What a cut at this moment would lose, for the process that makes the cut.
//!
//! Invariant: the file says at every moment at least what is in memory alone; it outlives the process, as
//! the kernel keeps what was written. One line of fixed width, rewritten in place:
//!
//! `life 0000000003 sectors 0000000012 names 0000000001 disturbed 0000000000`
//!
//! The last number counts the calls of all lives that failed, or took long, because the disk was in trouble on purpose.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;

use super::lock;
use crate::store::disk::open_private;

/// The ledger's name in the data directory.
pub const LEDGER_FILE: &str = "shadow-ledger";

/// What is in memory and not on the platter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unsynced {
    /// Sectors of 512 bytes.
    pub sectors: u64,
    /// Changes of names.
    pub names: u64,
}

impl Unsynced {
    /// Whether there is anything to lose.
    pub fn is_some(self) -> bool {
        self != Self::default()
    }

    /// Reads the ledger of a data directory; `None` when there is none.
    pub fn read(directory: &Path) -> Option<Self> {
        read(directory).map(|line| line.unsynced)
    }
}

/// How many calls failed, or took long, because the disk was in trouble on purpose; `None` when there is no ledger.
pub fn disturbed_calls(directory: &Path) -> Option<u64> {
    read(directory).map(|line| line.disturbed)
}

/// What the ledger says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Line {
    life: u64,
    unsynced: Unsynced,
    disturbed: u64,
}

impl fmt::Display for Unsynced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sectors and {} changes of names", self.sectors, self.names)
    }
}

pub(super) struct Ledger {
    file: File,
    line: Mutex<Line>,
}

impl Ledger {
    /// Begins the ledger of a new process; gives what the last one had not synced.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Option<Unsynced>)> {
        let file = open_private(&directory.join(LEDGER_FILE))?;
        let before = parse(&io::read_to_string(&file)?);
        let line = Line {
            life: before.map_or(1, |before| before.life + 1),
            unsynced: Unsynced::default(),
            disturbed: before.map_or(0, |before| before.disturbed),
        };
        let ledger = Self {
            file,
            line: Mutex::new(line),
        };
        ledger.write(line);
        Ok((ledger, before.map(|before| before.unsynced)))
    }

    /// Which process of this directory this is, from 1.
    pub(super) fn life(&self) -> u64 {
        lock(&self.line).life
    }

    pub(super) fn sectors(&self, more: i64) {
        let mut line = lock(&self.line);
        line.unsynced.sectors = line.unsynced.sectors.saturating_add_signed(more);
        self.write(*line);
    }

    pub(super) fn names(&self, more: i64) {
        let mut line = lock(&self.line);
        line.unsynced.names = line.unsynced.names.saturating_add_signed(more);
        self.write(*line);
    }

    /// A call failed, or took long.
    pub(super) fn disturbed(&self) {
        let mut line = lock(&self.line);
        line.disturbed += 1;
        self.write(*line);
    }

    fn write(&self, line: Line) {
        let Line {
            life,
            unsynced: Unsynced { sectors, names },
            disturbed,
        } = line;
        let line =
            format!("life {life:010} sectors {sectors:010} names {names:010} disturbed {disturbed:010}\n");
        // Evidence only: a test that wants it finds it missing.
        let _ = self.file.write_all_at(line.as_bytes(), 0);
    }
}

fn read(directory: &Path) -> Option<Line> {
    parse(&std::fs::read_to_string(directory.join(LEDGER_FILE)).ok()?)
}

fn parse(line: &str) -> Option<Line> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [
            "life",
            life,
            "sectors",
            sectors,
            "names",
            names,
            "disturbed",
            disturbed,
        ] => {
            let (sectors, names) = (sectors.parse().ok()?, names.parse().ok()?);
            Some(Line {
                life: life.parse().ok()?,
                unsynced: Unsynced { sectors, names },
                disturbed: disturbed.parse().ok()?,
            })
        }
        _ => None,
    }
}
