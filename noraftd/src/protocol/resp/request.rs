//! Parses what clients send: arrays of bulk strings, and inline commands.
//!
//! Invariant: `at` bytes at the front of the buffer belong to the unfinished command and are scanned;
//! `spans` lie within them. Every announced size is checked against its limit before it is waited for. A command
//! that is too large is read to its end without being kept, so that the next one is understood.

use bytes::{Buf, Bytes, BytesMut};

use super::inline::split_words;
use super::number::parse_i64;
use crate::record::PAYLOAD_BYTES_MAX;

/// Most arguments of one command, its name included: bounds what a header line makes us prepare for.
pub const ARGS_MAX: usize = 1 << 16;

/// Most bytes of one argument; a larger one could not become an entry.
pub const BULK_BYTES_MAX: usize = PAYLOAD_BYTES_MAX;

/// Most bytes of an inline command, as in Redis.
pub const INLINE_BYTES_MAX: usize = 64 << 10;

/// Most bytes of one command as sent: bounds the buffer of a connection. The slack over one largest
/// argument lets a command slightly too large be refused by name instead of closing the connection.
pub const COMMAND_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + (1 << 20);

/// Most arguments that are skipped of a command with too many; what announces more is no client's command.
pub const SKIPPED_ARGS_MAX: usize = 1 << 20;

/// Most bytes that are skipped of a command that is too large: Redis takes values of so many, so a client that
/// was made for it may send them.
pub const SKIPPED_BYTES_MAX: u64 = 512 << 20;

/// What is wrong with a client's bytes. Unless [`Self::is_skipped`], they are not RESP, and the connection cannot be
/// resynchronised: send [`Self::to_reply`], then close.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// An inline command longer than [`INLINE_BYTES_MAX`].
    #[error("too big inline request")]
    InlineTooBig,
    /// An inline command with an open quote, or text right after a closing one.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
    /// A header line that does not end where the longest number would.
    #[error("too big count string")]
    CountTooLong,
    /// A number of arguments that is no number or above [`SKIPPED_ARGS_MAX`].
    #[error("invalid multibulk length")]
    InvalidArrayLength,
    /// A length of an argument that is no number or above [`SKIPPED_BYTES_MAX`].
    #[error("invalid bulk length")]
    InvalidBulkLength,
    /// Something else where an argument's `$` should be.
    #[error("expected '$', got '{}'", char::from(*.0).escape_default())]
    ExpectedBulk(u8),
    /// An argument or header that does not end with a line end.
    #[error("expected a line end (CR LF)")]
    ExpectedLineEnd,
    /// More than [`SKIPPED_BYTES_MAX`] bytes of a command that is too large anyway.
    #[error("a command may have at most {COMMAND_BYTES_MAX} bytes")]
    Endless,
    /// The whole of a command that is too large was skipped; the connection goes on.
    #[error("{0}")]
    Skipped(TooLarge),
}

/// Which limit a skipped command exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// [`ARGS_MAX`]
    #[error("a command may have at most {ARGS_MAX} arguments")]
    Arguments,
    /// [`BULK_BYTES_MAX`]
    #[error("an argument may have at most {BULK_BYTES_MAX} bytes")]
    Argument,
    /// [`COMMAND_BYTES_MAX`]
    #[error("a command may have at most {COMMAND_BYTES_MAX} bytes")]
    Command,
}

impl ProtocolError {
    /// The reply: the last one on the connection, unless the command was skipped.
    pub fn to_reply(&self) -> super::Reply {
        super::Reply::Error(match self {
            Self::Skipped(limit) => format!("ERR {limit}; nothing was done"),
            other => format!("ERR Protocol error: {other}"),
        })
    }

    /// True when the command was read to its end: the parser goes on with the next one.
    pub fn is_skipped(&self) -> bool {
        matches!(self, Self::Skipped(_))
    }
}

/// Cuts a connection's bytes into commands. Keeps its place, so no byte is scanned twice.
#[derive(Debug, Default)]
pub struct RequestParser {
    state: State,
    at: usize,
    spans: Vec<(usize, usize)>,
    skipping: Option<Skipping>,
}

/// A command that is read to its end without being kept.
#[derive(Debug, Clone, Copy)]
struct Skipping {
    limit: TooLarge,
    /// Bytes of arguments that were announced so far.
    bytes: u64,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    /// Before the first byte of a command.
    #[default]
    Start,
    /// In an inline command whose first `at` bytes hold no line end.
    Inline,
    /// Before the header of an argument; so many arguments are missing.
    Header { missing: usize },
    /// Before the `bytes` of an argument; so many arguments are missing, this one included.
    Body { missing: usize, bytes: usize },
}

/// What a step of the parser found.
enum Step {
    Go(State),
    Wait,
    Done,
    Inline(Vec<Bytes>),
}

impl RequestParser {
    /// A parser at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next whole command from the front of `buffer`; `None` when more bytes are needed.
    ///
    /// The arguments share the memory of `buffer`; there is at least one. Between calls, bytes may only be
    /// added at the end of `buffer`.
    ///
    /// # Errors
    ///
    /// When the bytes are not RESP or exceed a limit; unless the command was skipped, the parser must not be used
    /// afterwards.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Vec<Bytes>>, ProtocolError> {
        loop {
            let step = match self.state {
                State::Start => self.start(buffer)?,
                State::Inline => self.inline(buffer)?,
                State::Header { missing } => self.header(buffer, missing)?,
                State::Body { missing, bytes } => self.body(buffer, missing, bytes)?,
            };
            match step {
                Step::Go(state) => self.state = state,
                Step::Wait => return Ok(None),
                Step::Done => return self.finish(buffer).map(Some),
                Step::Inline(words) => return Ok(Some(words)),
            }
        }
    }

    fn start(&mut self, buffer: &mut BytesMut) -> Result<Step, ProtocolError> {
        match buffer.first() {
            None => Ok(Step::Wait),
            Some(b'*') => {
                let Some(text) = number_line(buffer, 1)? else {
                    return Ok(Step::Wait);
                };
                let count = parse_i64(text).ok_or(ProtocolError::InvalidArrayLength)?;
                let after = 1 + text.len() + LINE_END_BYTES;
                if count <= 0 {
                    buffer.advance(after);
                    return Ok(Step::Go(State::Start));
                }
                let missing = usize::try_from(count).ok().filter(|&n| n <= SKIPPED_ARGS_MAX);
                let missing = missing.ok_or(ProtocolError::InvalidArrayLength)?;
                self.at = after;
                if missing > ARGS_MAX {
                    self.skip(TooLarge::Arguments);
                }
                Ok(Step::Go(State::Header { missing }))
            }
            Some(_) => Ok(Step::Go(State::Inline)),
        }
    }

    fn inline(&mut self, buffer: &mut BytesMut) -> Result<Step, ProtocolError> {
        let fresh = buffer.get(self.at..).unwrap_or_default();
        let Some(offset) = fresh.iter().position(|&byte| byte == b'\n') else {
            self.at = buffer.len();
            let too_big = self.at > INLINE_BYTES_MAX;
            return if too_big {
                Err(ProtocolError::InlineTooBig)
            } else {
                Ok(Step::Wait)
            };
        };
        let end = self.at + offset;
        if end > INLINE_BYTES_MAX {
            return Err(ProtocolError::InlineTooBig);
        }
        let line = buffer.split_to(end + 1).freeze();
        (self.state, self.at) = (State::Start, 0);
        let line = line.slice(..end);
        let words = split_words(line.strip_suffix(b"\r").unwrap_or(&line));
        let words = words.ok_or(ProtocolError::UnbalancedQuotes)?;
        Ok(if words.is_empty() {
            Step::Go(State::Start)
        } else {
            Step::Inline(words)
        })
    }

    fn header(&mut self, buffer: &mut BytesMut, missing: usize) -> Result<Step, ProtocolError> {
        self.discard_skipped(buffer);
        if missing == 0 {
            return Ok(Step::Done);
        }
        match buffer.get(self.at) {
            None => return Ok(Step::Wait),
            Some(b'$') => {}
            Some(&other) => return Err(ProtocolError::ExpectedBulk(other)),
        }
        let Some(text) = number_line(buffer, self.at + 1)? else {
            return Ok(Step::Wait);
        };
        let length = parse_i64(text).and_then(|n| u64::try_from(n).ok());
        let length = length
            .filter(|&n| n <= SKIPPED_BYTES_MAX)
            .ok_or(ProtocolError::InvalidBulkLength)?;
        let bytes = usize::try_from(length).map_err(|_| ProtocolError::InvalidBulkLength)?;
        self.at += 1 + text.len() + LINE_END_BYTES;
        if bytes > BULK_BYTES_MAX {
            self.skip(TooLarge::Argument);
        } else if self.at + bytes + LINE_END_BYTES > COMMAND_BYTES_MAX {
            self.skip(TooLarge::Command);
        }
        if let Some(skipping) = &mut self.skipping {
            skipping.bytes += length;
            if skipping.bytes > SKIPPED_BYTES_MAX {
                return Err(ProtocolError::Endless);
            }
        }
        Ok(Step::Go(State::Body { missing, bytes }))
    }

    fn body(
        &mut self,
        buffer: &mut BytesMut,
        missing: usize,
        mut bytes: usize,
    ) -> Result<Step, ProtocolError> {
        if self.skipping.is_some() {
            self.discard_skipped(buffer);
            let part = bytes.min(buffer.len());
            buffer.advance(part);
            bytes -= part;
            self.state = State::Body { missing, bytes };
        }
        let end = self.at + bytes;
        match buffer.get(end..end + LINE_END_BYTES) {
            None => Ok(Step::Wait),
            Some(b"\r\n") => {
                if self.skipping.is_none() {
                    self.spans.push((self.at, end));
                }
                self.at = end + LINE_END_BYTES;
                Ok(Step::Go(State::Header { missing: missing - 1 }))
            }
            Some(_) => Err(ProtocolError::ExpectedLineEnd),
        }
    }

    /// From here to its end nothing of the command is kept; the first limit that it exceeds is reported.
    fn skip(&mut self, limit: TooLarge) {
        self.skipping.get_or_insert(Skipping { limit, bytes: 0 });
        self.spans = Vec::new();
    }

    fn discard_skipped(&mut self, buffer: &mut BytesMut) {
        if self.skipping.is_some() {
            buffer.advance(std::mem::take(&mut self.at));
        }
    }

    fn finish(&mut self, buffer: &mut BytesMut) -> Result<Vec<Bytes>, ProtocolError> {
        if let Some(Skipping { limit, .. }) = self.skipping.take() {
            (self.state, self.at) = (State::Start, 0);
            return Err(ProtocolError::Skipped(limit));
        }
        let whole = buffer.split_to(self.at).freeze();
        (self.state, self.at) = (State::Start, 0);
        let args = self
            .spans
            .iter()
            .map(|&(start, end)| whole.slice(start..end))
            .collect();
        self.spans.clear();
        self.spans.shrink_to(SPANS_KEPT);
        Ok(args)
    }
}

/// The text from `start` to the line end, `None` when that has not arrived.
fn number_line(buffer: &[u8], start: usize) -> Result<Option<&[u8]>, ProtocolError> {
    let rest = buffer.get(start..).unwrap_or_default();
    let window = rest.get(..=NUMBER_BYTES_MAX).unwrap_or(rest);
    let Some(end) = window.iter().position(|&byte| byte == b'\r') else {
        let too_long = rest.len() > NUMBER_BYTES_MAX;
        return if too_long {
            Err(ProtocolError::CountTooLong)
        } else {
            Ok(None)
        };
    };
    match rest.get(end + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(rest.get(..end)),
        Some(_) => Err(ProtocolError::ExpectedLineEnd),
    }
}

const LINE_END_BYTES: usize = 2;

/// Digits and sign of the longest 64-bit number.
const NUMBER_BYTES_MAX: usize = 20;

/// Places kept for the next command's arguments, so that one wide command does not hold memory permanently.
const SPANS_KEPT: usize = 64;
