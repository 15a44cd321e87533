//! A window over the input that slides forward, so that a history never has to fit in memory as text.
//!
//! Invariant: `buffer[start..]` is what was read and not yet consumed; `lines` counts the line breaks
//! before it.

use std::io::{self, Read};

use super::Trouble;

/// How much is asked for at a time.
const CHUNK_BYTES: usize = 1 << 18;
/// Largest single object or line.
const WINDOW_BYTES_MAX: usize = 256 << 20;

/// The window.
pub(crate) struct Source {
    input: Box<dyn Read>,
    buffer: Vec<u8>,
    start: usize,
    lines: u64,
    ended: bool,
}

impl Source {
    pub(crate) fn new(input: Box<dyn Read>) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            start: 0,
            lines: 0,
            ended: false,
        }
    }

    /// What is in the window.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
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
        // Growing with what is kept keeps repeated attempts at one large object linear.
        self.buffer.resize(kept + CHUNK_BYTES.max(kept), 0);
        let read = read_fully(&mut self.input, &mut self.buffer[kept..])?;
        self.buffer.truncate(kept + read);
        if read == 0 {
            self.ended = true;
            self.buffer.push(b'\n');
        }
        Ok(true)
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
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
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
