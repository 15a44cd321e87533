//! What the parsers of commands share: the words of Redis for what is refused, and how arguments are read.

use super::{Command, Parsed, Request};
use crate::protocol::resp::Reply;
use crate::protocol::resp::number::parse_i64;

/// What the parser of one command gives: the command, or the error reply.
pub(super) type ParseResult = Result<Parsed, Reply>;

/// The parsed form of a command for the state machine.
pub(super) fn replicated(command: &Command<'_>) -> ParseResult {
    Request::encode(command).map(Parsed::Replicated)
}

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

/// Client text that is safe and short enough to repeat in an error.
pub(super) fn excerpt(text: &[u8], bytes_max: usize) -> String {
    let cut = text.get(..bytes_max).unwrap_or(text);
    String::from_utf8_lossy(cut).into_owned()
}

/// Why a password is not taken.
pub(super) const AUTH_REFUSED: &str =
    "ERR AUTH is not supported: this server knows no users and no passwords; connect without them";

/// The error for an argument or a value that should be an integer.
pub(crate) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
