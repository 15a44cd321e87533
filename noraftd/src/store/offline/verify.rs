//! Reads every byte of a directory against its checksums, and says of each file whether it is what was written.
//!
//! Invariant: read-only, like `inspect.rs`, whose findings it sums up; and one verdict a file, none without.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::store::disk::RealDisk;
use crate::store::format::hard_state;
use crate::store::offline::inspect::{Detail, InspectError, Inspection, SegmentView, inspect};
use crate::store::recovery::verdict::{Finding, Verdict};
use crate::store::snapshots::{self, Snapshots};

/// What became of a directory's bytes.
#[derive(Debug, Clone)]
pub struct Verification {
    /// Every file of the store, in the order of their names.
    pub files: Vec<FileVerdict>,
    /// What concerns no file that is there.
    pub others: Vec<Finding>,
}

/// What became of one file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileVerdict {
    /// Its name.
    pub file: String,
    /// What is in it, in words.
    pub content: String,
    /// Whether it is what was written.
    pub state: FileState,
}

/// Whether a file is what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// Every checksum holds.
    Intact,
    /// The last batch was being written when the node ended, or is right now.
    Interrupted(String),
    /// It is not; where, and what was found.
    Damaged(Vec<String>),
}

impl Verification {
    /// True when nothing is damaged.
    pub fn is_clean(&self) -> bool {
        let damaged = |file: &FileVerdict| matches!(file.state, FileState::Damaged(_));
        self.others.is_empty() && !self.files.iter().any(damaged)
    }
}

/// Verifies the directory at `path`.
///
/// # Errors
///
/// When the directory or a file of it cannot be read.
pub fn verify(path: &Path) -> Result<Verification, InspectError> {
    let inspection = inspect(path, Detail::Batches)?;
    let mut files: Vec<FileVerdict> = inspection
        .segments
        .iter()
        .map(|segment| of_segment(&inspection, segment))
        .collect();
    files.push(of_hard_state(&inspection));
    files.extend(snapshots(path)?);
    files.sort_by(|a, b| a.file.cmp(&b.file));
    let others = inspection.report.findings.into_iter();
    let others = others.filter(|finding| files.iter().all(|file| file.file != finding.file));
    Ok(Verification {
        others: others.collect(),
        files,
    })
}

fn of_segment(inspection: &Inspection, segment: &SegmentView) -> FileVerdict {
    let records: u64 = segment
        .batches
        .iter()
        .map(|batch| u64::from(batch.record_count))
        .sum();
    let sealed = if segment.sealed { ", sealed" } else { "" };
    let content = match segment.prev {
        Some(_) => format!("{} batches, {records} records{sealed}", segment.batches.len()),
        None => format!("header {}", segment.header),
    };
    let mut faults_found = Vec::new();
    let mut interrupted = None;
    for finding in findings(inspection, &segment.file) {
        match finding.verdict {
            Verdict::AmbiguousTail if !inspection.report.tail_damaged => {
                interrupted = Some(format!(
                    "the batch at byte {} is not whole: {}",
                    finding.offset, finding.found
                ));
            }
            verdict => faults_found.push(format!(
                "byte {}: {}: {}",
                finding.offset,
                verdict.name(),
                finding.found
            )),
        }
    }
    let faults = segment
        .batches
        .iter()
        .filter_map(|batch| Some((batch.lsn, batch.fault?)));
    for (lsn, (at, found)) in faults.take(FAULTS_SHOWN_MAX) {
        faults_found.push(format!("byte {at}: batch {lsn}: {found}"));
    }
    // An interrupted batch may have a good header and half of its records.
    let state = match (interrupted, faults_found.is_empty()) {
        (Some(why), _) if faults_found.len() <= 1 => FileState::Interrupted(why),
        (None, true) => FileState::Intact,
        (Some(_) | None, _) => FileState::Damaged(faults_found),
    };
    FileVerdict {
        file: segment.file.clone(),
        content,
        state,
    }
}

fn of_hard_state(inspection: &Inspection) -> FileVerdict {
    let good = inspection.slots.iter().flatten().count();
    let found: Vec<String> = findings(inspection, hard_state::FILE)
        .map(|finding| format!("{}: {}", finding.verdict.name(), finding.found))
        .collect();
    FileVerdict {
        file: hard_state::FILE.to_owned(),
        content: format!("{good} of 2 slots"),
        state: if good == 2 && found.is_empty() {
            FileState::Intact
        } else {
            FileState::Damaged(found)
        },
    }
}

fn findings<'a>(inspection: &'a Inspection, file: &'a str) -> impl Iterator<Item = &'a Finding> {
    inspection
        .report
        .findings
        .iter()
        .filter(move |finding| finding.file == file)
}

fn snapshots(path: &Path) -> Result<Vec<FileVerdict>, InspectError> {
    let failed = |source: io::Error| InspectError {
        file: path.display().to_string(),
        source,
    };
    let disk = Arc::new(RealDisk::open(path).map_err(failed)?);
    let mut verdicts = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let Ok(file) = entry.map_err(failed)?.file_name().into_string() else {
            continue;
        };
        if snapshots::parse_name(&file).is_none() {
            continue;
        }
        let mut bytes = 0;
        let read = Snapshots::read_file(Arc::clone(&disk) as _, &file, None, &mut |chunk| {
            bytes += chunk.len() as u64;
            true
        });
        verdicts.push(FileVerdict {
            file,
            content: format!("a snapshot, {bytes} bytes of state"),
            state: match read {
                Ok(_) => FileState::Intact,
                Err(error) => FileState::Damaged(vec![error.to_string()]),
            },
        });
    }
    Ok(verdicts)
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for FileVerdict { file, content, state } in &self.files {
            let word = match state {
                FileState::Intact => "intact",
                FileState::Interrupted(_) => "interrupted",
                FileState::Damaged(_) => "DAMAGED",
            };
            writeln!(f, "{file:<28} {word:<12} {content}")?;
            match state {
                FileState::Intact => {}
                FileState::Interrupted(why) => writeln!(f, "    {why}")?,
                FileState::Damaged(lines) => lines.iter().try_for_each(|line| writeln!(f, "    {line}"))?,
            }
        }
        self.others
            .iter()
            .try_for_each(|finding| writeln!(f, "{finding}"))?;
        match self.is_clean() {
            true => writeln!(f, "every checksum holds"),
            false => writeln!(
                f,
                "damaged; `noraftd inspect` without --verify says what an opening would make of it"
            ),
        }
    }
}

/// A segment that lost a stretch says the same of thousands of batches.
const FAULTS_SHOWN_MAX: usize = 8;
