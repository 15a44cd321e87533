//! What the records of a segment say, in order, and the index of the entries among them.
//!
//! Invariant: what a batch added is taken back as a whole when the batch turns out not to be valid. The index lists every
//! entry that an event names, or says that it lacks some.

use std::collections::BTreeSet;

use noraft::{ClusterConfig, LogPosition};

use crate::chain::step;
use crate::record::{HardState, Hole, RecordKind, decode_config};
use crate::store::format::batch::{Kind, Mark, RecordHeader};
use crate::store::format::layout::PAGE;
use crate::store::format::seal::{SealIndex, SealMark, SealedEntry};
use crate::store::shape::Run;
use crate::time::Stamp;

/// What the records of a segment say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::store) struct Noted {
    events: Vec<Event>,
    entries: u64,
    /// The index so far, of a segment that is not sealed.
    index: SealIndex,
    sealed: bool,
    /// The index that the SEAL carries.
    seal: Option<SealIndex>,
}

/// Something a valid batch says, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Event {
    /// Consecutive entries of one term in the batch at `page`; what each contributes to the log's chain; their greatest stamp.
    Entries {
        page: u32,
        run: Run,
        steps: Vec<u64>,
        stamp: Stamp,
    },
    /// The configuration in the entry just reported.
    Config { index: u64, config: Box<ClusterConfig> },
    /// Term and vote.
    HardState { lsn: u64, hard_state: HardState },
    /// Entries after this are void.
    Truncate(LogPosition),
    /// Entries up to this are covered.
    Snapshot {
        position: LogPosition,
        config: Box<ClusterConfig>,
        /// The chain of the log up to there, where it is said.
        chain: Option<u64>,
    },
    /// A remark.
    Mark(Mark),
    /// An entry that was damaged, in the batch at `page` again.
    Patch {
        page: u32,
        position: LogPosition,
        kind: RecordKind,
        payload_crc: u32,
        /// What the entry says, if it is a configuration.
        config: Option<Box<ClusterConfig>>,
    },
    /// The entry just reported is not readable.
    Hole(Hole),
    /// An entry that only the segment's index has.
    Indexed(SealedEntry),
    /// Records of which nothing is known were in these bytes of the segment.
    Lost {
        from: u64,
        to: u64,
        /// True when all entries among them are reported separately.
        entries_known: bool,
    },
}

/// A place to rewind to.
pub(in crate::store) struct NotedMark {
    events: usize,
    entries: u64,
    index: SealMark,
}

/// The batch that a record is in.
pub(in crate::store) struct Place {
    /// The byte of the segment at which it begins.
    pub(in crate::store) front: u64,
    lsn: u64,
    /// The number of events before it.
    begun: usize,
}

impl Place {
    fn page(&self) -> u32 {
        u32::try_from(self.front / PAGE as u64).expect("a segment has fewer than 2^32 pages")
    }
}

impl Noted {
    pub(in crate::store) fn events(&self) -> &[Event] {
        &self.events
    }

    /// How many entries there are, void ones included.
    pub(in crate::store) fn entries(&self) -> u64 {
        self.entries
    }

    /// True after a SEAL.
    pub(in crate::store) fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// The index, to go on with.
    pub(in crate::store) fn into_index(self) -> SealIndex {
        self.index
    }

    /// The batch `lsn` that begins at byte `front`, of which nothing is noted yet.
    pub(in crate::store) fn place(&self, front: u64, lsn: u64) -> Place {
        let begun = self.events.len();
        Place { front, lsn, begun }
    }

    pub(in crate::store) fn mark(&self) -> NotedMark {
        NotedMark {
            events: self.events.len(),
            entries: self.entries,
            index: self.index.mark(),
        }
    }

    /// Takes back what was noted since; the index of a SEAL is known all the same.
    pub(in crate::store) fn rewind(&mut self, mark: &NotedMark) {
        self.events.truncate(mark.events);
        self.index.rewind(&mark.index);
        self.entries = mark.entries;
        self.sealed = false;
    }

    /// Takes out what was noted since.
    pub(in crate::store) fn split_off(&mut self, mark: &NotedMark) -> Vec<Event> {
        let events = self.events.split_off(mark.events);
        self.rewind(mark);
        self.seal = None;
        events
    }

    pub(in crate::store) fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// There was a SEAL, of which nothing more is known.
    pub(in crate::store) fn note_sealed(&mut self) {
        self.sealed = true;
    }

    /// Notes what a valid record of the batch at `place` says; `at` is the byte of that batch at which it is.
    pub(in crate::store) fn note(
        &mut self,
        head: &RecordHeader,
        payload: &[u8],
        at: usize,
        place: &Place,
    ) -> Result<(), &'static str> {
        let config = || {
            decode_config(payload)
                .map(Box::new)
                .ok_or("a configuration does not parse")
        };
        match head.kind {
            Kind::Term | Kind::Command => self.note_entry(head, at, place),
            Kind::Config => {
                let config = config()?;
                self.note_entry(head, at, place);
                self.events.push(Event::Config {
                    index: head.index,
                    config,
                });
            }
            Kind::HardState => {
                let voted_for = (head.flags & 1 != 0).then_some(head.index);
                self.events.push(Event::HardState {
                    lsn: place.lsn,
                    hard_state: HardState {
                        term: head.term,
                        voted_for,
                    },
                });
            }
            Kind::Truncate => self.events.push(Event::Truncate(head.position())),
            Kind::Snapshot => {
                self.events.push(Event::Snapshot {
                    position: head.position(),
                    config: config()?,
                    chain: head.chain(),
                });
            }
            Kind::Seal => {
                self.sealed = true;
                self.seal = SealIndex::decode(head.flags, payload);
            }
            Kind::Patch => {
                let kind = head.held_entry().ok_or("a patch of an unknown kind")?;
                let (page, position) = (place.page(), head.position());
                let payload_crc = head.payload_crc;
                let config = (kind == RecordKind::Config).then(config).transpose()?;
                self.events.push(Event::Patch {
                    page,
                    position,
                    kind,
                    payload_crc,
                    config,
                });
            }
            Kind::Mark => self
                .events
                .push(Event::Mark(Mark::from_byte(head.flags).ok_or("an unknown mark")?)),
        }
        Ok(())
    }

    pub(in crate::store) fn note_entry(&mut self, head: &RecordHeader, at: usize, place: &Place) {
        self.entries += 1;
        self.index
            .add(head.position(), place.front + at as u64, head.payload_crc);
        let page = place.page();
        let opens = head.kind == Kind::Term;
        let kind = head.kind.entry().expect("an entry is noted");
        let step = step(head.position(), kind, head.payload_crc);
        if self.events.len() > place.begun
            && let Some(Event::Entries {
                run, steps, stamp, ..
            }) = self.events.last_mut()
            && !opens
            && run.term == head.term
            && run.last().checked_add(1) == Some(head.index)
        {
            run.count += 1;
            steps.push(step);
            *stamp = head.stamp.max(*stamp);
            return;
        }
        let run = Run {
            first: head.index,
            count: 1,
            term: head.term,
            opens,
        };
        let steps = vec![step];
        self.events.push(Event::Entries {
            page,
            run,
            steps,
            stamp: head.stamp,
        });
    }

    /// Records of which nothing is known were in these bytes.
    pub(in crate::store) fn lose(&mut self, from: usize, to: usize) {
        self.events.push(Event::Lost {
            from: from as u64,
            to: to as u64,
            entries_known: false,
        });
    }

    /// There is no more to note.
    pub(in crate::store) fn finish(&mut self) {
        self.fill_from_seal();
        if self.sealed {
            self.index = SealIndex::default();
        }
    }

    /// Reports what the segment's index has of lost entries. Where nothing is left to report, the index that is written
    /// next must not be taken for complete.
    fn fill_from_seal(&mut self) {
        let is_lost = |event: &Event| matches!(event, Event::Lost { .. });
        if !self.events.iter().any(is_lost) {
            return;
        }
        let Some(seal) = &self.seal else {
            self.index.lack();
            return;
        };
        let entries_known = seal.is_complete();
        // What was read at a place, from a batch in the wrong one, is not what was lost there.
        let place = |entry: SealedEntry| (entry.offset, entry.position);
        let read: BTreeSet<_> = self.index.entries().map(place).collect();
        let mut events = Vec::with_capacity(self.events.len());
        for event in std::mem::take(&mut self.events) {
            let Event::Lost { from, to, .. } = event else {
                events.push(event);
                continue;
            };
            let lost = Event::Lost {
                from,
                to,
                entries_known,
            };
            let mut next = None;
            let is_lost =
                |entry: &SealedEntry| (from..to).contains(&entry.offset) && !read.contains(&place(*entry));
            for entry in seal.entries().filter(is_lost) {
                // Before one that does not follow, the log was cut, or entries came that are not listed.
                if next != Some(entry.position.index.get()) {
                    events.push(lost.clone());
                }
                next = entry.position.index.get().checked_add(1);
                events.push(Event::Indexed(entry));
            }
            events.push(lost);
        }
        self.events = events;
    }
}
