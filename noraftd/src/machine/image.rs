//! The state as a row of chunks, and back: the body of a snapshot.
//!
//! A chunk holds whole items, one after the other; numbers are little-endian, a run of bytes follows its
//! length (u32):
//!
//! | tag | item | then |
//! |-|-|-|
//! | 1 | a string | key, value |
//! | 2 | a stream begins | key, its last id (u64, u64) |
//! | 3 | an entry of that stream | id (u64, u64), its fields (count u32, each a run of bytes) |
//! | 4 | the level in force; first of all, and only if it is not 0 | level u8 |
//! | 5 | when the key goes that has just begun; directly behind 1, 2 or 6, and only from level 1 on | milliseconds since the Unix epoch u64, not 0 |
//! | 6 | the entry that last changed the key that has just begun; directly behind 1 or 2, and only from level 1 on | index u64, not 0 |
//! | 7 | the entry that stands for those before any that are kept in 6; before all keys, and only from level 1 on. Where it is missing it is the snapshot's | index u64, not 0 |
//! | 8 | a limit that was set; before all sessions, in the order of their numbers, and only from level 1 on | its number u8, its value u64 |
//! | 9 | a session begins; before all keys, in the order of the ids, and only from level 1 on | id u64, the stamp of its last use u64, the newest number that is too old u64 |
//! | 10 | a reply that it keeps, in the order of the numbers | number u64, the print of what was asked u64, the reply (`protocol::peer::outcome_codec`) |
//! | 11 | a key with a value that is made of elements; only from level 1 on | its kind u8 (1 hash, 2 set, 3 sorted set, 4 list), key bytes |
//! | 12 | an element of it, in the order of its kind | hash: field bytes, value bytes; set: member bytes; sorted set: score f64, member bytes; list: bytes |
//! | 13 | a script that is kept; before all keys, in the order in which they go, and only from level 1 on | whether it was loaded u8, its number u64, not 0, its text |
//! | 16 | the membership table; before all keys, and only if it has begun | its rows (count u32, `member.rs`), the ids that were removed (count u32, each u64), the highest id u64 |
//!
//! Invariant: keys come in rising order, so equal states give equal bytes on every node. What decodes is a state
//! that commands could have made; anything else is refused, whatever the bytes.

mod elements;

use bytes::{BufMut, Bytes, BytesMut};
use noraft::LogIndex;

use self::elements::Element;
use super::Machine;
use super::keys::Keys;
use super::limits::Limits;
use super::members::Members;
use super::scripts::Scripts;
use super::sessions::{KeptReply, Sessions};
use super::stream::{Entry, Stream};
use super::text::Text;
use super::value::Value;
use crate::level::Level;
use crate::protocol::command::{Args, Limit, StreamId};
use crate::protocol::peer::outcome_codec::{read_reply, write_reply};
use crate::protocol::read::Reader;
use crate::time::Stamp;

impl Machine {
    /// The state in chunks of about [`CHUNK_BYTES`], each made when it is asked for.
    pub fn chunks(&self) -> impl Iterator<Item = Bytes> + '_ {
        let level = (self.level > Level::FIRST).then_some(Item::Level(self.level));
        let keys = self
            .keys
            .iter()
            .flat_map(|(key, value, times)| items_of(key, value, times));
        let members = (!self.members.is_empty()).then(|| Item::Members(self.members.encode()));
        let first = Some(self.keys.first_kept()).filter(|first| *first > 0);
        let first = first.map(Item::FirstKept);
        let limits = self
            .limits
            .changed()
            .map(|(limit, value)| Item::Limit(limit, value));
        let sessions = self.sessions.iter().flat_map(|(id, used, oldest, kept)| {
            let kept = kept.iter().map(Item::Kept);
            std::iter::once(Item::Session { id, used, oldest }).chain(kept)
        });
        let head = level.into_iter().chain(first).chain(members);
        let scripts = self.scripts.iter();
        let scripts = scripts.map(|(was_loaded, number, text)| Item::Script {
            was_loaded,
            number,
            text,
        });
        let mut items = head.chain(limits).chain(sessions).chain(scripts).chain(keys);
        std::iter::from_fn(move || {
            let mut chunk = BytesMut::new();
            while chunk.len() < CHUNK_BYTES {
                let Some(item) = items.next() else { break };
                item.write(&mut chunk);
            }
            (!chunk.is_empty()).then(|| chunk.freeze())
        })
    }
}

/// A state that is being put together from its chunks.
#[derive(Debug, Default)]
pub struct Restoring {
    level: Level,
    members: Members,
    limits: Limits,
    last_limit: Option<Limit>,
    sessions: Sessions,
    scripts: Scripts,
    keys: Keys,
    newest: Option<Bytes>,
    stream: Option<Stream>,
    /// A value that is made of elements.
    container: Option<Value>,
    /// When the newest key goes, while its value is being put together.
    deadline: Option<Stamp>,
    /// The entry that last changed it, likewise.
    modified: Option<u64>,
    /// The newest key has just begun.
    has_begun: bool,
}

impl Restoring {
    /// Takes the next chunk; false, and never again usable, when it is not one that follows.
    #[must_use]
    pub fn take(&mut self, chunk: &[u8]) -> bool {
        let mut reader = Reader::new(chunk);
        while !reader.rest().is_empty() {
            if self.take_item(&mut reader).is_none() {
                return false;
            }
        }
        true
    }

    /// The state after the entry at `applied_index`, when `clock` was the greatest stamp.
    pub fn finish(mut self, applied_index: LogIndex, clock: Stamp) -> Machine {
        self.end_key();
        self.keys.advance(clock);
        if self.level >= Level::BLOCK && self.keys.first_kept() == 0 {
            self.keys.keep_modified(applied_index);
        }
        Machine {
            applied_index,
            level: self.level,
            members: self.members,
            limits: Box::new(self.limits),
            sessions: Box::new(self.sessions),
            scripts: Box::new(self.scripts),
            keys: self.keys,
        }
    }

    fn take_item(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let tag = reader.u8()?;
        let has_begun = std::mem::replace(
            &mut self.has_begun,
            matches!(tag, TAG_STRING | TAG_STREAM | TAG_MODIFIED | TAG_CONTAINER),
        );
        match tag {
            TAG_STRING => {
                self.begin_key(reader.bytes()?)?;
                let value = Value::String(Text::new(Bytes::copy_from_slice(reader.bytes()?)));
                self.keys.insert(self.newest.as_ref()?, value);
            }
            TAG_STREAM => {
                self.begin_key(reader.bytes()?)?;
                self.stream = Some(Stream::restored(StreamId::read(reader)?));
            }
            TAG_ENTRY => {
                let (id, fields) = (StreamId::read(reader)?, Args::read(reader)?.to_owned_args());
                self.stream.as_mut()?.restore_entry(id, fields).then_some(())?;
            }
            TAG_CONTAINER => {
                let kind = reader.u8().filter(|_| self.level >= Level::DATA)?;
                self.begin_key(reader.bytes()?)?;
                self.container = Some(elements::begin(kind)?);
            }
            TAG_ELEMENT => elements::take(self.container.as_mut()?, reader)?,
            TAG_DEADLINE => {
                let may = has_begun && self.level >= Level::EXPIRY;
                let deadline = Stamp::from_millis(reader.u64()?);
                self.deadline = (may && deadline > Stamp::default()).then_some(Some(deadline))?;
            }
            TAG_MODIFIED => {
                let may = has_begun && self.modified.is_none() && self.level >= Level::BLOCK;
                let modified = reader.u64()?;
                self.modified = (may && modified > 0).then_some(Some(modified))?;
            }
            TAG_FIRST_KEPT => {
                let may = self.newest.is_none() && self.keys.first_kept() == 0 && self.level >= Level::BLOCK;
                let first = reader.u64()?;
                (may && first > 0).then(|| self.keys.keep_modified(LogIndex::new(first)))?;
            }
            TAG_LEVEL => {
                let is_first = self.newest.is_none() && self.level == Level::FIRST;
                let level = Level::new(reader.u8()?);
                self.level = (is_first && level > Level::FIRST).then_some(level)?;
            }
            TAG_MEMBERS => {
                let is_in_place =
                    self.newest.is_none() && self.level > Level::FIRST && self.members.is_empty();
                let members = Members::decode(reader.bytes()?);
                self.members = members.filter(|_| is_in_place)?;
            }
            TAG_SCRIPT => {
                let is_in_place = self.newest.is_none() && self.level >= Level::SCRIPT;
                let (was_loaded, number, text) = (reader.bool()?, reader.u64()?, reader.bytes()?);
                (is_in_place && self.scripts.restore(was_loaded, number, text)).then_some(())?;
            }
            TAG_LIMIT | TAG_SESSION | TAG_KEPT => {
                let is_in_place = self.newest.is_none() && self.level >= Level::SESSION;
                is_in_place.then(|| self.take_session_item(tag, reader))??;
            }
            _ => return None,
        }
        Some(())
    }

    fn take_session_item(&mut self, tag: u8, reader: &mut Reader<'_>) -> Option<()> {
        let fits = match tag {
            TAG_LIMIT => {
                let (limit, value) = Limit::read(reader)?;
                let follows = self.last_limit.replace(limit) < Some(limit) && self.sessions.is_empty();
                self.limits.set(limit, value);
                follows && value != limit.first()
            }
            TAG_SESSION => {
                let (id, used) = (reader.u64()?, Stamp::from_millis(reader.u64()?));
                self.sessions.restore(id, used, reader.u64()?)
            }
            _ => {
                let (number, print) = (reader.u64()?, reader.u64()?);
                let reply = read_reply(&Bytes::copy_from_slice(reader.bytes()?))?;
                self.sessions.restore_kept(KeptReply { number, print, reply })
            }
        };
        fits.then_some(())
    }

    fn begin_key(&mut self, key: &[u8]) -> Option<()> {
        let is_whole = self.container.as_ref().is_none_or(elements::is_any);
        is_whole.then(|| self.end_key())?;
        let follows = self.newest.as_ref().is_none_or(|newest| **newest < *key);
        follows.then(|| self.newest = Some(Bytes::copy_from_slice(key)))
    }

    fn end_key(&mut self) {
        let Some(key) = &self.newest else { return };
        if let Some(stream) = self.stream.take() {
            self.keys.insert(key, Value::Stream(Box::new(stream)));
        }
        if let Some(container) = self.container.take().filter(elements::is_any) {
            self.keys.insert(key, container);
        }
        if let Some(deadline) = self.deadline.take() {
            self.keys.set_deadline(key, Some(deadline));
        }
        if let Some(modified) = self.modified.take() {
            self.keys.restore_modified(key, modified);
        }
    }
}

/// A part of the state that is written at once.
enum Item<'a> {
    Level(Level),
    Members(Bytes),
    String {
        key: &'a Bytes,
        value: &'a Bytes,
    },
    Stream {
        key: &'a Bytes,
        last_id: StreamId,
    },
    Container {
        key: &'a Bytes,
        kind: u8,
    },
    Element(Element<'a>),
    FirstKept(u64),
    Limit(Limit, u64),
    Session {
        id: u64,
        used: Stamp,
        oldest: u64,
    },
    Kept(&'a KeptReply),
    Script {
        was_loaded: bool,
        number: u64,
        text: &'a Bytes,
    },
    Modified(u64),
    Deadline(Stamp),
    Entry(&'a Entry),
}

fn items_of<'a>(
    key: &'a Bytes,
    value: &'a Value,
    (modified, deadline): (u64, Option<Stamp>),
) -> impl Iterator<Item = Item<'a>> {
    let (head, parts): (_, Option<Box<dyn Iterator<Item = Item<'a>>>>) = match value {
        Value::String(text) => {
            let value = text.bytes();
            (Item::String { key, value }, None)
        }
        Value::Stream(stream) => {
            let (last_id, entries) = stream.parts();
            (
                Item::Stream { key, last_id },
                Some(Box::new(entries.map(Item::Entry))),
            )
        }
        Value::Hash(_) | Value::Set(_) | Value::Sorted(_) | Value::List(_) => {
            let (kind, parts) = elements::parts(value);
            (
                Item::Container { key, kind },
                Some(Box::new(parts.map(Item::Element))),
            )
        }
    };
    let modified = (modified > 0).then_some(Item::Modified(modified));
    let head = std::iter::once(head)
        .chain(modified)
        .chain(deadline.map(Item::Deadline));
    head.chain(parts.into_iter().flatten())
}

impl Item<'_> {
    fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Level(level) => {
                out.put_u8(TAG_LEVEL);
                out.put_u8(level.get());
            }
            Self::Members(table) => {
                out.put_u8(TAG_MEMBERS);
                put_bytes(table, out);
            }
            Self::String { key, value } => {
                out.put_u8(TAG_STRING);
                put_bytes(key, out);
                put_bytes(value, out);
            }
            Self::Stream { key, last_id } => {
                out.put_u8(TAG_STREAM);
                put_bytes(key, out);
                put_id(*last_id, out);
            }
            Self::Container { key, kind } => {
                out.extend_from_slice(&[TAG_CONTAINER, *kind]);
                put_bytes(key, out);
            }
            Self::Element(element) => {
                out.put_u8(TAG_ELEMENT);
                element.write(out);
            }
            Self::Limit(limit, value) => {
                out.put_u8(TAG_LIMIT);
                out.put_slice(&limit.put(*value));
            }
            Self::Session { id, used, oldest } => {
                out.put_u8(TAG_SESSION);
                [*id, used.as_millis(), *oldest]
                    .into_iter()
                    .for_each(|part| out.put_u64_le(part));
            }
            Self::Kept(kept) => {
                out.put_u8(TAG_KEPT);
                out.put_u64_le(kept.number);
                out.put_u64_le(kept.print);
                let mut reply = BytesMut::new();
                write_reply(&kept.reply, &mut reply);
                put_bytes(&reply, out);
            }
            Self::Script {
                was_loaded,
                number,
                text,
            } => write_script(*was_loaded, *number, text, out),
            Self::FirstKept(index) => {
                out.put_u8(TAG_FIRST_KEPT);
                out.put_u64_le(*index);
            }
            Self::Modified(index) => {
                out.put_u8(TAG_MODIFIED);
                out.put_u64_le(*index);
            }
            Self::Deadline(deadline) => {
                out.put_u8(TAG_DEADLINE);
                out.put_u64_le(deadline.as_millis());
            }
            Self::Entry(entry) => {
                out.put_u8(TAG_ENTRY);
                put_id(entry.id, out);
                put_length(entry.fields.len(), out);
                out.put_slice(entry.fields.as_encoded());
            }
        }
    }
}

fn write_script(was_loaded: bool, number: u64, text: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(&[TAG_SCRIPT, u8::from(was_loaded)]);
    out.put_u64_le(number);
    put_bytes(text, out);
}

fn put_id(id: StreamId, out: &mut BytesMut) {
    out.put_u64_le(id.ms);
    out.put_u64_le(id.seq);
}

fn put_length(length: usize, out: &mut BytesMut) {
    out.put_u32_le(u32::try_from(length).expect("what a command brought is shorter than 4 GiB"));
}

fn put_bytes(bytes: &[u8], out: &mut BytesMut) {
    put_length(bytes.len(), out);
    out.put_slice(bytes);
}

/// Large enough that the cost of a chunk does not show, small enough to make in a millisecond.
pub const CHUNK_BYTES: usize = 128 << 10;

const TAG_STRING: u8 = 1;
const TAG_STREAM: u8 = 2;
const TAG_ENTRY: u8 = 3;
const TAG_LEVEL: u8 = 4;
const TAG_SCRIPT: u8 = 13;
const TAG_MEMBERS: u8 = 16;
const TAG_DEADLINE: u8 = 5;
const TAG_MODIFIED: u8 = 6;
const TAG_FIRST_KEPT: u8 = 7;
const TAG_LIMIT: u8 = 8;
const TAG_SESSION: u8 = 9;
const TAG_KEPT: u8 = 10;
const TAG_CONTAINER: u8 = 11;
const TAG_ELEMENT: u8 = 12;

#[cfg(test)]
mod tests;
