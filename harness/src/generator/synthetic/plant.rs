//! Violations as short scripts of operations.
//!
//! Each is a violation whatever happens around it, because nothing else uses its values; nothing of
//! the others' work happens between its steps.

use serde_json::{Value, json};

use super::system::Workload;

/// Violations that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A read returns a value that was overwritten before the read began.
    StaleRead,
    /// An acknowledged write or append has no effect.
    LostWrite,
    /// A read returns a value before anyone begins to write it.
    FutureRead,
    /// A read returns a value that is never written.
    GarbageRead,
    /// Two compare-and-sets replace the same value.
    LostUpdate,
    /// Reads see a value, then the one before it, then the value again.
    Flicker,
    /// An append gets a position before one that had been acknowledged earlier.
    ReorderedAppend,
    /// A record is in the log twice.
    Duplicate,
}

/// One step of a script; operations are numbered in order of invocation.
pub(super) enum Step {
    /// Invoke this function with this value.
    Invoke(&'static str, Value),
    /// Let the operation take effect.
    Apply(usize),
    /// Complete it.
    Return(usize, Claim),
}

/// What a completion says.
pub(super) enum Claim {
    /// What the system answered, or nothing when the operation took no effect.
    Truth,
    /// This value.
    Value(Value),
    /// This position.
    At(Value),
    /// That a compare-and-set found this.
    Saw(Value),
    /// The entry of the append with this number.
    EntryOf(usize),
}

impl Planted {
    /// Every violation.
    pub const ALL: [Self; 8] = [
        Self::StaleRead,
        Self::LostWrite,
        Self::FutureRead,
        Self::GarbageRead,
        Self::LostUpdate,
        Self::Flicker,
        Self::ReorderedAppend,
        Self::Duplicate,
    ];

    /// As written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::StaleRead => "stale-read",
            Self::LostWrite => "lost-write",
            Self::FutureRead => "future-read",
            Self::GarbageRead => "garbage-read",
            Self::LostUpdate => "lost-update",
            Self::Flicker => "flicker",
            Self::ReorderedAppend => "reordered-append",
            Self::Duplicate => "duplicate",
        }
    }

    /// The violation called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|planted| planted.name() == name)
    }

    /// True when `workload` can be violated like this.
    pub fn fits(self, workload: Workload) -> bool {
        match self {
            Self::StaleRead | Self::LostWrite | Self::FutureRead | Self::GarbageRead => true,
            Self::LostUpdate | Self::Flicker => workload == Workload::Register,
            Self::ReorderedAppend | Self::Duplicate => workload == Workload::Log,
        }
    }

    /// The script, with values `a`, `b`, `c` of its own and a free position behind the last one.
    pub(super) fn script(self, workload: Workload, [a, b, c]: [i64; 3], free: Value) -> Vec<Step> {
        match workload {
            Workload::Register => self.register_script(a, b, c),
            Workload::Log => self.log_script(a, b, free),
        }
    }

    fn register_script(self, a: i64, b: i64, c: i64) -> Vec<Step> {
        let read = |number, value: i64| {
            [
                Step::Invoke("read", Value::Null),
                Step::Return(number, Claim::Value(value.into())),
            ]
        };
        let mut script = Vec::new();
        match self {
            Self::StaleRead => {
                script.extend(done(0, "write", a.into()));
                script.extend(done(1, "write", b.into()));
                script.extend(read(2, a));
            }
            Self::LostWrite => {
                script.extend(done(0, "write", a.into()));
                script.extend([Step::Invoke("write", b.into()), Step::Return(1, Claim::Truth)]);
                script.extend(read(2, a));
            }
            Self::FutureRead => {
                script.extend(read(0, a));
                script.extend(done(1, "write", a.into()));
            }
            Self::GarbageRead => script.extend(read(0, a)),
            Self::LostUpdate => {
                script.extend(done(0, "write", a.into()));
                for (number, new) in [(1, b), (2, c)] {
                    script.push(Step::Invoke("cas", json!([a, new])));
                    script.push(Step::Apply(number));
                    script.push(Step::Return(number, Claim::Saw(a.into())));
                }
            }
            Self::Flicker => {
                script.extend([Step::Invoke("write", a.into()), Step::Invoke("write", b.into())]);
                script.extend([Step::Apply(0), Step::Apply(1)]);
                script.extend([read(2, b), read(3, a), read(4, b)].into_iter().flatten());
                script.extend([Step::Return(0, Claim::Truth), Step::Return(1, Claim::Truth)]);
            }
            Self::ReorderedAppend | Self::Duplicate => {}
        }
        script
    }

    fn log_script(self, a: i64, b: i64, free: Value) -> Vec<Step> {
        let lost = |number, record: i64| {
            [
                Step::Invoke("append", record.into()),
                Step::Return(number, Claim::At(free.clone())),
            ]
        };
        let tail = |number, claim| [Step::Invoke("tail", Value::Null), Step::Return(number, claim)];
        let mut script = Vec::new();
        match self {
            Self::StaleRead => {
                script.extend(done(0, "append", a.into()));
                script.extend(done(1, "append", b.into()));
                script.extend(tail(2, Claim::EntryOf(0)));
            }
            Self::LostWrite => {
                script.extend(lost(0, a));
                script.extend([Step::Invoke("tail", Value::Null), Step::Apply(1)]);
                script.push(Step::Return(1, Claim::Truth));
            }
            Self::FutureRead => {
                script.extend(tail(0, Claim::Value(json!([free, a]))));
                script.extend(lost(1, a));
            }
            Self::GarbageRead => script.extend(tail(0, Claim::Value(json!([free, a])))),
            Self::ReorderedAppend => {
                script.extend(done(0, "append", a.into()));
                script.extend(lost(1, b));
            }
            Self::Duplicate => {
                script.extend(done(0, "append", a.into()));
                script.extend(tail(1, Claim::Value(json!([free, a]))));
            }
            Self::LostUpdate | Self::Flicker => {}
        }
        script
    }
}

/// An operation that reports the truth, from invocation to completion.
fn done(number: usize, function: &'static str, value: Value) -> [Step; 3] {
    [
        Step::Invoke(function, value),
        Step::Apply(number),
        Step::Return(number, Claim::Truth),
    ]
}
