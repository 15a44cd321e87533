//! What requests do to streams.

use bytes::Bytes;
use imbl::OrdMap;

use super::answer::Answer;
use super::entries::{After, Id, NewEntry, NewId, Range};
use super::{Keyspace, Value};

/// Entries by their ids, and the last id that was ever given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) entries: OrdMap<Id, Vec<Bytes>>,
    pub(super) last: Id,
}

impl Stream {
    /// The id of an entry that is added now, or why there is none.
    fn id_for(&self, stamp: u64, wanted: NewId) -> Result<Id, Answer> {
        if self.last == Id::MAX {
            return Err(Answer::error(
                "ERR The stream has exhausted the last possible ID, unable to add more items",
            ));
        }
        let id = match wanted {
            NewId::Exactly(id) => Some(id),
            NewId::Clock if stamp > self.last.0 => Some(Id(stamp, 0)),
            NewId::Clock => self.last.following(),
            NewId::Within(ms) if ms == self.last.0 => self.last.1.checked_add(1).map(|seq| Id(ms, seq)),
            NewId::Within(ms) => Some(Id(ms, 0)),
        };
        match id {
            Some(id) if id > self.last => Ok(id),
            Some(_) | None => Err(Answer::error(
                "ERR The ID specified in XADD is equal or smaller than the target stream top item",
            )),
        }
    }
}

impl Keyspace {
    pub(super) fn add_entry(&mut self, stamp: u64, new: &NewEntry) -> Answer {
        let mut stream = match self.map.get(&new.key) {
            Some(Value::Text(_)) => return Answer::wrong_type(),
            Some(Value::Stream(stream)) => stream.clone(),
            None if new.only_existing => return Answer::Nil,
            None => Stream::default(),
        };
        match stream.id_for(stamp, new.id) {
            Err(refused) => refused,
            Ok(id) => {
                stream.last = id;
                stream.entries.insert(id, new.fields.clone());
                self.map.insert(new.key.clone(), Value::Stream(stream));
                self.touch(&new.key);
                id.answer()
            }
        }
    }

    fn stream(&self, key: &Bytes) -> Result<Option<&Stream>, Answer> {
        match self.map.get(key) {
            Some(Value::Stream(stream)) => Ok(Some(stream)),
            Some(Value::Text(_)) => Err(Answer::wrong_type()),
            None => Ok(None),
        }
    }

    pub(super) fn stream_length(&self, key: &Bytes) -> Answer {
        match self.stream(key) {
            Ok(stream) => Answer::count(stream.map_or(0, |stream| stream.entries.len())),
            Err(refused) => refused,
        }
    }

    pub(super) fn range(&self, range: &Range) -> Answer {
        let stream = match self.stream(&range.key) {
            Ok(Some(stream)) => stream,
            Ok(None) => return Answer::List(Vec::new()),
            Err(refused) => return refused,
        };
        if range.count == Some(0) {
            return Answer::NilList;
        }
        let inside = |id: &Id| *id >= range.first && *id <= range.last;
        let mut found: Vec<Answer> = stream
            .entries
            .iter()
            .filter(|(id, _)| inside(id))
            .map(|(id, fields)| entry(*id, fields))
            .collect();
        if range.is_reverse {
            found.reverse();
        }
        if let Some(count) = range.count {
            found.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        }
        Answer::List(found)
    }

    pub(super) fn read_streams(&self, count: Option<u64>, asked: &[(Bytes, After)]) -> Answer {
        let mut found = Vec::new();
        for (key, after) in asked {
            let stream = match self.stream(key) {
                Ok(Some(stream)) => stream,
                Ok(None) => continue,
                Err(refused) => return refused,
            };
            let after = match after {
                After::Last => stream.last,
                After::Id(id) => *id,
            };
            let most = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
            let newer = stream.entries.iter().filter(|(id, _)| **id > after).take(most);
            let newer: Vec<Answer> = newer.map(|(id, fields)| entry(*id, fields)).collect();
            if !newer.is_empty() {
                found.push(Answer::List(vec![Answer::Bulk(key.clone()), Answer::List(newer)]));
            }
        }
        if found.is_empty() {
            Answer::NilList
        } else {
            Answer::List(found)
        }
    }
}

fn entry(id: Id, fields: &[Bytes]) -> Answer {
    let fields = fields.iter().cloned().map(Answer::Bulk).collect();
    Answer::List(vec![id.answer(), Answer::List(fields)])
}
