//! A block of commands that takes effect as one, if some keys are as they were: what `EXEC` makes of `WATCH` and `MULTI`.
//!
//! Encoded: the watched keys, each with the index (u64) at which it was last changed, 0 for a key that did not exist, as a list
//! in turn; then the bodies of the commands as a list.
//!
//! Invariant: what is decoded has commands about keys, and no block among them: decoding does not nest (`codec`).

use bytes::BytesMut;
use noraft::LogIndex;

use super::{Args, Class};
use crate::protocol::read::Reader;

/// The commands of a block, and what it depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    watches: Args<'a>,
    bodies: Args<'a>,
}

impl<'a> Block<'a> {
    /// Of keys and, in turn, 8 bytes of index; and of the bodies of commands. `None` for anything else than indexes there.
    pub(super) fn new(watches: Args<'a>, bodies: Args<'a>) -> Option<Self> {
        let mut indexes = watches.pairs().map(|(_, index)| index.len());
        let are_watches = watches.len().is_multiple_of(2) && indexes.all(|length| length == INDEX_BYTES);
        are_watches.then_some(Self { watches, bodies })
    }

    /// Keys, and when each was last changed.
    pub fn watches(&self) -> impl Iterator<Item = (&'a [u8], LogIndex)> + use<'a> {
        let index = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        let pairs = self.watches.pairs();
        pairs.map(move |(key, bytes)| (key, LogIndex::new(index(bytes))))
    }

    /// The commands in their encodings, in order.
    pub fn bodies(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.bodies.iter()
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        Self::new(Args::read(reader)?, Args::read(reader)?)
    }

    /// How it has to be executed: a block of reads needs no entry. `class_of` gives how each command has to be.
    pub(super) fn class(&self, class_of: impl Fn(&'a [u8]) -> Option<Class>) -> Class {
        match self.bodies().any(|body| class_of(body) == Some(Class::Write)) {
            true => Class::Write,
            false => Class::Read,
        }
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        self.watches.write(out);
        self.bodies.write(out);
    }

    pub(super) fn encoded_bytes(&self) -> usize {
        self.watches.encoded_bytes() + self.bodies.encoded_bytes()
    }
}

/// Bytes of an index.
const INDEX_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;
    use crate::level::Level;
    use crate::protocol::command::{BODY_VERSION, Command, Parsed, Request, parse};

    fn body(line: &str) -> Bytes {
        let words = line.split(' ').map(|word| Bytes::from(word.to_owned()));
        match parse(words.collect()) {
            Ok(Parsed::Replicated(request)) => request.body,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn request(watches: &[(&str, u64)], lines: &[&str]) -> Request {
        let watches: BTreeMap<Bytes, LogIndex> = watches
            .iter()
            .map(|(key, index)| (Bytes::from((*key).to_owned()), LogIndex::new(*index)))
            .collect();
        let bodies: Vec<Bytes> = lines.iter().map(|line| body(line)).collect();
        Request::to_run_block(&watches, &bodies).expect("it is small")
    }

    #[test]
    fn a_block_is_read_as_it_was_written() {
        let request = request(&[("a", 7), ("b", 0)], &["SET a 1", "GET b", "XADD s * f v"]);
        let Some(Command::Block(block)) = Command::decode(&request.body) else {
            panic!("it decodes")
        };
        let watches: Vec<_> = block.watches().collect();
        let index = LogIndex::new;
        assert_eq!(watches, [(&b"a"[..], index(7)), (&b"b"[..], index(0))]);
        let commands: Vec<Bytes> = block.bodies().map(Bytes::copy_from_slice).collect();
        assert_eq!(commands, [body("SET a 1"), body("GET b"), body("XADD s * f v")]);
        assert_eq!(request.class, Class::Write);
        assert_eq!(request.takes_level(), Level::BLOCK);
        assert_eq!(Request::decode_checked(request.body.clone()), Some(request));
    }

    #[test]
    fn a_block_of_reads_is_a_read() {
        let watched = [("a", 7)];
        assert_eq!(request(&watched, &["GET a", "MGET a b"]).class, Class::Read);
        assert_eq!(request(&watched, &[]).class, Class::Read);
        // How long a key stays is asked through the log.
        assert_eq!(request(&watched, &["GET a", "TTL a"]).class, Class::Write);
    }

    #[test]
    fn no_block_has_a_block_or_what_only_nodes_say() {
        let block = |body: Bytes| {
            let bodies = [body];
            let block = Block::new(Args::sent(&[]), Args::sent(&bodies)).expect("nothing is watched");
            Command::decode(&Command::Block(block).encode()).is_some()
        };
        assert!(block(body("SET a 1")));
        for body in [
            request(&[], &[]).body,
            Request::for_clock().body,
            Request::for_index().body,
            Request::to_raise(Level::SUPPORTED).body,
            Command::FlushAll.encode().freeze(),
            Bytes::new(),
            Bytes::from_static(&[BODY_VERSION, 200]),
        ] {
            assert!(!block(body.clone()), "{body:?}");
        }
        let key = Bytes::from_static(b"k");
        for watches in [vec![key.clone()], vec![key.clone(), key]] {
            assert!(Block::new(Args::sent(&watches), Args::sent(&[])).is_none());
        }
    }
}
