//! From RESP arguments to a parsed command.

use bytes::Bytes;

use super::Parsed;
use crate::protocol::resp::Reply;

/// Parses a command with its arguments, the name first.
///
/// # Errors
///
/// With the error reply to give; nothing was done and nothing will be.
pub fn parse(args: Vec<Bytes>) -> Result<Parsed, Reply> {
    let _ = args;
    todo!()
}
