//! What the parsers of commands share: the words of Redis for what is refused, and how arguments are read.

pub(super) use super::refused::{NOT_AN_INTEGER, error, integer, is_word, syntax_error, wrong_arity};
use super::{Command, Parsed, Request};
use crate::protocol::resp::Reply;

/// What the parser of one command gives: the command, or the error reply.
pub(super) type ParseResult = Result<Parsed, Reply>;

/// The parsed form of a command for the state machine.
pub(super) fn replicated(command: &Command<'_>) -> ParseResult {
    Request::encode(command).map(Parsed::Replicated)
}

/// Client text that is safe and short enough to repeat in an error.
pub(super) fn excerpt(text: &[u8], bytes_max: usize) -> String {
    let cut = text.get(..bytes_max).unwrap_or(text);
    String::from_utf8_lossy(cut).into_owned()
}

/// Why a password is not taken.
pub(super) const AUTH_REFUSED: &str =
    "ERR AUTH is not supported: this server knows no users and no passwords; connect without them";
