//! Workloads: what clients do, how it is said to a node, and what the reply means.
//!
//! Invariant: every value that a workload writes is written once in a run. The checkers are exact and fast
//! because of it. The keys of two workloads never meet.

mod log;
mod register;

use noraftd::prng::Prng;
use serde_json::Value;

pub use log::LogWorkload;
pub use register::RegisterWorkload;

use crate::client::Reply;
use crate::plan::WorkloadPlan;

/// Operations on one kind of object. Shared by all clients.
pub trait Workload: Send + Sync + std::fmt::Debug {
    /// The name in plans and histories.
    fn name(&self) -> &'static str;

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
        WorkloadPlan::Register(plan) => Box::new(RegisterWorkload::new(plan)),
        WorkloadPlan::Log(plan) => Box::new(LogWorkload::new(plan)),
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
