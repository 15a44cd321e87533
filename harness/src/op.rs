//! One event of a history: an operation's invocation or completion, or a step of a fault.
//!
//! Invariant: an operation is one `invoke` and at most one of `ok`, `fail`, `info` with the same `op`
//! id and process; a process whose operation ended `info` never appears again.
//! `fail` claims that the operation did not and never will take effect; everything less certain is `info`.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A line of a history file.
///
/// | field | meaning |
/// |-|-|
/// | `i` | dense index, from 0 |
/// | `t` | nanoseconds since the run began, monotonic |
/// | `type` | see [`EventKind`] |
/// | `f` | function of the operation, or name of the fault |
/// | `p`, `op` | process and operation id; absent on faults |
/// | `k`, `v` | key and value; `v` is kept on completions without a result; for a log see [`log`](crate::checker::log) |
/// | `saw` | what a compare-and-set found: it swapped iff that is the expected value |
/// | `at`, `end` | log workload: label given to an append; a read reached the end |
/// | `lease` | lock workload: fencing token |
/// | `index` | log index of the reply, when the server reports it (certificate) |
/// | `node`, `err` | the node that was asked; why it did not succeed |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryEvent {
    /// Dense index, assigned by the history writer.
    #[serde(rename = "i")]
    index: u64,
    /// Nanoseconds since the run began.
    #[serde(rename = "t")]
    pub time_ns: u64,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// Function of the operation, or name of the fault.
    #[serde(rename = "f")]
    pub function: Cow<'static, str>,
    /// Logical single-threaded client; none on faults.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub process: Option<u64>,
    /// Ties an invocation to its completion; none on faults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    op: Option<u64>,
    /// Key the operation touches.
    #[serde(
        rename = "k",
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub key: Option<Value>,
    /// Input of an invocation, result of an `ok`, details of a fault.
    #[serde(
        rename = "v",
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub value: Option<Value>,
    /// Value a compare-and-set found.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub saw: Option<Value>,
    /// Position label of an append.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub at: Option<Value>,
    /// A log read reached the end of the log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end: bool,
    /// Fencing token of a lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<u64>,
    /// Log index at which the server says the operation took effect.
    #[serde(rename = "index", default, skip_serializing_if = "Option::is_none")]
    log_index: Option<u64>,
    /// Node that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Cow<'static, str>>,
    /// Why the operation did not succeed.
    #[serde(rename = "err", default, skip_serializing_if = "Option::is_none")]
    pub error: Option<OpError>,
}

/// What an event says about its operation or fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// A process begins an operation.
    #[serde(rename = "invoke")]
    Invoke,
    /// It took effect between its invocation and here.
    #[serde(rename = "ok")]
    Ok,
    /// It did not and never will take effect.
    #[serde(rename = "fail")]
    Fail,
    /// Not known: it may take effect at any later time, or never.
    #[serde(rename = "info")]
    Info,
    /// A fault is about to be injected.
    #[serde(rename = "fault.begin")]
    FaultBegin,
    /// The fault was seen to have an effect.
    #[serde(rename = "fault.ok")]
    FaultOk,
    /// The fault has been healed.
    #[serde(rename = "fault.end")]
    FaultEnd,
}

/// Why an operation did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpError {
    /// Short machine-readable name, such as `timeout` or `not-leader`.
    pub code: Cow<'static, str>,
    /// True when the operation certainly had no effect.
    pub definite: bool,
}

impl EventKind {
    /// True for `ok`, `fail` and `info`.
    pub fn is_completion(self) -> bool {
        match self {
            Self::Ok | Self::Fail | Self::Info => true,
            Self::Invoke | Self::FaultBegin | Self::FaultOk | Self::FaultEnd => false,
        }
    }

    /// True for the events of a fault.
    pub fn is_fault(self) -> bool {
        match self {
            Self::FaultBegin | Self::FaultOk | Self::FaultEnd => true,
            Self::Invoke | Self::Ok | Self::Fail | Self::Info => false,
        }
    }
}

impl HistoryEvent {
    /// Begins operation `op` of `process`.
    pub fn invoke(process: u64, op: u64, function: impl Into<Cow<'static, str>>) -> Self {
        Self {
            process: Some(process),
            op: Some(op),
            ..Self::new(EventKind::Invoke, function)
        }
    }

    /// Completes `invocation`, keeping its process, id, function, key, value and node.
    ///
    /// # Panics
    /// When `invocation` is not an `invoke`, or `kind` is not a completion.
    pub fn complete(invocation: &Self, kind: EventKind) -> Self {
        assert!(
            invocation.kind == EventKind::Invoke && kind.is_completion(),
            "{kind:?} completes an invoke"
        );
        Self {
            kind,
            ..invocation.clone()
        }
    }

    /// A step of the fault `name`.
    ///
    /// # Panics
    /// When `kind` is not one of the fault kinds.
    pub fn fault(kind: EventKind, name: impl Into<Cow<'static, str>>, details: Value) -> Self {
        assert!(kind.is_fault(), "{kind:?} is not a step of a fault");
        Self {
            value: Some(details),
            ..Self::new(kind, name)
        }
    }

    fn new(kind: EventKind, function: impl Into<Cow<'static, str>>) -> Self {
        Self {
            index: 0,
            time_ns: 0,
            kind,
            function: function.into(),
            process: None,
            op: None,
            key: None,
            value: None,
            saw: None,
            at: None,
            end: false,
            lease: None,
            log_index: None,
            node: None,
            error: None,
        }
    }

    /// Its place among the events of its history.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Gives it a place, as the history writer does.
    pub(crate) fn set_index(&mut self, index: u64) {
        self.index = index;
    }

    /// The id that ties an invocation to its completion; none on faults.
    pub fn op(&self) -> Option<u64> {
        self.op
    }

    /// Log index at which the server says the operation took effect.
    pub fn certificate(&self) -> Option<u64> {
        self.log_index
    }

    /// Sets the log index at which the server says the operation took effect.
    #[must_use]
    pub fn certified(mut self, log_index: u64) -> Self {
        self.log_index = Some(log_index);
        self
    }

    /// Sets the time.
    #[must_use]
    pub fn at_time(mut self, time_ns: u64) -> Self {
        self.time_ns = time_ns;
        self
    }

    /// Sets the key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Value>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the value.
    #[must_use]
    pub fn value(mut self, value: impl Into<Value>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Sets what a compare-and-set found (`Value::Null` when the key was absent).
    #[must_use]
    pub fn saw(mut self, saw: impl Into<Value>) -> Self {
        self.saw = Some(saw.into());
        self
    }

    /// Sets the node that was asked.
    #[must_use]
    pub fn node(mut self, node: impl Into<Cow<'static, str>>) -> Self {
        self.node = Some(node.into());
        self
    }

    /// Sets the error.
    #[must_use]
    pub fn error(mut self, code: impl Into<Cow<'static, str>>, definite: bool) -> Self {
        self.error = Some(OpError {
            code: code.into(),
            definite,
        });
        self
    }
}

/// Keeps an explicit `null` apart from an absent field.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
