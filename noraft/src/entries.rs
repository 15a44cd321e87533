//! A run of consecutive log entries.
//!
//! Commands take no memory: a run keeps its two end positions, and lists only the entries that
//! begin a term or change the configuration. Both lists hang on one pointer that is null while they
//! are empty, so a run of plain commands is made, cloned and dropped without touching the heap.
//!
//! Invariants: `prev.index <= last.index`; the marks lie in `(prev.index, last.index]`, in rising
//! order of index; `last.term` is the term of the last term mark, or `prev.term` without one; and
//! an empty mark list is always `None`, so that equal runs compare equal however they were built.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::config::ClusterConfig;
use crate::types::{LogIndex, LogPosition, Term};

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogEntry {
    /// The first entry a leader appends in its term (Raft 8).
    Term(Term),
    /// A change of the cluster's configuration, in force as soon as it is in the log (Raft 6).
    ClusterConfig(ClusterConfig),
    /// A command of the state machine. Its bytes stay with the integrator, who finds them by position.
    Command,
}

/// Consecutive entries after a position.
///
/// ```
/// use noraft::{LogEntries, LogEntry, LogIndex, LogPosition, Term};
///
/// let entries = LogEntries::from_iter(
///     LogPosition::ZERO,
///     [LogEntry::Term(Term::new(1)), LogEntry::Command, LogEntry::Command],
/// );
/// assert_eq!(entries.len(), 3);
/// assert_eq!(entries.last_position(), LogPosition::new(Term::new(1), LogIndex::new(3)));
/// assert_eq!(entries.get_entry(LogIndex::new(2)), Some(LogEntry::Command));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogEntries {
    prev: LogPosition,
    last: LogPosition,
    marks: Option<Box<Marks>>,
}

/// The first entry of a term, at its index.
pub(crate) type TermMark = (LogIndex, Term);
/// A configuration, at the index of its entry.
pub(crate) type ConfigMark = (LogIndex, Arc<ClusterConfig>);

/// The entries of a run that are not commands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Marks {
    terms: Vec<TermMark>,
    configs: Vec<ConfigMark>,
}

impl LogEntries {
    /// Makes an empty run that sits after `prev_position`.
    pub const fn new(prev_position: LogPosition) -> Self {
        Self {
            prev: prev_position,
            last: prev_position,
            marks: None,
        }
    }

    /// Makes a run of `entries` after `prev_position`.
    pub fn from_iter<I>(prev_position: LogPosition, entries: I) -> Self
    where
        I: IntoIterator<Item = LogEntry>,
    {
        let mut run = Self::new(prev_position);
        run.extend(entries);
        run
    }

    /// Returns the number of entries (at most `usize::MAX` is reported).
    pub fn len(&self) -> usize {
        usize::try_from(self.last.index.get() - self.prev.index.get()).unwrap_or(usize::MAX)
    }

    /// Returns whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.prev == self.last
    }

    /// Returns the anchor: the position before the first entry.
    pub fn prev_position(&self) -> LogPosition {
        self.prev
    }

    /// Returns the position of the last entry, or the anchor of an empty run.
    pub fn last_position(&self) -> LogPosition {
        self.last
    }

    /// Iterates over the entries in order.
    pub fn iter(&self) -> impl '_ + Iterator<Item = LogEntry> {
        self.iter_with_positions().map(|(_, entry)| entry)
    }

    /// Iterates over the entries in order, each with its position.
    pub fn iter_with_positions(&self) -> impl '_ + Iterator<Item = (LogPosition, LogEntry)> {
        let (mut terms, mut configs) = (self.terms(), self.configs());
        let mut at = self.prev;
        core::iter::from_fn(move || {
            if at.index >= self.last.index {
                return None;
            }
            at = at.checked_next()?;
            if let Some((index, term)) = terms.first()
                && *index == at.index
            {
                terms = &terms[1..];
                at.term = *term;
                return Some((at, LogEntry::Term(*term)));
            }
            if let Some((index, config)) = configs.first()
                && *index == at.index
            {
                configs = &configs[1..];
                return Some((at, LogEntry::ClusterConfig(ClusterConfig::clone(config))));
            }
            Some((at, LogEntry::Command))
        })
    }

    /// Returns whether the run covers `position` with its term; the anchor counts as covered.
    pub fn contains(&self, position: LogPosition) -> bool {
        self.get_term(position.index) == Some(position.term)
    }

    /// Returns whether the run covers `index`; the anchor counts as covered.
    pub fn contains_index(&self, index: LogIndex) -> bool {
        self.prev.index <= index && index <= self.last.index
    }

    /// Returns the term at `index`, also at the anchor, or `None` outside the run.
    pub fn get_term(&self, index: LogIndex) -> Option<Term> {
        self.contains_index(index).then(|| self.term_at_covered(index))
    }

    /// Returns the entry at `index`, or `None` outside the run and at its anchor.
    pub fn get_entry(&self, index: LogIndex) -> Option<LogEntry> {
        if index == self.prev.index || !self.contains_index(index) {
            return None;
        }
        if let Ok(at) = self.terms().binary_search_by_key(&index, |mark| mark.0) {
            return self.terms().get(at).map(|mark| LogEntry::Term(mark.1));
        }
        if let Ok(at) = self.configs().binary_search_by_key(&index, |mark| mark.0) {
            return self
                .configs()
                .get(at)
                .map(|mark| LogEntry::ClusterConfig(ClusterConfig::clone(&mark.1)));
        }
        Some(LogEntry::Command)
    }

    /// Appends one entry.
    ///
    /// A run that ends at index `u64::MAX` is full: pushing to it changes nothing.
    pub fn push(&mut self, entry: LogEntry) {
        let Some(next) = self.last.checked_next() else {
            return;
        };
        self.last = next;
        match entry {
            LogEntry::Term(term) => {
                self.last.term = term;
                self.marks_mut().terms.push((next.index, term));
            }
            LogEntry::ClusterConfig(config) => {
                self.marks_mut().configs.push((next.index, Arc::new(config)));
            }
            LogEntry::Command => {}
        }
    }

    /// Keeps the first `len` entries; changes nothing if there are no more.
    pub fn truncate(&mut self, len: usize) {
        let end = u64::try_from(len)
            .ok()
            .and_then(|len| self.prev.index.checked_add(LogIndex::new(len)));
        if let Some(end) = end {
            self.truncate_to(end);
        }
    }

    /// Returns the entries after `new_prev_position`, or `None` if the run does not contain it.
    ///
    /// Costs as much as the term and configuration entries of the result, not of the whole.
    ///
    /// ```
    /// use noraft::{LogEntries, LogEntry, LogIndex, LogPosition, Term};
    ///
    /// let entries = LogEntries::from_iter(
    ///     LogPosition::ZERO,
    ///     [LogEntry::Term(Term::new(1)), LogEntry::Command, LogEntry::Command],
    /// );
    /// let rest = entries.since(LogPosition::new(Term::new(1), LogIndex::new(2)));
    /// assert_eq!(rest.map(|rest| rest.len()), Some(1));
    /// let elsewhere = entries.since(LogPosition::new(Term::new(2), LogIndex::new(2)));
    /// assert_eq!(elsewhere, None);
    /// ```
    pub fn since(&self, new_prev_position: LogPosition) -> Option<Self> {
        if new_prev_position == self.last {
            return Some(Self::new(new_prev_position));
        }
        self.contains(new_prev_position).then(|| Self {
            prev: new_prev_position,
            last: self.last,
            marks: self
                .marks
                .as_ref()
                .and_then(|marks| marks.after(new_prev_position.index)),
        })
    }

    /// Replaces everything after the anchor of `suffix` by `suffix`.
    ///
    /// Returns `false`, and changes nothing, if this run does not contain that anchor. An empty
    /// suffix truncates.
    pub fn append_suffix(&mut self, suffix: &Self) -> bool {
        if self.last != suffix.prev {
            if !self.contains(suffix.prev) {
                return false;
            }
            self.truncate_to(suffix.prev.index);
        }
        self.last = suffix.last;
        if let Some(marks) = &suffix.marks {
            let own = self.marks_mut();
            own.terms.extend_from_slice(&marks.terms);
            own.configs.extend_from_slice(&marks.configs);
        }
        true
    }

    /// Cuts everything after `end`; changes nothing unless entries lie behind it.
    pub(crate) fn truncate_to(&mut self, end: LogIndex) {
        if end < self.prev.index || end >= self.last.index {
            return;
        }
        self.last = LogPosition::new(self.term_at_covered(end), end);
        self.marks = self.marks.take().and_then(|marks| marks.until(end));
    }

    /// The configuration in force at `index`, if an entry up to there sets one.
    pub(crate) fn config_at(&self, index: LogIndex) -> Option<&ClusterConfig> {
        let configs = self.configs();
        let until = configs.partition_point(|mark| mark.0 <= index);
        configs.get(until.checked_sub(1)?).map(|mark| &*mark.1)
    }

    /// The configurations set by entries after `index`.
    pub(crate) fn configs_after(&self, index: LogIndex) -> impl Iterator<Item = &ClusterConfig> {
        after(self.configs(), index).iter().map(|mark| &*mark.1)
    }

    /// The last configuration entry and its index.
    pub(crate) fn last_config(&self) -> Option<(LogIndex, &ClusterConfig)> {
        self.configs().last().map(|mark| (mark.0, &*mark.1))
    }

    /// The last index up to `limit`, the anchor included, whose term is at most `term`.
    ///
    /// The terms of a log rise, so this is a binary search.
    pub(crate) fn last_index_within(&self, limit: LogIndex, term: Term) -> Option<LogIndex> {
        let limit = limit.min(self.last.index);
        let terms = self.terms();
        let terms = terms
            .get(..terms.partition_point(|mark| mark.0 <= limit))
            .unwrap_or_default();
        let within = terms.partition_point(|mark| mark.1 <= term);
        if limit < self.prev.index || (within == 0 && self.prev.term > term) {
            return None;
        }
        match terms.get(within) {
            Some((first_beyond, _)) => first_beyond.checked_sub(LogIndex::new(1)),
            None => Some(limit),
        }
    }

    /// The last position up to which `self` and `other` hold the same entries, given that both
    /// cover `from`.
    pub(crate) fn common_until(&self, other: &Self, from: LogPosition) -> LogPosition {
        let shorter = self.last.index.min(other.last.index);
        let terms = first_mark_apart(after(self.terms(), from.index), after(other.terms(), from.index));
        let configs = first_mark_apart(
            after(self.configs(), from.index),
            after(other.configs(), from.index),
        );
        let difference = [terms, configs].into_iter().flatten().min();
        let end = match difference.and_then(|index| index.checked_sub(LogIndex::new(1))) {
            Some(before) => shorter.min(before),
            None => shorter,
        };
        LogPosition::new(self.term_at_covered(end), end)
    }

    /// Returns whether the terms never fall and never exceed `limit`, as in every log a correct
    /// leader of term `limit` can have.
    pub(crate) fn has_rising_terms_up_to(&self, limit: Term) -> bool {
        let mut low = self.prev.term;
        self.last.term <= limit
            && self
                .terms()
                .iter()
                .all(|mark| core::mem::replace(&mut low, mark.1) <= mark.1)
    }

    /// The term at an index that the run covers.
    fn term_at_covered(&self, index: LogIndex) -> Term {
        let Some(marks) = &self.marks else {
            return self.prev.term;
        };
        if marks.terms.last().is_none_or(|mark| mark.0 <= index) {
            return self.last.term;
        }
        let until = marks.terms.partition_point(|mark| mark.0 <= index);
        match until.checked_sub(1).and_then(|at| marks.terms.get(at)) {
            Some(mark) => mark.1,
            None => self.prev.term,
        }
    }

    /// What sets this run apart from plain commands of one term in `(from, to]`: the first entries of
    /// terms, and the configurations.
    pub(crate) fn marks_within(&self, from: LogIndex, to: LogIndex) -> (&[TermMark], &[ConfigMark]) {
        (within(self.terms(), from, to), within(self.configs(), from, to))
    }

    fn terms(&self) -> &[TermMark] {
        self.marks.as_ref().map_or(&[], |marks| &marks.terms)
    }

    fn configs(&self) -> &[ConfigMark] {
        self.marks.as_ref().map_or(&[], |marks| &marks.configs)
    }

    /// The marks, to be added to: the caller pushes at least one, unless it found one to copy.
    fn marks_mut(&mut self) -> &mut Marks {
        self.marks.get_or_insert_default()
    }
}

impl Extend<LogEntry> for LogEntries {
    fn extend<I: IntoIterator<Item = LogEntry>>(&mut self, entries: I) {
        for entry in entries {
            self.push(entry);
        }
    }
}

impl Marks {
    /// A copy of the marks behind `index`, or `None` if there are none.
    fn after(&self, index: LogIndex) -> Option<Box<Self>> {
        let terms = after(&self.terms, index);
        let configs = after(&self.configs, index);
        if terms.is_empty() && configs.is_empty() {
            return None;
        }
        Some(Box::new(Self {
            terms: terms.to_vec(),
            configs: configs.to_vec(),
        }))
    }

    /// The marks up to `index`, or `None` if there are none.
    fn until(mut self: Box<Self>, index: LogIndex) -> Option<Box<Self>> {
        self.terms
            .truncate(self.terms.partition_point(|mark| mark.0 <= index));
        self.configs
            .truncate(self.configs.partition_point(|mark| mark.0 <= index));
        let empty = self.terms.is_empty() && self.configs.is_empty();
        (!empty).then_some(self)
    }
}

/// The marks behind `index`.
fn after<T>(marks: &[(LogIndex, T)], index: LogIndex) -> &[(LogIndex, T)] {
    marks
        .get(marks.partition_point(|mark| mark.0 <= index)..)
        .unwrap_or_default()
}

/// The marks behind `from`, up to `to`.
fn within<T>(marks: &[(LogIndex, T)], from: LogIndex, to: LogIndex) -> &[(LogIndex, T)] {
    let marks = after(marks, from);
    marks
        .get(..marks.partition_point(|mark| mark.0 <= to))
        .unwrap_or_default()
}

/// The least index at which one list has a mark that the other has not.
pub(crate) fn first_mark_apart<T: PartialEq>(
    left: &[(LogIndex, T)],
    right: &[(LogIndex, T)],
) -> Option<LogIndex> {
    let same = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let rests = [left.get(same), right.get(same)];
    rests.into_iter().flatten().map(|mark| mark.0).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_a_term_is_found_from_the_anchor_on_and_nowhere_before() {
        let position = |term, index| LogPosition::new(Term::new(term), LogIndex::new(index));
        let run = LogEntries::from_iter(
            position(2, 5),
            [LogEntry::Command, LogEntry::Term(Term::new(4)), LogEntry::Command],
        );
        let within = |limit, term| {
            let found = run.last_index_within(LogIndex::new(limit), Term::new(term));
            found.map(LogIndex::get)
        };
        assert_eq!((within(4, 9), within(4, 2)), (None, None), "before the anchor");
        assert_eq!((within(5, 2), within(5, 1)), (Some(5), None), "at the anchor");
        assert_eq!(
            (within(6, 3), within(7, 3)),
            (Some(6), Some(6)),
            "term 4 begins at 7"
        );
        assert_eq!(
            (within(7, 4), within(9, 4)),
            (Some(7), Some(8)),
            "up to the limit and the end"
        );
    }
}
