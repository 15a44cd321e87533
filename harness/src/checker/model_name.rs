//! Models by name, and which one a history is about.

use crate::checker::txn::{self, Micro};
use crate::recording::Recording;

/// Models by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelName {
    /// Read, write, compare-and-set.
    Register,
    /// Put, append, get of texts.
    Kv,
    /// Append, read, tail, trim.
    Log,
    /// Add elements, read them all.
    Set,
    /// The same; histories of other tools call it so.
    SetFull,
    /// Add, read.
    Counter,
    /// Transfers between accounts.
    Bank,
    /// Acquire and release, with fencing tokens.
    Lock,
    /// Requests that take effect once.
    ExactlyOnce,
    /// Transactions on lists.
    ListAppend,
    /// Transactions on registers.
    RwRegister,
}

impl ModelName {
    /// Every model.
    pub const ALL: [Self; 11] = [
        Self::Register,
        Self::Kv,
        Self::Log,
        Self::Set,
        Self::SetFull,
        Self::Counter,
        Self::Bank,
        Self::Lock,
        Self::ExactlyOnce,
        Self::ListAppend,
        Self::RwRegister,
    ];

    /// As written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Kv => "kv",
            Self::Log => "log",
            Self::Set => "set",
            Self::SetFull => "set-full",
            Self::Counter => "counter",
            Self::Bank => "bank",
            Self::Lock => "lock",
            Self::ExactlyOnce => "exactly-once",
            Self::ListAppend => "list-append",
            Self::RwRegister => "rw-register",
        }
    }

    /// The model called `name`, under its own name or one that other tools use.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "cas-register" => Some(Self::Register),
            "kv-append" => Some(Self::Kv),
            _ => Self::ALL.into_iter().find(|model| model.name() == name),
        }
    }

    /// True when each operation touches one object, which a key may name.
    pub(crate) fn is_of_one_key(self) -> bool {
        match self {
            Self::Register
            | Self::Kv
            | Self::Log
            | Self::Set
            | Self::SetFull
            | Self::Counter
            | Self::Lock
            | Self::ExactlyOnce => true,
            Self::Bank | Self::ListAppend | Self::RwRegister => false,
        }
    }

    /// The model a history says or shows that it is about, or why there is none.
    pub(crate) fn guess(recording: &Recording) -> Result<Self, String> {
        if let Some(workload) = &recording.workload {
            return Self::parse(workload).ok_or_else(|| format!("no model for the workload {workload:?}"));
        }
        let has = |name| recording.function_id(name).is_some();
        if let Some(model) = transactional(recording) {
            return Ok(model);
        }
        let shown = [
            ("txn", Self::ListAppend),
            ("transfer", Self::Bank),
            ("acquire", Self::Lock),
            ("apply", Self::ExactlyOnce),
            ("write", Self::Register),
            ("cas", Self::Register),
            ("put", Self::Kv),
            ("get", Self::Kv),
            (
                "add",
                if reads_lists(recording) {
                    Self::Set
                } else {
                    Self::Counter
                },
            ),
            ("incr", Self::Counter),
            ("append", Self::Log),
            ("read", Self::Register),
        ];
        let found = shown
            .into_iter()
            .find(|(function, _)| has(function))
            .map(|(_, model)| model);
        found.ok_or_else(|| {
            let functions: Vec<_> = recording.functions().take(8).collect();
            format!("no model fits the functions {functions:?}: choose one with --model")
        })
    }
}

fn reads_lists(recording: &Recording) -> bool {
    let read = recording.function_id("read");
    let pool = &recording.pool;
    let mut reads = recording
        .operations
        .iter()
        .filter(|operation| Some(operation.function) == read && !operation.output.is_nil());
    // Perhaps behind a key.
    reads.any(|operation| match pool.as_pair(operation.output) {
        Some([_, value]) => pool.as_elements(value).is_some() || pool.as_pair(operation.input).is_none(),
        None => pool.as_elements(operation.output).is_some(),
    })
}

/// The model of transactions, if each operation is one, whatever it is called.
fn transactional(recording: &Recording) -> Option<ModelName> {
    let mut writes = false;
    let mut some = false;
    for operation in &recording.operations {
        for micro in txn::parse_list(&recording.pool, operation.input)? {
            some = true;
            writes |= matches!(micro, Micro::Write { .. });
        }
    }
    some.then_some(match writes {
        true => ModelName::RwRegister,
        false => ModelName::ListAppend,
    })
}
