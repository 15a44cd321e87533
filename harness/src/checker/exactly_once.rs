//! Requests that must take effect once however often they are sent: `apply` a request with an id of its
//! own, `read` the ids in the order in which they took effect. Exact; O(n log n).
//!
//! That is a log whose labels are the indexes of its records, so [`log`](super::log) decides it: an id
//! that took effect twice is a record with two positions; one that was acknowledged and is missing is a
//! lost append; one that was refused and is there was appended by nobody.

use super::log::LogOp;
use super::recording::{NEVER, Operation, Recording, Status};

pub(crate) struct Converter {
    apply: Option<u16>,
    read: Option<u16>,
}

impl Converter {
    pub(crate) fn new(recording: &Recording) -> Self {
        Self {
            apply: recording.function_id("apply"),
            read: recording.function_id("read"),
        }
    }

    pub(crate) fn convert(&self, operation: &Operation) -> Option<(LogOp, u32)> {
        let function = Some(operation.function);
        let known = operation.status == Status::Ok;
        if function == self.apply && operation.status != Status::Fail {
            let apply = LogOp::Append {
                record: operation.input,
                at: super::datum::Datum::NIL,
            };
            Some((apply, if known { operation.ret } else { NEVER }))
        } else if function == self.read && known {
            Some((LogOp::Whole(operation.output), operation.ret))
        } else {
            None
        }
    }
}
