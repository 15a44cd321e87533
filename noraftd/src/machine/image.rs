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
//! | 16 | the membership table; before all keys, and only if it has begun | its rows (count u32, `member.rs`), the ids that were removed (count u32, each u64), the highest id u64 |
//!
//! Invariant: keys come in rising order, so equal states give equal bytes on every node. What decodes is a state
//! that commands could have made; anything else is refused, whatever the bytes.

use bytes::{BufMut, Bytes, BytesMut};
use noraft::LogIndex;

use super::Machine;
use super::keys::{Keys, Value};
use super::members::Members;
use super::stream::{Entry, Stream};
use super::text::Text;
use crate::level::Level;
use crate::protocol::command::{Args, StreamId};
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
        let mut items = level.into_iter().chain(first).chain(members).chain(keys);
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
    keys: Keys,
    newest: Option<Bytes>,
    stream: Option<Stream>,
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
            keys: self.keys,
        }
    }

    fn take_item(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let tag = reader.u8()?;
        let has_begun = std::mem::replace(
            &mut self.has_begun,
            matches!(tag, TAG_STRING | TAG_STREAM | TAG_MODIFIED),
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
            _ => return None,
        }
        Some(())
    }

    fn begin_key(&mut self, key: &[u8]) -> Option<()> {
        self.end_key();
        let follows = self.newest.as_ref().is_none_or(|newest| **newest < *key);
        follows.then(|| self.newest = Some(Bytes::copy_from_slice(key)))
    }

    fn end_key(&mut self) {
        let Some(key) = &self.newest else { return };
        if let Some(stream) = self.stream.take() {
            self.keys.insert(key, Value::Stream(Box::new(stream)));
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
    String { key: &'a Bytes, value: &'a Bytes },
    Stream { key: &'a Bytes, last_id: StreamId },
    FirstKept(u64),
    Modified(u64),
    Deadline(Stamp),
    Entry(&'a Entry),
}

fn items_of<'a>(
    key: &'a Bytes,
    value: &'a Value,
    (modified, deadline): (u64, Option<Stamp>),
) -> impl Iterator<Item = Item<'a>> {
    let (head, entries) = match value {
        Value::String(text) => {
            let value = text.bytes();
            (Item::String { key, value }, None)
        }
        Value::Stream(stream) => {
            let (last_id, entries) = stream.parts();
            (Item::Stream { key, last_id }, Some(entries))
        }
    };
    let modified = (modified > 0).then_some(Item::Modified(modified));
    let head = std::iter::once(head)
        .chain(modified)
        .chain(deadline.map(Item::Deadline));
    head.chain(entries.into_iter().flatten().map(Item::Entry))
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
const TAG_MEMBERS: u8 = 16;
const TAG_DEADLINE: u8 = 5;
const TAG_MODIFIED: u8 = 6;
const TAG_FIRST_KEPT: u8 = 7;

#[cfg(test)]
mod tests {
    use noraft::NodeId;

    use super::*;
    use crate::protocol::command::{self, Addresses, Member, MemberChange, Parsed, Part};
    use crate::protocol::resp::Reply;

    fn run(machine: &mut Machine, words: &[&[u8]]) {
        let args = words.iter().map(|word| Bytes::copy_from_slice(word)).collect();
        let Ok(Parsed::Replicated(request)) = command::parse(args) else {
            panic!("{words:?} is a command that is replicated")
        };
        let index = LogIndex::new(machine.applied_index().get() + 1);
        machine.apply(index, Stamp::from_millis(index.get()), &request.body);
    }

    fn state(keys: u32) -> Machine {
        let mut machine = Machine::new();
        for n in 0..keys {
            let key = format!("key-{}", n * 7919 % keys);
            run(&mut machine, &[b"SET", key.as_bytes(), &[n as u8; 100]]);
            run(&mut machine, &[b"XADD", b"log", b"*", b"field", key.as_bytes()]);
        }
        run(&mut machine, &[b"SET", b"", b""]);
        machine
    }

    fn restored(chunks: impl Iterator<Item = Bytes>) -> Option<Machine> {
        restored_at(chunks, Stamp::default())
    }

    fn restored_at(chunks: impl Iterator<Item = Bytes>, clock: Stamp) -> Option<Machine> {
        let mut restoring = Restoring::default();
        for chunk in chunks {
            restoring.take(&chunk).then_some(())?;
        }
        Some(restoring.finish(LogIndex::new(1), clock))
    }

    #[test]
    fn a_state_survives_its_chunks() {
        for keys in [0, 1, 5000] {
            let machine = state(keys);
            let chunks: Vec<Bytes> = machine.chunks().collect();
            assert!(chunks.len() > keys as usize / 2000, "{}", chunks.len());
            let back = restored(chunks.into_iter()).expect("what was written is read");
            assert_eq!(back.state_hash(), machine.state_hash());
            assert_eq!(back.read_state_hash(), machine.state_hash());
            assert_eq!(back.key_count(), machine.key_count());
        }
    }

    #[test]
    fn the_level_is_in_the_image_from_level_1_on() {
        let (mut machine, keys) = (state(3), state(3));
        let request = command::Request::to_raise(Level::FLUSH);
        let index = LogIndex::new(machine.applied_index().get() + 1);
        let raised = machine.apply(index, Stamp::from_millis(1), &request.body);
        assert_eq!(raised, Reply::Integer(1));
        assert_ne!(machine.state_hash(), keys.state_hash());
        let chunk = |machine: &Machine| machine.chunks().next().expect("there is a chunk");
        let first = [&[TAG_FIRST_KEPT][..], &index.get().to_le_bytes()].concat();
        assert_eq!(
            chunk(&machine),
            [&[TAG_LEVEL, 1], &first[..], &chunk(&keys)].concat()
        );
        let mut back = restored(machine.chunks()).expect("what was written is read");
        assert_ne!(
            back.state_hash(),
            machine.state_hash(),
            "the time is not in the image"
        );
        back.advance(LogIndex::new(2), machine.clock());
        assert_eq!(
            (back.level(), back.state_hash()),
            (Level::FLUSH, machine.state_hash())
        );
        for strange in [&[TAG_LEVEL, 0][..], &[TAG_LEVEL, 1, TAG_LEVEL, 1], &[TAG_LEVEL]] {
            assert!(restored([Bytes::copy_from_slice(strange)].into_iter()).is_none());
        }
        let late = [&chunk(&keys)[..], &[TAG_LEVEL, 1]].concat();
        assert!(restored([Bytes::from(late)].into_iter()).is_none(), "behind keys");
    }

    #[test]
    fn the_membership_table_is_in_the_image_before_all_keys() {
        let mut machine = state(3);
        let member = Member {
            id: NodeId::new(3),
            part: Part::Voter,
            incarnation: 9,
            addresses: Addresses::default(),
        };
        let begin = command::Request::to_change_members(&MemberChange::Begin(vec![member]));
        let mut apply = |request: command::Request| {
            let index = LogIndex::new(machine.applied_index().get() + 1);
            machine.apply(index, Stamp::from_millis(1), &request.body)
        };
        let error = apply(begin.clone());
        assert!(
            matches!(error, Reply::Error(_)),
            "at level 0 there is no table: {error:?}"
        );
        apply(command::Request::to_raise(Level::FLUSH));
        assert_eq!(apply(begin), Reply::Status("OK"));
        let back = restored_at(machine.chunks(), machine.keys.clock()).expect("what was written is read");
        assert_eq!(back.members(), machine.members());
        assert_eq!(back.state_hash(), machine.state_hash());
        let bare = machine.without_members();
        assert!(bare.members().is_empty() && bare.state_hash() != machine.state_hash());
        let table = [
            &[TAG_MEMBERS, machine.members().encode().len() as u8, 0, 0, 0][..],
            &machine.members().encode(),
        ];
        let table = table.concat();
        let level = &[TAG_LEVEL, 1][..];
        let begun = |parts: &[&[u8]]| restored([Bytes::from(parts.concat())].into_iter()).is_some();
        assert!(begun(&[level, &table]));
        assert!(!begun(&[&table]), "without a level");
        assert!(!begun(&[level, &table, &table]), "twice");
    }

    #[test]
    fn a_clone_stays_what_it_was() {
        let mut machine = state(300);
        let (frozen, hash) = (machine.clone(), machine.state_hash());
        run(&mut machine, &[b"SET", b"key-1", b"other"]);
        run(&mut machine, &[b"XADD", b"log", b"*", b"field", b"more"]);
        run(&mut machine, &[b"DEL", b"key-2"]);
        assert_eq!(frozen.state_hash(), hash);
        assert_ne!(machine.state_hash(), hash);
    }

    #[test]
    fn no_bytes_panic_and_cut_chunks_are_refused() {
        let chunk = state(3).chunks().next().expect("there is a chunk");
        let mut whole = 0;
        for end in 0..chunk.len() {
            whole += u32::from(restored([chunk.slice(..end)].into_iter()).is_some());
        }
        assert!(whole <= 8, "only between items: {whole}");
        for bit in 0..chunk.len() * 8 {
            let mut bytes = chunk.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let _ = restored([Bytes::from(bytes)].into_iter());
        }
    }

    #[test]
    fn a_deadline_is_only_where_a_command_could_have_made_it() {
        let one = |tag: u8| [&[tag][..], &1_u32.to_le_bytes(), b"k"].concat();
        let key = [&one(TAG_STRING)[..], &0_u32.to_le_bytes()].concat();
        let stream = [&one(TAG_STREAM)[..], &[1; 16]].concat();
        let deadline = |millis: u64| [&[TAG_DEADLINE][..], &millis.to_le_bytes()].concat();
        let level = [TAG_LEVEL, 1];
        let read = |parts: &[&[u8]]| restored([Bytes::from(parts.concat())].into_iter());
        for key in [&key, &stream] {
            let machine = read(&[&level, key, &deadline(9)]).expect("it is read");
            assert_eq!(machine.next_deadline(), Some(Stamp::from_millis(9)));
            assert_eq!(machine.state_hash(), machine.read_state_hash());
            assert!(read(&[key, &deadline(9)]).is_none(), "below the level");
            assert!(read(&[&level, key, &deadline(0)]).is_none());
            assert!(read(&[&level, key, &deadline(9), &deadline(9)]).is_none());
        }
        assert!(read(&[&level, &deadline(9)]).is_none(), "of no key");
        assert!(read(&[&level, &deadline(9), &key]).is_none());
        let entry = [&[TAG_ENTRY][..], &[1; 16], &[0; 4]].concat();
        assert!(
            read(&[&level, &stream, &entry, &deadline(9)]).is_none(),
            "behind entries"
        );
        assert!(read(&[&level, &stream, &deadline(9), &entry]).is_some());
    }
}
