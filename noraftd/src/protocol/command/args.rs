//! A list of arguments: as a client sent it, or as an encoded command holds it.
//!
//! Encoded: a count (u32, little-endian), then for each argument its length (u32) and its bytes.
//! Invariant: the bytes of an encoded list were walked once when it was made, so iterating cannot fail.

use bytes::{BufMut, Bytes, BytesMut};

use crate::protocol::read::Reader;
use crate::protocol::resp::ARGS_MAX;

/// A list of arguments, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Args<'a>(Source<'a>);

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Sent(&'a [Bytes]),
    /// `bytes` holds `count` arguments and nothing else.
    Encoded {
        count: usize,
        bytes: &'a [u8],
    },
}

impl<'a> Args<'a> {
    /// The arguments as they came from a client.
    pub fn sent(args: &'a [Bytes]) -> Self {
        Self(Source::Sent(args))
    }

    /// Takes an encoded list from `reader`; `None` when it is cut or longer than a client could send.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let count = usize::try_from(reader.u32()?)
            .ok()
            .filter(|&count| count <= ARGS_MAX)?;
        let start = *reader;
        for _ in 0..count {
            reader.bytes()?;
        }
        Some(Self(Source::Encoded {
            count,
            bytes: start.until(reader),
        }))
    }

    /// Appends the list in its encoding.
    pub(super) fn write(&self, out: &mut BytesMut) {
        put_length(self.len(), out);
        self.write_items(out);
    }

    fn write_items(&self, out: &mut BytesMut) {
        match self.0 {
            Source::Encoded { bytes, .. } => out.extend_from_slice(bytes),
            Source::Sent(args) => args.iter().for_each(|arg| put_bytes(arg, out)),
        }
    }

    /// Number of arguments.
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Sent(args) => args.len(),
            Source::Encoded { count, .. } => count,
        }
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The arguments in order.
    pub fn iter(&self) -> ArgsIter<'a> {
        ArgsIter(self.0)
    }

    /// The arguments two by two; a last single one is left out.
    pub fn pairs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.iter();
        std::iter::from_fn(move || Some((rest.next()?, rest.next()?)))
    }

    /// The first argument, and those behind it.
    pub(super) fn split_first(&self) -> Option<(&'a [u8], Self)> {
        match self.0 {
            Source::Sent(args) => {
                let (first, rest) = args.split_first()?;
                Some((first, Self(Source::Sent(rest))))
            }
            Source::Encoded { count, bytes } => {
                let mut reader = Reader::new(bytes);
                let first = reader.bytes()?;
                let rest = Source::Encoded {
                    count: count.checked_sub(1)?,
                    bytes: reader.rest(),
                };
                Some((first, Self(rest)))
            }
        }
    }

    /// The first `count` arguments, and those behind them; `None` when there are fewer.
    pub(super) fn split_at(&self, count: usize) -> Option<(Self, Self)> {
        match self.0 {
            Source::Sent(args) => {
                let (first, rest) = args.split_at_checked(count)?;
                Some((Self(Source::Sent(first)), Self(Source::Sent(rest))))
            }
            Source::Encoded { count: all, bytes } => {
                let left = all.checked_sub(count)?;
                let (start, mut reader) = (Reader::new(bytes), Reader::new(bytes));
                for _ in 0..count {
                    reader.bytes()?;
                }
                let encoded = |count, bytes| Self(Source::Encoded { count, bytes });
                Some((encoded(count, start.until(&reader)), encoded(left, reader.rest())))
            }
        }
    }

    /// A copy that owns its memory and no more than that.
    pub fn to_owned_args(&self) -> OwnedArgs {
        let mut out = BytesMut::with_capacity(self.encoded_bytes());
        self.write_items(&mut out);
        OwnedArgs {
            count: self.len(),
            bytes: out.freeze(),
        }
    }

    /// Bytes of [`Self::write`].
    pub(super) fn encoded_bytes(&self) -> usize {
        LENGTH_BYTES
            + match self.0 {
                Source::Sent(args) => args.iter().map(|arg| arg.len() + LENGTH_BYTES).sum(),
                Source::Encoded { bytes, .. } => bytes.len(),
            }
    }
}

impl PartialEq for Args<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Args<'_> {}

/// A list of arguments that owns its memory: the fields of a stream's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedArgs {
    count: usize,
    bytes: Bytes,
}

impl OwnedArgs {
    /// Number of arguments.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The arguments in order; each shares the list's memory.
    pub fn iter(&self) -> impl Iterator<Item = Bytes> + '_ {
        let items = ArgsIter(Source::Encoded {
            count: self.count,
            bytes: &self.bytes,
        });
        items.map(|arg| self.bytes.slice_ref(arg))
    }

    /// The arguments in their encoding, without the count.
    pub fn as_encoded(&self) -> &[u8] {
        &self.bytes
    }
}

/// Iterates over [`Args`].
#[derive(Debug, Clone)]
pub struct ArgsIter<'a>(Source<'a>);

impl<'a> Iterator for ArgsIter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match &mut self.0 {
            Source::Sent(args) => {
                let (first, rest) = args.split_first()?;
                *args = rest;
                Some(first)
            }
            Source::Encoded { bytes, .. } => {
                let mut reader = Reader::new(bytes);
                let arg = reader.bytes()?;
                *bytes = reader.rest();
                Some(arg)
            }
        }
    }
}

/// Appends the length of something that is limited to far less than 4 GiB.
pub(super) fn put_length(length: usize, out: &mut BytesMut) {
    out.put_u32_le(u32::try_from(length).expect("the RESP parser limits commands to less than 4 GiB"));
}

/// Appends one argument: its length, then its bytes.
pub(super) fn put_bytes(bytes: &[u8], out: &mut BytesMut) {
    put_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Bytes of a length.
pub(super) const LENGTH_BYTES: usize = 4;
