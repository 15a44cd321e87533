//! Requests that must take effect once however often they are sent: `apply` a request with an id of its
//! own, `read` the ids in the order in which they took effect. Exact; O(n log n).
//!
//! That is a log whose labels are the indexes of its records, so [`log`](super::log) decides it: an id
//! that took effect twice is a record with two positions; one that was acknowledged and is missing is a
//! lost append; one that was refused and is there was never appended.

use super::log::LogOp;
use super::usage::{Left, NO_FUNCTION, NilReads, Taken, changed, seen};
use crate::recording::datum::{Datum, Pool};
use crate::recording::{Operation, Recording};

pub(crate) struct Converter<'a> {
    pool: &'a Pool,
    apply: Option<u16>,
    read: Option<u16>,
    nil_reads: NilReads,
}

impl<'a> Converter<'a> {
    pub(crate) fn new(recording: &'a Recording, nil_reads: Option<NilReads>) -> Self {
        Self {
            pool: &recording.pool,
            apply: recording.function_id("apply"),
            read: recording.function_id("read"),
            nil_reads: nil_reads.unwrap_or(NilReads::Value),
        }
    }

    pub(crate) fn convert(&self, operation: &Operation) -> Taken<LogOp> {
        let function = Some(operation.function);
        if function == self.apply {
            let (record, ret) = changed(self.pool, operation)?;
            let at = Datum::NIL;
            match record.is_nil() {
                true => Err(Left::change(operation, "no request")),
                false => Ok((LogOp::Append { record, at }, ret)),
            }
        } else if function == self.read {
            let (requests, ret) = seen(self.pool, operation, self.nil_reads)?;
            match self.pool.as_list(requests) {
                Some(_) => Ok((LogOp::Whole(requests), ret)),
                None => Err(Left::look(operation, "no list of requests")),
            }
        } else {
            Err(Left::change(operation, NO_FUNCTION))
        }
    }
}
