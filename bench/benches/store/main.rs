//! The store beside the least that the disk can do, and beside raft-engine: `cargo bench -p bench --bench store`.
//!
//! Append and sync of 1, 64 and 1024 entries of 256 bytes against `pwrite` + `fdatasync` of as many bytes
//! into a preallocated, zero-filled file, and against raft-engine, batch by batch in turns; then the opening of a log
//! of a GiB, every crc checked, cold and warm, against a bare pass over the same files with one crc. Figures are medians.
//! What is printed is written to `results/bench/store.md` too, unless `-- --only append` (or `unsynced`, or `open`)
//! asks for a part.

#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot write has nothing to say"
)]

mod append;
mod clock;
mod opening;
mod peer;
mod subject;
mod unsynced;

use std::fmt::Write;
use std::path::Path;

const PAYLOAD_BYTES: usize = 256;

fn main() {
    // Cargo asks every target of a package for its tests; a benchmark has none.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let only = std::env::args()
        .skip_while(|argument| argument != "--only")
        .nth(1);
    let mut report = String::from(HEAD);
    for (name, part) in PARTS {
        if only.as_deref().is_none_or(|only| only == name) {
            part(&mut report);
        }
    }
    print!("{report}");
    if only.is_some() {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/bench/store.md");
    std::fs::write(path, report).unwrap();
}

/// A part of the report, and its name.
type Part = (&'static str, fn(&mut String));

const PARTS: [Part; 3] = [
    ("append", append::report),
    ("unsynced", append::report_without_sync),
    ("open", opening::report),
];

/// Adds a line.
fn line(report: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(report, "{line}").expect("a string takes everything");
}

const HEAD: &str = "\
# The store, measured

Written by `make bench-store`. Entries of 256 bytes; medians of batches that were written in turns, so that all meet the same
disk and the same other work of the machine. Raw is `pwrite` + `fdatasync` of as many bytes into a preallocated, zero-filled
file; raft-engine is 0.4 without compression. A ratio above 1 is better than raw.

";
