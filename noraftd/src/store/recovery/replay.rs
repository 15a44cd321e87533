//! Runs through what batches say, oldest first.
//!
//! Invariant: LSN order decides: an entry is in the log when nothing later made it void or covered it.
//!
//! **Where records are lost** (`Event::Lost`), the log may have been cut, extended, or both. What
//! comes next shows more, by Log Matching (Raft 5.3: the same index and term mean the same log up to there):
//!
//! - It follows a position that the log holds: then the log up to there is what it was.
//! - It follows a later position of the term in which the log ends: then all entries between are of that term.
//!   Their places are known, and they become holes.
//! - Neither: which entries there were is not known. The log as it was before the loss is put aside. What
//!   comes later may still make the loss void (a truncation to before it) or cover it (a snapshot); otherwise the
//!   log ends before it.
//!
//! That the log ends earlier than it did is the state of an earlier moment, and the node says so by abstaining.

mod beginning;
mod patches;

use std::collections::BTreeMap;

use noraft::{LogIndex, LogPosition, Term};

use crate::chain::{Chain, step};
use crate::record::{Abstain, Base, HardState, Hole, RecordKind};
use crate::store::format::batch::Mark;
use crate::store::format::seal::SealedEntry;
use crate::store::format::segment::SegmentHeader;
use crate::store::recovery::noted::Event;
use crate::store::shape::{Extent, Extents, Run, Shape};
use crate::time::Stamp;
use patches::Patch;

/// A log: its shape, where its entries are, which of them are not readable, and the chain over its content.
#[derive(Debug, Clone)]
pub(in crate::store) struct RecoveredLog {
    pub(in crate::store) shape: Shape,
    pub(in crate::store) extents: Extents,
    pub(in crate::store) holes: BTreeMap<u64, Hole>,
    pub(in crate::store) chain: Chain,
    /// The greatest stamp of the entries that were read, void ones among them.
    pub(in crate::store) stamp: Stamp,
    /// The segment with the record that says where the log begins; zero while there is none.
    pub(in crate::store) base_segment: u64,
    /// A beginning before all that is known, and the segment of its record. What comes next shows whether the log went on there.
    passed_over: Option<(u64, Base)>,
}

/// What batches add up to.
#[derive(Debug, Clone)]
pub(in crate::store) struct Replay {
    recovered: RecoveredLog,
    /// The log before the first loss that nothing has explained yet.
    before: Option<RecoveredLog>,
    certainty: Certainty,
    /// As many entries as all segments can have held.
    entries_max: u64,
    hard_state: Option<(u64, HardState)>,
    hard_state_is_doubtful: bool,
    abstain: Abstain,
    /// Entries that are here again, and whose own records are among what is lost: what comes next may show that the log has them.
    unplaced: Vec<Patch>,
}

/// What a log's batches add up to.
pub(in crate::store) struct Replayed {
    pub(in crate::store) recovered: RecoveredLog,
    /// True when the log had to end before something unknown.
    pub(in crate::store) is_cut: bool,
    /// The last term and vote in the stream, and the batch that holds them.
    pub(in crate::store) hard_state: Option<(u64, HardState)>,
    /// True when a later one may have been among what is lost.
    pub(in crate::store) hard_state_is_doubtful: bool,
    pub(in crate::store) abstain: Abstain,
}

/// What may have happened to the log since its last known state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Certainty {
    /// Nothing.
    Sure,
    /// A truncation; no entries.
    EntriesKnown,
    /// Anything.
    Unknown,
}

impl RecoveredLog {
    fn after(prev: LogPosition) -> Self {
        Self {
            shape: Shape::after(prev),
            extents: Extents::default(),
            holes: BTreeMap::new(),
            chain: Chain::after(prev.index, None),
            stamp: Stamp::default(),
            base_segment: 0,
            passed_over: None,
        }
    }

    fn truncate(&mut self, position: LogPosition) -> Result<(), &'static str> {
        self.shape.truncate(position)?;
        self.extents.truncate(position.index.get());
        self.chain.truncate(position.index);
        self.holes.split_off(&position.index.get().saturating_add(1));
        Ok(())
    }

    /// True when entries after `position` are held, and nothing shows whether they followed that position or another
    /// one of its index, which its beginning made void.
    fn may_follow(&self, position: LogPosition) -> bool {
        let before = self.shape.base_position();
        let is_term_known = before.term != Term::ZERO || before.index == LogIndex::ZERO;
        position.index == before.index && !is_term_known && self.shape.last_position().index > before.index
    }

    /// True when entries after `position` are held that a beginning there drops.
    fn goes_on_otherwise(&self, position: LogPosition) -> bool {
        !self.shape.contains(position) && self.shape.last_position().index > position.index
    }

    fn rebase(&mut self, segment: u64, base: &Base) {
        let position = base.position;
        if self.shape.begins_after(position) {
            // The log began later before the segments went that held what is between, and that is said later; or nothing was kept.
            self.passed_over = Some((segment, base.clone()));
            return;
        }
        self.passed_over = None;
        let index = position.index.get();
        let is_kept = self.shape.contains(position);
        self.chain.begin_at(position.index, base.chain, is_kept);
        if is_kept {
            self.extents.drop_until(index);
            self.holes = self.holes.split_off(&index.saturating_add(1));
        } else {
            self.extents = Extents::default();
            self.holes.clear();
        }
        self.shape.rebase(position, base.config.clone());
        self.base_segment = segment;
    }

    /// The log went on from the beginning that was passed over: nothing that was held before was kept.
    fn go_on_from_passed_over(&mut self) {
        if let Some((segment, base)) = self.passed_over.take() {
            *self = Self::after(base.position);
            self.rebase(segment, &base);
        }
    }

    /// Adds entries of the log's last term up to `last`, of which only the place is known.
    fn append_unread(&mut self, last: u64, most: u64) -> Result<(), &'static str> {
        let end = self.shape.last_position();
        let count = last - end.index.get();
        if count > most {
            return Err("more entries are missing than the segments can have held");
        }
        for index in end.index.get() + 1..=last {
            self.holes
                .insert(index, unread(position(index, end.term), None, None));
        }
        self.shape.append(Run {
            first: end.index.get() + 1,
            count: u32::try_from(count).map_err(|_| "more entries are missing than a segment holds")?,
            term: end.term.get(),
            opens: false,
        })?;
        (0..count).for_each(|_| self.chain.push(None));
        Ok(())
    }
}

fn position(index: u64, term: Term) -> LogPosition {
    LogPosition {
        term,
        index: LogIndex::new(index),
    }
}

fn unread(position: LogPosition, kind: Option<RecordKind>, payload_crc: Option<u32>) -> Hole {
    Hole {
        position,
        kind,
        payload_crc,
    }
}

impl Replay {
    /// Begins with the oldest of segments that can have held so many entries.
    pub(in crate::store) fn new(oldest: &SegmentHeader, entries_max: u64) -> Self {
        Self {
            recovered: RecoveredLog::after(oldest.prev),
            before: None,
            certainty: Certainty::Sure,
            entries_max,
            hard_state: None,
            hard_state_is_doubtful: false,
            abstain: oldest.abstain,
            unplaced: Vec::new(),
        }
    }

    /// The next segment was begun: its header says where the log ended then, where it began, and whether the node
    /// abstained.
    pub(in crate::store) fn begin_segment(&mut self, header: &SegmentHeader, base: Option<&Base>) {
        self.abstain = self.abstain.max(header.abstain);
        if self.certainty != Certainty::Sure {
            self.meet(header.prev);
        }
        let known = self.log().shape.base();
        // What a header repeats says nothing of losses since: they stay what they are.
        let is_repeated = |base: &&Base| {
            known
                .as_ref()
                .is_some_and(|known| known.position.index >= base.position.index)
        };
        if let Some(base) = base.filter(|base| !is_repeated(base)) {
            if self.recovered.may_follow(base.position) && self.recovered.shape.last_position() == header.prev
            {
                // The header says both: what the log went on from, and how far it went.
                self.recovered.shape.follow(base.position.term);
            }
            // Only a batch can say that a log was replaced.
            let passed_over = self.recovered.passed_over.take();
            self.rebase(header.number, base);
            self.recovered.passed_over = passed_over.filter(|_| self.recovered.shape.base().is_none());
        }
    }

    /// As far as it is certain.
    fn log(&self) -> &RecoveredLog {
        self.before.as_ref().unwrap_or(&self.recovered)
    }

    /// True when the log has to end before something unknown.
    pub(in crate::store) fn is_cut(&self) -> bool {
        self.before.is_some() || self.certainty != Certainty::Sure
    }

    /// Anything may have been written from here on.
    pub(in crate::store) fn lose(&mut self) {
        self.note_loss(false);
    }

    pub(in crate::store) fn finish(mut self) -> Replayed {
        self.place_patches();
        let is_cut = self.is_cut();
        Replayed {
            recovered: self.before.unwrap_or(self.recovered),
            is_cut,
            hard_state: self.hard_state,
            hard_state_is_doubtful: self.hard_state_is_doubtful,
            abstain: self.abstain,
        }
    }

    /// Takes the next event, which a batch of `segment` says; returns what does not fit what came before.
    pub(in crate::store) fn take(&mut self, segment: u64, event: &Event) -> Result<(), String> {
        match event {
            Event::Entries {
                page,
                run,
                steps,
                stamp,
            } => {
                self.append(*run, Some(run.opens))?;
                steps
                    .iter()
                    .for_each(|step| self.recovered.chain.push(Some(*step)));
                self.recovered.stamp = self.recovered.stamp.max(*stamp);
                self.recovered.extents.push(Extent {
                    first: run.first,
                    segment,
                    page: *page,
                    count: run.count,
                });
            }
            Event::Indexed(entry) => self.append_indexed(entry)?,
            Event::Hole(hole) => {
                self.recovered.holes.insert(hole.position.index.get(), *hole);
            }
            Event::Patch {
                page,
                position,
                kind,
                payload_crc,
                config,
            } => {
                self.take_patch(Patch {
                    position: *position,
                    place: (segment, *page),
                    step: step(*position, *kind, *payload_crc),
                    config: config.as_deref().cloned(),
                });
            }
            Event::Config { index, config } => self.recovered.shape.configure(*index, (**config).clone()),
            Event::HardState { lsn, hard_state } => {
                self.hard_state = Some((*lsn, *hard_state));
                self.hard_state_is_doubtful = false;
            }
            Event::Truncate(position) => self.truncate(*position)?,
            Event::Snapshot {
                position,
                config,
                chain,
            } => self.rebase(
                segment,
                &Base {
                    position: *position,
                    config: (**config).clone(),
                    chain: *chain,
                },
            ),
            Event::Mark(Mark::Cut) => self.abstain = self.abstain.max(Abstain::Tail),
            Event::Mark(Mark::Lost) => self.abstain = Abstain::Loss,
            Event::Mark(Mark::CaughtUp) => self.abstain = Abstain::No,
            Event::Mark(Mark::Idle | Mark::CleanStop) => {}
            Event::Lost { entries_known, .. } => self.note_loss(*entries_known),
        }
        Ok(())
    }

    fn note_loss(&mut self, entries_known: bool) {
        self.hard_state_is_doubtful = true;
        self.certainty = match self.certainty {
            Certainty::Sure | Certainty::EntriesKnown if entries_known => Certainty::EntriesKnown,
            Certainty::Sure | Certainty::EntriesKnown | Certainty::Unknown => Certainty::Unknown,
        };
    }

    /// Adds a run; `opens` is absent where it is not known whether its first entry begins its term.
    fn append(&mut self, run: Run, opens: Option<bool>) -> Result<(), String> {
        let was_sure = self.certainty == Certainty::Sure;
        self.look_at_passed_over(run.first);
        self.make_way(run.first, run.term, opens);
        let added = self.try_append(run, opens);
        if added.is_ok() || was_sure {
            return added;
        }
        // What was lost made it follow from something else than it seemed.
        self.put_aside(position(run.first.saturating_sub(1), Term::ZERO));
        self.try_append(run, Some(true))
    }

    /// An entry comes next: where nothing was lost, it follows what was held, or the beginning that was passed over.
    fn look_at_passed_over(&mut self, first: u64) {
        let follows = |(_, base): &(u64, Base)| first.checked_sub(1) == Some(base.position.index.get());
        if self.certainty == Certainty::Sure && self.recovered.passed_over.as_ref().is_some_and(follows) {
            self.recovered.go_on_from_passed_over();
        }
        self.recovered.passed_over = None;
    }

    /// No batch comes after. Had the log kept what it held, its beginning would be later, and a later record would say so.
    pub(in crate::store) fn end(&mut self) {
        if self.certainty == Certainty::Sure && self.before.is_none() {
            self.recovered.go_on_from_passed_over();
        }
    }

    fn try_append(&mut self, run: Run, opens: Option<bool>) -> Result<(), String> {
        let opens = opens.unwrap_or(run.term != self.recovered.shape.last_position().term.get());
        let added = self.recovered.shape.append(Run { opens, ..run });
        added.map_err(|found| format!("entry {}: {found}", run.first))
    }

    fn append_indexed(&mut self, entry: &SealedEntry) -> Result<(), String> {
        let LogPosition { term, index } = entry.position;
        let run = Run {
            first: index.get(),
            count: 1,
            term: term.get(),
            opens: false,
        };
        self.append(run, None)?;
        // The index does not distinguish configurations from commands.
        let opens = self.recovered.shape.is_first_of_term(index.get());
        let kind = opens.then_some(RecordKind::Term);
        let known = kind.map(|kind| step(entry.position, kind, entry.payload_crc));
        self.recovered.chain.push(known);
        let hole = unread(entry.position, kind, Some(entry.payload_crc));
        self.recovered.holes.insert(index.get(), hole);
        Ok(())
    }

    /// Makes the log end before the entry at `first`, as far as losses leave it open where it ends.
    fn make_way(&mut self, first: u64, term: u64, opens: Option<bool>) {
        let last = self.recovered.shape.last_position();
        let before = |term| position(first.saturating_sub(1), term);
        match self.certainty {
            Certainty::Sure => return,
            // Nothing but a truncation can have come before an entry that was written here.
            Certainty::EntriesKnown if first <= last.index.get().saturating_add(1) => {
                match self.recovered.shape.term_at(first.saturating_sub(1)) {
                    Some(term) => self.meet(before(Term::new(term))),
                    None => self.put_aside(before(Term::ZERO)),
                }
            }
            // Nothing can have been between the log's beginning and its first entry.
            Certainty::EntriesKnown | Certainty::Unknown if self.begins_with(first) => {
                self.meet(self.recovered.shape.base_position());
            }
            Certainty::EntriesKnown | Certainty::Unknown => match opens {
                Some(false) => self.meet(before(Term::new(term))),
                None if term == last.term.get() && first > last.index.get() => self.meet(before(last.term)),
                Some(true) | None => self.put_aside(before(Term::ZERO)),
            },
        }
        self.certainty = Certainty::Sure;
    }

    fn begins_with(&self, first: u64) -> bool {
        let base = self.recovered.shape.base_position().index.get();
        self.before.is_none() && first.checked_sub(1) == Some(base)
    }

    /// After losses, the log is known to hold `position` as its last.
    fn meet(&mut self, position: LogPosition) {
        self.certainty = Certainty::Sure;
        if let Some(before) = self.before.take_if(|before| before.shape.contains(position)) {
            // The loss was made void: up to there, the log is what it was before (Log Matching).
            self.recovered = before;
        }
        let last = self.recovered.shape.last_position();
        let met = if self.recovered.shape.contains(position) {
            self.recovered.truncate(position).is_ok()
        } else {
            position.term == last.term
                && position.index > last.index
                && self
                    .recovered
                    .append_unread(position.index.get(), self.entries_max)
                    .is_ok()
        };
        if !met {
            self.put_aside(position);
        }
    }

    /// Goes on with a log of which nothing is known up to `position`.
    fn put_aside(&mut self, position: LogPosition) {
        let aside = std::mem::replace(&mut self.recovered, RecoveredLog::after(position));
        self.before.get_or_insert(aside);
    }

    fn truncate(&mut self, position: LogPosition) -> Result<(), String> {
        if self.before.is_some() || self.certainty != Certainty::Sure {
            self.meet(position);
        } else if self.recovered.shape.begins_after(position) {
            // Entries from here on were void before the segments that held them went.
            self.recovered = RecoveredLog::after(position);
        }
        self.recovered
            .truncate(position)
            .map_err(|found| format!("entry {}: {found}", position.index.get()))
    }

    fn rebase(&mut self, segment: u64, base: &Base) {
        let is_behind = base.position.index < self.recovered.shape.base_position().index;
        match &mut self.before {
            // Entries between the snapshot and the loss are not known, so the loss stays one.
            Some(before) if is_behind => before.rebase(segment, base),
            Some(_) | None if is_behind => self.recovered.rebase(segment, base),
            Some(_) | None => {
                // An unexplained loss among what is covered does not matter any more; what came after it does.
                self.before = None;
                if self.recovered.may_follow(base.position) {
                    // What comes next may show it; otherwise the log ends there, as before something that is lost.
                    self.certainty = Certainty::Unknown;
                }
                self.recovered.rebase(segment, base);
            }
        }
    }
}
