//! What its disk says is what a replica goes by: an entry that could not be read is missing from then on, and a snapshot that
//! arrives in parts goes on where what is written ends, or from its beginning when nothing of it is left.
//!
//! What a replica makes of wrong beliefs about its disk shows late, or never while other nodes help.
//!
//! Invariant: what is known here is what the disk has answered to the same process.

use std::collections::BTreeMap;

use noraft::LogIndex;
use noraftd::record::SnapshotId;
use noraftd::replica::Replica;
use noraftd::replica::event::{Input, Received};

use crate::sim::parts::rule::{Checked, Rule, ensure};

/// What the disks of running processes have said last.
#[derive(Debug, Default)]
pub(crate) struct DiskNews {
    /// The entry that a node has just found unreadable.
    unreadable: BTreeMap<usize, LogIndex>,
    /// The snapshot that a node has a part of, and how much.
    parts: BTreeMap<usize, (SnapshotId, u64)>,
}

impl DiskNews {
    /// A process begins: it knows nothing of what the disk said to an earlier one.
    pub(crate) fn started(&mut self, at: usize) {
        self.unreadable.remove(&at);
        self.parts.remove(&at);
    }

    /// The disk answers.
    pub(crate) fn said(&mut self, at: usize, input: &Input) {
        match input {
            Input::FetchFailed { from } => {
                self.unreadable.insert(at, *from);
            }
            Input::SnapshotReceived { id, received } => match received {
                Received::Part { next } => {
                    self.parts.insert(at, (*id, *next));
                }
                Received::Whole(_) | Received::Failed => {
                    self.parts.remove(&at);
                }
            },
            _ => {}
        }
    }

    /// A node gives its disk a part of a snapshot.
    pub(crate) fn given(&self, at: usize, id: SnapshotId, offset: u64) -> Checked {
        let part = self.parts.get(&at).filter(|(part, _)| *part == id);
        let written = part.map_or(0, |(_, written)| *written);
        ensure(offset == written, Rule::ReceivedInOrder, || {
            format!(
                "n{} writes a snapshot of entry {} from byte {offset} on, of which it has {written} bytes",
                at + 1,
                id.position.index.get()
            )
        })
    }

    /// A process was driven with what its disk said.
    pub(crate) fn driven(&mut self, at: usize, replica: &Replica) -> Checked {
        let Some(index) = self.unreadable.remove(&at) else {
            return Ok(());
        };
        let log = replica.node().log();
        // It may have been cut or covered meanwhile.
        let matters = log.snapshot_position().index < index && index <= replica.durable_index();
        let is_missed = replica.missing().any(|position| position.index == index);
        ensure(!matters || is_missed, Rule::DamageIsMissed, || {
            format!(
                "n{} cannot read entry {}, and does not miss it",
                at + 1,
                index.get()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use noraft::{LogPosition, Term};

    use super::*;

    fn snapshot(index: u64) -> SnapshotId {
        SnapshotId {
            position: LogPosition {
                term: Term::new(1),
                index: LogIndex::new(index),
            },
            bytes: 1000,
            hash: 7,
        }
    }

    fn came(id: SnapshotId, received: Received) -> Input {
        Input::SnapshotReceived { id, received }
    }

    #[test]
    fn a_snapshot_goes_on_where_what_is_written_ends() {
        let mut news = DiskNews::default();
        assert!(news.given(0, snapshot(5), 0).is_ok());
        news.said(0, &came(snapshot(5), Received::Part { next: 300 }));
        assert!(news.given(0, snapshot(5), 300).is_ok());
        for (at, other, offset) in [(0, snapshot(5), 0), (0, snapshot(6), 300), (1, snapshot(5), 300)] {
            let broken = news.given(at, other, offset).unwrap_err();
            assert_eq!(broken.rule, Rule::ReceivedInOrder);
        }
    }

    #[test]
    fn a_snapshot_of_which_nothing_is_left_begins_again() {
        for ends in [
            |news: &mut DiskNews| news.said(0, &came(snapshot(5), Received::Failed)),
            |news: &mut DiskNews| news.started(0),
        ] {
            let mut news = DiskNews::default();
            news.said(0, &came(snapshot(5), Received::Part { next: 300 }));
            ends(&mut news);
            assert_eq!(
                news.given(0, snapshot(5), 300).unwrap_err().rule,
                Rule::ReceivedInOrder
            );
            assert!(news.given(0, snapshot(5), 0).is_ok());
        }
    }
}
