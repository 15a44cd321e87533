//! Where each record is: labels ranked, and every operation's claim about them compared.
//!
//! Invariant once collected: labels are sorted and distinct, each with one record, each record with
//! one label, and every record was appended by someone.

use super::bounds::Bounds;
use super::op::{From, LogOp};
use crate::checker::violation::LogViolation;
use crate::model::Call;
use crate::recording::datum::{Datum, Pool, View};
use crate::recording::hash::FastMap;

/// A position: a number, or the two numbers of `ms-n`, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(u64, u64);

impl Label {
    /// Reads a label.
    pub fn parse(pool: &Pool, datum: Datum) -> Option<Self> {
        match pool.view(datum) {
            View::Int(number) => Some(Self(u64::try_from(number).ok()?, 0)),
            View::Text(text) => {
                let (high, low) = text.split_once('-').unwrap_or((text, "0"));
                Some(Self(high.parse().ok()?, low.parse().ok()?))
            }
            View::Nil
            | View::Bool(_)
            | View::Atom(..)
            | View::List(_)
            | View::Set(_)
            | View::Map(_)
            | View::Tagged(..) => None,
        }
    }
}

/// What labels say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// Their order is that of the log; between two of them there may be none.
    Ordered,
    /// How many records come before.
    Offsets,
}

/// A claim: this record is at this label, says the operation with this index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    label: Label,
    record: Datum,
    by: u32,
}

/// Every known label, in order, with the first operation that claimed it.
pub(super) struct Positions {
    known: Vec<Claim>,
    rank_of: FastMap<Datum, u32>,
    /// Ranks of holes, rising: no operation says what is there.
    filled: Vec<u32>,
}

/// Upper bound of what [`Positions::collect`] holds.
pub(super) fn bytes_needed(pool: &Pool, calls: &[Call<LogOp>]) -> usize {
    let claims: usize = calls
        .iter()
        .map(|call| match call.op {
            LogOp::Trim(_) => 0,
            LogOp::Append { .. } | LogOp::Tail(_) => 1,
            LogOp::Whole(records) => pool.as_list(records).map_or(0, <[Datum]>::len),
            LogOp::Read { entries, .. } => pool.as_list(entries).map_or(0, <[Datum]>::len),
        })
        .sum();
    claims * size_of::<Claim>() + calls.len() * 2 * 32
}

/// Looks into `[label record]`.
pub(super) fn entry(pool: &Pool, datum: Datum) -> Option<(Label, Datum)> {
    match pool.as_list(datum) {
        Some(&[label, record]) => Some((Label::parse(pool, label)?, record)),
        _ => None,
    }
}

const BAD_LABEL: &str = "expected a position label: a number or ms-n";
const BAD_ENTRY: &str = "expected entries of the form [label, record]";

impl Positions {
    /// Compares all claims; the inner error is a violation, the outer one a malformed value.
    pub(super) fn collect(
        pool: &Pool,
        calls: &[Call<LogOp>],
    ) -> Result<Result<Self, LogViolation>, (u32, &'static str)> {
        let mut claims = Vec::new();
        // Who appended each record.
        let mut appended: FastMap<Datum, u32> = FastMap::default();
        for (i, call) in (0_u32..).zip(calls) {
            if let LogOp::Append { record, .. } = call.op
                && appended.insert(record, i).is_some()
            {
                return Err((call.id, "expected records that are appended once"));
            }
            claim(pool, i, call, &mut claims)?;
        }
        claims.sort_unstable();
        Ok(Self::agree(calls, claims, &appended))
    }

    fn agree(
        calls: &[Call<LogOp>],
        mut claims: Vec<Claim>,
        appended: &FastMap<Datum, u32>,
    ) -> Result<Self, LogViolation> {
        let id = |claim: &Claim| calls[claim.by as usize].id;
        for pair in claims.windows(2) {
            if pair[0].label == pair[1].label && pair[0].record != pair[1].record {
                return Err(LogViolation::Conflict {
                    one: id(&pair[0]),
                    other: id(&pair[1]),
                });
            }
        }
        claims.dedup_by_key(|claim| claim.label);
        let mut rank_of: FastMap<Datum, u32> = FastMap::default();
        for (rank, claim) in (0_u32..).zip(&claims) {
            if !appended.contains_key(&claim.record) {
                return Err(LogViolation::Garbage {
                    read: id(claim),
                    record: claim.record,
                });
            }
            if let Some(before) = rank_of.insert(claim.record, rank) {
                return Err(LogViolation::Conflict {
                    one: id(&claims[before as usize]),
                    other: id(claim),
                });
            }
        }
        Ok(Self {
            known: claims,
            rank_of,
            filled: Vec::new(),
        })
    }

    /// Puts appends that were never seen into the holes, in the order of their calls; the errors are those of
    /// [`Positions::collect`].
    pub(super) fn with_holes_filled(
        self,
        calls: &[Call<LogOp>],
    ) -> Result<Result<Self, LogViolation>, (u32, &'static str)> {
        let mut unseen = Vec::new();
        for (i, call) in (0_u32..).zip(calls) {
            match call.op {
                LogOp::Append { record, .. } if self.rank_of.contains_key(&record) => {}
                LogOp::Append { record, .. } if call.is_open() => unseen.push((record, i)),
                LogOp::Append { .. } => {
                    return Err((call.id, "expected an acknowledged append to report its offset"));
                }
                LogOp::Read { .. } | LogOp::Tail(_) | LogOp::Whole(_) | LogOp::Trim(_) => {}
            }
        }
        let mut unseen = unseen.into_iter();
        let (mut known, mut filled) = (Vec::with_capacity(self.known.len()), Vec::new());
        for claim in self.known {
            if claim.label.1 != 0 {
                return Err((calls[claim.by as usize].id, "expected offsets, which are numbers"));
            }
            while (known.len() as u64) < claim.label.0 {
                let offset = known.len() as u32;
                let Some((record, by)) = unseen.next() else {
                    let later = calls[claim.by as usize].id;
                    return Ok(Err(LogViolation::Hole { offset, later }));
                };
                let label = Label(u64::from(offset), 0);
                known.push(Claim { label, record, by });
                filled.push(offset);
            }
            known.push(claim);
        }
        let rank_of = (0..).zip(&known).map(|(rank, claim)| (claim.record, rank));
        Ok(Ok(Self {
            rank_of: rank_of.collect(),
            known,
            filled,
        }))
    }

    /// True when no operation says what is at `rank`.
    pub(super) fn is_filled(&self, rank: u32) -> bool {
        self.filled.binary_search(&rank).is_ok()
    }

    /// What `call` says about the length of the log; `None` when it says nothing.
    pub(super) fn bounds(
        &self,
        pool: &Pool,
        calls: &[Call<LogOp>],
        call: &Call<LogOp>,
    ) -> Result<Option<Bounds>, LogViolation> {
        match call.op {
            LogOp::Trim(_) => Ok(None),
            LogOp::Append { record, .. } => Ok(self.append_bounds(record, call.is_open())),
            LogOp::Whole(records) => {
                let length = pool.as_list(records).map_or(0, <[Datum]>::len) as u32;
                Ok(Some(Bounds {
                    is_append: false,
                    at_least: length,
                    at_most: length,
                }))
            }
            LogOp::Tail(last) => {
                let length = entry(pool, last).map_or(0, |(_, record)| self.rank_of[&record] + 1);
                Ok(Some(Bounds {
                    is_append: false,
                    at_least: length,
                    at_most: length,
                }))
            }
            LogOp::Read { from, entries, end } => {
                let entries = pool.as_list(entries).unwrap_or_default();
                self.read_bounds(pool, calls, call.id, from, entries, end)
            }
        }
    }

    /// An append that was never seen, if it happened, comes behind everything that was seen.
    fn append_bounds(&self, record: Datum, is_open: bool) -> Option<Bounds> {
        let rank = self.rank_of(record);
        let rank = rank.or((!is_open).then_some(self.known.len() as u32))?;
        Some(Bounds {
            is_append: true,
            at_least: rank + 1,
            at_most: rank + 1,
        })
    }

    fn read_bounds(
        &self,
        pool: &Pool,
        calls: &[Call<LogOp>],
        read: u32,
        from: From,
        entries: &[Datum],
        end: bool,
    ) -> Result<Option<Bounds>, LogViolation> {
        let start = self.start(pool, from);
        let next = self.contiguous(pool, calls, read, start, entries)?;
        Ok(match (entries.is_empty(), end) {
            (true, false) => Some(Bounds {
                is_append: false,
                at_least: 0,
                at_most: u32::MAX,
            }),
            (true, true) => Some(Bounds {
                is_append: false,
                at_least: 0,
                at_most: start,
            }),
            (false, true) => Some(Bounds {
                is_append: false,
                at_least: next,
                at_most: next,
            }),
            (false, false) => Some(Bounds {
                is_append: false,
                at_least: next,
                at_most: u32::MAX,
            }),
        })
    }

    /// The rank behind `entries`, which have to be the records from `next` on.
    pub(super) fn contiguous(
        &self,
        pool: &Pool,
        calls: &[Call<LogOp>],
        read: u32,
        mut next: u32,
        entries: &[Datum],
    ) -> Result<u32, LogViolation> {
        for datum in entries {
            let rank = self.rank_of_entry(pool, *datum);
            if rank < next {
                return Err(LogViolation::Disorder { read });
            }
            if rank > next {
                let other = calls[self.known_by(next) as usize].id;
                return Err(LogViolation::Skipped { read, other });
            }
            next = rank + 1;
        }
        Ok(next)
    }

    /// Rank of the record in `[label record]`.
    pub(super) fn rank_of_entry(&self, pool: &Pool, datum: Datum) -> u32 {
        let rank = entry(pool, datum).map(|(_, record)| self.rank_of[&record]);
        rank.expect("entries were parsed when they were collected")
    }

    /// Rank of a record, if anybody knows its position.
    pub(super) fn rank_of(&self, record: Datum) -> Option<u32> {
        self.rank_of.get(&record).copied()
    }

    /// Index of the first operation that knows what is at `rank`.
    pub(super) fn known_by(&self, rank: u32) -> u32 {
        self.known[rank as usize].by
    }

    /// How many positions are known.
    pub(super) fn count(&self) -> u32 {
        self.known.len() as u32
    }

    /// Rank of the first record a read can return.
    pub(super) fn start(&self, pool: &Pool, from: From) -> u32 {
        let before = |label: Label, inclusive: bool| {
            self.known
                .partition_point(|claim| claim.label < label || (!inclusive && claim.label == label))
        };
        match from {
            From::Start => 0,
            From::At(label) => Label::parse(pool, label).map_or(0, |label| before(label, true) as u32),
            From::After(label) => Label::parse(pool, label).map_or(0, |label| before(label, false) as u32),
        }
    }
}

/// Adds what `call` says about positions.
fn claim(
    pool: &Pool,
    i: u32,
    call: &Call<LogOp>,
    claims: &mut Vec<Claim>,
) -> Result<(), (u32, &'static str)> {
    let bad = |what| (call.id, what);
    match call.op {
        // Without a label it is wherever a read shows it.
        LogOp::Append { at, .. } if at.is_nil() => {}
        LogOp::Whole(records) => {
            let records = pool.as_list(records).ok_or(bad("expected a list of records"))?;
            for (index, record) in (0..).zip(records) {
                claims.push(Claim {
                    label: Label(index, 0),
                    record: *record,
                    by: i,
                });
            }
        }
        LogOp::Append { record, at } => {
            let label = Label::parse(pool, at).ok_or(bad(BAD_LABEL))?;
            claims.push(Claim { label, record, by: i });
        }
        LogOp::Trim(below) => {
            Label::parse(pool, below).ok_or(bad(BAD_LABEL))?;
        }
        LogOp::Tail(last) if last.is_nil() => {}
        LogOp::Tail(last) => {
            let (label, record) = entry(pool, last).ok_or(bad(BAD_ENTRY))?;
            claims.push(Claim { label, record, by: i });
        }
        LogOp::Read { from, entries, .. } => {
            if let From::At(label) | From::After(label) = from {
                Label::parse(pool, label).ok_or(bad(BAD_LABEL))?;
            }
            for datum in pool.as_list(entries).ok_or(bad(BAD_ENTRY))? {
                let (label, record) = entry(pool, *datum).ok_or(bad(BAD_ENTRY))?;
                claims.push(Claim { label, record, by: i });
            }
        }
    }
    Ok(())
}
