//! Where two logs agree and where they do not, at the cost of their terms and configurations.

use crate::entries::first_mark_apart;
use crate::{Log, LogEntries, LogIndex, LogPosition};

/// The part of a log in `(from, to]`; `from` must be one of its indices.
fn part(log: &LogEntries, from: LogIndex, to: LogIndex) -> Option<LogEntries> {
    let mut part = log.since(LogPosition {
        term: log.get_term(from)?,
        index: from,
    })?;
    part.truncate(usize::try_from(to.get().saturating_sub(from.get())).unwrap_or(usize::MAX));
    Some(part)
}

/// Where two logs first differ at or below `end`, seen from the higher of their starts.
pub(super) fn first_difference(a: &LogEntries, b: &LogEntries, end: LogIndex) -> Option<LogIndex> {
    if core::ptr::eq(a, b) {
        return None;
    }
    let start = a.prev_position().index.max(b.prev_position().index);
    let end = end.min(a.last_position().index).min(b.last_position().index);
    if start > end {
        return None;
    }
    if a.get_term(start) != b.get_term(start) {
        return Some(start);
    }
    let (a, b) = (a.marks_within(start, end), b.marks_within(start, end));
    let terms = first_mark_apart(a.0, b.0);
    let configs = first_mark_apart(a.1, b.1);
    terms.into_iter().chain(configs).min()
}

/// The index of a difference below the highest position that both logs have at or below `end`.
pub(super) fn conflict_below_shared_position(
    a: &LogEntries,
    b: &LogEntries,
    end: LogIndex,
) -> Option<LogIndex> {
    let start = a.prev_position().index.max(b.prev_position().index);
    let end = end.min(a.last_position().index).min(b.last_position().index);
    first_difference(a, b, end)?;
    let shared = (start.get()..=end.get()).rev().map(LogIndex::new);
    let shared = shared
        .into_iter()
        .find(|index| a.get_term(*index) == b.get_term(*index))?;
    first_difference(a, b, shared)
}

/// Appends the entries of `source` after the tail of `log`, up to `end`.
pub(super) fn extend(log: &mut Log, source: &LogEntries, end: LogIndex) {
    let from = log.last_position();
    if let Some(suffix) = part(source, from.index, end).filter(|_| source.contains(from) && from.index < end)
    {
        log.append_suffix(&suffix);
    }
}
