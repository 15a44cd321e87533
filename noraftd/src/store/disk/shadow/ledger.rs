//! What a cut at this moment would lose, for the process that makes the cut.
//!
//! Invariant: the file says at every moment at least what is in memory alone; it outlives the process, as
//! the kernel keeps what was written. One line of fixed width, rewritten in place:
//!
//! `life 0000000003 sectors 0000000012 names 0000000001`

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;

use super::lock;

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
        parse(&std::fs::read_to_string(directory.join(LEDGER_FILE)).ok()?).map(|(_, unsynced)| unsynced)
    }
}

impl fmt::Display for Unsynced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sectors and {} changes of names", self.sectors, self.names)
    }
}

pub(super) struct Ledger {
    file: File,
    life: u64,
    unsynced: Mutex<Unsynced>,
}

impl Ledger {
    /// Begins the ledger of a new process; gives what the last one had not synced.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Option<Unsynced>)> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join(LEDGER_FILE))?;
        let before = parse(&io::read_to_string(&file)?);
        let ledger = Self {
            file,
            life: before.map_or(1, |(life, _)| life + 1),
            unsynced: Mutex::default(),
        };
        ledger.write(Unsynced::default());
        Ok((ledger, before.map(|(_, unsynced)| unsynced)))
    }

    /// Which process of this directory this is, from 1.
    pub(super) fn life(&self) -> u64 {
        self.life
    }

    pub(super) fn sectors(&self, more: i64) {
        let mut unsynced = lock(&self.unsynced);
        unsynced.sectors = unsynced.sectors.saturating_add_signed(more);
        self.write(*unsynced);
    }

    pub(super) fn names(&self, more: i64) {
        let mut unsynced = lock(&self.unsynced);
        unsynced.names = unsynced.names.saturating_add_signed(more);
        self.write(*unsynced);
    }

    fn write(&self, Unsynced { sectors, names }: Unsynced) {
        let line = format!("life {:010} sectors {sectors:010} names {names:010}\n", self.life);
        // Evidence only: a test that wants it finds it missing.
        let _ = self.file.write_all_at(line.as_bytes(), 0);
    }
}

fn parse(line: &str) -> Option<(u64, Unsynced)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["life", life, "sectors", sectors, "names", names] => {
            let (sectors, names) = (sectors.parse().ok()?, names.parse().ok()?);
            Some((life.parse().ok()?, Unsynced { sectors, names }))
        }
        _ => None,
    }
}
