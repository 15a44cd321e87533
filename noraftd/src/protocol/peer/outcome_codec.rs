//! Outcomes and replies inside peer messages.
//!
//! An outcome is a tag (u8): 0 done, followed by the reply; 1 refused; 2 indefinite; each of the latter
//! followed by a code (u8), its place in [`Refusal::ALL`] or [`Doubt::ALL`].
//!
//! A reply is a tag (u8) and, with counts and lengths as u32 and all numbers little-endian:
//!
//! | tag | reply | fields |
//! |-|-|-|
//! | 0 | status | its place in [`STATUSES`] u8 |
//! | 1 | error | length, text |
//! | 2 | integer | i64 |
//! | 3 | bulk | length, bytes |
//! | 4 | null | |
//! | 5 | null array | |
//! | 6 | array | count, replies |
//! | 7 | map | count, keys and values in turn |
//! | 8 | pairs | count, keys and values in turn |
//! | 9 | rows (from level 1 on) | count, both parts in turn |
//! | 10 | set (from level 1 on) | count, replies |
//! | 11 | number with a fraction (from level 1 on) | f64, a number |
//! | 12 | a status that a script made (from level 1 on) | length, text |
//!
//! RESP itself would not do: it does not distinguish 4 from 5 in version 3, nor 7 from 6 in version 2. New
//! statuses, refusals and doubts are added at the end of their lists.
//! Invariant: decoding is total, with limits on depth and number of elements.

use bytes::{BufMut, Bytes, BytesMut};

use crate::protocol::outcome::{Doubt, Outcome, Refusal};
use crate::protocol::read::Reader;
use crate::protocol::resp::{Double, Reply, STATUSES};

/// Deepest nesting of a forwarded reply; the deepest the state machine makes is four.
const REPLY_DEPTH_MAX: usize = 8;

/// Most elements of a forwarded reply, at all depths: twice what fits the state machine's limit.
const REPLY_ELEMENTS_MAX: usize = 1 << 20;

pub(super) fn write_outcome(outcome: &Outcome, out: &mut BytesMut) {
    match outcome {
        Outcome::Done(reply) => {
            out.put_u8(0);
            write_reply(reply, out);
        }
        Outcome::Refused(refusal) => out.extend_from_slice(&[1, place(&Refusal::ALL, refusal)]),
        Outcome::Indefinite(doubt) => out.extend_from_slice(&[2, place(&Doubt::ALL, doubt)]),
    }
}

/// Reads an outcome; `body` is the memory that `reader` reads.
pub(super) fn read_outcome(reader: &mut Reader<'_>, body: &Bytes) -> Option<Outcome> {
    match reader.u8()? {
        0 => {
            let mut elements_left = REPLY_ELEMENTS_MAX;
            let mut replies = ReplyReader {
                reader,
                body,
                elements_left: &mut elements_left,
            };
            replies.reply(REPLY_DEPTH_MAX).map(Outcome::Done)
        }
        1 => at_place(&Refusal::ALL, reader).map(Outcome::Refused),
        2 => at_place(&Doubt::ALL, reader).map(Outcome::Indefinite),
        _ => None,
    }
}

/// The reply that `body` is the encoding of, and nothing else.
pub(crate) fn read_reply(body: &Bytes) -> Option<Reply> {
    let mut reader = Reader::new(body);
    let mut elements_left = REPLY_ELEMENTS_MAX;
    let mut replies = ReplyReader {
        reader: &mut reader,
        body,
        elements_left: &mut elements_left,
    };
    let reply = replies.reply(REPLY_DEPTH_MAX)?;
    reader.end().map(|()| reply)
}

fn place<T: PartialEq>(all: &[T], item: &T) -> u8 {
    let at = all
        .iter()
        .position(|one| one == item)
        .expect("the list is complete");
    u8::try_from(at).expect("the list is short")
}

fn at_place<T: Copy>(all: &[T], reader: &mut Reader<'_>) -> Option<T> {
    all.get(usize::from(reader.u8()?)).copied()
}

/// Appends the encoding of a reply of the state machine.
pub(crate) fn write_reply(reply: &Reply, out: &mut BytesMut) {
    match reply {
        Reply::Status(text) => out.extend_from_slice(&[0, place(&STATUSES, text)]),
        Reply::Error(text) => write_bytes(1, text.as_bytes(), out),
        Reply::Line(text) => write_bytes(12, text.as_bytes(), out),
        Reply::Integer(n) => {
            out.put_u8(2);
            out.put_i64_le(*n);
        }
        Reply::Bulk(bytes) => write_bytes(3, bytes, out),
        Reply::Null => out.put_u8(4),
        Reply::NullArray => out.put_u8(5),
        Reply::Array(items) => {
            write_count(6, items.len(), out);
            items.iter().for_each(|item| write_reply(item, out));
        }
        Reply::Double(number) => {
            out.put_u8(11);
            out.put_f64_le(number.get());
        }
        Reply::Set(items) => {
            write_count(10, items.len(), out);
            items.iter().for_each(|item| write_reply(item, out));
        }
        Reply::Map(pairs) => write_pairs(7, pairs, out),
        Reply::Pairs(pairs) => write_pairs(8, pairs, out),
        Reply::Rows(rows) => write_pairs(9, rows, out),
        Reply::Push(_) | Reply::Several(_) => unreachable!("the state machine answers with neither"),
    }
}

fn write_pairs(tag: u8, pairs: &[(Reply, Reply)], out: &mut BytesMut) {
    write_count(tag, pairs.len(), out);
    for (key, value) in pairs {
        write_reply(key, out);
        write_reply(value, out);
    }
}

fn write_bytes(tag: u8, bytes: &[u8], out: &mut BytesMut) {
    write_count(tag, bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn write_count(tag: u8, count: usize, out: &mut BytesMut) {
    out.put_u8(tag);
    out.put_u32_le(u32::try_from(count).expect("the state machine limits replies to less than 4 GiB"));
}

struct ReplyReader<'r, 'a> {
    reader: &'r mut Reader<'a>,
    body: &'r Bytes,
    elements_left: &'r mut usize,
}

impl ReplyReader<'_, '_> {
    fn reply(&mut self, depth_left: usize) -> Option<Reply> {
        *self.elements_left = self.elements_left.checked_sub(1)?;
        let inner = depth_left.checked_sub(1)?;
        Some(match self.reader.u8()? {
            0 => Reply::Status(at_place(&STATUSES, self.reader)?),
            1 => Reply::Error(self.text()?),
            12 => Reply::Line(self.text()?),
            2 => Reply::Integer(self.reader.i64()?),
            3 => Reply::Bulk(self.body.slice_ref(self.reader.bytes()?)),
            4 => Reply::Null,
            5 => Reply::NullArray,
            6 => Reply::Array(self.repeat(|replies| replies.reply(inner))?),
            7 => Reply::Map(self.repeat(|replies| replies.pair(inner))?),
            8 => Reply::Pairs(self.repeat(|replies| replies.pair(inner))?),
            9 => Reply::Rows(self.repeat(|replies| replies.pair(inner))?),
            11 => Reply::Double(Double::new(f64::from_bits(self.reader.u64()?))?),
            10 => Reply::Set(self.repeat(|replies| replies.reply(inner))?),
            _ => return None,
        })
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.reader.bytes()?.to_vec()).ok()
    }

    fn pair(&mut self, depth_left: usize) -> Option<(Reply, Reply)> {
        Some((self.reply(depth_left)?, self.reply(depth_left)?))
    }

    /// Stops at the first element that is missing, so a false count costs nothing.
    fn repeat<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.reader.u32()?;
        (0..count).map(|_| one(self)).collect()
    }
}
