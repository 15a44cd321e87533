//! What is committed, for those who compare a node's log with it.

use super::Checks;

impl Checks {
    /// The last index that any node has committed.
    pub(crate) fn committed_end(&self) -> u64 {
        self.committed.len() as u64
    }

    /// The term of the committed entry at `index`.
    pub(crate) fn committed_term(&self, index: u64) -> Option<u64> {
        let at = usize::try_from(index.checked_sub(1)?).ok()?;
        self.committed.get(at).map(|entry| entry.term)
    }
}
