//! The commands' semantics, written a second time: from what Redis 7 documents, and from what this server documents
//! where it differs.
//!
//! Invariant: nothing here comes from `noraftd::machine` or from the daemon's parsers; a mistake would have to be made
//! twice. A clone costs nothing, so that the state after every index can be kept for a while.
//!
//! | module | what it owns |
//! |-|-|
//! | `request`, `entries` | what can be asked |
//! | `understand`, `stream_words` | from words to a request, or the error that refuses them |
//! | `strings`, `streams`, `times` | what a request does to the keys, and its answer |
//! | `connection` | commands that say nothing about keys |
//! | `image` | the state as a snapshot holds it |
//! | `draw` | commands with arguments at their edges, from a seed |

mod answer;
mod connection;
pub mod draw;
mod entries;
mod image;
mod number;
mod request;
mod stream_words;
mod streams;
mod strings;
mod times;
mod understand;
mod words;

use bytes::Bytes;
use imbl::OrdMap;

pub use self::answer::Answer;
pub use self::connection::{Connection, Expected};
pub use self::request::{Asked, Request};
use self::streams::Stream;
pub use self::times::{Only, Time, When as Until};
pub use self::understand::understand;

/// Every key with its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keyspace {
    map: OrdMap<Bytes, Value>,
    /// When keys go, of those that do, in milliseconds.
    goes: OrdMap<Bytes, u64>,
    /// The latest stamp of an entry.
    now: u64,
    level: u8,
    /// The entry that last changed each key, of those that were changed since there is a level.
    changed: OrdMap<Bytes, u64>,
    /// The entry of the first level, which stands for those before it.
    first: u64,
    /// The entry that is carried out.
    index: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Text(Bytes),
    Stream(Stream),
}

impl Keyspace {
    /// The entry at `index` is carried out.
    pub fn begin(&mut self, index: u64) {
        self.index = index;
    }

    /// The entry changes the key.
    fn touch(&mut self, key: &Bytes) {
        if self.level > 0 {
            self.changed.insert(key.clone(), self.index);
        }
    }

    /// Carries out `request`; `stamp` is the time of its entry, in milliseconds.
    pub fn execute(&mut self, stamp: u64, request: &Request) -> Answer {
        self.pass(stamp);
        match request {
            Request::Set(set) => self.set(set),
            Request::Delete(keys) => {
                let mut removed = 0;
                for key in keys {
                    removed += usize::from(self.map.contains_key(key));
                    self.remove(key);
                }
                Answer::count(removed)
            }
            Request::SetMany(pairs) => {
                for (key, value) in pairs {
                    self.goes.remove(key);
                    self.map.insert(key.clone(), Value::Text(value.clone()));
                    self.touch(key);
                }
                Answer::ok()
            }
            Request::Add { key, delta } => self.add(key, *delta),
            Request::Append { key, suffix } => self.append(key, suffix),
            Request::AddEntry(entry) => self.add_entry(stamp, entry),
            Request::Timed { key, time } => self.about_time(key, time),
            Request::Get(_)
            | Request::CountExisting(_)
            | Request::GetMany(_)
            | Request::Length(_)
            | Request::TypeOf(_)
            | Request::StreamLength(_)
            | Request::Range(_)
            | Request::ReadStreams { .. } => self.read(request),
        }
    }

    /// The answer to a request that only reads.
    ///
    /// # Panics
    ///
    /// When it writes.
    pub fn read(&self, request: &Request) -> Answer {
        match request {
            Request::Get(key) => self.get(key),
            Request::CountExisting(keys) => {
                Answer::count(keys.iter().filter(|key| self.map.contains_key(*key)).count())
            }
            Request::GetMany(keys) => Answer::List(
                keys.iter()
                    .map(|key| match self.map.get(key) {
                        Some(Value::Text(text)) => Answer::Bulk(text.clone()),
                        Some(Value::Stream(_)) | None => Answer::Nil,
                    })
                    .collect(),
            ),
            Request::Length(key) => match self.map.get(key) {
                Some(Value::Text(text)) => Answer::count(text.len()),
                Some(Value::Stream(_)) => Answer::wrong_type(),
                None => Answer::Integer(0),
            },
            Request::TypeOf(key) => Answer::status(match self.map.get(key) {
                Some(Value::Text(_)) => "string",
                Some(Value::Stream(_)) => "stream",
                None => "none",
            }),
            Request::StreamLength(key) => self.stream_length(key),
            Request::Range(range) => self.range(range),
            Request::ReadStreams { count, streams } => self.read_streams(*count, streams),
            Request::Timed { time, .. } if self.level == 0 && !time.writes() => Answer::error(
                "ERR the command takes a higher level of the cluster, see `noraftd upgrade`; nothing was done",
            ),
            Request::Timed { key, time } if !time.writes() => self.time_of(key, time),
            Request::Timed { .. }
            | Request::Set(_)
            | Request::Delete(_)
            | Request::SetMany(_)
            | Request::Add { .. }
            | Request::Append { .. }
            | Request::AddEntry(_) => panic!("{request:?} writes"),
        }
    }

    /// A level comes into force.
    pub fn raise(&mut self, level: u8) {
        if self.level == 0 {
            self.first = self.index;
        }
        self.level = self.level.max(level);
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// True when there is no key.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}
