//! Parsers of the commands on strings and keys. Each gets the name and a number of arguments that fits.

use bytes::Bytes;

use super::answers::{ParseResult, error, excerpt, integer, is_word, replicated, syntax_error, wrong_arity};
use super::expiry_parse::{ExpiryOption, TimeKind, add_option};
use super::{Args, Command, Expiry, SetCondition};
use crate::protocol::resp::Reply;

pub(super) fn set(args: &[Bytes]) -> ParseResult {
    let [_, key, value, options @ ..] = args else {
        return Err(wrong_arity("set"));
    };
    let options = SetOptions::parse(options)?;
    let condition = options.condition.unwrap_or(SetCondition::Always);
    let expiry = options.expiry.map(|expiry| expiry.expiry("set")).transpose()?;
    replicated(&Command::Set {
        key,
        value,
        condition,
        get: options.get,
        expiry: expiry.unwrap_or(Expiry::Never),
    })
}

#[derive(Default)]
struct SetOptions<'a> {
    condition: Option<SetCondition<'a>>,
    get: bool,
    expiry: Option<ExpiryOption<'a>>,
}

impl<'a> SetOptions<'a> {
    fn parse(mut args: &'a [Bytes]) -> Result<Self, Reply> {
        let mut options = Self::default();
        while let Some((option, rest)) = args.split_first() {
            args = rest;
            if is_word(option, "GET") {
                options.get = true;
            } else if is_word(option, "NX") {
                options.set_condition(SetCondition::Missing)?;
            } else if is_word(option, "XX") {
                options.set_condition(SetCondition::Exists)?;
            } else if is_word(option, "IFEQ") {
                let (expected, rest) = rest.split_first().ok_or_else(syntax_error)?;
                options.set_condition(SetCondition::Equals(expected))?;
                args = rest;
            } else if is_word(option, "KEEPTTL") {
                add_option(&mut options.expiry, ExpiryOption::Keep)?;
            } else if let Some(kind) = TimeKind::of_word(option) {
                let (number, rest) = rest.split_first().ok_or_else(syntax_error)?;
                add_option(&mut options.expiry, ExpiryOption::Time(kind, number))?;
                args = rest;
            } else {
                return Err(unsupported_set_option(option));
            }
        }
        Ok(options)
    }

    /// A repeated condition is as good as one; two different ones contradict each other.
    fn set_condition(&mut self, condition: SetCondition<'a>) -> Result<(), Reply> {
        match self.condition.replace(condition) {
            Some(before) if before != condition => Err(syntax_error()),
            Some(_) | None => Ok(()),
        }
    }
}

fn unsupported_set_option(option: &[u8]) -> Reply {
    let is_one_of = |words: &[&str]| words.iter().any(|word| is_word(option, word));
    let name = excerpt(option, OPTION_EXCERPT_BYTES_MAX).to_ascii_uppercase();
    if is_one_of(&["IFNE", "IFDEQ", "IFDNE"]) {
        return error(format!(
            "ERR SET option {name} is not supported: compare with IFEQ"
        ));
    }
    syntax_error()
}

pub(super) fn get(args: &[Bytes]) -> ParseResult {
    let [_, key] = args else {
        return Err(wrong_arity("get"));
    };
    replicated(&Command::Get { key })
}

pub(super) fn strlen(args: &[Bytes]) -> ParseResult {
    let [_, key] = args else {
        return Err(wrong_arity("strlen"));
    };
    replicated(&Command::StrLen { key })
}

pub(super) fn type_of(args: &[Bytes]) -> ParseResult {
    let [_, key] = args else {
        return Err(wrong_arity("type"));
    };
    replicated(&Command::Type { key })
}

pub(super) fn append(args: &[Bytes]) -> ParseResult {
    let [_, key, value] = args else {
        return Err(wrong_arity("append"));
    };
    replicated(&Command::Append { key, value })
}

pub(super) fn del(args: &[Bytes]) -> ParseResult {
    replicated(&Command::Del {
        keys: arguments(args),
    })
}

pub(super) fn exists(args: &[Bytes]) -> ParseResult {
    replicated(&Command::Exists {
        keys: arguments(args),
    })
}

pub(super) fn mget(args: &[Bytes]) -> ParseResult {
    replicated(&Command::MGet {
        keys: arguments(args),
    })
}

pub(super) fn mset(args: &[Bytes]) -> ParseResult {
    let pairs = arguments(args);
    if !pairs.len().is_multiple_of(2) {
        return Err(wrong_arity("mset"));
    }
    replicated(&Command::MSet { pairs })
}

pub(super) fn incr(args: &[Bytes]) -> ParseResult {
    let [_, key] = args else {
        return Err(wrong_arity("incr"));
    };
    replicated(&Command::IncrBy { key, delta: 1 })
}

pub(super) fn decr(args: &[Bytes]) -> ParseResult {
    let [_, key] = args else {
        return Err(wrong_arity("decr"));
    };
    replicated(&Command::IncrBy { key, delta: -1 })
}

pub(super) fn incr_by(args: &[Bytes]) -> ParseResult {
    let [_, key, delta] = args else {
        return Err(wrong_arity("incrby"));
    };
    replicated(&Command::IncrBy {
        key,
        delta: integer(delta)?,
    })
}

pub(super) fn decr_by(args: &[Bytes]) -> ParseResult {
    let [_, key, delta] = args else {
        return Err(wrong_arity("decrby"));
    };
    let delta = integer(delta)?
        .checked_neg()
        .ok_or_else(|| error("ERR decrement would overflow"))?;
    replicated(&Command::IncrBy { key, delta })
}

/// The arguments without the command's name.
fn arguments(args: &[Bytes]) -> Args<'_> {
    Args::sent(args.get(1..).unwrap_or_default())
}

/// Longer than any option.
const OPTION_EXCERPT_BYTES_MAX: usize = 16;
