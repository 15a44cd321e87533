//! A stream: an append-only sequence of entries with growing ids; the replicated log that clients see.
//!
//! Invariant: ids grow strictly from entry to entry and none exceeds `last_id`; ids made here depend on the
//! stream and the entry's stamp alone, never on a clock. An entry owns its memory. `sum` is the sum of what each
//! entry contributes to the digest of the state.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use imbl::Vector;

use super::digest::Digest;
use super::reply::{Budget, TooLarge};
use crate::protocol::command::{OwnedArgs, StreamId, StreamIdRequest};
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
    pub(super) fn new_id(&self, stamp: Stamp, wanted: StreamIdRequest) -> Result<StreamId, Reply> {
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

    /// Appends an entry; its id is larger than any before.
    pub(super) fn push(&mut self, id: StreamId, fields: OwnedArgs) {
        assert!(id > self.last_id, "ids grow: {id:?} after {:?}", self.last_id);
        self.add(Entry { id, fields });
        self.last_id = id;
    }

    fn add(&mut self, entry: Entry) {
        self.sum = self.sum.wrapping_add(entry.sum());
        self.entries.push_back(entry);
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is no entry.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The last id ever given.
    pub(super) fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// Entries with ids in `ids`, first to last.
    pub(super) fn range(&self, ids: &RangeInclusive<StreamId>) -> impl DoubleEndedIterator<Item = &Entry> {
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
    pub(super) fn to_reply(&self, budget: &mut Budget) -> Result<Reply, TooLarge> {
        budget.element(0)?;
        budget.element(0)?;
        let id = budget.bulk(self.id.to_bytes())?;
        let fields: Result<Vec<Reply>, TooLarge> =
            self.fields.iter().map(|field| budget.bulk(field)).collect();
        Ok(Reply::Array(vec![id, Reply::Array(fields?)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending_at(ms: u64, seq: u64) -> Stream {
        Stream {
            last_id: StreamId { ms, seq },
            ..Stream::default()
        }
    }

    /// dragonfly#4237: `XADD s 5-* f v` asks for an entry of millisecond 5, or none.
    #[test]
    fn a_millisecond_whose_numbers_are_used_up_takes_no_more_entries() {
        let stamp = Stamp::from_millis(0);
        let id = |stream: &Stream, wanted| stream.new_id(stamp, wanted).ok();
        let at = |ms, seq| Some(StreamId { ms, seq });

        let full = ending_at(5, u64::MAX);
        assert_eq!(id(&full, StreamIdRequest::AutoSeq(5)), None);
        assert_eq!(id(&full, StreamIdRequest::AutoSeq(4)), None);
        assert_eq!(id(&full, StreamIdRequest::AutoSeq(6)), at(6, 0));
        // It names no millisecond: the next one will do.
        assert_eq!(id(&full, StreamIdRequest::Auto), at(6, 0));

        let almost = ending_at(5, u64::MAX - 1);
        assert_eq!(id(&almost, StreamIdRequest::AutoSeq(5)), at(5, u64::MAX));
        for wanted in [StreamIdRequest::Auto, StreamIdRequest::AutoSeq(u64::MAX)] {
            assert_eq!(id(&ending_at(u64::MAX, u64::MAX), wanted), None);
        }
    }
}
