//! A key-value store: put, append to a text, get. The sequential specification of one key.

use super::search;
use super::usage::{Left, NO_FUNCTION, NilReads, Taken, changed, seen};
use super::verdict::Verdict;
use crate::model::{Call, Model};
use crate::recording::budget::Budget;
use crate::recording::datum::{Datum, Pool};
use crate::recording::{Operation, Recording};

mod linear;
mod texts;

/// Decides `calls` of one key; says which engine did.
pub fn check(kv: &Kv<'_>, calls: &[Call<KvOp>], budget: &Budget) -> (&'static str, Verdict) {
    match linear::check(kv, calls, budget) {
        Some(verdict) => ("unique", verdict),
        None => search::check(kv, calls, budget),
    }
}

/// An operation on the value of one key, with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvOp {
    /// The value was this.
    Get(Datum),
    /// The value became this.
    Put(Datum),
    /// This text was added at its end.
    Append(Datum),
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Nothing yet: read as nil or as an empty text, and appended to like that.
    Nothing,
    /// A text.
    Text(String),
    /// Any other value.
    Value(Datum),
}

/// The specification.
#[derive(Clone, Copy, Debug)]
pub struct Kv<'a> {
    /// Where the values are.
    pub pool: &'a Pool,
    /// Value of every key before the first operation; `None` for nothing.
    pub initial: Option<Datum>,
}

impl Kv<'_> {
    /// The text; `None` when it is none. What holds nothing yet is as good as an empty text.
    fn as_text(&self, value: Datum) -> Option<&str> {
        match value.is_nil() {
            true => Some(""),
            false => self.pool.as_text(value),
        }
    }

    fn content(&self, value: Datum) -> Content {
        match self.pool.as_text(value) {
            Some(text) => Content::Text(text.to_owned()),
            None => Content::Value(value.or_nil()),
        }
    }
}

impl Model for Kv<'_> {
    type State = Content;
    type Op = KvOp;

    fn init(&self) -> Content {
        self.initial
            .map_or(Content::Nothing, |initial| self.content(initial))
    }

    fn step(&self, state: &Content, op: &KvOp) -> Option<Content> {
        match *op {
            KvOp::Get(value) => {
                let is_same = match state {
                    Content::Nothing => value.is_nil() || self.pool.as_text(value) == Some(""),
                    Content::Text(text) => self.pool.as_text(value) == Some(text),
                    Content::Value(held) => *held == value,
                };
                is_same.then(|| state.clone())
            }
            KvOp::Put(value) => Some(self.content(value)),
            KvOp::Append(added) => {
                let added = self.pool.as_text(added)?;
                match state {
                    Content::Nothing | Content::Value(Datum::NIL) => Some(Content::Text(added.to_owned())),
                    Content::Text(text) => Some(Content::Text(format!("{text}{added}"))),
                    Content::Value(_) => None,
                }
            }
        }
    }

    fn is_read(&self, op: &KvOp) -> bool {
        match op {
            KvOp::Get(_) => true,
            KvOp::Put(_) | KvOp::Append(_) => false,
        }
    }
}

pub(crate) struct Converter<'a> {
    pool: &'a Pool,
    get: Option<u16>,
    put: Option<u16>,
    append: Option<u16>,
    nil_reads: NilReads,
}

impl<'a> Converter<'a> {
    pub(crate) fn new(recording: &'a Recording, nil_reads: Option<NilReads>) -> Self {
        Self {
            pool: &recording.pool,
            get: recording.function_id("get"),
            put: recording.function_id("put"),
            append: recording.function_id("append"),
            nil_reads: nil_reads.unwrap_or(NilReads::Value),
        }
    }

    pub(crate) fn convert(&self, operation: &Operation) -> Taken<KvOp> {
        let function = Some(operation.function);
        if function == self.get {
            let (value, ret) = seen(self.pool, operation, self.nil_reads)?;
            return Ok((KvOp::Get(value), ret));
        }
        if function != self.put && function != self.append {
            return Err(Left::change(operation, NO_FUNCTION));
        }
        let (value, ret) = changed(self.pool, operation)?;
        let is_text = self.pool.as_text(value).is_some();
        if function == self.append {
            match is_text {
                true => Ok((KvOp::Append(value), ret)),
                false => Err(Left::change(operation, "it appends a value that is not a text")),
            }
        } else if self.append.is_some() && !is_text && !value.is_nil() {
            // What appending to it would make is not known.
            Err(Left::change(
                operation,
                "no text, in a history that appends to texts",
            ))
        } else {
            Ok((KvOp::Put(value), ret))
        }
    }
}
