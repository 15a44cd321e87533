//! The binary encoding of commands in entries.

/// The name of a stream's entry: milliseconds and a sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId {
    /// Milliseconds since the Unix epoch, when it was generated.
    pub ms: u64,
    /// Tells entries of one millisecond apart.
    pub seq: u64,
}

/// The id that `XADD` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamIdRequest {
    /// `*`: from the entry's stamp.
    Auto,
    /// `ms-*`: the next one in this millisecond.
    AutoSeq(u64),
    /// Exactly this one.
    Explicit(StreamId),
}

/// When `SET` sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetCondition<'a> {
    /// Always.
    Always,
    /// Only a key that does not exist.
    Missing,
    /// Only a key that exists.
    Exists,
    /// Only a key that holds exactly this value.
    Equals(&'a [u8]),
}

/// A list of arguments, borrowed from an encoded command; verified when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Args<'a> {
    count: usize,
    bytes: &'a [u8],
}

/// A command of the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// `SET key value`
    Set {
        /// The key.
        key: &'a [u8],
        /// Its new value.
        value: &'a [u8],
        /// When to set it.
        condition: SetCondition<'a>,
        /// Answer the previous value.
        get: bool,
    },
    /// `GET key`
    Get {
        /// The key.
        key: &'a [u8],
    },
    /// `DEL key...`
    Del {
        /// The keys.
        keys: Args<'a>,
    },
}

impl<'a> Command<'a> {
    /// Decodes an encoded command; `None` when the bytes are not one.
    pub fn decode(body: &'a [u8]) -> Option<Self> {
        let _ = body;
        todo!()
    }

    /// How it has to be executed.
    pub fn class(&self) -> super::Class {
        todo!()
    }
}
