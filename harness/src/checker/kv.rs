//! A key-value store of texts: put, append to the text, get. The sequential specification of one key.

use super::datum::{Datum, Pool};
use super::recording::{NEVER, Operation, Recording, Status};
use crate::model::Model;

/// An operation on the text of one key, with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvOp {
    /// The text was this.
    Get(Datum),
    /// The text became this.
    Put(Datum),
    /// This was added at its end.
    Append(Datum),
}

/// The specification: every text is empty at first.
#[derive(Clone, Copy, Debug)]
pub struct Kv<'a> {
    /// Where the texts are.
    pub pool: &'a Pool,
}

impl Kv<'_> {
    fn text(&self, datum: Datum) -> &str {
        self.pool.as_text(datum).unwrap_or_default()
    }
}

impl Model for Kv<'_> {
    type State = String;
    type Op = KvOp;

    fn init(&self) -> String {
        String::new()
    }

    fn step(&self, state: &String, op: &KvOp) -> Option<String> {
        match *op {
            KvOp::Get(text) => (state == self.text(text)).then(|| state.clone()),
            KvOp::Put(text) => Some(self.text(text).to_owned()),
            KvOp::Append(text) => Some(format!("{state}{}", self.text(text))),
        }
    }

    fn is_read(&self, op: &KvOp) -> bool {
        match op {
            KvOp::Get(_) => true,
            KvOp::Put(_) | KvOp::Append(_) => false,
        }
    }
}

pub(crate) struct Converter {
    get: Option<u16>,
    put: Option<u16>,
    append: Option<u16>,
}

impl Converter {
    pub(crate) fn new(recording: &Recording) -> Self {
        Self {
            get: recording.function_id("get"),
            put: recording.function_id("put"),
            append: recording.function_id("append"),
        }
    }

    pub(crate) fn convert(&self, operation: &Operation) -> Option<(KvOp, u32)> {
        let function = Some(operation.function);
        let ret = if operation.status == Status::Ok {
            operation.ret
        } else {
            NEVER
        };
        if operation.status == Status::Fail {
            None
        } else if function == self.get {
            (operation.status == Status::Ok).then_some((KvOp::Get(operation.output), ret))
        } else if function == self.put {
            Some((KvOp::Put(operation.input), ret))
        } else if function == self.append {
            Some((KvOp::Append(operation.input), ret))
        } else {
            None
        }
    }
}
