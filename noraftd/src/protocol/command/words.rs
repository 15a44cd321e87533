//! The arguments of a command, read one after the other.

use super::Args;
use super::refused::{error, integer, is_word, syntax_error};
use crate::protocol::resp::number::{parse_i64, parse_u64};
use crate::protocol::resp::{Decimal, Reply};

/// Arguments that are read one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a>(Args<'a>);

impl<'a> Words<'a> {
    pub(super) fn new(args: Args<'a>) -> Self {
        Self(args)
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Result<&'a [u8], Reply> {
        let (next, rest) = self.0.split_first().ok_or_else(syntax_error)?;
        self.0 = rest;
        Ok(next)
    }

    /// The next one, which is an integer.
    pub(super) fn integer(&mut self) -> Result<i64, Reply> {
        integer(self.next()?)
    }

    /// Takes the next one if it is this word.
    pub(super) fn take(&mut self, word: &str) -> bool {
        match self.0.split_first() {
            Some((next, rest)) if is_word(next, word) => {
                self.0 = rest;
                true
            }
            Some(_) | None => false,
        }
    }

    /// The next one, which is a number with a fraction.
    pub(super) fn decimal(&mut self) -> Result<Decimal, Reply> {
        let decimal = Decimal::parse(self.next()?);
        decimal.ok_or_else(|| error("ERR value is not a valid float"))
    }

    /// The next one, which is a number of elements; a negative one has a meaning of its own.
    pub(super) fn count(&mut self) -> Result<i64, Reply> {
        let count = self.integer()?;
        if count == i64::MIN {
            let (least, most) = (-i64::MAX, i64::MAX);
            return Err(error(format!(
                "ERR value is out of range, value must between {least} and {most}"
            )));
        }
        Ok(count)
    }

    /// The next one, which is a number of elements.
    ///
    /// # Errors
    ///
    /// With `refused` when it is none.
    pub(super) fn size(&mut self, refused: &str) -> Result<usize, Reply> {
        let number = parse_i64(self.next()?).and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| error(refused))
    }

    /// So many keys as the next one says.
    ///
    /// # Errors
    ///
    /// With one of both texts, where that is none, or more than there are.
    pub(super) fn keys(&mut self, none: &str, too_many: &str) -> Result<Args<'a>, Reply> {
        let count = self.size(none)?;
        if count == 0 {
            return Err(error(none));
        }
        let (keys, rest) = self.0.split_at(count).ok_or_else(|| error(too_many))?;
        self.0 = rest;
        Ok(keys)
    }

    /// The keys of what is combined: so many as the next one says.
    pub(super) fn inputs(&mut self, command: &str) -> Result<Args<'a>, Reply> {
        let count = self.integer()?;
        if count < 1 {
            return Err(error(format!(
                "ERR at least 1 input key is needed for '{command}' command"
            )));
        }
        self.several(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// So many.
    pub(super) fn several(&mut self, count: usize) -> Result<Args<'a>, Reply> {
        let (taken, rest) = self.0.split_at(count).ok_or_else(syntax_error)?;
        self.0 = rest;
        Ok(taken)
    }

    /// `LIMIT` and how many, to the end; more than there can be where it is not there.
    pub(super) fn limited(&mut self) -> Result<usize, Reply> {
        let mut limit = 0;
        while !self.rest().is_empty() {
            if self.rest().len() < 2 || !self.take("LIMIT") {
                return Err(syntax_error());
            }
            limit = self.size("ERR LIMIT can't be negative")?;
        }
        Ok(if limit == 0 { usize::MAX } else { limit })
    }

    /// `COUNT` and how many, if it is there.
    pub(super) fn counted(&mut self) -> Result<usize, Reply> {
        let refused = "ERR count should be greater than 0";
        if self.rest().len() < 2 || !self.take("COUNT") {
            return Ok(1);
        }
        let count = self.size(refused)?;
        (count > 0).then_some(count).ok_or_else(|| error(refused))
    }

    /// All that are left, which is one at least.
    pub(super) fn some(self) -> Result<Args<'a>, Reply> {
        let rest = self.rest();
        (!rest.is_empty()).then_some(rest).ok_or_else(syntax_error)
    }

    /// All that are left.
    pub(super) fn rest(self) -> Args<'a> {
        self.0
    }

    /// The command, where none is left.
    pub(super) fn end<T>(self, command: T) -> Result<T, Reply> {
        self.0.is_empty().then_some(command).ok_or_else(syntax_error)
    }
}

/// Where a scan goes on, and what it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan<'a> {
    /// The position that it has come to.
    pub cursor: u64,
    /// Only what matches this.
    pub pattern: Option<&'a [u8]>,
    /// It looks at about so many elements.
    pub count: usize,
}

impl<'a> Scan<'a> {
    /// The cursor and the options behind it.
    pub(super) fn parse(words: &mut Words<'a>) -> Result<Self, Reply> {
        let cursor = parse_u64(words.next()?).ok_or_else(|| error("ERR invalid cursor"))?;
        let mut scan = Self {
            cursor,
            pattern: None,
            count: SCAN_COUNT,
        };
        while !words.rest().is_empty() {
            if words.take("MATCH") {
                scan.pattern = Some(words.next()?);
            } else if words.take("COUNT") {
                let count = usize::try_from(words.integer()?).ok();
                scan.count = count.filter(|count| *count > 0).ok_or_else(syntax_error)?;
            } else {
                return Err(syntax_error());
            }
        }
        Ok(scan)
    }
}

/// What a scan looks at where nothing else is asked for, as in Redis.
const SCAN_COUNT: usize = 10;
