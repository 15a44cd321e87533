//! A state machine for tests, asked as a client asks: by the words of a line.

use bytes::Bytes;
use noraft::LogIndex;

use super::{Machine, Restoring};
use crate::level::Level;
use crate::protocol::command::{Class, Parsed, Request, parse};
use crate::protocol::resp::{Reply, RespVersion};
use crate::time::Stamp;

pub(super) struct Asked(pub(super) Machine);

impl Asked {
    /// At the highest level, which came into force by entry 1. An entry comes every 10 ms.
    pub(super) fn new() -> Self {
        let mut asked = Self(Machine::new());
        asked.apply(&Request::to_raise(Level::SUPPORTED).body);
        asked
    }

    pub(super) fn apply(&mut self, body: &[u8]) -> Reply {
        let index = self.0.applied_index().get() + 1;
        self.0
            .apply(LogIndex::new(index), Stamp::from_millis(index * 10), body)
    }

    /// What a client is answered, on one line.
    pub(super) fn ask(&mut self, line: &str) -> String {
        let reply = match request(line) {
            Ok(request) if request.class == Class::Write => self.apply(&request.body),
            Ok(request) => self.0.query(&request.body),
            Err(reply) => reply,
        };
        shown(&reply)
    }

    /// Each line is answered as the one after it says.
    pub(super) fn check(&mut self, lines: &[(&str, &str)]) {
        for (line, expected) in lines {
            assert_eq!(self.ask(line), *expected, "{line}");
        }
        assert_eq!(self.0.state_hash(), self.0.read_state_hash());
        let back = self.restored();
        assert_eq!(back.0.state_hash(), self.0.state_hash());
        assert_eq!(back.0.read_state_hash(), self.0.state_hash());
    }

    /// The same state after a snapshot.
    pub(super) fn restored(&self) -> Self {
        let mut restoring = Restoring::default();
        assert!(self.0.chunks().all(|chunk| restoring.take(&chunk)));
        Self(restoring.finish(self.0.applied_index(), self.0.clock()))
    }
}

pub(super) fn request(line: &str) -> Result<Request, Reply> {
    let words = line.split(' ').map(|word| Bytes::from(word.to_owned()));
    match parse(words.collect())? {
        Parsed::Replicated(request) => Ok(request),
        other => panic!("{line}: {other:?}"),
    }
}

/// In RESP3, with commas for line ends.
pub(super) fn shown(reply: &Reply) -> String {
    let mut out = bytes::BytesMut::new();
    reply.encode(RespVersion::V3, &mut out);
    let text = String::from_utf8_lossy(&out).into_owned();
    text.trim_end().replace("\r\n", ",")
}
