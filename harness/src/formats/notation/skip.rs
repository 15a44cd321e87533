//! Skipping values: of what one is made is looked at only as far as to find its end.

use super::{Notation, Problem, Scanner};

/// What was skipped that begins with `#`.
enum Skipped {
    Value,
    /// A tag, or the sign of a set: the value follows.
    Prefix,
    /// The sign that the next value is to be ignored.
    Discard,
}

impl Scanner<'_> {
    /// True when a discarded form comes next.
    pub(crate) fn at_discard(&self) -> bool {
        self.notation == Notation::Edn && self.rest().starts_with(b"#_")
    }

    /// Skips `#_` and the form behind it.
    pub(crate) fn discard(&mut self) -> Result<(), Problem> {
        self.at += 2;
        self.skip()
    }

    /// Skips the name of a tag, the `#` already taken.
    pub(crate) fn skip_tag(&mut self) -> Result<(), Problem> {
        self.token().map(drop)
    }

    /// Skips one value, whatever it holds: of what it is made is looked at only as far as to find its end.
    pub(crate) fn skip(&mut self) -> Result<(), Problem> {
        // Values that are still to be skipped at the outermost level, and open brackets inside of them.
        let (mut forms, mut open) = (1_usize, 0_usize);
        while forms > 0 {
            let is_edn = self.notation == Notation::Edn;
            match self.peek().ok_or(Problem::Incomplete)? {
                b'"' => self.skip_string()?,
                b'\\' if is_edn => self.skip_character()?,
                b'[' | b'(' | b'{' => {
                    self.at += 1;
                    open += 1;
                    continue;
                }
                b']' | b')' | b'}' => {
                    open = open.checked_sub(1).ok_or_else(|| self.bad("a value"))?;
                    self.at += 1;
                }
                b'#' if is_edn => match self.skip_dispatch()? {
                    Skipped::Value => {}
                    Skipped::Prefix => continue,
                    // What is inside of brackets is skipped with them.
                    Skipped::Discard => {
                        forms += usize::from(open == 0);
                        continue;
                    }
                },
                _ => {
                    let start = self.at;
                    self.token()?;
                    if self.at == start {
                        return Err(self.bad("a value"));
                    }
                }
            }
            forms -= usize::from(open == 0);
        }
        Ok(())
    }

    /// Skips what begins with `#`.
    fn skip_dispatch(&mut self) -> Result<Skipped, Problem> {
        self.at += 1;
        match self.bytes.get(self.at) {
            None => Err(Problem::Incomplete),
            Some(b'{') => Ok(Skipped::Prefix),
            Some(b'_') => {
                self.at += 1;
                Ok(Skipped::Discard)
            }
            Some(b'#') => self.token().map(|_| Skipped::Value),
            Some(b'"') => self.skip_string().map(|()| Skipped::Value),
            Some(_) => {
                let start = self.at;
                self.token()?;
                if self.at == start {
                    return Err(self.bad("a value"));
                }
                Ok(Skipped::Prefix)
            }
        }
    }

    fn skip_string(&mut self) -> Result<(), Problem> {
        self.at += 1;
        loop {
            let byte = *self.bytes.get(self.at).ok_or(Problem::Incomplete)?;
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return Ok(());
            }
        }
    }

    pub(super) fn skip_character(&mut self) -> Result<(), Problem> {
        // The character itself may be one that ends a token.
        self.at += 2;
        if self.at > self.bytes.len() {
            return Err(Problem::Incomplete);
        }
        self.token().map(drop)
    }
}
