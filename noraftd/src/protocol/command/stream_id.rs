//! Names of stream entries, as stored and as clients write them.

use bytes::{BufMut, Bytes, BytesMut};

use crate::protocol::read::Reader;
use crate::protocol::resp::number::parse_u64;

/// The name of a stream's entry: milliseconds and a sequence number. Ids grow along a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId {
    /// Milliseconds since the Unix epoch, when it was generated.
    pub ms: u64,
    /// Distinguishes entries of the same millisecond.
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

impl StreamId {
    /// Before the first possible entry.
    pub const MIN: Self = Self { ms: 0, seq: 0 };

    /// The last possible entry.
    pub const MAX: Self = Self {
        ms: u64::MAX,
        seq: u64::MAX,
    };

    /// The smallest id after this one; `None` after [`Self::MAX`].
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self {
                ms: self.ms.checked_add(1)?,
                seq: 0,
            }),
        }
    }

    /// The largest id before this one; `None` before [`Self::MIN`].
    pub fn prev(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self {
                ms: self.ms.checked_sub(1)?,
                seq: u64::MAX,
            }),
        }
    }

    /// Reads `ms-seq`, or `ms` with `seq_default`.
    pub fn parse(text: &[u8], seq_default: u64) -> Option<Self> {
        match split_dash(text) {
            (ms, None) => Some(Self {
                ms: number(ms)?,
                seq: seq_default,
            }),
            (ms, Some(seq)) => Some(Self {
                ms: number(ms)?,
                seq: number(seq)?,
            }),
        }
    }

    /// The id as clients see it, `ms-seq`.
    pub fn to_bytes(self) -> Bytes {
        Bytes::from(format!("{}-{}", self.ms, self.seq))
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            ms: reader.u64()?,
            seq: reader.u64()?,
        })
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        out.put_u64_le(self.ms);
        out.put_u64_le(self.seq);
    }
}

impl StreamIdRequest {
    /// Reads `*`, `ms-*`, `ms-seq` or `ms`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text == b"*" {
            return Some(Self::Auto);
        }
        match split_dash(text) {
            (ms, Some(b"*")) => number(ms).map(Self::AutoSeq),
            (_, Some(_) | None) => StreamId::parse(text, 0).map(Self::Explicit),
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let kind = reader.u8()?;
        let id = StreamId::read(reader)?;
        match (kind, id) {
            (0, StreamId::MIN) => Some(Self::Auto),
            (1, StreamId { ms, seq: 0 }) => Some(Self::AutoSeq(ms)),
            (2, id) => Some(Self::Explicit(id)),
            _ => None,
        }
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        let (kind, id) = match self {
            Self::Auto => (0, StreamId::MIN),
            Self::AutoSeq(ms) => (1, StreamId { ms, seq: 0 }),
            Self::Explicit(id) => (2, id),
        };
        out.put_u8(kind);
        id.write(out);
    }
}

/// A part of an id; leading zeros do not change it (as in Redis).
fn number(text: &[u8]) -> Option<u64> {
    let zeros = text.iter().take_while(|&&byte| byte == b'0').count();
    match text.get(zeros..)? {
        [] if zeros > 0 => Some(0),
        digits => parse_u64(digits),
    }
}

fn split_dash(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text
        .iter()
        .position(|&byte| byte == b'-')
        .and_then(|at| text.split_at_checked(at))
    {
        Some((ms, rest)) => (ms, rest.strip_prefix(b"-")),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_clients_write_them() {
        let id = |ms, seq| Some(StreamId { ms, seq });
        assert_eq!(StreamId::parse(b"5-7", 0), id(5, 7));
        assert_eq!(StreamId::parse(b"5", 9), id(5, 9));
        assert_eq!(StreamId::parse(b"005-0007", 0), id(5, 7));
        assert_eq!(StreamId::parse(b"00-0", 1), id(0, 0));
        assert_eq!(StreamIdRequest::parse(b"05-*"), Some(StreamIdRequest::AutoSeq(5)));
        for wrong in [
            "",
            "-",
            "5-",
            "-5",
            "5-7-9",
            "a-b",
            "5-*",
            "*",
            "18446744073709551616",
        ] {
            assert_eq!(StreamId::parse(wrong.as_bytes(), 0), None, "{wrong}");
        }
        assert_eq!(StreamIdRequest::parse(b"*"), Some(StreamIdRequest::Auto));
        assert_eq!(StreamIdRequest::parse(b"5-*"), Some(StreamIdRequest::AutoSeq(5)));
        assert_eq!(StreamIdRequest::parse(b"x-*"), None);
    }

    #[test]
    fn neighbours_carry_over() {
        let last_of_4 = StreamId { ms: 4, seq: u64::MAX };
        let first_of_5 = StreamId { ms: 5, seq: 0 };
        assert_eq!(last_of_4.next(), Some(first_of_5));
        assert_eq!(first_of_5.prev(), Some(last_of_4));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::MIN.prev(), None);
    }
}
