//! The state that a node continues from: the newest snapshot that is whole, and that the log goes on from.

use noraft::LogPosition;

use crate::record::{SnapshotHead, SnapshotId};
use crate::store::Store;
use crate::store::recovery::verdict::{Finding, OpenError, Verdict};
use crate::store::snapshots::{self, SnapshotError, Snapshots};

impl Store {
    /// Loads the newest snapshot that is whole and that the log goes on from; when there is a state to go on from, removes what
    /// was never installed or is no longer needed. To be called once, after opening. `begin` makes the place where the chunks of a
    /// snapshot go.
    ///
    /// # Errors
    ///
    /// When the log begins after entry 0 and no snapshot leads there, or the disk fails.
    pub fn restore<T>(
        &mut self,
        mut begin: impl FnMut() -> T,
        mut take: impl FnMut(&mut T, &[u8]) -> bool,
    ) -> Result<Option<(SnapshotHead, SnapshotId, T)>, OpenError> {
        let snapshots = self.snapshots();
        let (mut found, mut unneeded) = (None, Vec::new());
        for position in self.call(snapshots.list())?.into_iter().rev() {
            let continues = self.shape.contains(position) && position.index >= self.base().index;
            let wanted = continues && (found.is_none() || position == self.base());
            if !wanted {
                unneeded.push(position);
                continue;
            }
            if found.is_some() {
                continue;
            }
            let mut place = begin();
            match snapshots.load(position, &mut |chunk| take(&mut place, chunk)) {
                Ok((head, id)) => found = Some((head, id, place)),
                Err(error @ SnapshotError::Disk { .. }) => return Err(self.open_error(error)),
                Err(error @ (SnapshotError::Damaged { .. } | SnapshotError::Version { .. })) => {
                    self.note_damaged(position, &error);
                }
            }
        }
        if found.is_none() && self.base().index.get() > 0 {
            return Err(self.no_snapshot());
        }
        for position in unneeded {
            self.call(snapshots.remove(position))?;
        }
        self.remove_newer(&snapshots, found.as_ref().map(|(head, ..)| head.base.position))?;
        Ok(found)
    }

    /// Damaged snapshots stay for a person while nothing else leads on, and go when something does.
    fn remove_newer(&self, snapshots: &Snapshots, used: Option<LogPosition>) -> Result<(), OpenError> {
        let used = used.map_or(0, |used| used.index.get());
        for position in self.call(snapshots.list())? {
            if position.index.get() > used {
                self.call(snapshots.remove(position))?;
            }
        }
        Ok(())
    }

    fn note_damaged(&mut self, position: LogPosition, error: &SnapshotError) {
        self.report.findings.push(Finding {
            verdict: Verdict::SnapshotFromOlder,
            file: snapshots::file_name(position),
            offset: 0,
            found: error.to_string(),
        });
    }

    fn no_snapshot(&self) -> OpenError {
        let mut findings = self.report.findings.iter();
        let damaged = findings.rfind(|finding| finding.verdict == Verdict::SnapshotFromOlder);
        let found = match damaged {
            Some(finding) => finding.found.clone(),
            None => "there is none".to_owned(),
        };
        OpenError::Refused {
            directory: self.writer.disk().describe(),
            finding: Finding {
                verdict: Verdict::SnapshotLost,
                file: snapshots::file_name(self.base()),
                offset: 0,
                found: format!(
                    "the log begins after entry {}, and no snapshot leads there: {found}",
                    self.base().index.get()
                ),
            },
        }
    }

    fn call<T>(&self, outcome: Result<T, SnapshotError>) -> Result<T, OpenError> {
        outcome.map_err(|error| self.open_error(error))
    }

    fn open_error(&self, source: SnapshotError) -> OpenError {
        OpenError::Snapshot {
            directory: self.writer.disk().describe(),
            source,
        }
    }
}
