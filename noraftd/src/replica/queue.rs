//! Queues from which only what is due is taken.

use std::collections::{BTreeSet, VecDeque};

/// Takes the front of `queue` out when it `is_due`.
pub(super) fn pop_front_when<T>(queue: &mut VecDeque<T>, is_due: impl FnOnce(&T) -> bool) -> Option<T> {
    queue
        .front()
        .is_some_and(is_due)
        .then(|| queue.pop_front())
        .flatten()
}

/// Takes the lowest of `set` out when it `is_due`.
pub(super) fn pop_first_when<T: Ord>(set: &mut BTreeSet<T>, is_due: impl FnOnce(&T) -> bool) -> Option<T> {
    set.first().is_some_and(is_due).then(|| set.pop_first()).flatten()
}
