//! Histories of any format, and the checkers on them.

use std::io::Cursor;
use std::path::Path;

use harness::checker::{self, Budget, Options};
use harness::formats;

/// Small, so that a hard history ends as unknown at once.
const MEMORY_BYTES: u64 = 64 << 20;
const STEPS: u64 = 20_000;

pub(crate) fn run(bytes: &[u8]) {
    let budget = Budget::new(MEMORY_BYTES, STEPS);
    let input = Cursor::new(bytes.to_vec());
    let Ok(mut recording) = formats::read(input, Path::new("history"), &budget) else {
        return;
    };
    let report = checker::check(&mut recording, &Options::default(), &budget);
    assert!(!report.outcome().name().is_empty());
}
