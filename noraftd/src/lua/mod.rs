//! Lua 5.1, for scripts that are a part of the replicated state: every machine carries them out alike.
//!
//! Why it is not a crate. An interpreter in C has `pow`, `printf` and `strtod` of the system, tables that are ordered by addresses, what is
//! no number with the sign that the processor gives it, and functions of the library that no hook interrupts. Each of them would make
//! two states of one log, and what is known to be unsafe in Lua 5.1 (its parser, `unpack`, long brackets) would be in every node at once. Of
//! those in Rust, `rilua` (5.1, that of a game) and `piccolo` (5.3 and 5.4) take powers from the system as well, and what they count is not
//! what a search, a repetition or a comparison looks at.
//!
//! - `lexer`, `parser`, `expressions`, `scopes`: a text to `ast`, with a limit on its depth.
//! - `vm`, `exec`, `eval`, `operators`: carried out, within a budget of steps and bytes that is counted from values.
//! - `library`: what scripts call. `pattern` and `number` are parts of it that know no values.
//!
//! What differs from Lua: tables and what they hold are not freed before the script ends, so what it makes has a limit, and there are
//! no weak tables; functions are nested less deep, and a call in the last place takes a level as any other; `string.gmatch`
//! returns a table that can be called; the length of an array with holes may be another one of those that the manual allows;
//! sorting keeps the order of equal elements.
//!
//! Invariant: no text, and no value, makes the process panic, or run or grow without bound.

mod ast;
mod eval;
mod exec;
mod expressions;
mod lexer;
mod library;
mod number;
mod operators;
mod parser;
mod pattern;
mod scopes;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod vm;

pub(crate) use self::ast::Body;
pub(crate) use self::lexer::SyntaxError;
pub(crate) use self::library::sha1;
pub(crate) use self::value::{Failure, Raised, Spent, TableId, Value};
pub(crate) use self::vm::{Budget, CHUNK_NAME, Host, Vm};

/// A machine with the libraries that a text may use; what is drawn follows from `seed`.
pub(crate) fn machine<'h>(text: &[u8], budget: Budget, seed: u64, host: &'h mut dyn Host) -> Vm<'h> {
    let mut vm = Vm::new(budget, seed, host);
    library::open(&mut vm, text);
    vm.seal();
    vm
}

/// What a text means.
///
/// # Errors
///
/// With what is wrong with it, and where.
pub(crate) fn parse(text: &[u8]) -> Result<Body, SyntaxError> {
    parser::parse(text)
}
