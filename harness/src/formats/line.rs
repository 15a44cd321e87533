//! The lines that our own writer writes, read the way it writes them: fields in its order, without
//! spaces, integers as values.
//!
//! Invariant: a line is taken whole or not at all; whatever is unusual about it is left to
//! [`super::entry`], which knows every spelling and explains what is wrong.

use super::assemble::{Entry, Function, Process};
use crate::op::EventKind;
use crate::recording::ResultKind;
use crate::recording::datum::{Datum, Pool};

/// Reads the event at the beginning of `bytes`; also gives its length.
#[inline]
pub(crate) fn read_event<'a>(bytes: &'a [u8], pool: &mut Pool) -> Option<(Entry<'a>, usize)> {
    let mut line = Line { rest: bytes };
    line.skip_breaks();
    line.take(b"{\"i\":")?;
    let index = line.number()?;
    line.take(b",\"t\":")?;
    let time_ns = line.number()?;
    line.take(b",\"type\":\"")?;
    let kind = match line.text()? {
        b"invoke" => EventKind::Invoke,
        b"ok" => EventKind::Ok,
        _ => return None,
    };
    line.take(b",\"f\":\"")?;
    let mut entry = Entry {
        kind,
        index: Some(index),
        order: None,
        function: Function::Named(line.text()?),
        process: Process::Absent,
        op: None,
        key: Datum::ABSENT,
        value: Datum::ABSENT,
        result: ResultKind::Plain,
        time_ns: Some(time_ns),
        log_index: None,
        node: None,
    };
    line.take(b",\"p\":")?;
    entry.process = Process::Number(line.number()?);
    line.take(b",\"op\":")?;
    entry.op = Some(line.number()?);
    if line.take(b",\"k\":").is_some() {
        entry.key = line.integer()?;
    }
    if line.take(b",\"v\":").is_some() {
        entry.value = line.value(pool)?;
    }
    if line.take(b",\"saw\":").is_some() {
        entry.value = line.value(pool)?;
        entry.result = ResultKind::Saw;
    }
    if line.take(b",\"index\":").is_some() {
        entry.log_index = Some(line.number()?);
    }
    if line.take(b",\"node\":\"").is_some() {
        entry.node = Some(line.text()?);
    }
    line.take(b"}\n")?;
    Some((entry, bytes.len() - line.rest.len()))
}

/// What is left of a line.
struct Line<'a> {
    rest: &'a [u8],
}

impl<'a> Line<'a> {
    #[inline]
    fn take(&mut self, text: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    #[inline]
    fn skip_breaks(&mut self) {
        while let Some(rest) = self.rest.strip_prefix(b"\n") {
            self.rest = rest;
        }
    }

    /// A text up to its closing quote; none with an escape.
    #[inline]
    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self
            .rest
            .iter()
            .position(|byte| *byte == b'"' || *byte == b'\\')?;
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest.strip_prefix(b"\"")?;
        Some(text)
    }

    /// Digits, fewer than could overflow, and something behind them.
    #[inline]
    fn number(&mut self) -> Option<u64> {
        const DIGITS_MAX: usize = 18;
        let mut value = 0_u64;
        let mut length = 0;
        loop {
            let digit = self.rest.get(length)?.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value * 10 + u64::from(digit);
            length += 1;
            if length > DIGITS_MAX {
                return None;
            }
        }
        self.rest = &self.rest[length..];
        (length > 0).then_some(value)
    }

    #[inline]
    fn integer(&mut self) -> Option<Datum> {
        let is_negative = self.take(b"-").is_some();
        let value = i64::try_from(self.number()?).ok()?;
        Datum::int(if is_negative { -value } else { value })
    }

    #[inline]
    fn scalar(&mut self) -> Option<Datum> {
        if self.take(b"null").is_some() {
            Some(Datum::NIL)
        } else {
            self.integer()
        }
    }

    /// An integer, nothing, or a pair of them.
    #[inline]
    fn value(&mut self, pool: &mut Pool) -> Option<Datum> {
        if self.take(b"[").is_none() {
            return self.scalar();
        }
        let one = self.scalar()?;
        self.take(b",")?;
        let other = self.scalar()?;
        self.take(b"]")?;
        Some(pool.list(&[one, other]))
    }
}
