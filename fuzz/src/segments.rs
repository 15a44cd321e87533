//! A data directory with bytes that are not those which were written.
//!
//! An input is a list of edits of the golden directory. What opens, opens again, and says the same: recovery leaves
//! nothing half done.

use std::collections::BTreeMap;
use std::sync::Arc;

use noraft::{LogIndex, NodeId};
use noraftd::store::disk::memory::MemDisk;
use noraftd::store::inspect::Inspection;
use noraftd::store::{Options, Owner, SpareBy, Store};
use noraftd::time::Instant;

use crate::sums::{PAGE, crc, put_crc, u32_at};

type Files = BTreeMap<String, Vec<u8>>;

const OPTIONS: Options = Options {
    segment_bytes: 8 * PAGE as u64,
    spare: SpareBy::Caller,
    clock: || Instant::ZERO,
    salt_seed: 7,
};

const NAMES: [&str; 3] = [
    "hard_state",
    "segment-0000000000000001",
    "segment-0000000000000002",
];

fn golden() -> Files {
    let bytes: [&[u8]; 3] = [
        include_bytes!("../../noraftd/tests/store/golden/v1-base/hard_state"),
        include_bytes!("../../noraftd/tests/store/golden/v1-base/segment-0000000000000001"),
        include_bytes!("../../noraftd/tests/store/golden/v1-base/segment-0000000000000002"),
    ];
    let files = NAMES.into_iter().zip(bytes);
    files
        .map(|(name, bytes)| (name.to_owned(), bytes.to_vec()))
        .collect()
}

/// Bytes of one edit: what is done, to which file, where, and a number.
const EDIT: usize = 12;
/// More edits than that leave nothing of the directory.
const EDITS_MAX: usize = 32;

pub(crate) fn run(bytes: &[u8]) {
    let [mode, edits @ ..] = bytes else { return };
    let mut files = golden();
    for edit in edits.chunks_exact(EDIT).take(EDITS_MAX) {
        apply(&mut files, edit);
    }
    if mode % 2 == 0 {
        for (name, bytes) in &mut files {
            make_sums_right(name, bytes);
        }
    }
    assert!(!Inspection::of_files(&files).to_string().is_empty());
    use_directory(files);
}

fn apply(files: &mut Files, edit: &[u8]) {
    let [what, which, a, b, value @ ..] = edit else {
        return;
    };
    let name = NAMES[usize::from(*which) % NAMES.len()];
    let at = usize::from(u16::from_le_bytes([*a, *b]));
    let Some(bytes) = files.get_mut(name) else { return };
    let at = at % bytes.len().max(1);
    match what % 8 {
        kind @ 0..=3 => {
            let width = 1_usize << kind;
            let end = (at + width).min(bytes.len());
            let room = &mut bytes[at.min(end)..end];
            let width = room.len();
            room.copy_from_slice(&value[..width]);
        }
        4 => bytes.truncate(at),
        5 => move_page(bytes, at / PAGE, usize::from(value[0])),
        6 => {
            files.remove(name);
        }
        _ => {
            let bytes = bytes.clone();
            let number = u64::from(value[0]);
            files.insert(format!("segment-{number:016}"), bytes);
        }
    }
}

/// A page that was written to the wrong place.
fn move_page(bytes: &mut [u8], from: usize, to: usize) {
    let pages = bytes.len() / PAGE;
    if pages > 0 {
        let (from, to) = (from % pages * PAGE, to % pages * PAGE);
        bytes.copy_within(from..from + PAGE, to);
    }
}

fn make_sums_right(name: &str, bytes: &mut [u8]) {
    if name == "hard_state" {
        for slot in [0, PAGE] {
            put_crc(bytes, 0, slot, slot + 64, slot + 64);
        }
        return;
    }
    for start in [0, bytes.len().saturating_sub(PAGE)] {
        put_crc(bytes, 0, start, start + 92, start + 92);
        if let Some(config) = u32_at(bytes, start + 112) {
            let end = (start + 116).saturating_add(config as usize);
            put_crc(bytes, 0, start + 96, end, end);
        }
    }
    for start in (PAGE..bytes.len().saturating_sub(PAGE)).step_by(PAGE) {
        if bytes[start..].starts_with(b"nrb1") {
            make_batch_right(bytes, start);
        }
    }
}

fn make_batch_right(bytes: &mut [u8], start: usize) {
    let salt = crc(0, &bytes[48..56]);
    let records = u32_at(bytes, start + 4).unwrap_or(0);
    let seed = crc(salt, &bytes[start + 8..start + 16]);
    let mut at = start + 32;
    for _ in 0..records {
        let Some(length) = u32_at(bytes, at) else { break };
        let length = length as usize;
        put_crc(bytes, 0, at + 40, (at + 40).saturating_add(length), at + 32);
        put_crc(bytes, seed, at, at + 36, at + 36);
        at = at.saturating_add(length.saturating_add(40).next_multiple_of(8));
    }
    put_crc(bytes, salt, start, start + 28, start + 28);
}

fn use_directory(files: Files) {
    let disk = MemDisk::with_files(files);
    let owner = Owner {
        cluster_id: 0xc1,
        node_id: NodeId::new(2),
    };
    let Ok((mut store, recovered)) = Store::open(Arc::new(disk.clone()), OPTIONS, owner) else {
        return;
    };
    let last = recovered.last_position();
    // Damage may be found while reading; what matters is that it is found.
    let _ = store.reader().read(LogIndex::new(1), last.index, usize::MAX);
    let _ = store.reader().read(last.index, last.index, usize::MAX);
    if store.restore(|| (), |(), _| true).is_err() {
        return;
    }
    drop(store);
    match Store::open(Arc::new(disk), OPTIONS, owner) {
        Ok((_, again)) => {
            assert_eq!(again.last_position(), last, "the log is the same");
            assert_eq!(
                again.hard_state, recovered.hard_state,
                "term and vote are the same"
            );
        }
        Err(error) => panic!("what was opened is refused: {error}"),
    }
}
