//! RESP2 replies (redis.io, "Redis serialization protocol"), parsed by the harness for itself.
//!
//! Invariant: independent of the daemon's codec, so that a mistake there cannot hide itself here.

use bytes::Bytes;

/// A parsed reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`
    Status(String),
    /// `-CODE message`
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$3` and three bytes.
    Bulk(Bytes),
    /// `$-1` or `*-1`
    Null,
    /// `*2` and two replies.
    Array(Vec<Reply>),
}

impl Reply {
    /// The text of a bulk string or a status, when it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Status(text) => Some(text),
            Self::Bulk(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Error(_) | Self::Integer(_) | Self::Null | Self::Array(_) => None,
        }
    }
}

/// Bytes that are no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed reply: {0}")]
pub struct MalformedReply(pub String);

/// Parses the reply at the start of `bytes`: the reply and its length, or `None` when more bytes are needed.
///
/// # Errors
///
/// When no further bytes can make this a reply within the limits.
pub fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>, MalformedReply> {
    let mut cursor = Cursor { bytes, at: 0 };
    match cursor.reply(DEPTH_MAX) {
        Ok(reply) => Ok(Some((reply, cursor.at))),
        Err(Stop::Incomplete) => Ok(None),
        Err(Stop::Malformed(error)) => Err(error),
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

enum Stop {
    Incomplete,
    Malformed(MalformedReply),
}

fn malformed<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Malformed(MalformedReply(why.into())))
}

impl<'a> Cursor<'a> {
    fn reply(&mut self, depth: usize) -> Result<Reply, Stop> {
        let line = self.line()?;
        let Some((kind, rest)) = line.split_at_checked(1) else {
            return malformed("an empty line");
        };
        match kind {
            "+" => Ok(Reply::Status(rest.to_owned())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => number(rest).map(Reply::Integer),
            "$" => self.bulk(number(rest)?),
            "*" => self.array(number(rest)?, depth),
            _ => malformed(format!("a reply cannot start with {kind:?}")),
        }
    }

    fn bulk(&mut self, length: i64) -> Result<Reply, Stop> {
        if length == -1 {
            return Ok(Reply::Null);
        }
        let length = bounded(length, BULK_BYTES_MAX)?;
        let body = self
            .bytes
            .get(self.at..self.at + length)
            .ok_or(Stop::Incomplete)?;
        match self.bytes.get(self.at + length..self.at + length + 2) {
            None => Err(Stop::Incomplete),
            Some(b"\r\n") => {
                self.at += length + 2;
                Ok(Reply::Bulk(Bytes::copy_from_slice(body)))
            }
            Some(_) => malformed("a bulk string longer than it says"),
        }
    }

    fn array(&mut self, length: i64, depth: usize) -> Result<Reply, Stop> {
        if length == -1 {
            return Ok(Reply::Null);
        }
        if depth == 0 {
            return malformed(format!("arrays nested deeper than {DEPTH_MAX}"));
        }
        let length = bounded(length, ARRAY_ITEMS_MAX)?;
        (0..length)
            .map(|_| self.reply(depth - 1))
            .collect::<Result<_, _>>()
            .map(Reply::Array)
    }

    fn line(&mut self) -> Result<&'a str, Stop> {
        let rest = self.bytes.get(self.at..).ok_or(Stop::Incomplete)?;
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
            return if rest.len() > LINE_BYTES_MAX {
                malformed("an endless line")
            } else {
                Err(Stop::Incomplete)
            };
        };
        self.at += end + 2;
        let line = rest.get(..end).ok_or(Stop::Incomplete)?;
        std::str::from_utf8(line).or_else(|_| malformed("a line that is not UTF-8"))
    }
}

fn number(text: &str) -> Result<i64, Stop> {
    text.parse()
        .or_else(|_| malformed(format!("{text:?} is not a number")))
}

fn bounded(length: i64, max: usize) -> Result<usize, Stop> {
    match usize::try_from(length) {
        Ok(length) if length <= max => Ok(length),
        Ok(_) | Err(_) => malformed(format!("a length of {length}; at most {max} is read")),
    }
}

/// Far above what any workload writes.
const BULK_BYTES_MAX: usize = 64 << 20;
/// Far above what any workload asks for.
const ARRAY_ITEMS_MAX: usize = 1 << 20;
/// Errors and statuses are a sentence.
const LINE_BYTES_MAX: usize = 64 << 10;
/// A stream entry is nested three deep.
const DEPTH_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_and_its_length_told() {
        let cases: [(&[u8], Reply); 7] = [
            (b"+OK\r\n", Reply::Status("OK".into())),
            (b"-ERR no\r\n", Reply::Error("ERR no".into())),
            (b":-7\r\n", Reply::Integer(-7)),
            (b"$3\r\na\r\n\r\n", Reply::Bulk(Bytes::from_static(b"a\r\n"))),
            (b"$-1\r\n", Reply::Null),
            (b"*-1\r\n", Reply::Null),
            (
                b"*2\r\n:1\r\n*0\r\n",
                Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![])]),
            ),
        ];
        for (bytes, reply) in cases {
            let longer = [bytes, b"+next\r\n"].concat();
            assert_eq!(parse(&longer), Ok(Some((reply, bytes.len()))));
            assert!(
                (0..bytes.len()).all(|cut| parse(&bytes[..cut]) == Ok(None)),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn garbage_is_refused() {
        for bytes in [
            &b"?\r\n"[..],
            b"\r\n",
            b":x\r\n",
            b"$-2\r\n",
            b"$1\r\nabc",
            b"$99999999999\r\n",
            b"+\xff\r\n",
        ] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
        assert!(parse(&b"*1\r\n".repeat(DEPTH_MAX + 1)).is_err());
    }
}
