//! The words of Redis for what is refused, and how arguments are read.

use crate::protocol::resp::Reply;
use crate::protocol::resp::number::parse_i64;

pub(super) fn error(text: impl Into<String>) -> Reply {
    Reply::Error(text.into())
}

pub(super) fn wrong_arity(name: &str) -> Reply {
    error(format!("ERR wrong number of arguments for '{name}' command"))
}

pub(super) fn syntax_error() -> Reply {
    error("ERR syntax error")
}

/// Reads an integer argument.
pub(super) fn integer(arg: &[u8]) -> Result<i64, Reply> {
    parse_i64(arg).ok_or_else(|| error(NOT_AN_INTEGER))
}

/// True when `arg` is `word` (given in upper case) in any case.
pub(super) fn is_word(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// The error for an argument or a value that should be an integer.
pub(super) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
