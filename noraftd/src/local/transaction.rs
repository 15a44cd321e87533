//! What a connection does as one: the commands since `MULTI`, and the keys that it watches.
//!
//! The node that has the connection keeps both, and sends the whole as one request. A lost connection drops them.
//!
//! Invariant: what is kept fits one entry, in bytes and in number. After anything that was refused since `MULTI`, or a `WATCH` that
//! was not carried out, `EXEC` carries out nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use noraft::LogIndex;

use crate::protocol::command::Request;
use crate::protocol::resp::{ARGS_MAX, Reply};
use crate::record::PAYLOAD_BYTES_MAX;

/// The transaction of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transaction {
    queue: Option<Queue>,
    watched: BTreeMap<Bytes, LogIndex>,
    /// Bytes of the watched keys, and of what comes with them.
    watched_bytes: usize,
    /// A `WATCH` was not carried out.
    watch_failed: bool,
}

/// The commands since `MULTI`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Queue {
    bodies: Vec<Bytes>,
    bytes: usize,
    /// Something was refused.
    is_spoiled: bool,
}

impl Transaction {
    /// True between `MULTI` and its end.
    pub fn is_open(&self) -> bool {
        self.queue.is_some()
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.watched_bytes + self.queue.as_ref().map_or(0, |queue| queue.bytes)
    }

    /// True when nothing is kept.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// True when `EXEC` depends on what is read now.
    pub fn watches(&self) -> bool {
        !self.watched.is_empty()
    }

    /// `MULTI`
    pub fn begin(&mut self) -> Reply {
        if self.is_open() {
            return error("ERR MULTI calls can not be nested");
        }
        self.queue = Some(Queue::default());
        Reply::Status("OK")
    }

    /// Keeps a command until `EXEC`.
    pub fn queue(&mut self, request: &Request) -> Reply {
        let watched_bytes = self.watched_bytes;
        let Some(queue) = &mut self.queue else {
            return error("ERR EXEC without MULTI");
        };
        if queue.is_spoiled {
            // It is never carried out.
            return Reply::Status("QUEUED");
        }
        queue.bytes += request.body.len() + ITEM_BYTES;
        if queue.bytes + watched_bytes > PAYLOAD_BYTES_MAX - HEAD_BYTES || queue.bodies.len() >= ARGS_MAX {
            queue.spoil();
            return error(TOO_LARGE);
        }
        queue.bodies.push(request.body.clone());
        Reply::Status("QUEUED")
    }

    /// A command since `MULTI` was refused.
    pub fn spoil(&mut self) {
        self.queue.iter_mut().for_each(Queue::spoil);
    }

    /// `EXEC`: the request that carries out what was kept.
    ///
    /// # Errors
    ///
    /// With the reply to give when there is none; nothing was done.
    pub fn end(&mut self) -> Result<Request, Reply> {
        let Some(queue) = self.queue.take() else {
            return Err(error("ERR EXEC without MULTI"));
        };
        let Self {
            watched,
            watch_failed,
            ..
        } = std::mem::take(self);
        if queue.is_spoiled {
            return Err(error(
                "EXECABORT Transaction discarded because of previous errors.",
            ));
        }
        if watch_failed {
            return Err(error(
                "EXECABORT Transaction discarded: WATCH was not carried out; nothing was done",
            ));
        }
        Request::to_run_block(&watched, &queue.bodies)
    }

    /// `DISCARD`
    pub fn discard(&mut self) -> Reply {
        if !self.is_open() {
            return error("ERR DISCARD without MULTI");
        }
        *self = Self::default();
        Reply::Status("OK")
    }

    /// `UNWATCH`
    pub fn unwatch(&mut self) -> Reply {
        if self.is_open() {
            self.spoil();
            return error("ERR UNWATCH inside MULTI is not allowed");
        }
        *self = Self::default();
        Reply::Status("OK")
    }

    /// `WATCH`: the request that asks when these keys were last changed; its answer goes to [`Self::watched`].
    ///
    /// # Errors
    ///
    /// With the reply to give when they are not watched.
    pub fn watch(&mut self, keys: &[Bytes]) -> Result<Request, Reply> {
        if self.is_open() {
            return Err(error("ERR WATCH inside MULTI is not allowed"));
        }
        let more: usize = keys.iter().map(|key| key.len() + 2 * ITEM_BYTES).sum();
        let count = self.watched.len() + keys.len();
        if self.watched_bytes + more > WATCHED_BYTES_MAX || count > WATCHED_MAX {
            self.watch_failed = true;
            return Err(error("ERR a connection cannot watch so many keys"));
        }
        Request::for_modified(keys)
    }

    /// The answer to what [`Self::watch`] asked for. A key that is watched already stays as it is.
    pub fn watched(&mut self, keys: Vec<Bytes>, answer: Reply) -> Reply {
        let indexes = match answer {
            Reply::Array(indexes) if indexes.len() == keys.len() => indexes,
            refused => {
                self.watch_failed = true;
                return refused;
            }
        };
        for (key, index) in keys.into_iter().zip(indexes) {
            let Reply::Integer(index) = index else { continue };
            let bytes = key.len() + 2 * ITEM_BYTES;
            self.watched.entry(key).or_insert_with(|| {
                self.watched_bytes += bytes;
                LogIndex::new(index.unsigned_abs())
            });
        }
        Reply::Status("OK")
    }
}

impl Queue {
    /// Nothing of it will be carried out, so nothing is kept.
    fn spoil(&mut self) {
        *self = Self {
            is_spoiled: true,
            ..Self::default()
        };
    }
}

fn error(text: &str) -> Reply {
    Reply::Error(text.to_owned())
}

const TOO_LARGE: &str =
    "ERR the commands since MULTI are more than one entry holds; EXEC will carry out nothing";

/// More than a length, and an index, take beside a command or a key.
const ITEM_BYTES: usize = 12;
/// More than the heads of a block's lists take.
const HEAD_BYTES: usize = 64;
/// What a connection may watch: the rest of an entry is for commands.
const WATCHED_MAX: usize = 4096;
const WATCHED_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::command::{Class, Parsed, parse};

    fn request(line: &str) -> Request {
        let words = line.split(' ').map(|word| Bytes::from(word.to_owned()));
        match parse(words.collect()) {
            Ok(Parsed::Replicated(request)) => request,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn keys(names: &[&str]) -> Vec<Bytes> {
        names.iter().map(|name| Bytes::from((*name).to_owned())).collect()
    }

    fn text(reply: &Reply) -> &str {
        match reply {
            Reply::Status(text) => text,
            Reply::Error(text) => text,
            other => panic!("{other:?}"),
        }
    }

    fn indexes(indexes: &[i64]) -> Reply {
        Reply::Array(indexes.iter().map(|index| Reply::Integer(*index)).collect())
    }

    #[test]
    fn what_was_queued_is_one_request_on_the_condition_that_was_watched() {
        let mut transaction = Transaction::default();
        let asked = transaction.watch(&keys(&["a", "b"])).expect("it is small");
        assert_eq!(
            asked,
            Request::for_modified(&keys(&["a", "b"])).expect("it is small")
        );
        let said = transaction.watched(keys(&["a", "b"]), indexes(&[7, 0]));
        assert_eq!(text(&said), "OK");
        transaction.watched(keys(&["a"]), indexes(&[9]));
        assert!(transaction.watches());
        assert_eq!(text(&transaction.begin()), "OK");
        for line in ["SET a 1", "GET b"] {
            assert_eq!(text(&transaction.queue(&request(line))), "QUEUED");
        }
        let ended = transaction.end().expect("nothing was refused");
        let watched = BTreeMap::from([
            (keys(&["a"]).remove(0), LogIndex::new(7)),
            (keys(&["b"]).remove(0), LogIndex::new(0)),
        ]);
        let bodies = [request("SET a 1").body, request("GET b").body];
        assert_eq!(Ok(ended), Request::to_run_block(&watched, &bodies));
        assert!(transaction.is_nothing());
    }

    #[test]
    fn what_was_refused_since_multi_spoils_it() {
        let mut transaction = Transaction::default();
        transaction.begin();
        transaction.queue(&request("SET a 1"));
        transaction.spoil();
        assert_eq!(text(&transaction.queue(&request("SET b 1"))), "QUEUED");
        let refused = transaction.end().unwrap_err();
        assert!(text(&refused).starts_with("EXECABORT"));
        assert!(transaction.is_nothing());
        assert_eq!(text(&transaction.end().unwrap_err()), "ERR EXEC without MULTI");
        transaction.begin();
        assert!(
            transaction
                .end()
                .is_ok_and(|request| request.class == Class::Read)
        );
    }

    #[test]
    fn a_watch_that_failed_is_not_forgotten() {
        let refusal = || Reply::Error("CLUSTERDOWN nothing was done".to_owned());
        for end in [Transaction::discard, Transaction::unwatch] {
            let mut transaction = Transaction::default();
            transaction.watched(keys(&["a"]), refusal());
            if text(&end(&mut transaction)).starts_with("ERR") {
                transaction.begin();
                end(&mut transaction);
            }
            assert!(transaction.is_nothing());
        }
        let mut transaction = Transaction::default();
        assert_eq!(transaction.watched(keys(&["a"]), refusal()), refusal());
        transaction.begin();
        transaction.queue(&request("SET a 1"));
        assert!(text(&transaction.end().unwrap_err()).starts_with("EXECABORT"));
    }

    #[test]
    fn words_out_of_place_are_refused_as_in_redis() {
        let mut transaction = Transaction::default();
        assert_eq!(text(&transaction.discard()), "ERR DISCARD without MULTI");
        assert_eq!(text(&transaction.unwatch()), "OK");
        transaction.begin();
        assert_eq!(text(&transaction.begin()), "ERR MULTI calls can not be nested");
        let refused = transaction.watch(&keys(&["a"])).unwrap_err();
        assert_eq!(text(&refused), "ERR WATCH inside MULTI is not allowed");
        transaction.queue(&request("SET a 1"));
        assert!(transaction.end().is_ok(), "neither spoils it");
    }

    #[test]
    fn more_than_an_entry_holds_is_not_kept() {
        let mut transaction = Transaction::default();
        transaction.begin();
        let large = request(&format!("SET a {}", "x".repeat(PAYLOAD_BYTES_MAX / 2)));
        assert_eq!(text(&transaction.queue(&large)), "QUEUED");
        assert!(text(&transaction.queue(&large)).starts_with("ERR the commands"));
        assert!(text(&transaction.end().unwrap_err()).starts_with("EXECABORT"));
        transaction.begin();
        let small = request("GET a");
        for _ in 0..ARGS_MAX {
            assert_eq!(text(&transaction.queue(&small)), "QUEUED");
        }
        assert!(text(&transaction.queue(&small)).starts_with("ERR the commands"));
        let mut transaction = Transaction::default();
        let many: Vec<Bytes> = (0..=WATCHED_MAX).map(|n| Bytes::from(n.to_string())).collect();
        assert!(transaction.watch(&many).is_err());
        transaction.begin();
        assert!(transaction.end().is_err(), "it was not watched");
    }
}
