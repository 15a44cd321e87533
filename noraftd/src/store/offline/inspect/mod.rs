//! Looks into a directory without touching it.
//!
//! Invariant: read-only, and total: any bytes give an inspection, those of a directory in use as well (whose
//! last batch may then look interrupted). Unlike an opening it goes on behind damage, as far as batch
//! headers can be found.

mod batches;
mod text;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use noraft::{Log, LogPosition};

use crate::record::HardState;
use crate::store::format::batch::Kind;
use crate::store::format::hard_state::{FILE as HARD_STATE_FILE, Slots};
use crate::store::format::segment::{HeaderFault, check_size, parse_name};
use crate::store::recovery::judge::{DirectoryContents, SnapshotSource, judge};
use crate::store::recovery::scan::{HeaderFound, SegmentScan};
use crate::store::recovery::setup;
use crate::store::recovery::verdict::RecoveryReport;
use crate::store::snapshots;
use crate::store::types::Identity;

/// How much to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Segments and verdicts.
    Segments,
    /// Batches as well.
    Batches,
    /// Records as well.
    Records,
}

/// What is in a directory.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The directory.
    pub directory: String,
    /// Whose it is, if that is known.
    pub identity: Option<Identity>,
    /// Both slots of the file with term and vote, with the LSN of their batch; `None` for a damaged slot.
    pub slots: [Option<(u64, HardState)>; 2],
    /// All segment files.
    pub segments: Vec<SegmentView>,
    /// All snapshots, by their names.
    pub snapshots: Vec<LogPosition>,
    /// The verdicts that an opening would come to.
    pub report: RecoveryReport,
    /// What an opening would recover, unless it would refuse.
    pub recovered: Option<RecoveredView>,
}

/// What an opening would recover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveredView {
    /// The position before the first entry.
    pub base: LogPosition,
    /// The last position.
    pub last: LogPosition,
    /// Term and vote.
    pub hard_state: HardState,
    /// Whether the node would abstain.
    pub abstain: bool,
    /// The first entry of which this directory does not know whether it is committed; all that a snapshot covers are.
    pub first_unsure: Option<u64>,
}

/// One segment file.
#[derive(Debug, Clone)]
pub struct SegmentView {
    /// Its name.
    pub file: String,
    /// Its length.
    pub size: u64,
    /// What the header pages are like.
    pub header: &'static str,
    /// The position before the first entry in it, when a header is valid.
    pub prev: Option<LogPosition>,
    /// True when it ends with a SEAL.
    pub sealed: bool,
    /// The byte after the last valid batch in a row.
    pub front: u64,
    /// Entries in the valid batches in a row.
    pub entries: u64,
    /// Every batch whose header is intact; empty for [`Detail::Segments`].
    pub batches: Vec<BatchView>,
}

/// One batch.
#[derive(Debug, Clone)]
pub struct BatchView {
    /// Its first byte.
    pub offset: u64,
    /// Bytes of its records.
    pub length: u64,
    /// Its log sequence number.
    pub lsn: u64,
    /// How many records it says it has.
    pub record_count: u32,
    /// The records whose header is intact; empty unless [`Detail::Records`].
    pub records: Vec<RecordView>,
    /// What is wrong with it, and at which byte of the file.
    pub fault: Option<(u64, &'static str)>,
}

/// One record's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView {
    /// Its first byte.
    pub offset: u64,
    /// What it is.
    pub kind: Kind,
    /// Flags of its kind.
    pub flags: u8,
    /// Term, or zero.
    pub term: u64,
    /// Index, or what the kind puts in its place.
    pub index: u64,
    /// Bytes of its payload.
    pub length: u64,
    /// True when the payload is what was written.
    pub intact: bool,
}

/// Why a directory could not be inspected.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {source}")]
pub struct InspectError {
    /// The file or directory.
    pub file: String,
    /// What the operating system said.
    pub source: io::Error,
}

/// Inspects the directory at `path`.
///
/// # Errors
///
/// When the directory or a file of it cannot be read.
pub fn inspect(path: &Path, detail: Detail) -> Result<Inspection, InspectError> {
    let failed = |file: &Path, source| InspectError {
        file: file.display().to_string(),
        source,
    };
    let mut collector = Collector::new(detail);
    for entry in std::fs::read_dir(path).map_err(|source| failed(path, source))? {
        let entry = entry.map_err(|source| failed(path, source))?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        collector.note(&name);
        if Collector::wants(&name) {
            // Read, not mapped: a file that another process cuts must not kill this one.
            let read = || {
                check_size(entry.metadata()?.len())?;
                std::fs::read(entry.path())
            };
            let bytes = read().map_err(|source| failed(&entry.path(), source))?;
            collector.add(&name, &bytes);
        }
    }
    let read = |name: &str| std::fs::read(path.join(name)).ok();
    Ok(collector.finish(path.display().to_string(), &read))
}

impl Inspection {
    /// Inspects files in memory, down to their records.
    pub fn of_files(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let mut collector = Collector::new(Detail::Records);
        for (name, bytes) in files {
            collector.note(name);
            collector.add(name, bytes);
        }
        collector.finish("memory".to_owned(), &|name| files.get(name).cloned())
    }
}

/// One file after the other, so that one at a time is in memory.
struct Collector {
    detail: Detail,
    scans: BTreeMap<u64, SegmentScan>,
    views: BTreeMap<u64, SegmentView>,
    hard_state: Option<Slots>,
    snapshots: Vec<LogPosition>,
    names: Vec<String>,
}

impl Collector {
    fn new(detail: Detail) -> Self {
        Self {
            detail,
            scans: BTreeMap::new(),
            views: BTreeMap::new(),
            hard_state: None,
            snapshots: Vec::new(),
            names: Vec::new(),
        }
    }

    fn wants(name: &str) -> bool {
        name == HARD_STATE_FILE || parse_name(name).is_some()
    }

    fn note(&mut self, name: &str) {
        self.snapshots.extend(snapshots::parse_name(name));
        self.names.push(name.to_owned());
    }

    fn add(&mut self, name: &str, bytes: &[u8]) {
        if name == HARD_STATE_FILE {
            self.hard_state = Some(Slots::decode(bytes));
        }
        if let Some(number) = parse_name(name) {
            let scan = SegmentScan::of(number, bytes);
            self.views
                .insert(number, view_segment(name, bytes, &scan, self.detail));
            self.scans.insert(number, scan);
        }
    }

    /// `read` gives the bytes of a snapshot, should it be needed.
    fn finish(self, directory: String, read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Inspection {
        let half_set_up = || setup::unfinished(&self.names, &self.hard_state, &|| read(setup::MARKER));
        let unfinished = setup::half_begun(&self.names).or_else(half_set_up);
        let hard_state = self.hard_state.unwrap_or_else(|| Slots::decode(&[]));
        let slots = hard_state
            .0
            .map(|slot| slot.ok().map(|slot| (slot.lsn, slot.hard_state)));
        let of_slots = hard_state.newest().map(|(_, slot)| slot.identity);
        let identity = self
            .scans
            .values()
            .find_map(|scan| Some(scan.valid_header()?.identity))
            .or(of_slots);
        let mut judgement = judge(DirectoryContents {
            owner: None,
            segments: self.scans,
            hard_state,
            snapshots: SnapshotSource {
                positions: self.snapshots.clone(),
                load: &|position| {
                    let name = snapshots::file_name(position);
                    snapshots::whole_base(&name, None, &read(&name)?)
                },
            },
        });
        if let Some(finding) = unfinished {
            judgement.report.findings = vec![finding];
        }
        let recovered = judgement.state.map(|state| RecoveredView {
            base: state.log.snapshot_position(),
            last: state.log.last_position(),
            hard_state: state.slot.slot.hard_state,
            abstain: state.abstain.abstains(),
            first_unsure: first_unsure(&state.log, &self.snapshots),
        });
        let segments = self.views.into_values().collect();
        Inspection {
            directory,
            identity,
            slots,
            segments,
            snapshots: self.snapshots,
            report: judgement.report,
            recovered,
        }
    }
}

/// The entry after those that the log's beginning, or a snapshot of a position in it, covers.
fn first_unsure(log: &Log, snapshots: &[LogPosition]) -> Option<u64> {
    let held = |position: &&LogPosition| log.entries().contains(**position);
    let covered = snapshots.iter().filter(held).map(|position| position.index);
    let covered = covered.fold(log.snapshot_position().index, std::cmp::Ord::max);
    covered.get().checked_add(1)
}

fn view_segment(name: &str, bytes: &[u8], scan: &SegmentScan, detail: Detail) -> SegmentView {
    let batches = match scan.valid_header() {
        Some(header) if detail >= Detail::Batches => batches::view(bytes, header, detail),
        Some(_) | None => Vec::new(),
    };
    SegmentView {
        file: name.to_owned(),
        size: scan.size,
        header: describe_header(&scan.header),
        prev: scan.valid_header().map(|header| header.prev),
        sealed: scan.is_sealed(),
        front: scan.reached.front,
        entries: scan.noted.entries(),
        batches,
    }
}

fn describe_header(found: &HeaderFound) -> &'static str {
    match found {
        HeaderFound::Both(_) => "intact",
        HeaderFound::One { .. } => "one page damaged",
        HeaderFound::None {
            fault: HeaderFault::Blank,
        } => "blank, not begun",
        HeaderFound::None {
            fault: HeaderFault::Damaged,
        } => "both pages damaged",
        HeaderFound::None {
            fault: HeaderFault::Version(_),
        } => "of an unknown version",
    }
}
