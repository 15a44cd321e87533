//! From RESP arguments to a parsed command: look up the name, check the arity, parse the rest.
//!
//! Error texts follow Redis, because clients match on them.

use bytes::Bytes;

use super::answers::{AUTH_REFUSED, error, excerpt, is_word, wrong_arity};
use super::table::CommandSpec;
use super::{Command, OwnCommand, Parsed, Request, once_parse};
use crate::protocol::resp::Reply;

/// Parses a command with its arguments, the name first.
///
/// # Errors
///
/// With the error reply to give; nothing was done and nothing will be.
pub fn parse(args: Vec<Bytes>) -> Result<Parsed, Reply> {
    let Some(name) = args.first() else {
        return Err(error("ERR empty command"));
    };
    match CommandSpec::find(name) {
        Some(spec) if spec.accepts(args.len()) => (spec.parse)(&args),
        Some(spec) => Err(wrong_arity(spec.name)),
        None => once_parse::parse(&args, parse)
            .or_else(|| OwnCommand::parse(&args).map(|own| Ok(Parsed::Own(own))))
            .unwrap_or_else(|| {
                Err(refused(name).unwrap_or_else(|| unknown(name, args.get(1..).unwrap_or_default())))
            }),
    }
}

/// FLUSHALL or FLUSHDB, for a node that allows them; `None` for any other command, and for words that they do not have.
pub fn parse_flush(args: &[Bytes]) -> Option<Request> {
    let (name, options) = args.split_first()?;
    let is_flush = is_word(name, "FLUSHALL") || is_word(name, "FLUSHDB");
    let is_known = match options {
        [] => true,
        [option] => is_word(option, "SYNC") || is_word(option, "ASYNC"),
        _ => false,
    };
    (is_flush && is_known)
        .then(|| Request::encode(&Command::FlushAll).ok())
        .flatten()
}

/// Commands that exist in Redis and are refused here on purpose, with the reason.
fn refused(name: &[u8]) -> Option<Reply> {
    if is_word(name, "FLUSHALL") || is_word(name, "FLUSHDB") {
        let name = excerpt(name, NAME_EXCERPT_BYTES_MAX).to_ascii_uppercase();
        return Some(error(format!(
            "ERR {name} is refused: one command must not discard the replicated data"
        )));
    }
    is_word(name, "AUTH").then(|| error(AUTH_REFUSED))
}

fn unknown(name: &[u8], args: &[Bytes]) -> Reply {
    let mut beginning = String::new();
    for arg in args {
        let Some(room) = ARGS_EXCERPT_BYTES_MAX
            .checked_sub(beginning.len())
            .filter(|&room| room > 0)
        else {
            break;
        };
        beginning.push_str(&format!("'{}' ", excerpt(arg, room)));
    }
    let name = excerpt(name, NAME_EXCERPT_BYTES_MAX);
    error(format!(
        "ERR unknown command '{name}', with args beginning with: {beginning}"
    ))
}

/// As much of an unknown name as the error repeats.
const NAME_EXCERPT_BYTES_MAX: usize = 128;

/// As much of an unknown command's arguments as the error repeats.
const ARGS_EXCERPT_BYTES_MAX: usize = 128;
