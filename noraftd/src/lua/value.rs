//! Values of a script, and what it may be ended by.
//!
//! Tables, functions and variables that functions share are numbers: places in the machine that made them. So nothing has an address,
//! and whatever refers to itself goes with the machine.

use std::rc::Rc;

use bytes::Bytes;

use super::ast::Body;

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Nil,
    Bool(bool),
    Number(f64),
    Text(Bytes),
    Table(TableId),
    Function(Function),
    /// `cjson.null`
    Null,
    /// In the place of a local variable that functions share: where it is. No script ever has one.
    Shared(usize),
}

/// The number of a table, in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TableId(pub(super) usize);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Function {
    /// The number of a function that the script made.
    Closure(usize),
    Native(Native),
}

/// A function of a library. No two have the same name.
#[derive(Clone, Copy)]
pub(crate) struct Native {
    pub(super) name: &'static str,
    /// Where the machine has it.
    pub(super) at: usize,
}

/// What a function returns.
pub(crate) type Returned = Result<Vec<Value>, Failure>;

/// A function with the variables that it shares.
#[derive(Debug, Clone)]
pub(super) struct Closure {
    pub(super) body: Rc<Body>,
    pub(super) upvalues: Rc<[usize]>,
}

/// Why a script did not come to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error, which `pcall` catches.
    Raised(Box<Raised>),
    /// It took more than it may. Nothing catches this.
    Spent(Spent),
}

#[derive(Debug)]
pub(crate) struct Raised {
    pub(crate) value: Value,
    /// Where it was raised.
    pub(crate) line: u32,
}

/// What was spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spent {
    Steps,
    Bytes,
}

impl Value {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Neither nil nor false.
    pub(crate) fn is_true(&self) -> bool {
        !matches!(self, Self::Nil | Self::Bool(false))
    }

    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::Table(_) => "table",
            Self::Function(_) => "function",
            Self::Null => "userdata",
            Self::Shared(_) => unreachable!("no script has one"),
        }
    }

    /// The same, without asking a metatable.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nil, Self::Nil) | (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Table(one), Self::Table(other)) => one == other,
            (Self::Function(one), Self::Function(other)) => one == other,
            (
                Self::Nil
                | Self::Null
                | Self::Bool(_)
                | Self::Number(_)
                | Self::Text(_)
                | Self::Table(_)
                | Self::Function(_)
                | Self::Shared(_),
                _,
            ) => false,
        }
    }
}

impl PartialEq for Native {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Native {}

impl PartialOrd for Native {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Native {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name.cmp(other.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Closure(one), Self::Closure(other)) => one == other,
            (Self::Native(one), Self::Native(other)) => one == other,
            (Self::Closure(_) | Self::Native(_), _) => false,
        }
    }
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
