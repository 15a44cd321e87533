//! Parsers of the commands about when keys go.
//!
//! A time is checked here as far as no clock is needed: one that no time of this century reaches is refused.

use bytes::Bytes;

use super::answers::{ParseResult, error, excerpt, integer, is_word, replicated, syntax_error, wrong_arity};
use super::{Command, Expiry, ExpiryCondition, SetCondition, TimeUnit, Timed};
use crate::protocol::resp::Reply;

/// An option of `SET` or `GETEX` about when the key goes, before its number is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExpiryOption<'a> {
    /// `EX`, `PX`, `EXAT` or `PXAT`, and what follows.
    Time(TimeKind, &'a [u8]),
    /// `KEEPTTL`
    Keep,
    /// `PERSIST`
    Never,
}

/// What a number means as a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeKind {
    unit: TimeUnit,
    is_absolute: bool,
}

impl TimeKind {
    const fn new(unit: TimeUnit, is_absolute: bool) -> Self {
        Self { unit, is_absolute }
    }

    /// The kind that an option of `SET` names.
    pub(super) fn of_word(word: &[u8]) -> Option<Self> {
        let kinds = [("EX", EX), ("PX", PX), ("EXAT", EXAT), ("PXAT", PXAT)];
        kinds
            .iter()
            .find_map(|(name, kind)| is_word(word, name).then_some(*kind))
    }

    /// `number` as an expiry; `None` when it is too large or too small.
    fn expiry(self, number: i64) -> Option<Expiry> {
        let millis = match self.unit {
            TimeUnit::Seconds => number.checked_mul(1000)?,
            TimeUnit::Millis => number,
        };
        if self.is_absolute {
            return Some(Expiry::At(millis));
        }
        millis.checked_add(CENTURY_END)?;
        Some(Expiry::After(millis))
    }
}

impl ExpiryOption<'_> {
    /// When the key goes.
    ///
    /// # Errors
    ///
    /// As `command` answers when its number is none, or no time.
    pub(super) fn expiry(self, command: &str) -> Result<Expiry, Reply> {
        match self {
            Self::Keep => Ok(Expiry::Keep),
            Self::Never => Ok(Expiry::Never),
            Self::Time(kind, number) => {
                let number = integer(number)?;
                let expiry = kind.expiry(number).filter(|_| number > 0);
                expiry.ok_or_else(|| invalid_time(command))
            }
        }
    }
}

/// Adds an option to those before it.
///
/// # Errors
///
/// When they exclude each other. One of the same kind takes the place of the one before.
pub(super) fn add_option<'a>(
    before: &mut Option<ExpiryOption<'a>>,
    option: ExpiryOption<'a>,
) -> Result<(), Reply> {
    let is_same = match (&*before, option) {
        (None, _) | (Some(ExpiryOption::Keep), ExpiryOption::Keep) => true,
        (Some(ExpiryOption::Never), ExpiryOption::Never) => true,
        (Some(ExpiryOption::Time(one, _)), ExpiryOption::Time(other, _)) => *one == other,
        (Some(_), _) => false,
    };
    *before = Some(option);
    is_same.then_some(()).ok_or_else(syntax_error)
}

pub(super) fn set_ex(args: &[Bytes]) -> ParseResult {
    set_timed(args, "setex", EX)
}

pub(super) fn p_set_ex(args: &[Bytes]) -> ParseResult {
    set_timed(args, "psetex", PX)
}

fn set_timed(args: &[Bytes], name: &str, kind: TimeKind) -> ParseResult {
    let [_, key, time, value] = args else {
        return Err(wrong_arity(name));
    };
    replicated(&Command::Set {
        key,
        value,
        condition: SetCondition::Always,
        get: false,
        expiry: ExpiryOption::Time(kind, time).expiry(name)?,
    })
}

pub(super) fn get_set(args: &[Bytes]) -> ParseResult {
    let [_, key, value] = args else {
        return Err(wrong_arity("getset"));
    };
    replicated(&Command::Set {
        key,
        value,
        condition: SetCondition::Always,
        get: true,
        expiry: Expiry::Never,
    })
}

pub(super) fn set_nx(args: &[Bytes]) -> ParseResult {
    let [_, key, value] = args else {
        return Err(wrong_arity("setnx"));
    };
    timed(key, Timed::SetNx(value))
}

pub(super) fn get_ex(args: &[Bytes]) -> ParseResult {
    let [_, key, options @ ..] = args else {
        return Err(wrong_arity("getex"));
    };
    let (mut wanted, mut rest) = (None, options);
    while let Some((word, after)) = rest.split_first() {
        rest = after;
        let option = match TimeKind::of_word(word) {
            None if is_word(word, "PERSIST") => ExpiryOption::Never,
            None => return Err(syntax_error()),
            Some(kind) => {
                let (number, after) = rest.split_first().ok_or_else(syntax_error)?;
                rest = after;
                ExpiryOption::Time(kind, number)
            }
        };
        add_option(&mut wanted, option)?;
    }
    match wanted {
        None => replicated(&Command::Get { key }),
        Some(option) => timed(key, Timed::GetEx(option.expiry("getex")?)),
    }
}

pub(super) fn get_del(args: &[Bytes]) -> ParseResult {
    of_key(args, "getdel", Timed::GetDel)
}

pub(super) fn persist(args: &[Bytes]) -> ParseResult {
    of_key(args, "persist", Timed::Persist)
}

pub(super) fn ttl(args: &[Bytes]) -> ParseResult {
    of_key(args, "ttl", Timed::Left(TimeUnit::Seconds))
}

pub(super) fn p_ttl(args: &[Bytes]) -> ParseResult {
    of_key(args, "pttl", Timed::Left(TimeUnit::Millis))
}

pub(super) fn expire_time(args: &[Bytes]) -> ParseResult {
    of_key(args, "expiretime", Timed::Deadline(TimeUnit::Seconds))
}

pub(super) fn p_expire_time(args: &[Bytes]) -> ParseResult {
    of_key(args, "pexpiretime", Timed::Deadline(TimeUnit::Millis))
}

pub(super) fn expire(args: &[Bytes]) -> ParseResult {
    expire_as(args, "expire", EX)
}

pub(super) fn p_expire(args: &[Bytes]) -> ParseResult {
    expire_as(args, "pexpire", PX)
}

pub(super) fn expire_at(args: &[Bytes]) -> ParseResult {
    expire_as(args, "expireat", EXAT)
}

pub(super) fn p_expire_at(args: &[Bytes]) -> ParseResult {
    expire_as(args, "pexpireat", PXAT)
}

fn expire_as(args: &[Bytes], name: &str, kind: TimeKind) -> ParseResult {
    let [_, key, time, options @ ..] = args else {
        return Err(wrong_arity(name));
    };
    let condition = conditions(options)?;
    let expiry = kind.expiry(integer(time)?).ok_or_else(|| invalid_time(name))?;
    timed(key, Timed::Expire(expiry, condition))
}

fn conditions(options: &[Bytes]) -> Result<ExpiryCondition, Reply> {
    let words = [
        ("NX", ExpiryCondition::MISSING),
        ("XX", ExpiryCondition::EXISTS),
        ("GT", ExpiryCondition::LATER),
        ("LT", ExpiryCondition::EARLIER),
    ];
    let mut all = ExpiryCondition::default();
    for option in options {
        let Some((_, condition)) = words.iter().find(|(word, _)| is_word(option, word)) else {
            let option = excerpt(option, OPTION_EXCERPT_BYTES_MAX);
            return Err(error(format!("ERR Unsupported option {option}")));
        };
        all = all.and(*condition);
    }
    if all.is_possible() {
        return Ok(all);
    }
    Err(error(if all.has(ExpiryCondition::MISSING) {
        "ERR NX and XX, GT or LT options at the same time are not compatible"
    } else {
        "ERR GT and LT options at the same time are not compatible"
    }))
}

fn of_key(args: &[Bytes], name: &str, command: Timed<'_>) -> ParseResult {
    match args {
        [_, key] => timed(key, command),
        [..] => Err(wrong_arity(name)),
    }
}

fn timed(key: &[u8], command: Timed<'_>) -> ParseResult {
    replicated(&Command::Timed { key, command })
}

fn invalid_time(command: &str) -> Reply {
    error(format!("ERR invalid expire time in '{command}' command"))
}

const EX: TimeKind = TimeKind::new(TimeUnit::Seconds, false);
const PX: TimeKind = TimeKind::new(TimeUnit::Millis, false);
const EXAT: TimeKind = TimeKind::new(TimeUnit::Seconds, true);
const PXAT: TimeKind = TimeKind::new(TimeUnit::Millis, true);

/// The end of the year 2099, in milliseconds since the Unix epoch.
const CENTURY_END: i64 = 4_102_444_800_000;

/// Longer than any option.
const OPTION_EXCERPT_BYTES_MAX: usize = 128;
