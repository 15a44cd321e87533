//! Models by name, and which one a history is about.

use crate::checker::recording::Recording;

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

    /// The model a history says or shows that it is about, or why there is none.
    pub(super) fn guess(recording: &Recording) -> Result<Self, String> {
        if let Some(workload) = &recording.workload {
            return Self::parse(workload).ok_or_else(|| format!("no model for the workload {workload:?}"));
        }
        let has = |name| recording.function_id(name).is_some();
        let told = [
            (
                "txn",
                if writes_registers(recording) {
                    Self::RwRegister
                } else {
                    Self::ListAppend
                },
            ),
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
        let found = told
            .into_iter()
            .find(|(function, _)| has(function))
            .map(|(_, model)| model);
        found.ok_or_else(|| {
            let functions: Vec<_> = recording.functions.iter().map(|name| &**name).take(8).collect();
            format!("no model fits the functions {functions:?}: choose one with --model")
        })
    }
}

fn reads_lists(recording: &Recording) -> bool {
    let read = recording.function_id("read");
    let mut reads = recording
        .operations
        .iter()
        .filter(|operation| Some(operation.function) == read);
    reads.any(|operation| recording.pool.as_list(operation.output).is_some())
}

fn writes_registers(recording: &Recording) -> bool {
    let w = [recording.pool.find_text(":w"), recording.pool.find_text("w")];
    let is_write = |micro: &super::Datum| {
        let function = recording
            .pool
            .as_list(*micro)
            .and_then(|micro| micro.first().copied());
        function.is_some() && w.contains(&function)
    };
    let mut inputs = recording
        .operations
        .iter()
        .filter_map(|operation| recording.pool.as_list(operation.input));
    inputs.any(|list| list.iter().any(is_write))
}
