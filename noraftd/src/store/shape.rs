//! What is in the log, and where: kept small, whatever the log's length.
//!
//! Invariants: [`Shape`] costs O(terms + configurations), [`Extents`] 24 bytes a batch. Both change only
//! when a batch has become durable, so a reader never sees bytes that a crash could take back.

use std::collections::{BTreeMap, VecDeque};

use noraft::{ClusterConfig, Log, LogEntries, LogEntry, LogIndex, LogPosition, Term};

use crate::record::Base;

/// Terms and configurations of the log.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Shape {
    base: Option<(LogPosition, ClusterConfig)>,
    /// The first index of each term after the base, rising in both.
    terms: Vec<(u64, u64)>,
    configs: BTreeMap<u64, ClusterConfig>,
    prev: Plain,
    last: u64,
}

/// A position as plain numbers; (0, 0) by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Plain {
    term: u64,
    index: u64,
}

/// Consecutive entries of one term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Run {
    pub(in crate::store) first: u64,
    pub(in crate::store) count: u32,
    pub(in crate::store) term: u64,
    /// True when the first entry is the one that begins its term.
    pub(in crate::store) opens: bool,
}

impl Run {
    pub(in crate::store) fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }
}

impl Shape {
    /// A log of which nothing is known but the position before its first entry.
    pub(in crate::store) fn after(prev: LogPosition) -> Self {
        let prev = Plain {
            term: prev.term.get(),
            index: prev.index.get(),
        };
        Self {
            prev,
            last: prev.index,
            ..Self::default()
        }
    }

    /// The last position.
    pub(in crate::store) fn last_position(&self) -> LogPosition {
        let term = self.term_at(self.last).expect("the last index is in the log");
        LogPosition {
            term: Term::new(term),
            index: LogIndex::new(self.last),
        }
    }

    /// Where the log begins.
    pub(in crate::store) fn base_position(&self) -> LogPosition {
        LogPosition {
            term: Term::new(self.prev.term),
            index: LogIndex::new(self.prev.index),
        }
    }

    /// The term of the entry at `index`, or of the position before the first.
    pub(in crate::store) fn term_at(&self, index: u64) -> Option<u64> {
        if index < self.prev.index || index > self.last {
            return None;
        }
        let later = self.terms.partition_point(|(first, _)| *first <= index);
        Some(later.checked_sub(1).map_or(self.prev.term, |at| self.terms[at].1))
    }

    /// Where the log begins, with the configuration there, once that is known.
    pub(in crate::store) fn base(&self) -> Option<Base> {
        let (position, config) = self.base.clone()?;
        Some(Base {
            position,
            config,
            chain: None,
        })
    }

    /// True when the entry at `index` begins its term.
    pub(in crate::store) fn is_first_of_term(&self, index: u64) -> bool {
        self.terms
            .binary_search_by_key(&index, |(first, _)| *first)
            .is_ok()
    }

    /// The configuration in the entry at `index`, if that is known to be one.
    pub(in crate::store) fn config_at(&self, index: u64) -> Option<&ClusterConfig> {
        self.configs.get(&index)
    }

    /// True when the log holds an entry at `position`, or begins after it.
    pub(in crate::store) fn contains(&self, position: LogPosition) -> bool {
        self.term_at(position.index.get()) == Some(position.term.get())
    }

    /// True when no base is known yet, and the first entry comes later than the one after `position`.
    pub(in crate::store) fn begins_after(&self, position: LogPosition) -> bool {
        self.base.is_none() && position.index.get() < self.prev.index
    }

    /// The position before the first entry, of which only the index was known, is of `term`, if that can be.
    pub(in crate::store) fn follow(&mut self, term: Term) {
        if self.terms.first().is_some_and(|(_, first)| *first > term.get()) {
            self.prev.term = term.get();
        }
    }

    /// Adds entries at the end.
    pub(in crate::store) fn append(&mut self, run: Run) -> Result<(), &'static str> {
        let last = self.last_position();
        if run.first.checked_sub(1) != Some(self.last) {
            return Err("an entry does not follow the one before it");
        }
        if run.first.checked_add(u64::from(run.count)).is_none() {
            return Err("the index space is at its end");
        }
        match (run.opens, run.term.cmp(&last.term.get())) {
            (false, std::cmp::Ordering::Equal) => {}
            (true, std::cmp::Ordering::Greater) => self.terms.push((run.first, run.term)),
            (true | false, _) => return Err("the term of an entry does not follow from the one before it"),
        }
        self.last = run.last();
        Ok(())
    }

    /// Notes the configuration in the entry at `index`.
    pub(in crate::store) fn configure(&mut self, index: u64, config: ClusterConfig) {
        self.configs.insert(index, config);
    }

    /// Drops all entries after `position`, which the log holds.
    pub(in crate::store) fn truncate(&mut self, position: LogPosition) -> Result<(), &'static str> {
        if !self.contains(position) {
            return Err("entries after a position are void, but the log does not hold that position");
        }
        self.last = position.index.get();
        let kept = self.terms.partition_point(|(first, _)| *first <= self.last);
        self.terms.truncate(kept);
        self.configs.split_off(&(self.last + 1));
        Ok(())
    }

    /// Makes `position` the base: entries up to it are covered. Entries after it stay when the log holds it.
    pub(in crate::store) fn rebase(&mut self, position: LogPosition, config: ClusterConfig) {
        let (term, index) = (position.term.get(), position.index.get());
        if self.contains(position) {
            let covered = self.terms.partition_point(|(first, _)| *first <= index);
            self.terms.drain(..covered);
            self.configs = self.configs.split_off(&(index + 1));
        } else {
            self.terms.clear();
            self.configs.clear();
            self.last = index;
        }
        self.prev = Plain { term, index };
        self.base = Some((position, config));
    }

    /// The configuration in force at the end, once a base is known.
    pub(in crate::store) fn latest_config(&self) -> Option<&ClusterConfig> {
        let (_, config) = self.base.as_ref()?;
        Some(self.configs.values().next_back().unwrap_or(config))
    }

    /// The log as the core knows it, once a base is known.
    pub(in crate::store) fn to_log(&self) -> Option<Log> {
        let (position, config) = self.base.clone()?;
        let mut terms = self.terms.iter().peekable();
        let mut configs = self.configs.iter().peekable();
        let entries = (self.prev.index + 1..=self.last).map(|index| {
            if let Some((_, term)) = terms.next_if(|(first, _)| *first == index) {
                return LogEntry::Term(Term::new(*term));
            }
            match configs.next_if(|(at, _)| **at == index) {
                Some((_, config)) => LogEntry::ClusterConfig(config.clone()),
                None => LogEntry::Command,
            }
        });
        Some(Log::new(config, LogEntries::from_iter(position, entries)))
    }
}

/// Where the entries of one batch are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Extent {
    pub(in crate::store) first: u64,
    pub(in crate::store) segment: u64,
    pub(in crate::store) page: u32,
    pub(in crate::store) count: u32,
}

/// Where every entry is that is readable, in rising order.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Extents {
    batches: VecDeque<Extent>,
    /// Entries that are damaged in their batch, and intact in these.
    patches: BTreeMap<u64, (u64, u32)>,
}

impl Extents {
    /// Adds entries that follow the last.
    pub(in crate::store) fn push(&mut self, extent: Extent) {
        match self.batches.back_mut() {
            Some(last)
                if (last.segment, last.page) == (extent.segment, extent.page)
                    && last.first + u64::from(last.count) == extent.first =>
            {
                last.count += extent.count
            }
            Some(_) | None => self.batches.push_back(extent),
        }
    }

    /// The entry at `index` is in the batch at `page` of `segment` from now on.
    pub(in crate::store) fn patch(&mut self, index: u64, segment: u64, page: u32) {
        self.patches.insert(index, (segment, page));
    }

    /// Forgets the entries after `last`.
    pub(in crate::store) fn truncate(&mut self, last: u64) {
        while self.batches.back().is_some_and(|extent| extent.first > last) {
            self.batches.pop_back();
        }
        if let Some(extent) = self.batches.back_mut() {
            let left = u32::try_from(last - extent.first + 1).unwrap_or(u32::MAX);
            extent.count = extent.count.min(left);
        }
        self.patches.split_off(&last.saturating_add(1));
    }

    /// The last entry.
    pub(in crate::store) fn last(&self) -> Option<u64> {
        let last = self.batches.back()?;
        Some(last.first + u64::from(last.count) - 1)
    }

    /// Forgets the entries up to `index`.
    pub(in crate::store) fn drop_until(&mut self, index: u64) {
        while self
            .batches
            .front()
            .is_some_and(|extent| extent.first + u64::from(extent.count) - 1 <= index)
        {
            self.batches.pop_front();
        }
        self.patches = self.patches.split_off(&index.saturating_add(1));
    }

    pub(in crate::store) fn find(&self, index: u64) -> Option<Extent> {
        if let Some((segment, page)) = self.patches.get(&index) {
            return Some(Extent {
                first: index,
                segment: *segment,
                page: *page,
                count: 1,
            });
        }
        let after = self.batches.partition_point(|extent| extent.first <= index);
        let extent = *self.batches.get(after.checked_sub(1)?)?;
        (index - extent.first < u64::from(extent.count)).then_some(extent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(term: u64, index: u64) -> LogPosition {
        LogPosition {
            term: Term::new(term),
            index: LogIndex::new(index),
        }
    }

    fn run(first: u64, count: u32, term: u64, opens: bool) -> Run {
        Run {
            first,
            count,
            term,
            opens,
        }
    }

    #[test]
    fn the_shape_follows_appends_and_truncation() {
        let mut shape = Shape::after(LogPosition::ZERO);
        shape.rebase(LogPosition::ZERO, ClusterConfig::new());
        shape.append(run(1, 3, 1, true)).unwrap();
        shape.append(run(4, 2, 3, true)).unwrap();
        assert_eq!(shape.last_position(), at(3, 5));
        assert_eq!(
            (shape.term_at(3), shape.term_at(4), shape.term_at(6)),
            (Some(1), Some(3), None)
        );
        shape.truncate(at(1, 2)).unwrap();
        assert_eq!(shape.last_position(), at(1, 2));
        assert!(shape.truncate(at(3, 2)).is_err());
        let log = shape.to_log().unwrap();
        assert_eq!(log.last_position(), at(1, 2));
        assert_eq!(
            log.entries().get_entry(LogIndex::new(1)),
            Some(LogEntry::Term(Term::new(1)))
        );
    }

    #[test]
    fn entries_that_do_not_follow_are_refused() {
        let mut shape = Shape::after(at(2, 5));
        for bad in [
            run(7, 1, 2, false),
            run(6, 1, 3, false),
            run(6, 1, 2, true),
            run(6, 1, 1, true),
        ] {
            assert!(shape.append(bad).is_err(), "{bad:?}");
        }
        shape.append(run(6, 1, 2, false)).unwrap();
    }

    #[test]
    fn a_base_keeps_the_suffix_of_a_log_that_holds_it() {
        let mut shape = Shape::after(LogPosition::ZERO);
        shape.append(run(1, 9, 1, true)).unwrap();
        shape.rebase(at(1, 4), ClusterConfig::new());
        assert_eq!(shape.last_position(), at(1, 9));
        shape.rebase(at(2, 7), ClusterConfig::new());
        assert_eq!(shape.last_position(), at(2, 7));
    }

    #[test]
    fn extents_find_what_was_pushed_and_not_truncated() {
        let mut extents = Extents::default();
        for page in 1..=4 {
            extents.push(Extent {
                first: u64::from(page) * 10 - 9,
                segment: 1,
                page,
                count: 10,
            });
        }
        extents.truncate(25);
        extents.drop_until(10);
        assert_eq!(extents.find(11).map(|found| found.page), Some(2));
        assert_eq!(extents.find(25).map(|found| found.page), Some(3));
        assert_eq!((extents.find(26), extents.find(10)), (None, None));
    }
}
