//! The checker porcupine-rs from crates.io, asked about registers.

use std::time::Duration;

use harness::checker::Verdict;
use harness::checker::register::RegisterOp;
use harness::model::Call;
use harness::recording::datum::Datum;
use porcupine_rs::{CheckResult, Model, Operation};

/// A register in the peer's terms; operations of unknown outcome are at liberty to fail.
#[derive(Clone, Debug)]
pub struct PeerRegister;

/// An operation, and whether it was never seen to return.
#[derive(Clone, Debug)]
pub struct PeerOp {
    op: RegisterOp,
    open: bool,
}

/// A value; `None` is the initial one.
type Value = Option<Datum>;

impl Model for PeerRegister {
    type State = Value;
    type Op = PeerOp;
    type Metadata = ();

    fn init() -> Value {
        None
    }

    fn step(state: &Value, op: &PeerOp) -> (bool, Value) {
        match op.op {
            RegisterOp::Read(value) => (*state == Some(value), *state),
            RegisterOp::Differs(value) => (*state != Some(value), *state),
            RegisterOp::Write(value) => (true, Some(value)),
            RegisterOp::Cas(expected, new) if *state == Some(expected) => (true, Some(new)),
            RegisterOp::Cas(..) => (op.open, *state),
        }
    }
}

/// The history of one register in the peer's terms. The initial value is written before everything.
pub fn translate(initial: Datum, calls: &[Call<RegisterOp>]) -> Vec<Operation<PeerRegister>> {
    let first = Operation {
        client_id: None,
        call_time: -2,
        return_time: -1,
        op: PeerOp {
            op: RegisterOp::Write(initial),
            open: false,
        },
        metadata: None,
    };
    let rest = calls.iter().map(|call| Operation {
        client_id: None,
        call_time: i64::from(call.call),
        return_time: i64::from(call.ret),
        op: PeerOp {
            op: call.op,
            open: call.is_open(),
        },
        metadata: None,
    });
    std::iter::once(first).chain(rest).collect()
}

/// What the peer says; `None` when it does not say it in time.
pub fn decide(operations: &[Operation<PeerRegister>], time: Duration) -> Option<bool> {
    match porcupine_rs::check_operations_timeout(operations, time) {
        CheckResult::Ok => Some(true),
        CheckResult::Illegal => Some(false),
        CheckResult::Unknown => None,
    }
}

/// Compares a verdict with the peer's.
pub fn agree(initial: Datum, calls: &[Call<RegisterOp>], verdict: &Verdict) -> Result<bool, String> {
    let ours = match verdict {
        Verdict::Valid(_) => true,
        Verdict::Invalid(_) => false,
        Verdict::Unknown(exhausted) => return Err(format!("{exhausted:?}")),
    };
    match decide(&translate(initial, calls), Duration::from_secs(60)) {
        Some(theirs) if theirs == ours => Ok(ours),
        Some(_) => Err(format!("{verdict:?}, porcupine-rs disagrees: {calls:?}")),
        None => Err(format!("porcupine-rs did not finish: {calls:?}")),
    }
}
