//! A window over the input that slides forward, so that a history never has to fit in memory as text. What is
//! compressed (gzip) is read as what it holds.
//!
//! Invariant: `buffer[start..]` is what was read and not yet consumed; `lines` counts the line breaks
//! before it.

use std::io::{self, Cursor, Read};

use flate2::read::MultiGzDecoder;

use super::trouble::Trouble;
use crate::recording::budget::{Budget, Limit, Meter};

/// How much is asked for at a time.
const CHUNK_BYTES: usize = 1 << 18;
/// Largest single object or line.
const WINDOW_BYTES_MAX: usize = 256 << 20;

/// What gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The byte order mark in UTF-8, and in UTF-16 either way.
const MARK: &[u8] = b"\xef\xbb\xbf";
const MARKS_OF_UTF16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Bytes that were looked at, and those behind them.
type Whole = io::Chain<Cursor<Vec<u8>>, Box<dyn Read>>;

/// Where the bytes come from.
enum Input {
    /// Not looked at yet; `None` only while it is.
    Unknown(Option<Box<dyn Read>>),
    Plain(Whole),
    Gzip(Box<MultiGzDecoder<Whole>>),
}

impl Input {
    /// Looks at the first bytes, once.
    fn is_compressed(&mut self) -> io::Result<bool> {
        if let Self::Unknown(input) = self
            && let Some(mut input) = input.take()
        {
            let mut first = vec![0; GZIP.len()];
            let length = read_fully(&mut input, &mut first)?;
            first.truncate(length);
            let is_gzip = first == GZIP;
            let whole = Cursor::new(first).chain(input);
            *self = match is_gzip {
                true => Self::Gzip(Box::new(MultiGzDecoder::new(whole))),
                false => Self::Plain(whole),
            };
        }
        Ok(matches!(self, Self::Gzip(_)))
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unknown(_) => Ok(0),
            Self::Plain(input) => input.read(into),
            Self::Gzip(input) => input.read(into),
        }
    }
}

/// The window.
pub(crate) struct Source {
    input: Input,
    buffer: Vec<u8>,
    start: usize,
    lines: u64,
    ended: bool,
    /// Length of the whole input, if known, and how much of it was read.
    bytes: Option<u64>,
    read_bytes: u64,
    budget: Budget,
    meter: Meter,
}

impl Source {
    pub(crate) fn new(input: Box<dyn Read>, bytes: Option<u64>, budget: &Budget) -> Self {
        Self {
            input: Input::Unknown(Some(input)),
            buffer: Vec::new(),
            start: 0,
            lines: 0,
            ended: false,
            bytes,
            read_bytes: 0,
            budget: budget.clone(),
            meter: budget.meter(),
        }
    }

    /// What is in the window.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// How many times as long the whole input is as what was consumed of it, if known.
    pub(crate) fn total_to_consumed(&self) -> Option<f64> {
        let consumed = self.read_bytes.checked_sub(self.rest().len() as u64)?;
        let bytes = self.bytes.filter(|bytes| *bytes > 0 && consumed > 0)?;
        Some(bytes as f64 / consumed as f64)
    }

    /// Moves past `bytes` bytes.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// Number of the line on which the window starts, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line_at(0)
    }

    /// Number of the line `offset` bytes into the window.
    pub(crate) fn line_at(&self, offset: usize) -> u64 {
        let end = (self.start + offset).min(self.buffer.len());
        1 + self.lines + count_lines(&self.buffer[..end])
    }

    /// Reads more; false when the input has ended (its last line then ends with a line break).
    pub(crate) fn more(&mut self) -> Result<bool, Trouble> {
        if self.ended {
            return Ok(false);
        }
        self.lines += count_lines(&self.buffer[..self.start]);
        self.buffer.drain(..self.start);
        self.start = 0;
        let kept = self.buffer.len();
        if kept > WINDOW_BYTES_MAX {
            let problem = format!("expected an object of at most {WINDOW_BYTES_MAX} bytes");
            return Err(Trouble::Malformed {
                line: self.line(),
                problem,
            });
        }
        self.hold(kept).map_err(|limit| Trouble::Budget {
            line: self.line(),
            limit,
        })?;
        // Growing with what is kept keeps repeated attempts at one large object linear.
        self.buffer.resize(kept + CHUNK_BYTES.max(kept), 0);
        if self.input.is_compressed()? {
            // How long it is in the end is not known.
            self.bytes = None;
        }
        let read = read_fully(&mut self.input, &mut self.buffer[kept..])?;
        self.buffer.truncate(kept + read);
        self.read_bytes += read as u64;
        if read == 0 {
            self.ended = true;
            self.buffer.push(b'\n');
        }
        Ok(true)
    }

    /// Charges a window that grows: it holds its old and its new half for a moment. One of usual size is among
    /// what the process needs anyway.
    fn hold(&mut self, kept: usize) -> Result<(), Limit> {
        self.budget.check_cancelled()?;
        let growing = if kept > CHUNK_BYTES { 3 * kept } else { 0 };
        self.meter.hold(growing)
    }

    /// Moves past a byte order mark; to be called at the beginning, when some was read.
    pub(crate) fn skip_byte_order_mark(&mut self) -> Result<(), Trouble> {
        if self.rest().starts_with(MARK) {
            self.consume(MARK.len());
        }
        if MARKS_OF_UTF16.iter().any(|mark| self.rest().starts_with(mark)) {
            return Err(Trouble::Malformed {
                line: 1,
                problem: "expected UTF-8, found UTF-16".to_owned(),
            });
        }
        Ok(())
    }

    /// The next line without its break, or `None` at the end.
    pub(crate) fn line_bytes(&mut self) -> Result<Option<usize>, Trouble> {
        loop {
            if let Some(length) = self.rest().iter().position(|byte| *byte == b'\n') {
                return Ok(Some(length));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    // Runs that a byte can count, so that the compiler counts many bytes at once.
    const RUN_BYTES: usize = 192;
    let breaks = |run: &[u8]| run.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>();
    bytes.chunks(RUN_BYTES).map(|run| u64::from(breaks(run))).sum()
}

fn read_fully(input: &mut dyn Read, mut into: &mut [u8]) -> io::Result<usize> {
    let mut total = 0;
    while !into.is_empty() {
        match input.read(into) {
            Ok(0) => break,
            Ok(read) => {
                total += read;
                into = &mut into[read..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}
