//! Reads replies back: the client's side of RESP, both versions.
//!
//! Invariant: what is decoded is taken from the buffer at once, so no byte is parsed twice however the
//! reply is cut; nesting, elements and sizes have limits.

use bytes::{Buf, Bytes, BytesMut};

use super::number::parse_i64;

/// Deepest nesting that is read; replies of commands have a depth of at most five.
pub const VALUE_DEPTH_MAX: usize = 16;

/// Most elements of one reply, at all depths.
pub const VALUE_ELEMENTS_MAX: usize = 1 << 22;

/// Most bytes of one string of a reply: twice what a server of this kind would send.
pub const VALUE_BULK_BYTES_MAX: usize = 64 << 20;

/// Most bytes of a line: error texts are the longest ones.
pub const VALUE_LINE_BYTES_MAX: usize = 64 << 10;

/// A reply as a client sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `+OK`
    Status(String),
    /// `-CODE message`
    Error(String),
    /// `:1`
    Integer(i64),
    /// A bulk or verbatim string.
    Bulk(Bytes),
    /// `$-1`, `*-1` or `_`.
    Null,
    /// `#t`
    Bool(bool),
    /// `,1.5`
    Double(f64),
    /// `(123...`: a number too big for 64 bits, in its digits.
    BigNumber(String),
    /// An array or a set.
    Array(Vec<Value>),
    /// A RESP3 map.
    Map(Vec<(Value, Value)>),
    /// A RESP3 push: not an answer to a command.
    Push(Vec<Value>),
}

/// Bytes that are not a RESP reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A line that does not end within the limit.
    #[error("a line exceeds {VALUE_LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// A string above the limit.
    #[error("a string exceeds {VALUE_BULK_BYTES_MAX} bytes")]
    BulkTooLong,
    /// More nesting than the limit.
    #[error("the reply is nested more than {VALUE_DEPTH_MAX} deep")]
    TooDeep,
    /// More elements than the limit.
    #[error("the reply has more than {VALUE_ELEMENTS_MAX} elements")]
    TooManyElements,
    /// A first byte that names no type.
    #[error("byte {0:#04x} names no RESP type")]
    UnknownType(u8),
    /// A line whose text does not fit its type.
    #[error("a line of type '{}' is malformed", char::from(*.0))]
    Malformed(u8),
    /// A string that is not followed by a line end.
    #[error("a string does not end with a line end")]
    ExpectedLineEnd,
}

/// Cuts a connection's bytes into replies. Keeps its place, so no byte is parsed twice.
#[derive(Debug, Default)]
pub struct ValueDecoder {
    open: Vec<Open>,
    bulk: Option<Bulk>,
    elements: usize,
    scanned: usize,
}

/// A string whose header was read.
#[derive(Debug, Clone, Copy)]
struct Bulk {
    bytes: usize,
    kind: BulkKind,
}

#[derive(Debug, Clone, Copy)]
enum BulkKind {
    Plain,
    Error,
    /// Three letters and a colon say what the text is.
    Verbatim,
}

/// A collection whose elements are still coming.
#[derive(Debug)]
struct Open {
    kind: Kind,
    missing: usize,
    items: Vec<Value>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Array,
    Map,
    Push,
    /// Metadata before a value; read and dropped.
    Attribute,
}

/// What one line or string amounts to.
enum Part {
    Value(Value),
    Bulk(Bulk),
    Open(Kind, usize),
}

impl ValueDecoder {
    /// A decoder at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next whole reply from the front of `buffer`; `None` when more bytes are needed.
    ///
    /// Between calls, bytes may only be added at the end of `buffer`.
    ///
    /// # Errors
    ///
    /// When the bytes are not RESP or exceed a limit; the decoder must not be used afterwards.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Value>, ValueError> {
        while let Some(part) = self.part(buffer)? {
            let value = match part {
                Part::Bulk(bulk) => {
                    self.bulk = Some(bulk);
                    continue;
                }
                Part::Open(kind, missing) => {
                    self.open(kind, missing)?;
                    None
                }
                Part::Value(value) => Some(value),
            };
            self.elements += 1;
            if self.elements > VALUE_ELEMENTS_MAX {
                return Err(ValueError::TooManyElements);
            }
            if let Some(whole) = self.close(value) {
                self.elements = 0;
                return Ok(Some(whole));
            }
        }
        Ok(None)
    }

    fn open(&mut self, kind: Kind, missing: usize) -> Result<(), ValueError> {
        if self.open.len() == VALUE_DEPTH_MAX {
            return Err(ValueError::TooDeep);
        }
        if missing > VALUE_ELEMENTS_MAX - self.elements.min(VALUE_ELEMENTS_MAX) {
            return Err(ValueError::TooManyElements);
        }
        let items = Vec::with_capacity(missing.min(ITEMS_PREPARED_MAX));
        self.open.push(Open { kind, missing, items });
        Ok(())
    }

    /// Puts `value` where it belongs and closes every collection that is complete.
    fn close(&mut self, mut value: Option<Value>) -> Option<Value> {
        loop {
            let Some(top) = self.open.last_mut() else {
                return value;
            };
            if let Some(value) = value.take() {
                top.items.push(value);
                top.missing -= 1;
            }
            if top.missing > 0 {
                return None;
            }
            value = Some(self.open.pop().and_then(Open::finish)?);
        }
    }

    fn part(&mut self, buffer: &mut BytesMut) -> Result<Option<Part>, ValueError> {
        if let Some(bulk) = self.bulk {
            return self.string(buffer, bulk);
        }
        let fresh = buffer.get(self.scanned..).unwrap_or_default();
        let Some(offset) = fresh.iter().position(|&byte| byte == b'\n') else {
            self.scanned = buffer.len();
            let too_long = self.scanned > VALUE_LINE_BYTES_MAX;
            return if too_long {
                Err(ValueError::LineTooLong)
            } else {
                Ok(None)
            };
        };
        let end = self.scanned + offset;
        if end > VALUE_LINE_BYTES_MAX {
            return Err(ValueError::LineTooLong);
        }
        self.scanned = 0;
        let part = parse_line(buffer.get(..end).unwrap_or_default());
        buffer.advance(end + 1);
        part.map(Some)
    }

    fn string(&mut self, buffer: &mut BytesMut, bulk: Bulk) -> Result<Option<Part>, ValueError> {
        if buffer.len() < bulk.bytes + LINE_END_BYTES {
            return Ok(None);
        }
        self.bulk = None;
        let mut text = buffer.split_to(bulk.bytes).freeze();
        if buffer.get(..LINE_END_BYTES) != Some(b"\r\n") {
            return Err(ValueError::ExpectedLineEnd);
        }
        buffer.advance(LINE_END_BYTES);
        let value = match bulk.kind {
            BulkKind::Plain => Value::Bulk(text),
            BulkKind::Error => Value::Error(String::from_utf8_lossy(&text).into_owned()),
            BulkKind::Verbatim if text.len() < VERBATIM_PREFIX_BYTES => {
                return Err(ValueError::Malformed(b'='));
            }
            BulkKind::Verbatim => Value::Bulk(text.split_off(VERBATIM_PREFIX_BYTES)),
        };
        Ok(Some(Part::Value(value)))
    }
}

impl Open {
    /// The collection's value; `None` for an attribute.
    fn finish(self) -> Option<Value> {
        match self.kind {
            Kind::Array => Some(Value::Array(self.items)),
            Kind::Push => Some(Value::Push(self.items)),
            Kind::Attribute => None,
            Kind::Map => {
                let mut items = self.items.into_iter();
                let mut pairs = Vec::with_capacity(items.len() / 2);
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    pairs.push((key, value));
                }
                Some(Value::Map(pairs))
            }
        }
    }
}

/// Parses one line, without its LF.
fn parse_line(line: &[u8]) -> Result<Part, ValueError> {
    let line = line.strip_suffix(b"\r").ok_or(ValueError::ExpectedLineEnd)?;
    let (&tag, text) = line.split_first().ok_or(ValueError::Malformed(b'\r'))?;
    let malformed = ValueError::Malformed(tag);
    let word = || String::from_utf8_lossy(text).into_owned();
    Ok(match tag {
        b'+' => Part::Value(Value::Status(word())),
        b'-' => Part::Value(Value::Error(word())),
        b':' => Part::Value(Value::Integer(parse_i64(text).ok_or(malformed)?)),
        b'_' => Part::Value(Value::Null),
        b'(' => Part::Value(Value::BigNumber(word())),
        b',' => Part::Value(Value::Double(word().parse().map_err(|_| malformed)?)),
        b'#' => Part::Value(Value::Bool(match text {
            b"t" => true,
            b"f" => false,
            _ => return Err(malformed),
        })),
        b'$' => parse_string_header(tag, BulkKind::Plain, text)?,
        b'=' => parse_string_header(tag, BulkKind::Verbatim, text)?,
        b'!' => parse_string_header(tag, BulkKind::Error, text)?,
        b'*' | b'~' => parse_collection(tag, Kind::Array, 1, text)?,
        b'%' => parse_collection(tag, Kind::Map, 2, text)?,
        b'>' => parse_collection(tag, Kind::Push, 1, text)?,
        b'|' => parse_collection(tag, Kind::Attribute, 2, text)?,
        other => return Err(ValueError::UnknownType(other)),
    })
}

fn parse_string_header(tag: u8, kind: BulkKind, text: &[u8]) -> Result<Part, ValueError> {
    let bytes = parse_i64(text).ok_or(ValueError::Malformed(tag))?;
    if bytes == -1 && tag == b'$' {
        return Ok(Part::Value(Value::Null));
    }
    let bytes = usize::try_from(bytes).map_err(|_| ValueError::Malformed(tag))?;
    if bytes > VALUE_BULK_BYTES_MAX {
        return Err(ValueError::BulkTooLong);
    }
    Ok(Part::Bulk(Bulk { bytes, kind }))
}

fn parse_collection(tag: u8, kind: Kind, width: usize, text: &[u8]) -> Result<Part, ValueError> {
    let count = parse_i64(text).ok_or(ValueError::Malformed(tag))?;
    if count == -1 && tag == b'*' {
        return Ok(Part::Value(Value::Null));
    }
    let count = usize::try_from(count).map_err(|_| ValueError::Malformed(tag))?;
    if count > VALUE_ELEMENTS_MAX / width {
        return Err(ValueError::TooManyElements);
    }
    Ok(Part::Open(kind, count * width))
}

const LINE_END_BYTES: usize = 2;

/// `txt:` before a verbatim string.
const VERBATIM_PREFIX_BYTES: usize = 4;

/// Room made for a collection's elements before any of them has arrived.
const ITEMS_PREPARED_MAX: usize = 1 << 10;
