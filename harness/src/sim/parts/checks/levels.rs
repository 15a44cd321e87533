//! Levels: nothing is appended that the level in force does not cover, and who asks when a level is known is not refused for it.
//!
//! A level is in force when its entry is committed. It is known to clients from the first answer on that shows it: to the request
//! that raised it, or to one that takes it. Whichever node leads then, a request that comes later is not refused because the
//! level is too low.

use std::collections::BTreeMap;

use noraftd::level::Level;
use noraftd::protocol::command::{Class, Request};
use noraftd::protocol::outcome::{Outcome, Refusal};
use noraftd::record::{Record, RecordKind};

use crate::sim::parts::rule::{Checked, Rule, ensure};

/// What is in force, and what is known of it.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    in_force: Level,
    known: Level,
    /// Entries that take a level or raise it, by position, as far as they may be the next ones committed.
    raises: BTreeMap<(u64, u64), Level>,
    /// Entries that were written first since a node was looked at, by what they take.
    written: Vec<((u64, u64), Level)>,
    /// Requests that take a level or raise it.
    open: BTreeMap<u64, Asked>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    takes: Level,
    raises: Level,
    /// What was known when it was asked.
    known: Level,
}

impl Levels {
    /// A leader writes an entry, `(term, index)`, that no node has written before; `lacking` says which member does not support a
    /// level.
    pub(super) fn written(
        &mut self,
        position: (u64, u64),
        record: &Record,
        lacking: impl Fn(Level) -> Option<usize>,
    ) -> Checked {
        if record.kind != RecordKind::Command {
            return Ok(());
        }
        let takes = Request::level_of(&record.payload);
        if takes > Level::FIRST {
            self.written.push((position, takes));
        }
        let Some(level) = Request::raises_to(&record.payload) else {
            return Ok(());
        };
        self.raises.insert(position, level);
        let lacks = lacking(level);
        ensure(lacks.is_none(), Rule::LevelIsCovered, || {
            format!(
                "entry {} of term {} raises the level to {level}, which n{} does not support",
                position.1,
                position.0,
                lacks.map_or(0, |at| at + 1)
            )
        })
    }

    /// An entry is committed.
    pub(super) fn committed(&mut self, position: (u64, u64)) {
        if let Some(level) = self.raises.get(&position) {
            self.in_force = self.in_force.max(*level);
        }
    }

    /// The node that wrote them was looked at, and what it has committed is known.
    pub(crate) fn look(&mut self) -> Checked {
        let in_force = self.in_force;
        let above = self.written.drain(..).find(|(_, takes)| *takes > in_force);
        ensure(above.is_none(), Rule::LevelIsCovered, || {
            format!("{above:?} (term, index, and the level that it takes) was appended at level {in_force}")
        })
    }

    /// A request comes to a node.
    pub(crate) fn asked(&mut self, id: u64, request: &Request) {
        let takes = request.takes_level();
        let raises = Request::raises_to(&request.body).unwrap_or_default();
        // What only reads is appended nowhere.
        if request.class == Class::Write && takes.max(raises) > Level::FIRST {
            let known = self.known;
            self.open.insert(id, Asked { takes, raises, known });
        }
    }

    /// And is answered.
    pub(crate) fn answered(&mut self, id: u64, outcome: &Outcome) -> Checked {
        let Some(Asked { takes, raises, known }) = self.open.remove(&id) else {
            return Ok(());
        };
        match outcome {
            Outcome::Done(_) => self.known = self.known.max(takes).max(raises),
            Outcome::Refused(Refusal::LevelTooLow) => {
                let takes = takes.max(raises);
                return ensure(known < takes, Rule::LevelIsKnown, || {
                    format!(
                        "a request that takes level {takes} is refused for its level; level {known} was known when it was asked"
                    )
                });
            }
            Outcome::Refused(_) | Outcome::Indefinite(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use noraft::{LogIndex, LogPosition, Term};
    use noraftd::protocol::resp::Reply;
    use noraftd::time::Stamp;

    use super::*;

    fn record(index: u64, request: &Request) -> Record {
        let position = LogPosition::new(Term::new(1), LogIndex::new(index));
        Record::new(
            position,
            RecordKind::Command,
            Stamp::default(),
            request.body.clone(),
        )
    }

    fn write(levels: &mut Levels, index: u64, request: &Request, lacking: Option<usize>) -> Option<Rule> {
        let written = levels.written((1, index), &record(index, request), |_| lacking);
        let looked = written.and_then(|()| levels.look());
        looked.err().map(|broken| broken.rule)
    }

    #[test]
    fn an_entry_is_appended_when_its_level_is_in_force() {
        let (raise, clock) = (Request::to_raise(Level::SUPPORTED), Request::for_clock());
        let mut levels = Levels::default();
        assert_eq!(write(&mut levels, 1, &clock, None), Some(Rule::LevelIsCovered));
        assert_eq!(write(&mut levels, 2, &raise, Some(1)), Some(Rule::LevelIsCovered));
        assert_eq!(write(&mut levels, 3, &raise, None), None);
        assert_eq!(
            write(&mut levels, 4, &clock, None),
            Some(Rule::LevelIsCovered),
            "not committed"
        );
        levels.committed((2, 3));
        assert_eq!(
            write(&mut levels, 5, &clock, None),
            Some(Rule::LevelIsCovered),
            "another entry is"
        );
        levels.committed((1, 3));
        assert_eq!(write(&mut levels, 6, &clock, None), None);
    }

    #[test]
    fn who_asks_when_a_level_is_known_is_not_refused_for_it() {
        let (raise, clock) = (Request::to_raise(Level::SUPPORTED), Request::for_clock());
        let low = Outcome::Refused(Refusal::LevelTooLow);
        let done = Outcome::Done(Reply::Integer(1));
        let mut levels = Levels::default();
        let answered = |levels: &mut Levels, id, outcome: &Outcome| {
            levels.answered(id, outcome).err().map(|broken| broken.rule)
        };
        for id in [1, 2] {
            levels.asked(id, &clock);
        }
        levels.asked(3, &raise);
        assert_eq!(answered(&mut levels, 1, &low), None);
        assert_eq!(answered(&mut levels, 3, &done), None);
        assert_eq!(answered(&mut levels, 2, &low), None, "it was asked before");
        levels.asked(4, &clock);
        levels.asked(5, &clock);
        assert_eq!(
            answered(&mut levels, 4, &Outcome::Refused(Refusal::NoLeader)),
            None
        );
        assert_eq!(answered(&mut levels, 5, &low), Some(Rule::LevelIsKnown));
    }
}
