//! The parser of all commands on values that are made of elements.

use bytes::Bytes;

use super::answers::{ParseResult, replicated, syntax_error};
use super::{Args, Command, Data};

/// Parses a command of this kind, its name first.
pub(super) fn parse(args: &[Bytes]) -> ParseResult {
    let (name, args) = args.split_first().ok_or_else(syntax_error)?;
    replicated(&Command::Data(Data::asked(name, Args::sent(args))?))
}
