//! Where two logs agree and where they do not, at the cost of their terms and configurations.
//!
//! Of an entry that its node cannot read the term is known, and not whether it sets a configuration: there, and only
//! there, configurations are not compared.

use alloc::collections::BTreeSet;

use crate::entries::{ConfigMark, first_mark_apart};
use crate::{Log, LogEntries, LogIndex, LogPosition};

/// A log, and which of its entries cannot be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) entries: &'a LogEntries,
    pub(super) unread: &'a BTreeSet<LogIndex>,
}

impl<'a> View<'a> {
    /// A log of which everything can be read.
    pub(super) const fn whole(entries: &'a LogEntries) -> Self {
        Self {
            entries,
            unread: &NOTHING,
        }
    }

    /// The first entry in `(from, to]` that cannot be read.
    fn first_unread(&self, from: LogIndex, to: LogIndex) -> Option<LogIndex> {
        let behind = self.unread.iter().find(|index| **index > from);
        behind.copied().filter(|index| *index <= to)
    }
}

static NOTHING: BTreeSet<LogIndex> = BTreeSet::new();

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
pub(super) fn first_difference(a: View<'_>, b: View<'_>, end: LogIndex) -> Option<LogIndex> {
    let (left, right) = (a.entries, b.entries);
    if core::ptr::eq(left, right) {
        return None;
    }
    let start = left.prev_position().index.max(right.prev_position().index);
    let end = end
        .min(left.last_position().index)
        .min(right.last_position().index);
    if start > end {
        return None;
    }
    if left.get_term(start) != right.get_term(start) {
        return Some(start);
    }
    let (left, right) = (left.marks_within(start, end), right.marks_within(start, end));
    let terms = first_mark_apart(left.0, right.0);
    let configs = first_config_apart((left.1, right.1), |index| {
        a.unread.contains(&index) || b.unread.contains(&index)
    });
    terms.into_iter().chain(configs).min()
}

/// Where two runs of configurations first differ, but for those that one side cannot read.
fn first_config_apart(
    (left, right): (&[ConfigMark], &[ConfigMark]),
    is_unread: impl Fn(LogIndex) -> bool,
) -> Option<LogIndex> {
    let mut left = left.iter().filter(|mark| !is_unread(mark.0));
    let mut right = right.iter().filter(|mark| !is_unread(mark.0));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return None,
            (Some(a), Some(b)) if a == b => {}
            (a, b) => return a.into_iter().chain(b).map(|mark| mark.0).min(),
        }
    }
}

/// The index of a difference below the highest position that both logs have at or below `end`.
pub(super) fn conflict_below_shared_position(a: View<'_>, b: View<'_>, end: LogIndex) -> Option<LogIndex> {
    let (left, right) = (a.entries, b.entries);
    let start = left.prev_position().index.max(right.prev_position().index);
    let end = end
        .min(left.last_position().index)
        .min(right.last_position().index);
    first_difference(a, b, end)?;
    let shared = (start.get()..=end.get()).rev().map(LogIndex::new);
    let shared = shared
        .into_iter()
        .find(|index| left.get_term(*index) == right.get_term(*index))?;
    first_difference(a, b, shared)
}

/// Appends the entries of `source` after the tail of `log`, up to `end`, and to none that cannot be read.
pub(super) fn extend(log: &mut Log, source: View<'_>, end: LogIndex) {
    let from = log.last_position();
    let end = match source.first_unread(from.index, end) {
        Some(unread) => LogIndex::new(unread.get() - 1),
        None => end,
    };
    let is_longer = source.entries.contains(from) && from.index < end;
    if let Some(suffix) = part(source.entries, from.index, end).filter(|_| is_longer) {
        log.append_suffix(&suffix);
    }
}
