//! `noraftd inspect`: what is in a data directory, without touching it.

use std::path::PathBuf;

use clap::Args;

use super::{complain, say};
use crate::shell::exit::Exit;
use crate::store::inspect::{Detail, inspect};

/// Shows the segments, batches, records and verdicts in a data directory, read-only.
///
/// It says what an opening would recover, or why it would refuse; then the exit code is 65. A directory in
/// use may be inspected; its last batch may then look interrupted.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Inspect {
    /// The data directory of a node.
    dir: PathBuf,
    /// Show every batch.
    #[arg(long)]
    batches: bool,
    /// Show every record, too.
    #[arg(long)]
    records: bool,
}

impl Inspect {
    /// Inspects and prints.
    pub(super) fn run(self) -> Exit {
        let detail = match (self.records, self.batches) {
            (true, _) => Detail::Records,
            (false, true) => Detail::Batches,
            (false, false) => Detail::Segments,
        };
        match inspect(&self.dir, detail) {
            Ok(inspection) => {
                say(inspection.to_string().trim_end());
                if inspection.recovered.is_some() {
                    Exit::Done
                } else {
                    Exit::Data
                }
            }
            Err(error) => {
                complain(error);
                Exit::Failed
            }
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  noraftd inspect /var/lib/noraft
  noraftd inspect /var/lib/noraft --records | less";
