//! Streams: append-only sequences of entries with growing ids; the replicated log that clients see.
//!
//! Invariant: ids grow strictly from entry to entry and none exceeds `last_id`; ids made here depend on the
//! stream and the entry's stamp alone, never on a clock. An entry owns its memory. `sum` is the sum of what each
//! entry contributes to the digest of the state.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use imbl::Vector;

use super::digest::Digest;
use super::keys::{Keys, Value};
use super::reply::{Budget, TooLarge, length, within_budget, wrong_type};
use crate::protocol::command::{Args, OwnedArgs, StreamId, StreamIdRequest, Streams};
use crate::protocol::resp::Reply;
use crate::time::Stamp;

/// One stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Stream {
    entries: Vector<Entry>,
    last_id: StreamId,
    sum: u64,
}

/// One entry of a stream.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: StreamId,
    pub(super) fields: OwnedArgs,
}

impl Stream {
    /// The id that a new entry gets.
    fn new_id(&self, stamp: Stamp, wanted: StreamIdRequest) -> Result<StreamId, Reply> {
        if self.last_id == StreamId::MAX {
            let text = "ERR The stream has exhausted the last possible ID, unable to add more items";
            return Err(Reply::Error(text.to_owned()));
        }
        let id = match wanted {
            StreamIdRequest::Auto if stamp.as_millis() > self.last_id.ms => Some(StreamId {
                ms: stamp.as_millis(),
                seq: 0,
            }),
            StreamIdRequest::Auto => self.last_id.next(),
            StreamIdRequest::AutoSeq(ms) if ms == self.last_id.ms => {
                self.last_id.next().filter(|id| id.ms == ms)
            }
            StreamIdRequest::AutoSeq(ms) => Some(StreamId { ms, seq: 0 }),
            StreamIdRequest::Explicit(id) => Some(id),
        };
        id.filter(|&id| id > self.last_id).ok_or_else(|| {
            let text = "ERR The ID specified in XADD is equal or smaller than the target stream top item";
            Reply::Error(text.to_owned())
        })
    }

    fn push(&mut self, id: StreamId, fields: OwnedArgs) {
        assert!(id > self.last_id, "ids grow: {id:?} after {:?}", self.last_id);
        self.add(Entry { id, fields });
        self.last_id = id;
    }

    fn add(&mut self, entry: Entry) {
        self.sum = self.sum.wrapping_add(entry.sum());
        self.entries.push_back(entry);
    }

    /// Entries with ids in `ids`, first to last.
    fn range(&self, ids: &RangeInclusive<StreamId>) -> impl DoubleEndedIterator<Item = &Entry> {
        let start = self.first_at(|id| id >= *ids.start());
        let end = self.first_at(|id| id > *ids.end()).max(start);
        self.entries.focus().narrow(start..end).into_iter()
    }

    /// The place of the first entry whose id is `past`, which no id is that comes before one that is not.
    fn first_at(&self, past: impl Fn(StreamId) -> bool) -> usize {
        let order = |entry: &Entry| {
            if past(entry.id) {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        };
        self.entries.binary_search_by(order).unwrap_or_else(|at| at)
    }

    /// The last id ever given, and every entry in order.
    pub(super) fn parts(&self) -> (StreamId, impl Iterator<Item = &Entry>) {
        (self.last_id, self.entries.iter())
    }

    /// A stream of a snapshot, whose entries follow.
    pub(super) fn restored(last_id: StreamId) -> Self {
        Self {
            entries: Vector::new(),
            last_id,
            sum: 0,
        }
    }

    /// Takes the next entry of a snapshot; false when it does not follow.
    pub(super) fn restore_entry(&mut self, id: StreamId, fields: OwnedArgs) -> bool {
        let newest = self.entries.last().map_or(StreamId::default(), |entry| entry.id);
        let follows = id > newest && id <= self.last_id;
        if follows {
            self.add(Entry { id, fields });
        }
        follows
    }

    /// Digests what the stream is beside its entries.
    pub(super) fn digest_shape(&self, digest: &mut Digest) {
        digest.number(self.last_id.ms);
        digest.number(self.last_id.seq);
        digest.number(self.entries.len() as u64);
    }

    /// The sum of what each entry contributes, as every change has kept it.
    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// The same, from the entries as they are now.
    pub(super) fn read_sum(&self) -> u64 {
        self.entries.iter().map(Entry::sum).fold(0, u64::wrapping_add)
    }
}

impl Entry {
    fn sum(&self) -> u64 {
        let mut digest = Digest::new();
        digest.number(self.id.ms);
        digest.number(self.id.seq);
        digest.number(self.fields.len() as u64);
        digest.bytes(self.fields.as_encoded());
        digest.finish()
    }

    /// `[id, [field, value, ...]]`
    fn to_reply(&self, budget: &mut Budget) -> Result<Reply, TooLarge> {
        budget.element(0)?;
        budget.element(0)?;
        let id = budget.bulk(self.id.to_bytes())?;
        let fields: Result<Vec<Reply>, TooLarge> =
            self.fields.iter().map(|field| budget.bulk(field)).collect();
        Ok(Reply::Array(vec![id, Reply::Array(fields?)]))
    }
}

pub(super) fn add(
    keys: &mut Keys,
    stamp: Stamp,
    key: &[u8],
    create: bool,
    wanted: StreamIdRequest,
    fields: Args<'_>,
) -> Reply {
    let fields = &fields;
    let added = keys.update(key, |held| match held {
        Value::String(_) => wrong_type(),
        Value::Stream(stream) => add_to(stream, stamp, wanted, fields),
    });
    match added {
        Some(reply) => reply,
        None if !create => Reply::Null,
        None => {
            let mut stream = Box::<Stream>::default();
            let reply = add_to(&mut stream, stamp, wanted, fields);
            if !stream.entries.is_empty() {
                keys.insert(key, Value::Stream(stream));
            }
            reply
        }
    }
}

fn add_to(stream: &mut Stream, stamp: Stamp, wanted: StreamIdRequest, fields: &Args<'_>) -> Reply {
    match stream.new_id(stamp, wanted) {
        Ok(id) => {
            stream.push(id, fields.to_owned_args());
            Reply::Bulk(id.to_bytes())
        }
        Err(reply) => reply,
    }
}

pub(super) fn len(keys: &Keys, key: &[u8]) -> Reply {
    match keys.stream(key) {
        Ok(stream) => length(stream.map_or(0, |stream| stream.entries.len())),
        Err(reply) => reply,
    }
}

pub(super) fn range(
    keys: &Keys,
    key: &[u8],
    ids: RangeInclusive<StreamId>,
    reverse: bool,
    limit: Option<u64>,
) -> Reply {
    let stream = match keys.stream(key) {
        Ok(Some(stream)) => stream,
        Ok(None) => return Reply::Array(Vec::new()),
        Err(reply) => return reply,
    };
    if limit == Some(0) {
        return Reply::NullArray;
    }
    let limit = limit.map_or(usize::MAX, clamped);
    let mut budget = Budget::new();
    let entries = stream.range(&ids);
    let entries = if reverse {
        collect(entries.rev().take(limit), &mut budget)
    } else {
        collect(entries.take(limit), &mut budget)
    };
    within_budget(entries.map(Reply::Array))
}

pub(super) fn read(keys: &Keys, count: u64, streams: Streams<'_>) -> Reply {
    let limit = if count == 0 { usize::MAX } else { clamped(count) };
    let mut budget = Budget::new();
    let mut found = Vec::new();
    for (key, after) in streams.iter() {
        let stream = match keys.stream(key) {
            Ok(Some(stream)) => stream,
            Ok(None) => continue,
            Err(reply) => return reply,
        };
        let Some(first) = after.unwrap_or(stream.last_id).next() else {
            continue;
        };
        let entries = match collect(stream.range(&(first..=StreamId::MAX)).take(limit), &mut budget) {
            Ok(entries) if entries.is_empty() => continue,
            Ok(entries) => entries,
            Err(too_large) => return within_budget(Err(too_large)),
        };
        match budget.bulk(bytes::Bytes::copy_from_slice(key)) {
            Ok(name) => found.push((name, Reply::Array(entries))),
            Err(too_large) => return within_budget(Err(too_large)),
        }
    }
    if found.is_empty() {
        Reply::NullArray
    } else {
        Reply::Pairs(found)
    }
}

fn collect<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    budget: &mut Budget,
) -> Result<Vec<Reply>, TooLarge> {
    entries.map(|entry| entry.to_reply(budget)).collect()
}

fn clamped(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
