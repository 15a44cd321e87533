//! What a text means: statements and expressions, with every local variable at its place.
//!
//! Invariant: no part is nested deeper than the parser's limit, so whatever walks it, or drops it, needs a bounded stack.

use std::rc::Rc;

use bytes::Bytes;

/// The body of a function; a whole text is the body of one without parameters.
#[derive(Debug)]
pub(crate) struct Body {
    /// Where the parameters are.
    pub(super) parameters: Vec<Place>,
    pub(super) is_vararg: bool,
    /// So many places are needed for local variables.
    pub(super) slots: usize,
    /// For each declaration: an inner function uses the variable.
    pub(super) captured: Vec<bool>,
    /// Where the variables of the functions around it come from.
    pub(super) upvalues: Vec<Source>,
    pub(super) block: Vec<Statement>,
}

/// A declared local variable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) slot: usize,
    /// Its number among the declarations of the function.
    pub(super) declaration: usize,
}

/// Where a function that is made finds a variable of the function around it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Local(usize),
    Upvalue(usize),
}

#[derive(Debug)]
pub(super) struct Statement {
    pub(super) line: u32,
    pub(super) kind: Kind,
}

pub(super) type Block = Vec<Statement>;

#[derive(Debug)]
pub(super) enum Kind {
    Local(Vec<Place>, Vec<Expr>),
    LocalFunction(Place, Rc<Body>),
    Assign(Vec<Expr>, Vec<Expr>),
    Call(Expr),
    Do(Block),
    While(Expr, Block),
    Repeat(Block, Expr),
    If(Vec<(Expr, Block)>, Block),
    For(Box<Counting>),
    ForIn(Vec<Place>, Vec<Expr>, Block),
    Return(Vec<Expr>),
    Break,
}

/// `for place = first, last, step do`
#[derive(Debug)]
pub(super) struct Counting {
    pub(super) place: Place,
    pub(super) first: Expr,
    pub(super) last: Expr,
    pub(super) step: Option<Expr>,
    pub(super) block: Block,
}

#[derive(Debug)]
pub(super) enum Expr {
    Nil,
    Bool(bool),
    Number(f64),
    Text(Bytes),
    /// `...`
    Rest,
    Function(Rc<Body>),
    Local(usize, Bytes),
    Upvalue(usize, Bytes),
    Global(Bytes, u32),
    Index(Box<(Expr, Expr)>, u32),
    Call(Box<Call>),
    Binary(Binary, Box<(Expr, Expr)>, u32),
    And(Box<(Expr, Expr)>),
    Or(Box<(Expr, Expr)>),
    Not(Box<Expr>),
    Negate(Box<Expr>, u32),
    Length(Box<Expr>, u32),
    Table(Box<Constructor>),
    /// In parentheses: one value.
    Single(Box<Expr>),
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) line: u32,
    pub(super) function: Expr,
    /// `object:method(...)`
    pub(super) method: Option<Bytes>,
    pub(super) arguments: Vec<Expr>,
}

#[derive(Debug)]
pub(super) struct Constructor {
    /// Those without a key, in order.
    pub(super) items: Vec<Expr>,
    pub(super) pairs: Vec<(Expr, Expr)>,
    pub(super) line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Concat,
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}
