//! `noraftd inspect`: what is in a data directory, without touching it.

use std::fmt::Display;
use std::path::PathBuf;

use clap::Args;

use super::{complain, say};
use crate::exit::{EXIT_CODES, Exit};
use crate::store::inspect::{Detail, inspect};
use crate::store::verify::verify;

/// Shows the segments, batches, records and verdicts in a data directory, read-only.
///
/// It says what an opening would recover, or why it would refuse; then the exit code is 65. With --verify it reads
/// every record, snapshot and vote against its checksum and gives one verdict a file: intact, interrupted (the last
/// batch was being written), or damaged, and then the exit code is 65. A directory in use may be inspected; its last
/// batch may then look interrupted.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = LONG_EXAMPLES.as_str())]
pub(super) struct Inspect {
    /// The data directory of a node.
    dir: PathBuf,
    /// Show every batch.
    #[arg(long)]
    batches: bool,
    /// Show every record, too.
    #[arg(long)]
    records: bool,
    /// Check every checksum, and give one verdict a file.
    #[arg(long, conflicts_with_all = ["batches", "records"])]
    verify: bool,
}

impl Inspect {
    /// Inspects and prints.
    pub(super) fn run(self) -> Exit {
        if self.verify {
            return self.verify();
        }
        let detail = match (self.records, self.batches) {
            (true, _) => Detail::Records,
            (false, true) => Detail::Batches,
            (false, false) => Detail::Segments,
        };
        let inspected = inspect(&self.dir, detail);
        report(inspected.map(|found| (found.recovered.is_some(), found)))
    }

    fn verify(&self) -> Exit {
        let verified = verify(&self.dir);
        report(verified.map(|found| (found.is_clean(), found)))
    }
}

/// Prints what was found, and whether it is sound.
fn report<T: Display, E: Display>(found: Result<(bool, T), E>) -> Exit {
    match found {
        Ok((is_sound, found)) => {
            say(found.to_string().trim_end());
            if is_sound { Exit::Done } else { Exit::Data }
        }
        Err(error) => {
            complain(error);
            Exit::Failed
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  noraftd inspect /var/lib/noraft
  noraftd inspect /var/lib/noraft --records | less
  noraftd inspect /var/lib/noraft --verify && echo every checksum holds";

static LONG_EXAMPLES: std::sync::LazyLock<String> =
    std::sync::LazyLock::new(|| format!("{EXAMPLES}\n\n{EXIT_CODES}"));
