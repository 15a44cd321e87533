//! Why a history has no order, by engine.
//!
//! Invariant: a violation names at least one operation, and what it names has no order whatever else happened.

mod log;
mod register;

pub use log::LogViolation;
pub use register::{Contradiction, Effect, RegisterViolation, Zone};

/// Why no order fits, by engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Found by the register engine.
    Register(RegisterViolation),
    /// Found by the log engine.
    Log(LogViolation),
    /// Found by a search.
    Stuck(Stuck),
    /// Found by one of the other engines, which explains it itself.
    Explained(Explained),
}

/// A violation in the words of its engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What happened, in a few words.
    pub title: String,
    /// The operations involved.
    pub operations: Vec<u32>,
    /// Why no order fits, sentence by sentence; operations appear as [`mention`] writes them.
    pub why: Vec<String>,
}

/// An operation inside a sentence of [`Explained`]; the report puts its letter there.
pub fn mention(id: u32) -> String {
    format!("{MENTION}{id}{MENTION}")
}

/// Surrounds the id of a mentioned operation.
pub(crate) const MENTION: char = '\u{1}';

/// An operation that fits nowhere: when it returned, every possible history had excluded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The operation.
    pub op: u32,
    /// The last operation that changed each state that was possible then; `None` for the initial
    /// state. At most [`STUCK_STATES_MAX`], the most recent ones.
    pub after: Vec<Option<u32>>,
    /// How many different states were possible.
    pub states: u32,
    /// Operations that have no order by themselves, where a proof was looked for and found.
    pub core: Option<Core>,
}

/// Operations that have no order even if every other one may take effect, whenever that helps, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// The operations.
    pub operations: Vec<u32>,
    /// The event from which on this is so, whatever the state was then; `None` when it takes the
    /// initial state.
    pub since: Option<u32>,
    /// None of them can be spared, as far as this proof goes.
    pub is_minimal: bool,
}

/// Operations of a core that are named.
pub const CORE_MAX: usize = 8;

impl Stuck {
    /// The core, if it is short enough to be named.
    pub fn short_core(&self) -> Option<&Core> {
        let short = |core: &&Core| core.operations.len() <= CORE_MAX;
        self.core.as_ref().filter(short)
    }
}

/// States an explanation names.
pub const STUCK_STATES_MAX: usize = 3;

impl Violation {
    /// The operations that cannot be ordered, at least one.
    pub fn operations(&self) -> Vec<u32> {
        let mut ids = match self {
            Self::Register(violation) => violation.operations(),
            Self::Log(violation) => violation.operations(),
            Self::Stuck(stuck) => match stuck.short_core() {
                Some(core) => core.operations.clone(),
                None => {
                    let states = stuck.after.iter().copied().flatten();
                    std::iter::once(stuck.op).chain(states).collect()
                }
            },
            Self::Explained(explained) => explained.operations.clone(),
        };
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}
