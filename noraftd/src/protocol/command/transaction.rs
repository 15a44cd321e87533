//! `MULTI` and what belongs to it, parsed.

use bytes::Bytes;

use super::answers::ParseResult;
use super::{Numbered, Parsed};

/// A command about what a connection does as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionCommand {
    /// `MULTI`
    Multi,
    /// `EXEC`, which may be one command of a session
    Exec(Option<Numbered>),
    /// `DISCARD`
    Discard,
    /// `WATCH key...`
    Watch(Vec<Bytes>),
    /// `UNWATCH`
    Unwatch,
}

pub(super) fn multi(_: &[Bytes]) -> ParseResult {
    Ok(Parsed::Transaction(TransactionCommand::Multi))
}

pub(super) fn exec(_: &[Bytes]) -> ParseResult {
    Ok(Parsed::Transaction(TransactionCommand::Exec(None)))
}

pub(super) fn discard(_: &[Bytes]) -> ParseResult {
    Ok(Parsed::Transaction(TransactionCommand::Discard))
}

/// Copied, so that a key that is kept pins no buffer.
pub(super) fn watch(args: &[Bytes]) -> ParseResult {
    let keys = args.iter().skip(1).map(|key| Bytes::copy_from_slice(key));
    Ok(Parsed::Transaction(TransactionCommand::Watch(keys.collect())))
}

pub(super) fn unwatch(_: &[Bytes]) -> ParseResult {
    Ok(Parsed::Transaction(TransactionCommand::Unwatch))
}
