//! Workloads: what clients do, how it is said to a node, and what the reply means.
//!
//! Invariant: every value that a workload writes is written once in a run. The checkers are exact and fast
//! because of it. The keys of two workloads never meet.

mod bank;
mod counter;
mod ids;
mod keys;
mod list_append;
mod log;
mod object;
mod objects;
mod padding;
mod records;
mod register;
mod set;
#[cfg(test)]
mod tests;

use noraftd::prng::Prng;
use serde_json::Value;

use log::LogWorkload;
use objects::Objects;
use register::Register;

use crate::client::Reply;
use crate::history::Header;
use crate::plan::{Plan, WorkloadPlan};

/// Operations on one kind of object. Shared by all clients.
pub trait Workload: Send + Sync + std::fmt::Debug {
    /// The name in plans and histories.
    fn name(&self) -> &'static str;

    /// What every key is before the first operation, where that is not nothing.
    fn initial(&self) -> Option<Value> {
        None
    }

    /// What a client in this part does next.
    fn next(&self, part: Part, prng: &mut Prng) -> Operation;

    /// What the reply to `operation` means; the workload may remember it.
    ///
    /// # Errors
    ///
    /// When the reply is none that the command can have.
    fn complete(&self, operation: &Operation, reply: &Reply) -> Result<Completion, UnexpectedReply>;

    /// The operation that comes after `done` in the final phase, in which nothing is disturbed and every
    /// operation has to succeed; `None` at its end. It writes and reads every key.
    fn finale(&self, done: &[Completion]) -> Option<Operation>;
}

/// What a client is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything, in the plan's proportions.
    All,
    /// Reading.
    Reader,
}

/// One operation, not yet sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// What it is called in the history.
    pub function: &'static str,
    /// What it touches.
    pub key: String,
    /// Its input, as the history keeps it.
    pub value: Option<Value>,
    /// The command.
    pub request: Vec<String>,
}

impl Operation {
    /// The operation that `words` are the command of.
    fn new(function: &'static str, key: &str, value: Option<Value>, words: &[&str]) -> Self {
        Self {
            function,
            key: key.to_owned(),
            value,
            request: words.iter().map(|word| (*word).to_owned()).collect(),
        }
    }
}

/// What a reply said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Completion {
    /// The result, when the operation has one.
    pub value: Option<Value>,
    /// What a compare-and-set found.
    pub saw: Option<Value>,
    /// Where an append went.
    pub at: Option<Value>,
    /// Whether a read reached the end.
    pub end: bool,
}

impl Completion {
    fn value(value: Value) -> Self {
        let value = Some(value);
        Self {
            value,
            ..Self::default()
        }
    }

    fn saw(saw: Value) -> Self {
        let saw = Some(saw);
        Self {
            saw,
            ..Self::default()
        }
    }

    fn at(at: Value) -> Self {
        let at = Some(at);
        Self {
            at,
            ..Self::default()
        }
    }

    /// Of a command that is answered `OK`.
    fn done(reply: &Reply) -> Option<Self> {
        (*reply == Reply::Status("OK".to_owned())).then(Self::default)
    }
}

/// A reply that the command cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{request}` was answered by {reply}")]
pub struct UnexpectedReply {
    request: String,
    reply: String,
}

impl UnexpectedReply {
    fn new(operation: &Operation, reply: &Reply) -> Self {
        let mut reply = format!("{reply:?}");
        if let Some((cut, _)) = reply.char_indices().nth(REPLY_CHARS_SHOWN) {
            reply.truncate(cut);
            reply.push_str("...");
        }
        Self {
            request: operation.request.join(" "),
            reply,
        }
    }
}

/// The workload that `plan` describes.
pub fn from_plan(plan: &WorkloadPlan) -> Box<dyn Workload> {
    match plan {
        WorkloadPlan::Register(plan) => Box::new(Register::workload(plan)),
        WorkloadPlan::Log(plan) => Box::new(LogWorkload::new(plan)),
        WorkloadPlan::Set(plan) => {
            let elements_max = plan.operations_per_key;
            Box::new(Objects::of(set::Set { elements_max }, plan))
        }
        WorkloadPlan::Counter(plan) => Box::new(Objects::of(counter::Counter, plan)),
        WorkloadPlan::ListAppend(plan) => Box::new(Objects::of(list_append::List, plan)),
        WorkloadPlan::Bank(plan) => Box::new(Objects::of(bank::Bank, plan)),
    }
}

/// The first line of the history of `workload` in a run of `plan`.
pub fn header(plan: &Plan, workload: &dyn Workload, seed: u64) -> Header {
    let mut header = Header::new(workload.name());
    header.plan = Some(plan.name.clone());
    header.seed = Some(seed);
    header.initial = workload.initial();
    header
}

/// A string, as [`number_or_text`] has it, or null for nothing; `None` for another kind of reply.
fn text_or_null(reply: &Reply) -> Option<Value> {
    match reply {
        Reply::Bulk(bytes) => Some(number_or_text(bytes)),
        Reply::Null => Some(Value::Null),
        Reply::Status(_) | Reply::Error(_) | Reply::Integer(_) | Reply::Array(_) => None,
    }
}

/// A number when it is one: what we wrote. Anything else is kept as it is, for the checker to wonder at.
fn number_or_text(bytes: &[u8]) -> Value {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => Value::from(number),
        Ok(_) | Err(_) => Value::from(text),
    }
}

const REPLY_CHARS_SHOWN: usize = 200;
